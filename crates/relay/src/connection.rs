//! One client's Engine.IO session: its transport, what waits to be sent, its heartbeat, and which
//! namespaces it is in. It moves bytes and keeps time; it reads no packet, and tells nobody what becomes of it:
//! what follows is what its functions return.

mod close;
mod feeding;
mod heartbeat;
mod identity;
mod membership;
mod polling;
mod register;
mod upgrade;

use std::future::poll_fn;
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use parlour_protocol::socket::Reassembler;
use tokio::sync::oneshot;

use crate::core::Core;
use crate::core::addresses::Session;
use crate::core::ledger::{Account, CONNECTION_BYTES, Charge, Hold};
use crate::core::sid::Sid;
use crate::core::timers::{Purpose, Timer};
use crate::wire::message::Message;
use crate::wire::outbox::{Outbox, Weight};
use crate::wire::stream::WriteHalf;
use crate::wire::ws;
use polling::Polling;

pub use close::{Closed, How};
pub use feeding::Feeding;
pub use heartbeat::Beat;
pub use membership::{AnyNamespace, Lease, Membership, Place, Slot, Until, wait_for_room};
pub use polling::{Packets, PollAnswer};
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

pub struct Receiving {
    pub reassembler: Reassembler,
    pub charge: Charge,
    /// Milliseconds of the relay's clock: when the last part came.
    pub progress: u64,
}

impl Inner {
    /// The client is in this namespace no more, if it still is as this socket.
    pub fn leave(&mut self, namespace: &dyn AnyNamespace, place: Place) {
        self.memberships.retain(|member| {
            !std::ptr::addr_eq(&raw const *member.namespace, namespace) || member.place != place
        });
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
    /// It makes the relay keep more than it may: it must be closed.
    Overflow,
}

impl Connection {
    pub fn polling(opening: Opening, key: u32, stamp: u32) -> Connection {
        let polling = Box::new(Polling::new(&opening.account));
        Connection::new(opening, key, stamp, Transport::Polling(polling))
    }

    pub fn websocket(opening: Opening, key: u32, stamp: u32, half: WriteHalf) -> Connection {
        Connection::new(opening, key, stamp, Transport::WebSocket(half))
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
                outbox.write(|out| message.write_frames(out));
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

    fn append(&self, inner: &mut Inner, outbox: &mut Outbox) {
        let backlog = &mut inner.backlog.get_or_insert_default().outbox;
        let before = backlog.weight();
        backlog.append(outbox);
        self.recount(before, backlog.weight());
    }

    /// The backlog had one weight and has another.
    fn recount(&self, before: Weight, after: Weight) {
        self.account().change(Hold::Passing, before.own, after.own);
        self.account()
            .change(Hold::Shared, before.shared, after.shared);
    }

    /// Writes to the WebSocket what it takes now; a task of its own writes the rest. Who has told the client
    /// something asks [`Connection::sent`] afterwards.
    fn transmit(self: &Arc<Self>, inner: &mut Inner, outbox: &mut Outbox) {
        let Transport::WebSocket(half) = &inner.transport else {
            return outbox.clear();
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
            return;
        }
        self.blocked.store(true, Ordering::Relaxed);
        self.append(inner, outbox);
        tokio::spawn(drain(self.clone()));
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
            let before = waiting.outbox.weight();
            let written = waiting.outbox.write_to(half.writer());
            connection.recount(before, waiting.outbox.weight());
            if written.is_err() {
                break;
            }
            if !waiting.outbox.is_empty() {
                continue;
            }
            if *finishing {
                half.shutdown(Shutdown::Write);
                break;
            }
            let Some(ping) = waiting.ping.take() else {
                break;
            };
            waiting
                .outbox
                .write(|out| ws::write_frame(out, ws::Opcode::Pong, &ping));
            connection.recount(Weight::default(), waiting.outbox.weight());
        }
        if let Some(backlog) = inner.backlog.take() {
            connection.recount(backlog.outbox.weight(), Weight::default());
        }
        connection.blocked.store(false, Ordering::Relaxed);
        if matches!(inner.transport, Transport::Abandoned { .. }) {
            inner.transport = Transport::Gone;
        }
        Poll::Ready(())
    })
    .await;
}
