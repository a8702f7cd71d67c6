//! Batches as they fill: events are written as JSON once, when they come; the sockets they speak of
//! are described when the batch leaves.

use std::collections::VecDeque;
use std::io::Write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parlour_protocol::relay::MAX_BATCH_BYTES;
use serde_json::value::RawValue;

use crate::config::{MAX_SHARE_BYTES, MAX_SHARE_EVENTS};
use crate::hub::{Hub, Mention, Place, Share, Slot, Socket};
use crate::ledger::{Charge, Hold};
use crate::sid::Sid;

/// What a socket's description has besides its state and rooms, about.
const DESCRIPTION_BYTES: usize = 96;

/// What an event has besides its payload, about.
const EVENT_BYTES: usize = 64;

#[derive(Default)]
pub struct Queue {
    batches: VecDeque<Batch>,
    bytes: usize,
    serial: u32,
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
    /// The same for what none of them is counted for.
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
    pub fn is_empty(&self) -> bool {
        self.batches.is_empty()
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

    /// The next batch to send.
    pub fn take(&mut self) -> Option<Batch> {
        let batch = self.batches.pop_front()?;
        self.bytes -= batch.size;
        Some(batch)
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

    pub fn push_connect(&mut self, socket: &mut Socket, auth: Option<&str>) {
        let handshake = socket.connection.clone();
        let size = handshake.handshake.len() + auth.map_or(0, str::len);
        let batch = self.begin(socket, size, &Kind::Connect);
        batch.connecting.push(socket.place);
        let secret = Sid::random();
        batch.extend(&[",\"secret\":\"", secret.as_str(), "\",\"handshake\":"]);
        batch.extend(&[&handshake.handshake]);
        if let Some(auth) = auth {
            batch.extend(&[",\"auth\":", auth]);
        }
        batch.extend(&["}}"]);
    }

    /// The same once more, now that it is known whether the session's owner `answers`. `rest`: what
    /// [`Batch::connect_event`] gave of the first time.
    pub fn push_connect_again(&mut self, socket: &mut Socket, rest: &str, answers: bool) {
        let owner = match answers {
            true => ",\"owner\":\"answers\"",
            false => ",\"owner\":\"silent\"",
        };
        let batch = self.begin(socket, rest.len(), &Kind::Connect);
        batch.connecting.push(socket.place);
        batch.extend(&[owner, rest]);
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
        batch.extend(&[r#"{"tick":{}}"#]);
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
            .is_some_and(|batch| batch.size + size <= MAX_BATCH_BYTES);
        if !fits {
            // 0 means: in no batch yet.
            self.serial = self.serial.wrapping_add(1).max(1);
            self.batches.push_back(Batch {
                serial: self.serial,
                ..Batch::default()
            });
        }
        let batch = self.batches.back_mut().expect("a batch was pushed");
        batch.size += size;
        batch
    }
}

impl Batch {
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

    /// The request's body, as of now.
    pub fn body(&self, hub: &mut Hub) -> Vec<u8> {
        let mut body = Vec::with_capacity(self.size + 64);
        body.extend_from_slice(b"{\"sockets\":[");
        for (index, slot) in self.sockets.iter().enumerate() {
            if index > 0 {
                body.push(b',');
            }
            describe(hub, *slot, &mut body);
        }
        body.extend_from_slice(b"],\"events\":[");
        body.extend_from_slice(&self.events);
        body.extend_from_slice(b"]}");
        body
    }

    /// The batch's events, as JSON.
    pub fn events(&self) -> Vec<Box<RawValue>> {
        let array = [b"[", &self.events[..], b"]"].concat();
        serde_json::from_slice(&array).expect("a batch's events are JSON")
    }

    /// A `connect` event of the batch, after the index of its socket.
    pub fn connect_event(&self, place: Place) -> Option<Box<str>> {
        let number = self.connecting.iter().position(|other| *other == place)?;
        let events = self.events();
        let connects = events.iter().map(|event| event.get());
        let mut connects = connects.filter(|event| event.starts_with("{\"connect\""));
        let (_, _, rest) = cut_at_socket(connects.nth(number)?)?;
        Some(rest.into())
    }

    /// The socket at an index of the batch.
    pub fn socket(&self, index: usize) -> Option<Slot> {
        self.sockets.get(index).copied()
    }

    /// One batch for each event.
    pub fn split(mut self) -> Vec<Batch> {
        let charges = std::mem::take(&mut self.charges);
        let common = std::mem::take(&mut self.common);
        let (mut opening, mut connecting) = (self.opening.iter(), self.connecting.iter());
        let mut split: Vec<Batch> = self
            .events()
            .iter()
            .map(|event| {
                let mut one = Batch {
                    count: 1,
                    size: event.get().len(),
                    ..Batch::default()
                };
                match cut_at_socket(event.get()) {
                    None => one.events = event.get().into(),
                    Some((before, index, after)) => {
                        let slot = self.sockets[index];
                        one.sockets.push(slot);
                        one.extend(&[before, "0", after]);
                        if before.starts_with("{\"disconnect") {
                            one.leaving.push(slot);
                        } else if before.starts_with("{\"connect") {
                            one.connecting.extend(connecting.next());
                        } else if before.starts_with("{\"renew") {
                            one.renewing = 1;
                        }
                    }
                }
                if event.get().starts_with("{\"open") {
                    one.opening.extend(opening.next());
                }
                one
            })
            .collect();
        // They are over with the last one.
        if let Some(last) = split.last_mut() {
            (last.charges, last.common) = (charges, common);
        }
        split
    }
}

/// Splits an event around the index of its socket.
fn cut_at_socket(event: &str) -> Option<(&str, usize, &str)> {
    const KEY: &str = r#":{"socket":"#;
    let at = event.find(':').filter(|at| event[*at..].starts_with(KEY))? + KEY.len();
    let digits = event[at..].bytes().take_while(u8::is_ascii_digit).count();
    let index = event[at..at + digits].parse().ok()?;
    Some((&event[..at], index, &event[at + digits..]))
}

fn describe(hub: &mut Hub, slot: Slot, out: &mut Vec<u8>) {
    let Some(socket) = hub.get(slot) else {
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
    if hub.is_in_rooms(slot) {
        out.extend_from_slice(b",\"rooms\":[");
        hub.write_rooms(slot, out);
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
