//! Runs a batch: each event's handler in order, each on its own feet, then one commit for all.

use std::{borrow::Cow, rc::Rc};

use parlour_protocol::relay::{self, Batch, Command, Event};
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::{
    ack::Ack,
    args::render,
    asked::Acks,
    binary::reading,
    context::Context,
    error::Error,
    interface::{self, Change, Presence},
    namespace::Namespace,
    peer::Peer,
    socket::{Handshake, Nsp, Socket},
    store::Store,
};

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
            Event::Acks(_) | Event::Tick {} => continue,
            Event::Connect(connect) => connect.socket,
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

/// Runs the handlers and commits. An error is the database's, and nothing has happened.
pub(crate) async fn run(
    namespace: &Namespace,
    batch: Batch<'_>,
    store: Box<dyn Store>,
) -> Result<Vec<u8>, interface::Error> {
    let sockets = batch.sockets.into_iter().map(Peer::new).collect();
    let context = Rc::new(Context::new(sockets, store));
    for event in batch.events {
        context.begin_event();
        let outcome = match event {
            Event::Connect(connect) => on_connect(namespace, &context, &connect).await,
            Event::Packet(packet) => on_packet(namespace, &context, packet).await,
            Event::Disconnect(gone) => on_disconnect(namespace, &context, gone).await,
            Event::Acks(acks) => on_acks(namespace, &context, acks).await,
            Event::Open(_) | Event::Tick {} => Ok(()),
        };
        if let Some(fault) = context.take_fault() {
            return Err(fault);
        }
        outcome?;
    }
    context.finish().await
}

fn socket(context: &Rc<Context>, index: usize) -> Socket {
    Socket {
        context: context.clone(),
        index,
        handshake: None,
    }
}

async fn on_connect(
    namespace: &Namespace,
    context: &Rc<Context>,
    connect: &relay::Connect<'_>,
) -> Result<(), interface::Error> {
    if let Some(refused) = connect.refused {
        return refuse(context, connect.socket, &refusal(refused));
    }
    let handshake = Rc::new(Handshake::new(&connect.handshake, connect.auth));
    let socket = Socket {
        handshake: Some(handshake),
        ..socket(context, connect.socket)
    };
    let claims = connect.claims.filter(|claims| claims.get() != "null");
    socket.peer().state().borrow_mut().claims = claims.map(RawValue::to_owned);
    let data = socket.peer().data();
    context.change(
        connect.socket,
        Change::Connect(Presence {
            socket: socket.id().to_owned(),
            data,
        }),
    );
    context.reserve_first();
    let mut outcome = match &namespace.connect {
        Some(handler) => handler(socket.clone()).await,
        None => Ok(()),
    };
    if outcome.is_ok() {
        let state = socket.peer().to_relay();
        let accept = relay::Accept {
            socket: socket.id().into(),
            pid: None,
            state: state.as_deref(),
        };
        outcome = context.command_first(&Command::Accept(accept));
    }
    match outcome {
        Ok(()) => Ok(()),
        Err(error) => {
            context.abandon_event().await?;
            let code = || to_raw_value(&serde_json::json!({ "code": error.code })).ok();
            let data = error.data.clone().or_else(code);
            refuse(
                context,
                connect.socket,
                &Refusal {
                    message: error.message.into(),
                    data,
                },
            )
        }
    }
}

/// What the client's `connect_error` says.
#[derive(Deserialize)]
struct Refusal<'a> {
    #[serde(borrow)]
    message: Cow<'a, str>,
    #[serde(default)]
    data: Option<Box<RawValue>>,
}

fn refusal(json: &RawValue) -> Refusal<'_> {
    let unnamed = |_| Refusal {
        message: "Unauthorized".into(),
        data: None,
    };
    serde_json::from_str(json.get()).unwrap_or_else(unnamed)
}

fn refuse(context: &Context, socket: usize, refusal: &Refusal) -> Result<(), interface::Error> {
    let command = Command::Refuse(relay::Refuse {
        socket: (&context.sockets[socket].id).into(),
        message: (&*refusal.message).into(),
        data: refusal.data.as_deref(),
    });
    context.command(&command).map_err(ours)
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
    let name = array
        .first()
        .and_then(|name| serde_json::from_str::<Name>(name.get()).ok());
    let handler = name.and_then(|name| namespace.events.get(name.0.as_ref()));
    let Some(handler) = handler else {
        return Ok(());
    };
    let socket = socket(context, packet.socket);
    let ack = Ack {
        socket: socket.clone(),
        id: packet.id,
    };
    let attachments = packet
        .attachments
        .into_iter()
        .map(Cow::into_owned)
        .collect();
    let outcome = match reading(attachments, || handler(socket, &array[1..], ack)) {
        Ok(running) => running.await,
        Err(error) => Err(error),
    };
    match outcome {
        Ok(()) => Ok(()),
        Err(error) => {
            context.abandon_event().await?;
            answer_error(context, packet.socket, packet.id, &error)
        }
    }
}

/// Borrows the name unless it has escapes.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

fn answer_error(
    context: &Context,
    socket: usize,
    ack: Option<u64>,
    error: &Error,
) -> Result<(), interface::Error> {
    let Some(id) = ack else {
        return Ok(());
    };
    let answer = render(None, &error.answer()).map_err(ours)?;
    context.ack(socket, id, &answer).map_err(ours)
}

async fn on_disconnect(
    namespace: &Namespace,
    context: &Rc<Context>,
    gone: relay::Disconnect<'_>,
) -> Result<(), interface::Error> {
    let socket = socket(context, gone.socket);
    if let Some(handler) = &namespace.disconnecting
        && let Err(error) = handler(socket.clone(), gone.reason.into_owned()).await
    {
        eprintln!("on_disconnecting of socket {} failed: {error}", socket.id());
        context.abandon_event().await?;
    }
    context.change(gone.socket, Change::Disconnect(socket.id().to_owned()));
    Ok(())
}

async fn on_acks(
    namespace: &Namespace,
    context: &Rc<Context>,
    acks: relay::Acks<'_>,
) -> Result<(), interface::Error> {
    let Some(handler) = namespace.acks.get(&*acks.handler) else {
        eprintln!("there is no on_ack({:?}, …)", acks.handler);
        return Ok(());
    };
    let name = acks.handler.to_string();
    let nsp = Nsp {
        context: context.clone(),
    };
    if let Err(error) = handler(nsp, Acks::new(acks)).await {
        eprintln!("on_ack({name:?}, …) failed: {error}");
        context.abandon_event().await?;
    }
    Ok(())
}

/// An error of this crate's own making fails the batch, as the database's do.
fn ours(error: Error) -> interface::Error {
    interface::Error::Storage(error.to_string())
}

#[cfg(test)]
mod tests;
