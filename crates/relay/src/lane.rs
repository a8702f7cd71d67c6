//! A lane: one namespace's way to the app (or that of the handshakes, which are in none yet). Events
//! go in from any connection; one task takes them out in batches and carries out the answers.

mod apply;
mod asks;
mod batch;
mod delivery;
mod emit;
mod enter;
mod forward;
mod give_up;
mod identity;
mod journey;
mod log;
mod offsets;
mod outgoing;
mod sockets;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use http::HeaderValue;
use parlour_protocol::relay::HANDSHAKE_LANE;
use parlour_protocol::socket::{self, AckId, Head, Kind};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use tokio::sync::{Notify, oneshot};

use crate::bus::Report;
use crate::config::{MAX_PENDING_BYTES, MAX_SLOWED, RECOVERIES_AT_ONCE, SLOWED_FOR};
use crate::connection::{Connection, Membership};
use crate::hub::{Hub, Phase, Place, Socket};
use crate::ledger::{Charge, Hold};
use crate::limits::Limits;
use crate::metrics::NamespaceMetrics;
use crate::shared::Shared;
use crate::sid::Sid;
use crate::turns::Courtesy;

pub use asks::{AskId, Expected};
use asks::{Asks, Outcome};
use batch::{Batch, Queue};
pub use delivery::probes;
pub use identity::answer as answer_contest;
use log::Log;

/// What a namespace's name may not have in a header.
const NOT_IN_HEADERS: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'%').add(b',').add(b';');

/// Says in a client's `auth` that it asks for an earlier session.
const PID: &str = "\"pid\"";

/// Stands in for acknowledgement ids that are no exact numbers: even, so that it is one itself.
const ODD_ACK_BASE: u64 = 1 << 53;

pub struct Lane {
    namespace: Box<str>,
    /// The lane's name in a header.
    header: HeaderValue,
    /// EVENT without id and attachments, up to its JSON.
    event_head: Box<str>,
    disconnect_packet: Box<str>,
    /// Once somebody was let in.
    metrics: OnceLock<Arc<NamespaceMetrics>>,
    state: Mutex<State>,
    /// There is something to send.
    work: Notify,
    /// There is something new of the log.
    arrived: Notify,
    /// There is room again after the lane was full.
    room: Notify,
}

struct State {
    hub: Hub,
    queue: Queue,
    /// Clients that ask for their earlier sessions, if they are many. What each of them is answered can be large,
    /// so they wait until those before them have read theirs, and nobody else waits for that.
    recoveries: Queue,
    /// The last batch was of recoveries: they take turns with everything else.
    recovered_last: bool,
    asks: Asks,
    log: Log,
    /// A socket of this namespace got a `pid`: only such a client reads offsets.
    has_sessions: bool,
    /// A batch was sent, and its answer is not carried out yet. What arrives of the log waits for it, because the
    /// answer may add sockets that must receive it.
    in_flight: bool,
    /// Whom to let go first.
    courtesy: Option<Courtesy>,
    /// Clients that wait to be admitted. Handshake lane only.
    waiting: HashMap<Sid, oneshot::Sender<Verdict>>,
    /// Counts the times that commands were carried out.
    runs: u32,
    odd_acks: u64,
}

/// What the app says to a handshake.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    Admitted,
    Rejected { code: u8, message: String },
}

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    Fine,
    /// Taken; but more should come only when there is room again, or this socket's earlier events have left.
    Full,
    /// Taken; but its socket sends more than it may. It should not be read for so long.
    TooFast(Duration),
    /// And has done so for long.
    TooFastForLong,
}

impl Lane {
    pub fn new(namespace: &str) -> Lane {
        let header = utf8_percent_encode(namespace, NOT_IN_HEADERS).to_string();
        let head = Head {
            kind: Kind::Event,
            attachments: 0,
            namespace,
            id: None,
        };
        Lane {
            namespace: namespace.into(),
            header: HeaderValue::from_str(&header)
                .expect("percent-encoded text is legal in a header"),
            event_head: head.to_string().into(),
            disconnect_packet: socket::disconnect(namespace).into(),
            metrics: OnceLock::new(),
            state: Mutex::new(State {
                hub: Hub::default(),
                queue: Queue::new(false),
                recoveries: Queue::new(true),
                recovered_last: false,
                asks: Asks::default(),
                log: Log::default(),
                has_sessions: false,
                in_flight: false,
                courtesy: None,
                waiting: HashMap::default(),
                runs: 0,
                odd_acks: 0,
            }),
            work: Notify::new(),
            arrived: Notify::new(),
            room: Notify::new(),
        }
    }

    /// Begins to deliver.
    pub fn start(self: Arc<Self>, shared: Arc<Shared>) {
        tokio::spawn(delivery::run(shared, self));
    }

    fn is_handshakes(&self) -> bool {
        *self.namespace == *HANDSHAKE_LANE
    }

    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    pub fn disconnect_packet(&self) -> &str {
        &self.disconnect_packet
    }

    /// Locked before a connection, never after one.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A client asks to be admitted. `handshake` is JSON, `charge` what the event is counted as.
    pub fn open(
        &self,
        connection: Sid,
        handshake: &str,
        charge: Charge,
    ) -> oneshot::Receiver<Verdict> {
        let (sender, receiver) = oneshot::channel();
        let mut state = self.lock();
        state.waiting.insert(connection, sender);
        state.queue.push_open(connection, handshake, charge);
        drop(state);
        self.work.notify_one();
        receiver
    }

    /// A client asks to enter the namespace. `auth` is JSON.
    pub fn enter(
        self: &Arc<Self>,
        shared: &Shared,
        connection: &Arc<Connection>,
        auth: Option<&str>,
    ) -> Pushed {
        let mut state = self.lock();
        let id = Sid::random();
        let claims_session = auth.is_some_and(|auth| auth.contains(PID));
        // Looks at other connections, and perhaps at this one: none may be locked.
        let must_wait = claims_session && state.recoveries_wait(shared);
        let mut inner = connection.lock();
        if !inner.open {
            return Pushed::Fine;
        }
        let State {
            hub,
            queue,
            recoveries,
            ..
        } = &mut *state;
        let queue = if must_wait { recoveries } else { queue };
        let place = hub.insert(id, connection.clone());
        if inner.memberships.capacity() == 0 {
            inner.memberships.reserve_exact(1);
        }
        inner.memberships.push(Membership {
            lane: self.clone(),
            place,
        });
        drop(inner);
        if let Some(socket) = hub.at(place) {
            queue.push_connect(socket, auth, claims_session);
        }
        self.pushed(state, place)
    }

    /// Something of this socket was put into the queue.
    fn pushed(&self, mut state: MutexGuard<'_, State>, place: Place) -> Pushed {
        let State { hub, queue, .. } = &mut *state;
        let socket = hub.at(place);
        let is_full = socket.is_some_and(|socket| queue.is_full_for(socket, MAX_PENDING_BYTES));
        drop(state);
        self.work.notify_one();
        if is_full { Pushed::Full } else { Pushed::Fine }
    }

    /// A client sent an event. `data` is its JSON array.
    pub fn event(
        &self,
        shared: &Shared,
        member: &Membership,
        id: Option<AckId>,
        data: &str,
        attachments: &[Vec<u8>],
    ) -> Pushed {
        let mut state = self.lock();
        let State {
            hub,
            queue,
            odd_acks,
            ..
        } = &mut *state;
        let Some(socket) = hub.at(member.place) else {
            return Pushed::Fine;
        };
        let id = id.map(|id| id.exact().unwrap_or_else(|| remember(socket, odd_acks, id)));
        let pace = keep_pace(socket, shared.timers.nanos(), &shared.config.limits);
        match &mut socket.phase {
            Phase::Left => return Pushed::Fine,
            Phase::Connecting(entering) => {
                entering.hold(
                    socket.connection.account(),
                    batch::packet(id, data, attachments),
                );
                return pace;
            }
            Phase::In => match identity::renewal(socket, data, attachments) {
                Some(auth) => queue.push_renew(socket, id, auth),
                None => queue.push_packet(socket, id, data, attachments),
            },
        }
        shared.metrics.events.add(1);
        match (self.pushed(state, member.place), pace) {
            (Pushed::Fine, pace) => pace,
            (full, _) => full,
        }
    }

    /// A client acknowledged a packet. `data` is its JSON array.
    pub fn acknowledged(
        &self,
        shared: &Shared,
        member: &Membership,
        id: AckId,
        data: &str,
        attachments: &[Vec<u8>],
    ) -> Pushed {
        let mut state = self.lock();
        let State {
            hub, queue, asks, ..
        } = &mut *state;
        let socket = hub.at(member.place);
        let (Some(socket), Some(id)) = (socket, id.exact()) else {
            return Pushed::Fine;
        };
        let Some(outcome) = asks.reply(socket, id, data, attachments) else {
            return Pushed::Fine;
        };
        self.conclude(shared, queue, outcome);
        shared.metrics.events.add(1);
        self.pushed(state, member.place)
    }

    /// The time to acknowledge is over. True if other relays can still tell of their clients.
    fn end_ask(&self, shared: &Shared, ask: AskId) -> bool {
        let mut state = self.lock();
        let State { hub, asks, .. } = &mut *state;
        for slot in asks.end_here(ask) {
            if let Some(socket) = hub.get(slot) {
                asks::forget(socket, ask);
            }
        }
        self.settle_ask(shared, state, ask)
    }

    /// They cannot any more.
    fn end_ask_elsewhere(&self, shared: &Shared, ask: AskId) {
        let mut state = self.lock();
        state.asks.end_elsewhere(ask);
        self.settle_ask(shared, state, ask);
    }

    /// True if it is not settled.
    fn settle_ask(&self, shared: &Shared, mut state: MutexGuard<'_, State>, ask: AskId) -> bool {
        let outcome = state.asks.settled(ask);
        let is_open = state.asks.is_open(ask);
        self.conclude_all(shared, state, outcome);
        is_open
    }

    /// Another relay tells what its clients do with what they were asked.
    pub fn hear_report(&self, shared: &Shared, ask: AskId, report: &Report) {
        let mut state = self.lock();
        let outcome = state.asks.report(ask, report);
        self.conclude_all(shared, state, outcome);
    }

    fn conclude_all(
        &self,
        shared: &Shared,
        mut state: MutexGuard<'_, State>,
        outcomes: impl IntoIterator<Item = Outcome>,
    ) {
        for outcome in outcomes {
            self.conclude(shared, &mut state.queue, outcome);
        }
        drop(state);
        self.work.notify_one();
    }

    /// Tells who has asked.
    fn conclude(&self, shared: &Shared, queue: &mut Queue, outcome: Outcome) {
        match outcome {
            Outcome::App(event) => {
                let charge = shared.common.charge(Hold::Passing, event.len());
                queue.push_acks(&event, charge);
            }
            Outcome::Relay(relay, ask, replies, missing) => {
                for report in asks::reports(replies, &missing) {
                    shared.report(&self.namespace, &relay, ask, &report);
                }
            }
        }
    }

    /// A socket leaves: its client said so, or the connection is gone.
    pub fn left(&self, shared: &Shared, place: Place, reason: &'static str) {
        let mut state = self.lock();
        let State {
            hub, queue, asks, ..
        } = &mut *state;
        let Some(socket) = hub.at(place) else {
            return;
        };
        match &mut socket.phase {
            Phase::Left => return,
            // The app was asked and must have its answer heard: then it is told.
            Phase::Connecting(entering) => {
                entering.left.get_or_insert(reason);
                entering.drop_held();
                return;
            }
            Phase::In => {}
        }
        self.disconnect(shared, queue, asks, socket, reason);
        drop(state);
        self.work.notify_one();
    }

    fn disconnect(
        &self,
        shared: &Shared,
        queue: &mut Queue,
        asks: &mut Asks,
        socket: &mut Socket,
        reason: &'static str,
    ) {
        socket.phase = Phase::Left;
        for outcome in asks.left(socket) {
            self.conclude(shared, queue, outcome);
        }
        queue.push_disconnect(socket, reason);
        shared.metrics.sockets.down();
        self.log_disconnect(socket, reason);
    }

    fn log_disconnect(&self, socket: &Socket, reason: &str) {
        let connection = socket.connection.id.shown();
        tracing::info!(namespace = &*self.namespace, socket = %socket.id, connection, reason, "socket disconnected");
    }

    /// Returns when this socket, or whoever is in no namespace yet, may send events again.
    pub async fn wait_for_room(&self, place: Option<Place>) {
        loop {
            let room = self.room.notified();
            if self.has_room(place) {
                return;
            }
            room.await;
        }
    }

    fn has_room(&self, place: Option<Place>) -> bool {
        const ENOUGH: usize = MAX_PENDING_BYTES / 2;
        let mut state = self.lock();
        let State { hub, queue, .. } = &mut *state;
        match place.and_then(|place| hub.at(place)) {
            Some(socket) => !queue.is_full_for(socket, ENOUGH),
            None => queue.bytes() <= ENOUGH,
        }
    }

    /// Whether everything was sent and answered.
    pub fn is_idle(&self) -> bool {
        let state = self.lock();
        state.is_idle()
    }

    pub fn is_unused(&self) -> bool {
        let state = self.lock();
        state.is_idle() && state.hub.is_empty()
    }
}

/// Whether a socket that has sent an event should be slowed: it has used up its burst. It is not read then
/// until it may send some more at once, so that it need not wait before each event.
fn keep_pace(socket: &mut Socket, now: u64, limits: &Limits) -> Pushed {
    let Some(rate) = limits.events else {
        return Pushed::Fine;
    };
    if socket.pace.is_full(now) {
        socket.slowed = 0;
    }
    match socket.pace.take_anyway(now, rate) {
        Ok(()) => Pushed::Fine,
        Err(_) if socket.slowed >= MAX_SLOWED => Pushed::TooFastForLong,
        Err(wait) => {
            socket.slowed += 1;
            Pushed::TooFast(wait + SLOWED_FOR)
        }
    }
}

impl State {
    /// Whether the log is of no interest: nobody is here who could receive it, nor about to enter.
    fn is_deaf(&self) -> bool {
        self.hub.is_empty() && !self.in_flight
    }

    /// When to ask the app for what the log has, if nothing happens before.
    fn ask_at(&mut self, shared: &Shared, now: Instant) -> Option<Instant> {
        match self.hub.is_empty() {
            true => None,
            false => self.log.ask_at(now, shared.ask_every()),
        }
    }

    fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.recoveries.is_empty() && !self.in_flight
    }

    /// Whether a client that asks for its earlier session must wait for others that do.
    fn recoveries_wait(&self, shared: &Shared) -> bool {
        !self.recoveries.is_empty()
            || self.queue.recoveries() >= RECOVERIES_AT_ONCE
            || !shared.feeding.may_go_on()
    }

    /// The next batch to send, if there is one that may be sent now.
    fn next_batch(&mut self, shared: &Shared) -> Option<Batch> {
        let has_turn = !self.recovered_last || self.queue.is_empty();
        self.recovered_last = has_turn && !self.recoveries.is_empty() && shared.feeding.may_go_on();
        match self.recovered_last {
            true => self.recoveries.take(),
            false => self.queue.take(),
        }
    }

    /// A part of a batch is sent before anything that came later.
    fn put_back(&mut self, part: Batch) {
        match part.is_of_recoveries {
            true => self.recoveries.put_back(part),
            false => self.queue.put_back(part),
        }
    }

    /// What the app has left of a batch, of which it has done so many events. As it will not do many more at
    /// once, it is not sent all of the rest again each time.
    fn put_back_rest(&mut self, rest: Batch, done: usize) {
        if rest.count <= 2 * done {
            return self.put_back(rest);
        }
        let (next, later) = rest.split_at(2 * done);
        self.put_back(later);
        self.put_back(next);
    }
}

/// A number for the app to use instead of an acknowledgement id that is no exact one.
fn remember(socket: &mut Socket, count: &mut u64, id: AckId) -> u64 {
    let stand_in = ODD_ACK_BASE + 2 * *count;
    *count += 1;
    socket
        .odd_acks
        .get_or_insert_default()
        .remember(stand_in, id);
    stand_in
}
