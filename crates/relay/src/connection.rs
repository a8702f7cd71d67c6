//! One client's Engine.IO session: its transport, what waits to be sent, its heartbeat, and which
//! namespaces it is in. It moves bytes and keeps time; it reads no packet, and tells nobody what becomes of it:
//! what follows is what its functions return.

mod close;
mod feeding;
mod heartbeat;
mod identity;
mod membership;
mod polling;
mod presence;
mod receiving;
mod register;
mod upgrade;
mod writing;

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::core::Core;
use crate::core::addresses::Session;
use crate::core::ledger::{Account, CONNECTION_BYTES, Charge, Hold};
use crate::core::sid::Sid;
use crate::core::timers::{Purpose, Timer};
use crate::wire::message::{Binary, Message};
use crate::wire::outbox::Outbox;
use crate::wire::stream::WriteHalf;
use crate::wire::ws;
use polling::Polling;

pub use close::{Closed, How};
pub use feeding::Feeding;
pub use heartbeat::{Answering, Beat};
pub use membership::{AnyNamespace, Lease, Membership, Place, Slot, Until, wait_for_room};
pub use polling::{Packets, PollAnswer};
pub use receiving::Receiving;
pub use register::Connections;

/// What a connection is opened with.
pub struct Opening {
    pub id: Sid,
    /// The request, as the relay protocol's JSON.
    pub handshake: Box<str>,
    pub account: Arc<Account>,
    pub place: Session,
}

pub struct Connection {
    pub id: Sid,
    /// The request that opened it, as the relay protocol's JSON.
    pub handshake: Box<str>,
    /// Where it is registered, and its number among all that ever were.
    pub key: u32,
    pub stamp: u32,
    websocket: AtomicBool,
    /// Its WebSocket takes no binary frames.
    base64: AtomicBool,
    /// Bytes that the client has sent, or has read of what waited for it. It counts on from its end.
    moved: AtomicU64,
    /// Answers to its polls that it has not read to the end. They have a deadline of their own.
    answering: AtomicU32,
    /// Something waits because the client does not read.
    blocked: AtomicBool,
    /// The connection itself, in its client's account.
    charge: Charge,
    /// One of the connections that its address may have.
    _place: Session,
    inner: Mutex<Inner>,
}

pub struct Inner {
    pub open: bool,
    transport: Transport,
    upgrade: Upgrade,
    /// Frames that the WebSocket did not take. While there are any, a task waits to write them.
    backlog: Option<Box<Backlog>>,
    /// The WebSocket is finished once the backlog is written.
    finishing: bool,
    /// Has been in a namespace.
    pub joined: bool,
    awaiting_pong: bool,
    /// How far [`Connection::moved`] was when the wait for the pong began, or began once more.
    heard: u64,
    /// It began once more.
    reprieved: bool,
    /// The client is not read for now.
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
    /// A binary packet that waits for its attachments.
    pub receiving: Option<Box<Receiving>>,
}

/// Frames that a WebSocket did not take at once.
#[derive(Default)]
struct Backlog {
    outbox: Outbox,
    /// The last of the client's pings that is not answered yet. Only the last needs to be (RFC 6455,
    /// section 5.5.3), so that pings make nothing grow.
    ping: Option<Box<[u8]>>,
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
    /// It makes the relay keep more than it may: it must be closed.
    Overflow,
}

impl Connection {
    pub fn polling(opening: Opening, key: u32, stamp: u32) -> Connection {
        let polling = Box::new(Polling::new(&opening.account));
        Connection::new(opening, key, stamp, Transport::Polling(polling))
    }

    /// `base64`: the client takes no binary frames.
    pub fn websocket(
        opening: Opening,
        key: u32,
        stamp: u32,
        half: WriteHalf,
        base64: bool,
    ) -> Connection {
        let connection = Connection::new(opening, key, stamp, Transport::WebSocket(half));
        connection.base64.store(base64, Ordering::Release);
        connection
    }

    fn new(opening: Opening, key: u32, stamp: u32, transport: Transport) -> Connection {
        let Opening {
            id,
            handshake,
            account,
            place,
        } = opening;
        Connection {
            _place: place,
            charge: account.charge(Hold::Kept, CONNECTION_BYTES + handshake.len()),
            id,
            handshake,
            key,
            stamp,
            websocket: AtomicBool::new(matches!(transport, Transport::WebSocket(_))),
            base64: AtomicBool::new(false),
            moved: AtomicU64::new(0),
            answering: AtomicU32::new(0),
            blocked: AtomicBool::new(false),
            inner: Mutex::new(Inner {
                open: true,
                transport,
                upgrade: Upgrade::No,
                backlog: None,
                finishing: false,
                joined: false,
                awaiting_pong: false,
                heard: 0,
                reprieved: false,
                paused: false,
                turn: 0,
                due: 0,
                expires: None,
                expiry_turn: 0,
                asking: Vec::new(),
                memberships: Vec::new(),
                receiving: None,
            }),
        }
    }

    /// What is kept for this client.
    pub fn account(&self) -> &Arc<Account> {
        self.charge.account()
    }

    /// The last of all locks: nothing else is locked while a connection is, but for timers.
    pub fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn set_timer(&self, core: &Core, after: Duration, purpose: Purpose) {
        self.set_timer_at(
            core,
            core.timers.now() + after.as_millis() as u64,
            purpose,
            0,
        );
    }

    /// `turn`: an older timer of the same purpose is void.
    fn set_timer_at(&self, core: &Core, due: u64, purpose: Purpose, turn: u8) {
        let timer = Timer {
            key: self.key,
            stamp: self.stamp,
            purpose,
            turn,
        };
        core.timers.at(due, timer);
    }

    /// Once true, it stays so.
    pub fn is_websocket(&self) -> bool {
        self.websocket.load(Ordering::Acquire)
    }

    /// What binary is to its WebSocket. It is for good once the connection is one.
    pub fn binary(&self) -> Binary {
        match self.base64.load(Ordering::Acquire) {
            true => Binary::Base64,
            false => Binary::Frames,
        }
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

    /// Bytes that wait until the client reads; none of one that is closed.
    pub fn waiting_bytes(&self) -> usize {
        let inner = self.lock();
        match &inner.transport {
            _ if !inner.open => 0,
            Transport::Polling(polling) => polling.waiting_bytes(),
            _ => inner
                .backlog
                .as_ref()
                .map_or(0, |backlog| backlog.outbox.len()),
        }
    }

    /// A poll has come.
    pub fn poll(&self) -> PollAnswer {
        let inner = &mut *self.lock();
        match &mut inner.transport {
            Transport::Polling(polling) => polling.poll(inner.open),
            _ => PollAnswer::No,
        }
    }

    /// A request with packets has come. False: another one is being read.
    pub fn begin_post(&self) -> bool {
        match &mut self.lock().transport {
            Transport::Polling(polling) => polling.begin_post(),
            _ => true,
        }
    }

    pub fn end_post(&self) {
        if let Transport::Polling(polling) = &mut self.lock().transport {
            polling.end_post();
        }
    }

    /// Appends a packet for a client that polls. It leaves with the next [`Connection::send`], which also
    /// says whether it was too much.
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
                outbox.write(|out| message.write_frames(out, self.binary()));
                self.transmit(&mut inner, &mut outbox);
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
            Transport::Polling(polling) => polling.release(),
            Transport::WebSocket(_) => self.transmit(&mut inner, outbox),
            Transport::Abandoned { .. } | Transport::Gone => return Sent::Fine,
        }
        self.sent()
    }

    /// Whether what the client has been sent, with all else that is kept for it, is within its limit.
    fn sent(&self) -> Sent {
        if self.account().is_over() {
            Sent::Overflow
        } else {
            Sent::Fine
        }
    }

    /// Sends one packet.
    pub fn send_message(self: &Arc<Self>, message: &Message<'_>) -> Sent {
        let mut outbox = Outbox::default();
        if self.is_websocket() {
            outbox.write(|out| message.write_frames(out, self.binary()));
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
                self.transmit(inner, &mut outbox);
            }
            Transport::Abandoned { .. } | Transport::Gone => {}
        }
    }

    /// Answers a ping of WebSocket's own: at once, or after what the client has yet to read. False if an
    /// earlier one will not be answered: the client sends more pings than it reads pongs.
    #[must_use]
    pub fn send_pong_frame(self: &Arc<Self>, data: &[u8]) -> bool {
        let mut inner = self.lock();
        if !inner.open {
            return true;
        }
        match &mut inner.backlog {
            Some(backlog) => backlog.ping.replace(data.into()).is_none(),
            None => {
                let mut outbox = Outbox::default();
                outbox.write(|out| ws::write_frame(out, ws::Opcode::Pong, data));
                self.transmit(&mut inner, &mut outbox);
                true
            }
        }
    }
}
