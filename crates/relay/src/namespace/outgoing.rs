//! What one answer of the app sends to whom. All frames are written one after the other into one buffer, a
//! broadcast's once; a receiver is a list of places in it, which is put together when its turn comes, and
//! leaves in one write. So what a broadcast costs for each receiver is a few bytes of memory, and not a
//! copy in a buffer of the receiver's own. Buffers are used again for the next answer.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::effect::Effect;
use super::registry::Socket;
use crate::connection::{Connection, Sent, Slot};
use crate::core::Core;
use crate::core::ledger::Ledger;
use crate::wire::message::{Binary, Message};
use crate::wire::outbox::{Outbox, SHARE_FROM};

/// Bytes that a buffer may keep until the next answer.
const KEPT: usize = 4 * 1024 * 1024;

/// Pieces that one receiver's list may keep until the next answer.
const KEPT_PIECES: usize = 64;

#[derive(Default)]
pub struct Outgoing {
    /// Which run of commands this is.
    run: u32,
    entries: Vec<Entry>,
    used: usize,
    /// The frames of this run, but for large broadcasts.
    frames: Vec<u8>,
    /// Large broadcasts: who is slow to take one keeps a reference and no copy.
    large: Vec<Bytes>,
    /// What goes to one receiver, while it is put together.
    outbox: Outbox,
    deliveries: usize,
    /// What is to be done after it was sent.
    pub effects: Vec<Effect>,
    /// For who collects sockets before something happens to them.
    pub reached: Vec<Slot>,
}

/// A receiver.
#[derive(Default)]
struct Entry {
    connection: Option<Arc<Connection>>,
    /// Frames that come last: most receivers of broadcasts have no others.
    last: Range<usize>,
    before: Vec<Piece>,
}

#[derive(Clone)]
enum Piece {
    /// In [`Outgoing::frames`].
    Frames(Range<usize>),
    /// One of [`Outgoing::large`].
    Large(usize),
}

impl Entry {
    fn push(&mut self, piece: Piece) {
        match piece {
            Piece::Frames(frames) if frames.start == self.last.end => self.last.end = frames.end,
            Piece::Frames(frames) => {
                self.close_last();
                self.last = frames;
            }
            Piece::Large(_) => {
                self.close_last();
                self.before.push(piece);
            }
        }
    }

    fn close_last(&mut self) {
        let last = std::mem::take(&mut self.last);
        if !last.is_empty() {
            self.before.push(Piece::Frames(last));
        }
    }
}

/// A message for many.
pub struct Broadcast<'a> {
    message: Message<'a>,
    /// Once somebody gets it by a WebSocket.
    frames: Option<Piece>,
}

impl<'a> Broadcast<'a> {
    pub fn new(message: Message<'a>) -> Broadcast<'a> {
        Broadcast {
            message,
            frames: None,
        }
    }
}

impl Outgoing {
    /// Begins a run. `runs` counts those of the registry whose sockets will be named.
    pub fn begin(&mut self, runs: &mut u32) {
        *runs = runs.wrapping_add(1).max(1);
        self.run = *runs;
    }

    /// A message for one.
    pub fn send(&mut self, socket: &mut Socket, message: &Message<'_>) {
        self.deliveries += 1;
        if socket.is_websocket() {
            let frames = self.write(message, socket.connection.binary());
            self.entry(socket).push(Piece::Frames(frames));
        } else {
            self.entry(socket);
            socket.connection.queue(message);
        }
    }

    pub fn send_broadcast(&mut self, socket: &mut Socket, broadcast: &mut Broadcast<'_>) {
        // Only where it matters is the connection looked at, which is somewhere else in memory.
        let takes_frames = socket.is_websocket()
            && (broadcast.message.attachments.is_empty()
                || socket.connection.binary() == Binary::Frames);
        if !takes_frames {
            return self.send(socket, &broadcast.message);
        }
        self.deliveries += 1;
        let Broadcast { message, frames } = broadcast;
        let ledger = socket.connection.account().ledger();
        let piece = frames.get_or_insert_with(|| self.make(message, ledger));
        let piece = piece.clone();
        self.entry(socket).push(piece);
    }

    /// Writes a broadcast's frames.
    fn make(&mut self, message: &Message<'_>, ledger: &Arc<Ledger>) -> Piece {
        let frames = self.write(message, Binary::Frames);
        if frames.len() < SHARE_FROM {
            return Piece::Frames(frames);
        }
        let frame = self.frames.split_off(frames.start);
        self.large.push(ledger.share(frame));
        Piece::Large(self.large.len() - 1)
    }

    fn write(&mut self, message: &Message<'_>, binary: Binary) -> Range<usize> {
        let start = self.frames.len();
        message.write_frames(&mut self.frames, binary);
        start..self.frames.len()
    }

    /// Where the socket's messages are gathered.
    fn entry(&mut self, socket: &mut Socket) -> &mut Entry {
        let (run, mut index) = socket.outgoing;
        if run != self.run {
            index = self.used as u32;
            self.used += 1;
            socket.outgoing = (self.run, index);
            if self.entries.len() < self.used {
                self.entries.push(Entry::default());
            }
            self.entries[index as usize].connection = Some(socket.connection.clone());
        }
        &mut self.entries[index as usize]
    }

    /// Sends everything, each connection's in one write. Nothing may be locked.
    pub fn flush(&mut self, core: &Core) {
        let mut bytes = 0;
        for entry in &mut self.entries[..self.used] {
            for piece in entry.before.drain(..) {
                match piece {
                    Piece::Frames(frames) => self.outbox.push(&self.frames[frames]),
                    Piece::Large(index) => self.outbox.push_shared(self.large[index].clone()),
                }
            }
            self.outbox
                .push(&self.frames[std::mem::take(&mut entry.last)]);
            entry.before.shrink_to(KEPT_PIECES);
            let Some(connection) = entry.connection.take() else {
                continue;
            };
            bytes += self.outbox.len();
            if connection.send(&mut self.outbox) == Sent::Overflow {
                self.effects.push(Effect::Overflow(connection));
            }
            self.outbox.clear();
        }
        core.metrics.sent_bytes.add(bytes);
        core.metrics
            .deliveries
            .add(std::mem::take(&mut self.deliveries));
        self.used = 0;
        self.large.clear();
        self.frames.clear();
        self.frames.shrink_to(KEPT);
        if self.outbox.capacity() > KEPT {
            self.outbox = Outbox::default();
        }
    }
}
