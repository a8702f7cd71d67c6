//! Runs a batch: the handlers of its events in order, then one commit for all of them. If one event fails, only that
//! event is undone. A batch that does too much is committed after its first events, and the relay sends the rest again.

mod answer;
mod budget;
mod claim;
mod connect;
mod disconnect;
mod overflown;
mod renew;

use std::{
    borrow::Cow,
    rc::Rc,
    time::{Duration, Instant},
};

use parlour_protocol::relay::{self, Batch, Event, MAX_ANSWER_BYTES};
use serde_json::value::RawValue;

use crate::{
    ack::{Ack, Shared},
    args::Arguments,
    asked::Acks,
    binary::{Raw, reading},
    context::{Context, Part, Scope},
    error::Error,
    extract::{About, Call},
    interface,
    namespace::Namespace,
    packet::Packet,
    peer::Peer,
    socket::Socket,
    store::Store,
};
use answer::{answer_error, event_name};
use budget::Budget;
pub(crate) use claim::claims;
pub(crate) use connect::with_pids;
use disconnect::Stale;
use overflown::Overflown;

/// Says what is wrong with a batch, if it speaks of sockets it does not have or of what is not for
/// a namespace.
pub(crate) fn check(batch: &Batch<'_>) -> Result<(), String> {
    for (place, event) in batch.events.iter().enumerate() {
        let socket = match event {
            Event::Open(_) => {
                return Err(format!(
                    "event {place} is `open`, which is for the handshake lane"
                ));
            }
            Event::Acks(_) | Event::Report(_) | Event::Tick {} => continue,
            Event::Connect(connect) => connect.socket,
            Event::Renew(renew) => renew.socket,
            Event::Packet(packet) => packet.socket,
            Event::Disconnect(disconnect) => disconnect.socket,
        };
        if socket >= batch.sockets.len() {
            let sockets = batch.sockets.len();
            return Err(format!(
                "event {place} names socket {socket}, the batch has {sockets}"
            ));
        }
    }
    Ok(())
}

/// Why a batch was not done. Nothing has happened then.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failed {
    #[error("cannot use the rooms' database: {0}")]
    Storage(#[from] interface::Error),
    #[error("the answer would have {0} bytes, more than {MAX_ANSWER_BYTES}")]
    TooLarge(usize),
}

/// A batch that is committed.
pub(crate) struct Committed {
    pub response: String,
    /// How long the commit took.
    pub took: Duration,
}

/// Runs the handlers and commits.
pub(crate) async fn run(
    namespace: &Namespace,
    scope: Scope,
    batch: Batch<'_>,
    store: Box<dyn Store>,
) -> Result<Committed, Failed> {
    let sockets: Vec<Peer> = batch.sockets.into_iter().map(Peer::new).collect();
    for event in &batch.events {
        if let Event::Connect(connect) = event {
            sockets[connect.socket].is_in.set(false);
        }
    }
    let context = Rc::new(Context::new(scope, sockets, store));
    context.expect_replay(batch.replay);
    let leaving = |event: &Event<'_>| match event {
        Event::Disconnect(gone) => Some(gone.socket),
        _ => None,
    };
    context.expect_leaving(batch.events.iter().filter_map(leaving).collect());
    let mut events = batch.events;
    let done = run_events(namespace, &context, &mut events).await?;
    let part = Part {
        done,
        progress: connect::progress(&events[done..]),
    };
    // A batch without events asks whether it was committed before, and is told that nothing was done.
    let is_part = done < events.len() || events.is_empty();
    let (response, stored) = context.responses(is_part.then_some(&part)).await?;
    if response.len() > MAX_ANSWER_BYTES {
        return Err(Failed::TooLarge(response.len()));
    }
    let before = Instant::now();
    context.commit(stored).await?;
    let took = before.elapsed();
    Ok(Committed { response, took })
}

/// Runs handlers until all events are done, or enough of them. Returns how many.
async fn run_events(
    namespace: &Namespace,
    context: &Rc<Context>,
    events: &mut [Event<'_>],
) -> Result<usize, interface::Error> {
    let mut stale = Stale::among(context, events).await?;
    let mut budget = Budget::default();
    let all = events.len();
    for (place, event) in events.iter_mut().enumerate() {
        let before = context.answer_bytes();
        context.begin_event();
        let overflown = Overflown::of(event);
        let outcome = run_event(namespace, context, event, &mut stale).await;
        if let Some(fault) = context.take_fault() {
            return Err(fault);
        }
        outcome?;
        let bytes = context.answer_bytes();
        if bytes > MAX_ANSWER_BYTES
            && let Some(overflown) = overflown
        {
            context.abandon_event().await?;
            if before > 0 && bytes - before <= MAX_ANSWER_BYTES {
                // As the first of the next batch it fits.
                return Ok(place);
            }
            overflown.answer(context)?;
        }
        if budget.is_spent(context.bytes(), context.is_locked(), Instant::now) {
            return Ok(place + 1);
        }
    }
    Ok(all)
}

/// Runs the handlers of an event. A `connect` event stays what it is; any other is used up.
async fn run_event(
    namespace: &Namespace,
    context: &Rc<Context>,
    event: &mut Event<'_>,
    stale: &mut Stale,
) -> Result<(), interface::Error> {
    if let Event::Connect(connect) = event {
        return connect::run(namespace, context, connect, stale).await;
    }
    match std::mem::replace(event, Event::Tick {}) {
        Event::Renew(renew) => renew::run(context, &renew),
        Event::Packet(packet) => on_packet(namespace, context, packet).await,
        Event::Disconnect(gone) => disconnect::run(namespace, context, gone, stale).await,
        Event::Acks(acks) => on_acks(namespace, context, acks).await,
        Event::Report(report) => {
            // It was read as JSON, so it can be written, and nothing of it is the application's.
            let recorded = context.command_for_all(&relay::Command::Report(report), None);
            recorded.map_err(|error| interface::Error::Storage(error.to_string()))
        }
        // A relay that has fallen behind ticks to be given the log. That takes no lock.
        Event::Tick {} if context.is_replaying() => Ok(()),
        // Takes the write lock, with which the database sees whether it is time to collect its garbage.
        Event::Tick {} => context.touch().await,
        Event::Connect(_) | Event::Open(_) => Ok(()),
    }
}

async fn on_packet(
    namespace: &Namespace,
    context: &Rc<Context>,
    packet: relay::Packet<'_>,
) -> Result<(), interface::Error> {
    // The relay has seen that it is an array that begins with the event's name.
    let Ok(array) = serde_json::from_str::<Vec<&RawValue>>(packet.data.get()) else {
        return Ok(());
    };
    let name = array.first().map(|name| event_name(name));
    let handlers = name.as_ref().and_then(|name| namespace.events.get(&**name));
    let handlers = handlers.map_or(&[][..], Vec::as_slice);
    if handlers.is_empty() && namespace.first.is_empty() {
        return Ok(());
    }
    let socket = Socket::new(context, packet.socket);
    let shared: Option<Rc<Shared>> = (handlers.len() > 1).then(Rc::default);
    let mut ack = Some(Ack {
        context: context.clone(),
        index: packet.socket,
        id: packet.id,
        shared: shared.clone(),
        noted: None,
    });
    let attachments: Vec<String> = packet
        .attachments
        .into_iter()
        .map(Cow::into_owned)
        .collect();
    let event = name.as_deref().unwrap_or_default();
    let outcome = async {
        if !namespace.first.is_empty() {
            // In a box, or the future of every event would be as large.
            Box::pin(first(namespace, &socket, event, &array[1..], &attachments)).await?;
        }
        for (place, handler) in handlers.iter().enumerate() {
            let is_last = place + 1 == handlers.len();
            let call = Call {
                args: Arguments::new(&array[1..]),
                ack: if is_last { ack.take() } else { ack.clone() },
                ..Call::of(&socket, event)
            };
            reading(&attachments, || handler(call))?.await?;
        }
        match (&shared, packet.id) {
            (Some(shared), Some(id)) if shared.is_owed.get() && !shared.is_sent.get() => {
                context.ack(packet.socket, id, &())
            }
            _ => Ok(()),
        }
    };
    match outcome.await {
        Ok(()) => Ok(()),
        Err(error) => {
            context.abandon_event().await?;
            if error.is_internal() || packet.id.is_none() {
                // The client is not told the reason, so the log has it.
                let namespace = &context.scope.namespace;
                context.log.failed(namespace, event, &error.to_string());
            }
            answer_error(context, packet.socket, packet.id, &error)
        }
    }
}

/// What sees every event before its own handlers do.
async fn first(
    namespace: &Namespace,
    socket: &Socket,
    name: &str,
    args: &[&RawValue],
    attachments: &[String],
) -> Result<(), Error> {
    let attachments: Rc<[String]> = attachments.into();
    let arg = |&arg: &&RawValue| Raw::new(arg.to_owned(), attachments.clone());
    let packet = Packet {
        event: name.to_owned(),
        args: args.iter().map(arg).collect(),
    };
    for step in &namespace.first {
        let call = Call {
            about: About::Packet(&packet),
            ..Call::of(socket, name)
        };
        step(call)?.await?;
    }
    Ok(())
}

async fn on_acks(
    namespace: &Namespace,
    context: &Rc<Context>,
    acks: relay::Acks<'_>,
) -> Result<(), interface::Error> {
    let name = format!("on_ack({:?})", acks.handler);
    let failed = |problem: &str| context.log.failed(&context.scope.namespace, &name, problem);
    let Some(handler) = namespace.acks.get(&*acks.handler) else {
        failed("there is no such handler");
        return Ok(());
    };
    let acks = Acks::new(acks);
    let call = Call {
        context,
        socket: None,
        event: &name,
        args: Arguments::default(),
        ack: None,
        about: About::Acks(&acks),
    };
    let outcome = async { handler(call)?.await };
    if let Err(error) = outcome.await {
        failed(&error.to_string());
        context.abandon_event().await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
