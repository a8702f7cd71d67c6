//! The end of an event that the app fails at: its sender gets an error, the log says which event it was. That a
//! socket has left is never given up.

use std::borrow::Cow;
use std::sync::Arc;

use parlour_protocol::relay::{Ack, Command, Event, Packet, Refuse, Reject, Renew};
use serde_json::value::RawValue;

use super::effects::perform;
use super::exchange::Failure;
use crate::namespace::{Batch, Decision, INTERNAL, Namespace, Outgoing};
use crate::shared::Shared;

/// Characters of an event's name that are logged.
const SHOWN: usize = 64;

/// Gives up a batch, which is one event, unless its answer is lost.
pub fn give_up(
    shared: &Arc<Shared>,
    namespace: &Arc<Namespace>,
    batch: Batch,
    failure: &Failure,
    outgoing: &mut Outgoing,
) {
    let json = batch.events_json();
    let events: Vec<Event<'_>> = serde_json::from_str(&json).expect("the relay has written it");
    for event in &events {
        log(namespace, event, failure);
    }
    if let [Event::Disconnect(_)] = events.as_slice() {
        return forget_unhandled(namespace, batch);
    }
    let error =
        serde_json::json!([{ "error": { "code": failure.code, "message": failure.message } }]);
    let error = serde_json::value::to_raw_value(&error).expect("JSON of strings");
    let ids = namespace.ids(&batch);
    let socket = |index: usize| ids.get(index).cloned().unwrap_or_default();
    let commands: Vec<Command<'_>> = events
        .iter()
        .filter_map(|event| answer(event, &error, socket))
        .collect();
    namespace.carry_out_all(&batch, &commands, None, outgoing);
    perform(shared, namespace, outgoing);
}

/// The app fails at the event that a socket has left. Without its handlers it must not; should it all the
/// same, the event is tried again, but after those that came later.
fn forget_unhandled(namespace: &Namespace, mut batch: Batch) {
    batch.failures = 0;
    match batch.mark_unhandled() {
        true => namespace.put_back([batch]),
        false => namespace.put_last(batch),
    }
}

fn log(namespace: &Namespace, event: &Event<'_>, failure: &Failure) {
    let kind = match event {
        Event::Open(_) => "open",
        Event::Connect(_) => "connect",
        Event::Packet(_) => "packet",
        Event::Renew(_) => "renew",
        Event::Disconnect(_) => "disconnect",
        Event::Acks(_) => "acks",
        Event::Report(_) => "report",
        Event::Tick {} => "tick",
    };
    let name = match event {
        Event::Packet(packet) => Some(name(packet)),
        Event::Acks(acks) => Some(acks.handler.chars().take(SHOWN).collect()),
        _ => None,
    };
    tracing::error!(
        namespace = namespace.name(),
        kind,
        event = name,
        failure = failure.detail,
        "giving up an event that the app fails at"
    );
}

/// What the relay says in the app's place.
fn answer<'a>(
    event: &Event<'a>,
    error: &'a RawValue,
    socket: impl Fn(usize) -> String,
) -> Option<Command<'a>> {
    match event {
        Event::Open(open) => {
            let Decision::Rejected { code, message } = Decision::internal() else {
                return None;
            };
            Some(Command::Reject(Reject {
                connection: open.connection.clone(),
                code,
                message: message.into(),
            }))
        }
        Event::Connect(connect) => Some(Command::Refuse(Refuse {
            socket: socket(connect.socket).into(),
            message: INTERNAL.into(),
            data: None,
        })),
        Event::Packet(Packet { socket: of, id, .. })
        | Event::Renew(Renew { socket: of, id, .. }) => id.map(|id| {
            Command::Ack(Ack {
                socket: socket(*of).into(),
                id,
                data: error,
                attachments: Vec::new(),
            })
        }),
        Event::Disconnect(_) | Event::Acks(_) | Event::Report(_) | Event::Tick {} => None,
    }
}

/// The event's name, if it is text; shortened and without control characters, as its client has made it.
fn name(packet: &Packet<'_>) -> String {
    let array: Vec<&RawValue> = serde_json::from_str(packet.data.get()).unwrap_or_default();
    let first = array.first().map_or("", |first| first.get());
    let name: Cow<'_, str> = serde_json::from_str(first).map_or(first.into(), Cow::Owned);
    name.chars()
        .take(SHOWN)
        .flat_map(char::escape_debug)
        .collect()
}
