//! One client's Engine.IO session: its transport, what waits to be sent, its heartbeat, and which
//! namespaces it is in. It moves bytes and keeps time; it reads no packet.

mod close;
mod heartbeat;
mod identity;
mod polling;
mod upgrade;

use std::future::poll_fn;
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use parlour_protocol::socket::Reassembler;
use tokio::sync::oneshot;

use crate::config::MAX_OUTBOX_BYTES;
use crate::hub::Place;
use crate::lane::Lane;
use crate::message::Message;
use crate::outbox::Outbox;
use crate::sid::Sid;
use crate::stream::WriteHalf;
use crate::ws;

pub use close::{How, close, close_kicked};
pub use heartbeat::on_timer;
pub use polling::{PollAnswer, PollGuard, Polling};

pub struct Connection {
    pub id: Sid,
    /// The request that opened it, as the relay protocol's JSON.
    pub handshake: Box<str>,
    /// Where it is registered, and its number among all that ever were.
    pub key: u32,
    pub stamp: u32,
    websocket: AtomicBool,
    /// Something waits because the client does not read.
    blocked: AtomicBool,
    inner: Mutex<Inner>,
}

pub struct Inner {
    pub open: bool,
    transport: Transport,
    upgrade: Upgrade,
    /// Frames that the WebSocket did not take. While there are any, a task waits to write them.
    backlog: Option<Box<Outbox>>,
    /// The WebSocket is finished once the backlog is written.
    finishing: bool,
    /// Has been in a namespace.
    pub joined: bool,
    awaiting_pong: bool,
    /// Reading pauses because a lane is full: a missing pong is our fault.
    paused: bool,
    /// Which of the heartbeat's timers counts.
    turn: u8,
    /// Milliseconds: when the next ping is due, or the pong.
    due: u64,
    /// When the first of its sockets' tokens ends (milliseconds since 1970), and which timer counts for that.
    expires: Option<u64>,
    expiry_turn: u8,
    /// Who wants to know whether the client is there.
    asking: Vec<oneshot::Sender<()>>,
    pub memberships: Vec<Membership>,
    pub reassembler: Option<Box<Reassembler>>,
}

/// That the client is in a namespace, or asks to be.
#[derive(Clone)]
pub struct Membership {
    pub lane: Arc<Lane>,
    pub place: Place,
}

impl Inner {
    /// The client is in this namespace no more, if it still is as this socket.
    pub fn leave(&mut self, lane: &Lane, place: Place) {
        self.memberships
            .retain(|member| !std::ptr::eq(&*member.lane, lane) || member.place != place);
    }
}

enum Transport {
    Polling(Box<Polling>),
    WebSocket(WriteHalf),
    /// The WebSocket is closed, but a task still waits to write to it: it is dropped by that task, which
    /// would not be woken if the socket were gone.
    Abandoned {
        _half: WriteHalf,
    },
    Gone,
}

/// From polling to WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Upgrade {
    No,
    /// A WebSocket is there.
    Begun,
    /// Its probe was answered: polls are released, so that the client can stop polling.
    Probed,
    Done,
}

/// Whether a client takes what it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Sent {
    Fine,
    /// More waits than [`MAX_OUTBOX_BYTES`]: it must be closed.
    Overflow,
}

impl Connection {
    pub fn polling(id: Sid, handshake: Box<str>, key: u32, stamp: u32) -> Connection {
        Connection::new(
            id,
            handshake,
            key,
            stamp,
            Transport::Polling(Box::default()),
        )
    }

    pub fn websocket(
        id: Sid,
        handshake: Box<str>,
        key: u32,
        stamp: u32,
        half: WriteHalf,
    ) -> Connection {
        Connection::new(id, handshake, key, stamp, Transport::WebSocket(half))
    }

    fn new(id: Sid, handshake: Box<str>, key: u32, stamp: u32, transport: Transport) -> Connection {
        Connection {
            id,
            handshake,
            key,
            stamp,
            websocket: AtomicBool::new(matches!(transport, Transport::WebSocket(_))),
            blocked: AtomicBool::new(false),
            inner: Mutex::new(Inner {
                open: true,
                transport,
                upgrade: Upgrade::No,
                backlog: None,
                finishing: false,
                joined: false,
                awaiting_pong: false,
                paused: false,
                turn: 0,
                due: 0,
                expires: None,
                expiry_turn: 0,
                asking: Vec::new(),
                memberships: Vec::new(),
                reassembler: None,
            }),
        }
    }

    /// Never taken before a lane's lock.
    pub fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Once true, it stays so.
    pub fn is_websocket(&self) -> bool {
        self.websocket.load(Ordering::Acquire)
    }

    /// Whether a packet would leave at once: what a volatile one asks.
    pub fn is_writable(&self) -> bool {
        if self.is_websocket() {
            return !self.blocked.load(Ordering::Relaxed);
        }
        match &self.lock().transport {
            Transport::Polling(polling) => polling.is_polled(),
            _ => false,
        }
    }

    /// Appends a packet for a client that polls. It leaves with the next [`Connection::send`].
    pub fn queue(self: &Arc<Self>, message: &Message<'_>) {
        let mut inner = self.lock();
        if !inner.open {
            return;
        }
        match &mut inner.transport {
            Transport::Polling(polling) => polling.push(message),
            // It has upgraded a moment ago.
            Transport::WebSocket(_) => {
                let mut outbox = Outbox::default();
                outbox.write(|out| message.write_frames(out));
                let _ = self.transmit(&mut inner, &mut outbox);
            }
            Transport::Abandoned { .. } | Transport::Gone => {}
        }
    }

    /// Sends what waits, in one go: frames in `outbox` for a WebSocket, which is empty afterwards, and
    /// what was queued for a client that polls.
    pub fn send(self: &Arc<Self>, outbox: &mut Outbox) -> Sent {
        let mut inner = self.lock();
        if !inner.open {
            outbox.clear();
            return Sent::Fine;
        }
        match &mut inner.transport {
            Transport::Polling(polling) => {
                polling.release();
                if polling.waiting() > MAX_OUTBOX_BYTES {
                    Sent::Overflow
                } else {
                    Sent::Fine
                }
            }
            Transport::WebSocket(_) => self.transmit(&mut inner, outbox),
            Transport::Abandoned { .. } | Transport::Gone => Sent::Fine,
        }
    }

    /// Sends one packet.
    pub fn send_message(self: &Arc<Self>, message: &Message<'_>) -> Sent {
        let mut outbox = Outbox::default();
        if self.is_websocket() {
            outbox.write(|out| message.write_frames(out));
        } else {
            self.queue(message);
        }
        self.send(&mut outbox)
    }

    /// Sends an Engine.IO packet other than a message.
    fn send_control(self: &Arc<Self>, inner: &mut Inner, packet: &str) {
        match &mut inner.transport {
            Transport::Polling(polling) => {
                polling.push_packet(packet);
                polling.release();
            }
            Transport::WebSocket(_) => {
                let mut outbox = Outbox::default();
                outbox.write(|out| ws::write_text(out, &[packet]));
                let _ = self.transmit(inner, &mut outbox);
            }
            Transport::Abandoned { .. } | Transport::Gone => {}
        }
    }

    /// Answers a ping of WebSocket's own.
    pub fn send_pong_frame(self: &Arc<Self>, data: &[u8]) {
        let mut outbox = Outbox::default();
        outbox.write(|out| ws::write_frame(out, ws::Opcode::Pong, data));
        let _ = self.send(&mut outbox);
    }

    fn append(&self, inner: &mut Inner, outbox: &mut Outbox) -> Sent {
        let backlog = inner.backlog.get_or_insert_default();
        backlog.append(outbox);
        if backlog.len() > MAX_OUTBOX_BYTES {
            Sent::Overflow
        } else {
            Sent::Fine
        }
    }

    /// Writes to the WebSocket what it takes now; a task of its own writes the rest.
    fn transmit(self: &Arc<Self>, inner: &mut Inner, outbox: &mut Outbox) -> Sent {
        let Transport::WebSocket(half) = &inner.transport else {
            outbox.clear();
            return Sent::Fine;
        };
        if inner.backlog.is_some() {
            return self.append(inner, outbox);
        }
        if let Err(error) = outbox.write_to(half.writer()) {
            // Whoever reads from it will find out and close the connection.
            tracing::debug!(connection = self.id.shown(), %error, "cannot write to a WebSocket");
            outbox.clear();
        }
        if outbox.is_empty() {
            return Sent::Fine;
        }
        self.blocked.store(true, Ordering::Relaxed);
        let sent = self.append(inner, outbox);
        tokio::spawn(drain(self.clone()));
        sent
    }

    /// Nothing more will be sent: the WebSocket ends after its backlog.
    fn finish(&self, inner: &mut Inner) {
        inner.finishing = true;
        if let (None, Transport::WebSocket(half)) = (&inner.backlog, &inner.transport) {
            half.shutdown(Shutdown::Write);
        }
    }

    /// Ends the transport without a word. Its reader notices.
    pub fn abandon(&self) {
        let mut inner = self.lock();
        if let Transport::WebSocket(half) = &inner.transport {
            half.shutdown(Shutdown::Both);
        }
        // The task that waits to write is woken by the shutdown, and only if the socket is still there.
        inner.transport = match std::mem::replace(&mut inner.transport, Transport::Gone) {
            Transport::WebSocket(half) if inner.backlog.is_some() => {
                Transport::Abandoned { _half: half }
            }
            _ => Transport::Gone,
        };
    }
}

/// Writes a client's backlog as it becomes able to take it.
async fn drain(connection: Arc<Connection>) {
    poll_fn(|cx| {
        let mut inner = connection.lock();
        loop {
            let Inner {
                transport,
                backlog,
                finishing,
                ..
            } = &mut *inner;
            let (Transport::WebSocket(half), Some(waiting)) = (&*transport, backlog.as_mut())
            else {
                break;
            };
            if half.poll_write_ready(cx).is_pending() {
                return Poll::Pending;
            }
            if waiting.write_to(half.writer()).is_err() {
                break;
            }
            if waiting.is_empty() {
                if *finishing {
                    half.shutdown(Shutdown::Write);
                }
                break;
            }
        }
        inner.backlog = None;
        connection.blocked.store(false, Ordering::Relaxed);
        if matches!(inner.transport, Transport::Abandoned { .. }) {
            inner.transport = Transport::Gone;
        }
        Poll::Ready(())
    })
    .await;
}
