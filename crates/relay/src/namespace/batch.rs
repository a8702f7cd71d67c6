//! Batches as they fill: an event's JSON is written once, when it comes; the sockets that events speak of are described
//! when the batch leaves. What the app has not done of a batch is a batch again.

mod event;
mod parts;
mod queue;

use std::time::Instant;

use bytes::Bytes;
use parlour_protocol::relay::MAX_BATCH_BYTES;
use serde_json::value::RawValue;

pub use event::ConnectAgain;
use event::{Event, Kind};
pub use queue::Queue;

use super::registry::Registry;
use super::text::Text;
use crate::connection::{Place, Slot};
use crate::core::config::RECOVERIES_AT_ONCE;
use crate::core::ledger::Charge;
use crate::core::sid::Sid;

/// What a socket's description has besides its state and rooms, about.
const DESCRIPTION_BYTES: usize = 96;

const TICK: &str = r#"{"tick":{}}"#;

/// What an event has besides its payload, about.
const EVENT_BYTES: usize = 64;

#[derive(Default)]
pub struct Batch {
    /// Tells which batch a socket was last mentioned in.
    serial: u32,
    /// By their index in the batch.
    sockets: Vec<Slot>,
    events: Vec<Event>,
    /// The events' JSON, one after the other.
    text: Text,
    /// Part of a batch that was sent before: it takes no more events.
    is_part: bool,
    /// The app has stopped before it, or it waits behind such a part: what comes later of other clients goes first.
    lets_pass: bool,
    /// It went before a part that lets others go first. None of its clients has anything in the parts that wait.
    has_passed: bool,
    /// Of clients that resume their sessions, and of nobody else.
    pub is_of_recoveries: bool,
    /// As in its queue.
    recoveries: usize,
    /// How often the app has failed at it.
    pub failures: u32,
    /// When its first event came. Parts of a batch have that of the whole.
    pub since: Option<Instant>,
    /// About how many bytes the body will have.
    size: usize,
    /// What the events are counted as in their clients' accounts until the batch is answered, by the index of
    /// the socket.
    charges: Vec<Charge>,
    /// The same for its body.
    body_charge: Option<Charge>,
}

impl Batch {
    fn has_room(&self, size: usize) -> bool {
        let is_full = self.is_of_recoveries && self.count() >= RECOVERIES_AT_ONCE;
        !self.is_part && !is_full && self.size + size <= MAX_BATCH_BYTES
    }

    /// The text has another event's JSON now.
    fn end_event(&mut self, kind: Kind) {
        let (socket, end) = (None, self.text.len());
        self.events.push(Event { kind, socket, end });
    }

    /// The same, of an event of the socket at an index.
    fn end_event_of(&mut self, index: u32, kind: Kind) {
        let (socket, end) = (Some(index), self.text.len());
        self.events.push(Event { kind, socket, end });
    }

    /// How many events it has.
    pub fn count(&self) -> usize {
        self.events.len()
    }

    /// The events, each with its JSON as far as that cannot change.
    fn events(&self) -> impl Iterator<Item = (&Event, &str)> {
        let mut start = 0;
        self.events.iter().map(move |event| {
            let text = self.text.part(start, event.end);
            start = event.end;
            (event, text)
        })
    }

    /// Counts its body as long as it is not answered.
    pub fn keep(&mut self, charge: Charge) {
        self.body_charge = Some(charge);
    }

    /// Whether nothing happened but time.
    pub fn is_tick(&self) -> bool {
        let [event] = &*self.events else {
            return false;
        };
        matches!(event.kind, Kind::Tick)
    }

    /// The connections whose handshakes wait for its answer.
    pub fn opening(&self) -> impl Iterator<Item = Sid> {
        self.events.iter().filter_map(|event| match &event.kind {
            Kind::Open(open) => Some(open.connection),
            _ => None,
        })
    }

    /// The sockets that ask to enter.
    pub fn connecting(&self) -> impl Iterator<Item = Place> {
        self.events.iter().filter_map(|event| match &event.kind {
            Kind::Connect(connect) => Some(connect.place),
            _ => None,
        })
    }

    /// The sockets that have left.
    pub fn leaving(&self) -> impl Iterator<Item = Slot> {
        let is_leaving = |event: &&Event| matches!(event.kind, Kind::Disconnect { .. });
        let leaving = self.events.iter().filter(is_leaving);
        leaving.filter_map(|event| self.socket(event.socket? as usize))
    }

    /// How many `connect` and `renew` events the middleware has not judged yet.
    pub fn unjudged(&self) -> usize {
        let is_unjudged = |event: &&Event| match &event.kind {
            Kind::Connect(connect) => connect.progress.is_none(),
            Kind::Renew => true,
            _ => false,
        };
        self.events.iter().filter(is_unjudged).count()
    }

    /// The request's body, as of now. `delivered`: how far the relay has delivered the log. `replay`: it wants what
    /// comes after that.
    pub fn body(&self, registry: &mut Registry, delivered: Option<u64>, replay: bool) -> String {
        let mut body = Text::with_capacity(self.size + 96);
        body.extend(["{"]);
        if let Some(delivered) = delivered {
            body.extend(["\"delivered\":", itoa::Buffer::new().format(delivered), ","]);
            if replay {
                body.extend(["\"replay\":true,"]);
            }
        }
        body.extend(["\"sockets\":["]);
        for (index, slot) in self.sockets.iter().enumerate() {
            if index > 0 {
                body.extend([","]);
            }
            describe(registry, *slot, &mut body);
        }
        body.extend(["],\"events\":"]);
        self.write_events(&mut body);
        body.extend(["}"]);
        body.into_string()
    }

    /// The events as a JSON array.
    pub fn events_json(&self) -> String {
        let mut json = Text::default();
        self.write_events(&mut json);
        json.into_string()
    }

    fn write_events(&self, out: &mut Text) {
        for (number, (event, text)) in self.events().enumerate() {
            out.extend([if number > 0 { "," } else { "[" }]);
            event.write(text, out);
        }
        out.extend([if self.events.is_empty() { "[]" } else { "]" }]);
    }

    /// The body of a batch without events.
    pub fn empty_body() -> Bytes {
        Bytes::from_static(br#"{"sockets":[],"events":[]}"#)
    }

    /// A batch in which nothing happens but time.
    pub fn tick() -> Batch {
        let mut batch = Batch::default();
        batch.text.extend([TICK]);
        batch.end_event(Kind::Tick);
        batch
    }

    /// The body of a batch that only asks for what the log has after an offset.
    pub fn replay_body(delivered: u64) -> Bytes {
        format!(r#"{{"delivered":{delivered},"replay":true,"events":[{TICK}]}}"#).into()
    }

    /// Whether it went before a part that lets others go first.
    pub fn has_passed(&self) -> bool {
        self.has_passed
    }

    /// The socket at an index of the batch.
    pub fn socket(&self, index: usize) -> Option<Slot> {
        self.sockets.get(index).copied()
    }

    /// The `connect` event of the socket at this place, to be sent again.
    pub fn connect_again(&self, place: Place) -> Option<ConnectAgain> {
        self.events().find_map(|(event, text)| match &event.kind {
            Kind::Connect(connect) if connect.place == place => Some(ConnectAgain {
                connect: connect.clone(),
                text: text.into(),
            }),
            _ => None,
        })
    }

    /// Keeps what the app gave back for the `connect` events, in order.
    pub fn note_progress(&mut self, progress: &[&RawValue]) {
        let connects = self
            .events
            .iter_mut()
            .filter_map(|event| match &mut event.kind {
                Kind::Connect(connect) => Some(connect),
                _ => None,
            });
        for (connect, progress) in connects.zip(progress) {
            connect.note_progress(progress);
        }
    }

    /// Has the app forget the sockets that have left without its handlers. False if it was to do so already.
    pub fn mark_unhandled(&mut self) -> bool {
        let mut is_new = false;
        for event in &mut self.events {
            if let Kind::Disconnect { unhandled } = &mut event.kind {
                is_new |= !std::mem::replace(unhandled, true);
            }
        }
        is_new
    }
}

fn describe(registry: &mut Registry, slot: Slot, out: &mut Text) {
    let Some(socket) = registry.get(slot) else {
        return out.extend([r#"{"id":"","connection":""}"#]);
    };
    let connection = socket.connection.id.as_str();
    out.extend([r#"{"id":""#, socket.id.as_str(), r#"","connection":""#]);
    out.extend([connection, "\""]);
    out.extend_if(",\"state\":", socket.state());
    if registry.is_in_rooms(slot) {
        out.extend([",\"rooms\":["]);
        registry.write_rooms(slot, out);
        out.extend(["]"]);
    }
    out.extend(["}"]);
}

#[cfg(test)]
mod tests;
