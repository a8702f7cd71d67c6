//! What waits to be sent: batches that fill, and parts of batches that the app has not done.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use super::event::{Connect, ConnectAgain, Kind, Open};
use super::parts::Clients;
use super::{Batch, DESCRIPTION_BYTES, EVENT_BYTES, TICK};
use crate::core::config::{MAX_SHARE_BYTES, MAX_SHARE_EVENTS};
use crate::core::ledger::{Account, Charge, Hold};
use crate::core::sid::Sid;
use crate::namespace::registry::{Mention, Share, Socket};

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
                if batch.count() == 0 {
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
        let text = &mut batch.text;
        text.extend([
            "{\"open\":{\"connection\":\"",
            connection.as_str(),
            "\",\"handshake\":",
        ]);
        text.extend([handshake, "}}"]);
        batch.end_event(Kind::Open(Box::new(Open { connection, charge })));
    }

    /// A client asks to enter, and maybe claims an earlier session.
    pub fn push_connect(&mut self, socket: &mut Socket, auth: Option<&str>, claims_session: bool) {
        let connect = Connect::new(socket.place, claims_session);
        self.push_first_connect(socket, auth, connect);
    }

    /// A client asks to enter that asks already: it has no earlier session, whatever it says.
    pub fn push_connect_of_known(&mut self, socket: &mut Socket, auth: Option<&str>) {
        let mut connect = Connect::new(socket.place, false);
        connect.owner_answers = Some(true);
        self.push_first_connect(socket, auth, connect);
    }

    fn push_first_connect(&mut self, socket: &mut Socket, auth: Option<&str>, connect: Connect) {
        let claims_session = connect.claims_session;
        self.recoveries += usize::from(claims_session);
        let connection = socket.connection.clone();
        let size = connection.handshake.len() + auth.map_or(0, str::len);
        let (batch, index) = self.room_for(socket, size);
        batch.recoveries += usize::from(claims_session);
        let secret = Sid::random();
        let text = &mut batch.text;
        text.extend([",\"secret\":\"", secret.as_str(), "\""]);
        text.extend([",\"handshake\":", &connection.handshake]);
        text.extend_if(",\"auth\":", auth);
        batch.end_event_of(index, Kind::Connect(Box::new(connect)));
    }

    /// A `connect` event comes again: what the app waited for is known now.
    pub fn push_connect_again(&mut self, socket: &mut Socket, again: ConnectAgain) {
        let ConnectAgain { connect, text } = again;
        let (batch, index) = self.room_for(socket, text.len() + connect.bytes());
        batch.text.extend([&*text]);
        batch.end_event_of(index, Kind::Connect(connect));
    }

    /// A client shows another token. `auth` is JSON.
    pub fn push_renew(&mut self, socket: &mut Socket, id: Option<u64>, auth: Option<&str>) {
        let connection = socket.connection.clone();
        let size = connection.handshake.len() + auth.map_or(0, str::len);
        let (batch, index) = self.room_for(socket, size);
        let text = &mut batch.text;
        text.id(id);
        text.extend([",\"handshake\":", &connection.handshake]);
        text.extend_if(",\"auth\":", auth);
        batch.end_event_of(index, Kind::Renew);
    }

    pub fn push_packet(
        &mut self,
        socket: &mut Socket,
        id: Option<u64>,
        data: &str,
        attachments: &[Vec<u8>],
    ) {
        let in_base64 = |it: &Vec<u8>| it.len() / 3 * 4 + 8;
        let size = data.len() + attachments.iter().map(in_base64).sum::<usize>();
        let (batch, index) = self.room_for(socket, size);
        batch.text.packet(id, data, attachments);
        batch.end_event_of(index, Kind::Packet);
    }

    /// An event that was held back: what [`packet`](crate::namespace::text::packet) made of it.
    pub fn push_held(&mut self, socket: &mut Socket, packet: &str) {
        let (batch, index) = self.room_for(socket, packet.len());
        batch.text.extend([packet]);
        batch.end_event_of(index, Kind::Packet);
    }

    pub fn push_disconnect(&mut self, socket: &mut Socket, reason: &str) {
        let (batch, index) = self.room_for(socket, reason.len());
        batch.text.extend([",\"reason\":\"", reason, "\""]);
        let unhandled = false;
        batch.end_event_of(index, Kind::Disconnect { unhandled });
    }

    /// What came of an emit that asked for acknowledgements, or what clients do with another relay's: the event as
    /// JSON.
    pub fn push_acks(&mut self, event: &str, charge: Charge) {
        let batch = self.with_room(event.len() + 1);
        batch.text.extend([event]);
        batch.end_event(Kind::Acks(charge));
    }

    pub fn push_tick(&mut self) {
        let batch = self.with_room(EVENT_BYTES);
        batch.text.extend([TICK]);
        batch.end_event(Kind::Tick);
    }

    /// The batch that takes an event of this socket, and the socket's index there.
    fn room_for(&mut self, socket: &mut Socket, payload: usize) -> (&mut Batch, u32) {
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
        (batch, index)
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
