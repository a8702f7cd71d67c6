//! What one answer of the app sends to whom. A broadcast's frames are made once; what goes to one
//! connection is gathered and leaves in one write. Buffers are used again for the next answer.

use std::sync::Arc;

use bytes::Bytes;

use crate::connection::{Connection, How, Sent, close};
use crate::hub::{Slot, Socket};
use crate::message::Message;
use crate::outbox::{Outbox, SHARE_FROM};
use crate::reason;
use crate::shared::Shared;

/// Bytes that one receiver's buffer may keep until the next answer.
const KEPT_PER_RECEIVER: usize = 64 * 1024;

#[derive(Default)]
pub struct Outgoing {
    /// Which run of commands this is.
    run: u32,
    entries: Vec<Entry>,
    used: usize,
    frames: Vec<u8>,
    deliveries: usize,
    /// For who collects sockets before something happens to them.
    pub reached: Vec<Slot>,
}

#[derive(Default)]
struct Entry {
    connection: Option<Arc<Connection>>,
    outbox: Outbox,
}

/// A message for many.
pub struct Broadcast<'a> {
    message: Message<'a>,
    frames: Frames,
}

enum Frames {
    NotMade,
    /// In [`Outgoing::frames`].
    Made,
    Shared(Bytes),
}

impl<'a> Broadcast<'a> {
    pub fn new(message: Message<'a>) -> Broadcast<'a> {
        Broadcast {
            message,
            frames: Frames::NotMade,
        }
    }
}

impl Outgoing {
    /// Begins a run. `runs` counts those of the hub whose sockets will be named.
    pub fn begin(&mut self, runs: &mut u32) {
        *runs = runs.wrapping_add(1).max(1);
        self.run = *runs;
    }

    /// A message for one.
    pub fn send(&mut self, socket: &mut Socket, message: &Message<'_>) {
        self.deliveries += 1;
        let entry = self.entry(socket);
        if socket.connection.is_websocket() {
            entry.outbox.write(|out| message.write_frames(out));
        } else {
            socket.connection.queue(message);
        }
    }

    pub fn send_broadcast(&mut self, socket: &mut Socket, broadcast: &mut Broadcast<'_>) {
        if !socket.connection.is_websocket() {
            return self.send(socket, &broadcast.message);
        }
        self.deliveries += 1;
        if let Frames::NotMade = broadcast.frames {
            self.frames.clear();
            broadcast.message.write_frames(&mut self.frames);
            broadcast.frames = if self.frames.len() < SHARE_FROM {
                Frames::Made
            } else {
                Frames::Shared(std::mem::take(&mut self.frames).into())
            };
        }
        if let Frames::Shared(frames) = &broadcast.frames {
            self.entry(socket).outbox.push_shared(frames.clone());
        } else {
            let frames = std::mem::take(&mut self.frames);
            self.entry(socket).outbox.push(&frames);
            self.frames = frames;
        }
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

    /// Sends everything, each connection's in one write. No lane may be locked.
    pub fn flush(&mut self, shared: &Arc<Shared>) {
        let mut bytes = 0;
        for entry in &mut self.entries[..self.used] {
            let Some(connection) = entry.connection.take() else {
                continue;
            };
            bytes += entry.outbox.len();
            if connection.send(&mut entry.outbox) == Sent::Overflow {
                overflow(shared, &connection);
            }
            if entry.outbox.capacity() > KEPT_PER_RECEIVER {
                entry.outbox = Outbox::default();
            }
        }
        shared.metrics.sent_bytes.add(bytes);
        shared
            .metrics
            .deliveries
            .add(std::mem::take(&mut self.deliveries));
        self.used = 0;
    }
}

/// A client that does not read what it is sent cannot be kept.
fn overflow(shared: &Arc<Shared>, connection: &Arc<Connection>) {
    tracing::warn!(
        connection = connection.id.shown(),
        "closing a client that does not read"
    );
    close(shared, connection, reason::TRANSPORT_ERROR, How::Gone);
    connection.abandon();
}
