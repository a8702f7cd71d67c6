//! Batches as they fill: events are written as JSON once, when they come; the sockets they speak of
//! are described when the batch leaves. What the app has not done of a batch is a batch again.

mod event;
mod parts;

use std::collections::VecDeque;
use std::io::Write;
use std::sync::Arc;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use parlour_protocol::relay::MAX_BATCH_BYTES;
use serde_json::value::RawValue;

use parts::Clients;
pub use parts::PID;

use super::registry::{Mention, Registry, Share, Socket};
use crate::connection::{Place, Slot};
use crate::core::config::{MAX_SHARE_BYTES, MAX_SHARE_EVENTS, RECOVERIES_AT_ONCE};
use crate::core::ledger::{Account, Charge, Hold};
use crate::core::sid::Sid;

/// What a socket's description has besides its state and rooms, about.
const DESCRIPTION_BYTES: usize = 96;

const TICK: &str = r#"{"tick":{}}"#;

/// What an event has besides its payload, about.
const EVENT_BYTES: usize = 64;

pub struct Queue {
    batches: VecDeque<Batch>,
    bytes: usize,
    /// How many of its events are clients that ask for their earlier sessions, if they have not been put back.
    recoveries: usize,
    /// That of the last batch. A namespace's two queues have none in common: one's are odd, the other's even.
    serial: u32,
    /// Of clients that resume their sessions: so many in one batch.
    is_of_recoveries: bool,
    /// The last batch went before an older one that lets others go first. Now it is that one's turn.
    has_passed: bool,
}

#[derive(Default)]
pub struct Batch {
    /// Tells which batch a socket was last mentioned in.
    serial: u32,
    /// By their index in the batch.
    sockets: Vec<Slot>,
    /// JSON, separated by commas.
    events: Vec<u8>,
    pub count: usize,
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
    /// How many `connect` events come again, with the app's progress. The middleware has judged them.
    judged: usize,
    /// How often the app has failed at it.
    pub failures: u32,
    /// When its first event came. Parts of a batch have that of the whole.
    pub since: Option<Instant>,
    /// About how many bytes the body will have.
    size: usize,
    /// What must be settled once the batch is answered.
    pub opening: Vec<Sid>,
    pub connecting: Vec<Place>,
    /// How many `renew` events it has: middleware judges those as well.
    pub renewing: usize,
    pub leaving: Vec<Slot>,
    /// What the events are counted as in their clients' accounts until the batch is answered, by the index of
    /// the socket.
    charges: Vec<Charge>,
    /// The same for events that name no socket, in their order, but for ticks; and behind those for its body.
    common: Vec<Charge>,
}

/// How an event that names a socket goes on after that socket's index.
enum Kind {
    Connect,
    Renew,
    Packet,
    Disconnect,
}

impl Queue {
    pub fn new(is_of_recoveries: bool) -> Queue {
        Queue {
            batches: VecDeque::new(),
            bytes: 0,
            recoveries: 0,
            serial: u32::from(is_of_recoveries),
            is_of_recoveries,
            has_passed: false,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    pub fn recoveries(&self) -> usize {
        self.recoveries
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether a socket should send no more for now: more than so many bytes wait, or in the batch that its last
    /// event is in, and that still waits, it has had its share.
    pub fn is_full_for(&self, socket: &Socket, bytes: usize) -> bool {
        let Mention {
            serial, share: own, ..
        } = socket.mentioned;
        let had_share = own.events >= MAX_SHARE_EVENTS || own.bytes as usize >= MAX_SHARE_BYTES;
        let waits = || self.batches.iter().any(|batch| batch.serial == serial);
        self.bytes > bytes || had_share && waits()
    }

    /// The next batch to send. `account_of`: whose socket has an id.
    pub fn take(&mut self, account_of: impl Fn(&str) -> Option<Arc<Account>>) -> Option<Batch> {
        let passing = self.take_passing(account_of);
        self.has_passed = passing.is_some();
        if passing.is_some() {
            return passing;
        }
        let batch = self.batches.pop_front()?;
        self.bytes -= batch.size;
        self.recoveries -= batch.recoveries;
        Some(batch)
    }

    /// What goes before the first batch, because that lets it, and has not done so the last time: of a batch that
    /// came later, all of those who have nothing in what stays before it.
    fn take_passing(&mut self, account_of: impl Fn(&str) -> Option<Arc<Account>>) -> Option<Batch> {
        if self.has_passed || !self.batches.front()?.lets_pass {
            return None;
        }
        let mut blocked = Clients::default();
        for at in 0..self.batches.len() {
            let batch = &mut self.batches[at];
            let size = batch.size;
            if !batch.is_part
                && let Some(mut passing) = batch.take_unblocked(&mut blocked, &account_of)
            {
                self.bytes = self.bytes - size + batch.size;
                self.recoveries -= passing.recoveries;
                if batch.count == 0 {
                    self.batches.remove(at);
                }
                passing.has_passed = true;
                return Some(passing);
            }
            let batch = &self.batches[at];
            self.bytes = self.bytes - size + batch.size;
            batch.add_clients_to(&mut blocked);
        }
        None
    }

    /// A part of a batch that was taken is the next batch again.
    pub fn put_back(&mut self, mut part: Batch) {
        part.is_part = true;
        part.has_passed = false;
        self.bytes += part.size;
        self.batches.push_front(part);
    }

    /// What the app has left of a batch that was taken. What comes later of other clients may go before it.
    pub fn put_back_rest(&mut self, mut rest: Batch) {
        rest.lets_pass = !self.is_of_recoveries;
        self.put_back(rest);
    }

    /// The same of a batch that has passed parts: these are first now, or they would never have their turn. None of
    /// its clients has anything in them.
    pub fn put_behind_parts(&mut self, mut rest: Batch) {
        rest.is_part = true;
        rest.lets_pass = true;
        self.bytes += rest.size;
        let parts = self.batches.iter().take_while(|batch| batch.is_part);
        self.batches.insert(parts.count(), rest);
    }

    /// It is sent after everything that has come up to now.
    pub fn put_last(&mut self, mut part: Batch) {
        part.is_part = true;
        self.bytes += part.size;
        self.batches.push_back(part);
    }

    pub fn push_open(&mut self, connection: Sid, handshake: &str, charge: Charge) {
        let batch = self.with_room(EVENT_BYTES + handshake.len());
        batch.common.push(charge);
        batch.opening.push(connection);
        batch.begin_event();
        let _ = write!(
            batch.events,
            r#"{{"open":{{"connection":"{connection}","handshake":{handshake}}}}}"#
        );
    }

    /// A client asks to enter, and maybe claims an earlier session.
    pub fn push_connect(&mut self, socket: &mut Socket, auth: Option<&str>, claims_session: bool) {
        self.recoveries += usize::from(claims_session);
        let handshake = socket.connection.clone();
        let size = handshake.handshake.len() + auth.map_or(0, str::len);
        let batch = self.begin(socket, size, &Kind::Connect);
        batch.connecting.push(socket.place);
        batch.recoveries += usize::from(claims_session);
        let secret = Sid::random();
        batch.extend(&[",\"secret\":\"", secret.as_str(), "\",\"handshake\":"]);
        batch.extend(&[&handshake.handshake]);
        if let Some(auth) = auth {
            batch.extend(&[",\"auth\":", auth]);
        }
        batch.extend(&["}}"]);
    }

    /// A `connect` event that comes again: it is known whether the session's owner `answers`.
    pub fn push_connect_after_contest(&mut self, socket: &mut Socket, event: &str, answers: bool) {
        let owner = match answers {
            true => ",\"owner\":\"answers\"}}",
            false => ",\"owner\":\"silent\"}}",
        };
        // At the end: what the app gave back for the event comes first.
        let event = event.strip_suffix("}}").unwrap_or(event);
        self.push_connect_again(socket, &[event, owner]);
    }

    /// A `connect` event that comes again: its client is given more of what it has missed.
    pub fn push_connect_for_more(&mut self, socket: &mut Socket, event: &str, progress: &RawValue) {
        self.push_connect_again(socket, &[&event::with_progress(event, progress)]);
    }

    /// `event`: what [`Batch::connect_event`] gave, changed.
    fn push_connect_again(&mut self, socket: &mut Socket, event: &[&str]) {
        let size = event.iter().map(|part| part.len()).sum();
        let batch = self.begin(socket, size, &Kind::Connect);
        batch.connecting.push(socket.place);
        batch.judged += usize::from(event::comes_again(event[0]));
        batch.extend(event);
    }

    /// A client shows another token. `auth` is JSON.
    pub fn push_renew(&mut self, socket: &mut Socket, id: Option<u64>, auth: Option<&str>) {
        let handshake = socket.connection.clone();
        let size = handshake.handshake.len() + auth.map_or(0, str::len);
        let batch = self.begin(socket, size, &Kind::Renew);
        batch.renewing += 1;
        if let Some(id) = id {
            batch.extend(&[",\"id\":", itoa::Buffer::new().format(id)]);
        }
        batch.extend(&[",\"handshake\":", &handshake.handshake]);
        if let Some(auth) = auth {
            batch.extend(&[",\"auth\":", auth]);
        }
        batch.extend(&["}}"]);
    }

    pub fn push_packet(
        &mut self,
        socket: &mut Socket,
        id: Option<u64>,
        data: &str,
        attachments: &[Vec<u8>],
    ) {
        let size = data.len()
            + attachments
                .iter()
                .map(|it| it.len() / 3 * 4 + 8)
                .sum::<usize>();
        let batch = self.begin(socket, size, &Kind::Packet);
        write_packet(&mut batch.events, id, data, attachments);
    }

    /// An event that was held back: what [`packet`] made of it.
    pub fn push_held(&mut self, socket: &mut Socket, packet: &str) {
        self.begin(socket, packet.len(), &Kind::Packet)
            .extend(&[packet]);
    }

    pub fn push_disconnect(&mut self, socket: &mut Socket, reason: &str) {
        let batch = self.begin(socket, reason.len(), &Kind::Disconnect);
        batch.leaving.push(socket.place.slot);
        batch.extend(&[",\"reason\":\"", reason, "\"}}"]);
    }

    /// What came of an emit that asked for acknowledgements: the event as JSON.
    pub fn push_acks(&mut self, event: &str, charge: Charge) {
        let batch = self.with_room(event.len() + 1);
        batch.common.push(charge);
        batch.begin_event();
        batch.extend(&[event]);
    }

    pub fn push_tick(&mut self) {
        let batch = self.with_room(EVENT_BYTES);
        batch.begin_event();
        batch.extend(&[TICK]);
    }

    /// Writes the beginning of an event, up to the index of its socket.
    fn begin(&mut self, socket: &mut Socket, payload: usize, kind: &Kind) -> &mut Batch {
        let description = DESCRIPTION_BYTES + socket.state().map_or(0, str::len);
        let size = EVENT_BYTES + payload + description + socket.rooms_bytes();
        let batch = self.with_room(size);
        let mention = &mut socket.mentioned;
        if mention.serial != batch.serial {
            *mention = Mention {
                serial: batch.serial,
                index: batch.sockets.len() as u32,
                share: Share::default(),
            };
            batch.sockets.push(socket.place.slot);
            let account = socket.connection.account();
            batch.charges.push(account.charge(Hold::Passing, 0));
        }
        mention.share.events += 1;
        mention.share.bytes = mention.share.bytes.saturating_add(payload as u32);
        let index = mention.index;
        batch.charges[index as usize].grow(size);
        batch.begin_event();
        batch.extend(&[match kind {
            Kind::Connect => r#"{"connect":{"socket":"#,
            Kind::Renew => r#"{"renew":{"socket":"#,
            Kind::Packet => r#"{"packet":{"socket":"#,
            Kind::Disconnect => r#"{"disconnect":{"socket":"#,
        }]);
        batch.extend(&[itoa::Buffer::new().format(index)]);
        batch
    }

    /// The batch that takes `size` more bytes.
    fn with_room(&mut self, size: usize) -> &mut Batch {
        self.bytes += size;
        let fits = self
            .batches
            .back()
            .is_some_and(|batch| batch.has_room(size));
        if !fits {
            // 0 means: in no batch yet.
            self.serial = match self.serial.wrapping_add(2) {
                0 => 2,
                next => next,
            };
            self.batches.push_back(Batch {
                serial: self.serial,
                is_of_recoveries: self.is_of_recoveries,
                since: Some(Instant::now()),
                ..Batch::default()
            });
        }
        let batch = self.batches.back_mut().expect("a batch was pushed");
        batch.size += size;
        batch
    }
}

impl Batch {
    fn has_room(&self, size: usize) -> bool {
        let is_full = self.is_of_recoveries && self.count >= RECOVERIES_AT_ONCE;
        !self.is_part && !is_full && self.size + size <= MAX_BATCH_BYTES
    }

    fn begin_event(&mut self) {
        if self.count > 0 {
            self.events.push(b',');
        }
        self.count += 1;
    }

    fn extend(&mut self, parts: &[&str]) {
        for part in parts {
            self.events.extend_from_slice(part.as_bytes());
        }
    }

    /// Counts something as long as the batch is not answered.
    pub fn keep(&mut self, charge: Charge) {
        self.common.push(charge);
    }

    /// Whether nothing happened but time.
    pub fn is_tick(&self) -> bool {
        self.events.starts_with(b"{\"tick") && self.count == 1
    }

    /// The request's body, as of now. `delivered`: how far the relay has delivered the log. `replay`: it wants what
    /// comes after that.
    pub fn body(&self, registry: &mut Registry, delivered: Option<u64>, replay: bool) -> Vec<u8> {
        let mut body = Vec::with_capacity(self.size + 96);
        body.push(b'{');
        if let Some(delivered) = delivered {
            let _ = write!(body, "\"delivered\":{delivered},");
            if replay {
                body.extend_from_slice(b"\"replay\":true,");
            }
        }
        body.extend_from_slice(b"\"sockets\":[");
        for (index, slot) in self.sockets.iter().enumerate() {
            if index > 0 {
                body.push(b',');
            }
            describe(registry, *slot, &mut body);
        }
        body.extend_from_slice(b"],\"events\":[");
        body.extend_from_slice(&self.events);
        body.extend_from_slice(b"]}");
        body
    }

    /// The body of a batch without events.
    pub fn empty_body() -> Bytes {
        Bytes::from_static(br#"{"sockets":[],"events":[]}"#)
    }

    /// A batch in which nothing happens but time.
    pub fn tick() -> Batch {
        let mut batch = Batch::default();
        batch.begin_event();
        batch.extend(&[TICK]);
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

    /// How many `connect` and `renew` events the middleware has not judged yet.
    pub fn unjudged(&self) -> usize {
        self.connecting.len() - self.judged + self.renewing
    }

    /// The socket at an index of the batch.
    pub fn socket(&self, index: usize) -> Option<Slot> {
        self.sockets.get(index).copied()
    }
}

fn describe(registry: &mut Registry, slot: Slot, out: &mut Vec<u8>) {
    let Some(socket) = registry.get(slot) else {
        out.extend_from_slice(br#"{"id":"","connection":""}"#);
        return;
    };
    for part in [
        r#"{"id":""#,
        socket.id.as_str(),
        r#"","connection":""#,
        socket.connection.id.as_str(),
        "\"",
    ] {
        out.extend_from_slice(part.as_bytes());
    }
    if let Some(state) = socket.state() {
        out.extend_from_slice(b",\"state\":");
        out.extend_from_slice(state.as_bytes());
    }
    if registry.is_in_rooms(slot) {
        out.extend_from_slice(b",\"rooms\":[");
        registry.write_rooms(slot, out);
        out.push(b']');
    }
    out.push(b'}');
}

/// A packet event after the index of its socket.
pub fn packet(id: Option<u64>, data: &str, attachments: &[Vec<u8>]) -> Box<str> {
    let mut out = Vec::new();
    write_packet(&mut out, id, data, attachments);
    String::from_utf8(out).expect("made of text").into()
}

fn write_packet(out: &mut Vec<u8>, id: Option<u64>, data: &str, attachments: &[Vec<u8>]) {
    if let Some(id) = id {
        out.extend_from_slice(b",\"id\":");
        out.extend_from_slice(itoa::Buffer::new().format(id).as_bytes());
    }
    out.extend_from_slice(b",\"data\":");
    out.extend_from_slice(data.as_bytes());
    if !attachments.is_empty() {
        out.extend_from_slice(b",\"attachments\":[");
        for (index, attachment) in attachments.iter().enumerate() {
            out.extend_from_slice(if index == 0 { b"\"" } else { b",\"" });
            out.extend_from_slice(STANDARD.encode(attachment).as_bytes());
            out.push(b'"');
        }
        out.push(b']');
    }
    out.extend_from_slice(b"}}");
}

#[cfg(test)]
mod tests;
