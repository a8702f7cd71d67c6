//! What clients do: they ask to enter, send events, acknowledge, leave. It waits in the queue for the app.

use std::sync::{Arc, MutexGuard};

use parlour_protocol::socket::AckId;
use serde_json::value::RawValue;
use tokio::sync::{Notify, oneshot};

use super::registry::{Phase, Socket};
use super::state::{Decision, Namespace, State};
use super::text::packet;
use crate::connection::{AnyNamespace, Connection, Lease, Membership, Place, Until};
use crate::core::config::{MAX_PENDING_BYTES, MAX_SLOWED, RECOVERIES_AT_ONCE, SLOWED_FOR};
use crate::core::ledger::Charge;
use crate::core::limits::Limits;
use crate::core::reason;
use crate::core::sid::Sid;
use crate::core::unix_millis;
use crate::wire::flow::Flow;

/// Stands in for acknowledgement ids that are no exact numbers: even, so that it is one itself.
const ODD_ACK_BASE: u64 = 1 << 53;

/// The event by which a client renews its token.
const AUTH: &str = "auth";

/// Says in a client's `auth` that it asks for an earlier session.
const PID: &str = "\"pid\"";

impl Namespace {
    /// A client asks to be admitted. `handshake` is JSON, `charge` what the event is counted as.
    pub fn open(
        &self,
        connection: Sid,
        handshake: &str,
        charge: Charge,
    ) -> oneshot::Receiver<Decision> {
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
        connection: &Arc<Connection>,
        auth: Option<&str>,
    ) -> Flow<Until> {
        let mut state = self.lock();
        let id = Sid::random();
        let claims_session = auth.is_some_and(|auth| auth.contains(PID));
        // Looks at other connections, and perhaps at this one: none may be locked.
        let must_wait = claims_session && self.recoveries_wait(&state);
        let mut inner = connection.lock();
        if !inner.open {
            return Flow::Continue;
        }
        let State {
            registry,
            queue,
            recoveries,
            ..
        } = &mut *state;
        // Who asks again before it is answered is there, and so is whoever has its session: itself, maybe, by then.
        let is_again = inner.memberships.iter().any(|it| it.is_of(&**self));
        let queue = if must_wait && !is_again {
            recoveries
        } else {
            queue
        };
        let place = registry.insert(id, connection.clone());
        if inner.memberships.capacity() == 0 {
            inner.memberships.reserve_exact(1);
        }
        inner.memberships.push(Membership {
            namespace: self.clone(),
            place,
            is_in: false,
        });
        drop(inner);
        if let Some(socket) = registry.at(place) {
            match is_again {
                true => queue.push_connect_of_known(socket, auth),
                false => queue.push_connect(socket, auth, claims_session),
            }
        }
        match self.pushed(state, place) {
            true => Flow::Pause(Until::Room(self.clone(), None)),
            false => Flow::Continue,
        }
    }

    /// Whether a client that asks for its earlier session must wait for others that do.
    fn recoveries_wait(&self, state: &State) -> bool {
        !state.recoveries.is_empty()
            || state.queue.recoveries() >= RECOVERIES_AT_ONCE
            || !self.feeding.may_go_on()
    }

    /// Something of this socket was put into the queue. True if no more of it should come for now.
    fn pushed(&self, mut state: MutexGuard<'_, State>, place: Place) -> bool {
        let State {
            registry, queue, ..
        } = &mut *state;
        let socket = registry.at(place);
        let is_full = socket.is_some_and(|socket| queue.is_full_for(socket, MAX_PENDING_BYTES));
        drop(state);
        self.work.notify_one();
        is_full
    }
}

impl AnyNamespace for Namespace {
    fn name(&self) -> &str {
        &self.name
    }

    fn disconnect_packet(&self) -> &str {
        &self.disconnect_packet
    }

    fn event(
        &self,
        member: &Membership,
        id: Option<AckId>,
        data: &str,
        attachments: &[Vec<u8>],
    ) -> Flow<Until> {
        let mut state = self.lock();
        let State {
            registry,
            queue,
            odd_acks,
            ..
        } = &mut *state;
        let Some(socket) = registry.at(member.place) else {
            return Flow::Continue;
        };
        let id = id.map(|id| id.exact().unwrap_or_else(|| remember(socket, odd_acks, id)));
        let pace = keep_pace(socket, self.core.timers.nanos(), &self.core.config.limits);
        match &mut socket.phase {
            Phase::Left => return Flow::Continue,
            Phase::Connecting(entering) => {
                entering.hold(socket.connection.account(), packet(id, data, attachments));
                return pace;
            }
            Phase::In => match renewal(socket, data, attachments) {
                Some(auth) => queue.push_renew(socket, id, auth),
                None => queue.push_packet(socket, id, data, attachments),
            },
        }
        self.core.metrics.events.add(1);
        match self.pushed(state, member.place) {
            true => Flow::Pause(member.until_room()),
            false => pace,
        }
    }

    fn acknowledged(
        &self,
        member: &Membership,
        id: AckId,
        data: &str,
        attachments: &[Vec<u8>],
    ) -> Flow<Until> {
        let mut state = self.lock();
        let State {
            registry,
            queue,
            pending_acks,
            ..
        } = &mut *state;
        let socket = registry.at(member.place);
        let (Some(socket), Some(id)) = (socket, id.exact()) else {
            return Flow::Continue;
        };
        let Some(outcome) = pending_acks.reply(socket, id, data, attachments) else {
            return Flow::Continue;
        };
        self.conclude(queue, outcome);
        self.core.metrics.events.add(1);
        match self.pushed(state, member.place) {
            true => Flow::Pause(member.until_room()),
            false => Flow::Continue,
        }
    }

    fn left(&self, place: Place, reason: &'static str) {
        let mut state = self.lock();
        let State {
            registry,
            queue,
            pending_acks,
            ..
        } = &mut *state;
        let Some(socket) = registry.at(place) else {
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
        self.disconnect(queue, pending_acks, socket, reason);
        drop(state);
        self.work.notify_one();
    }

    fn expire(&self, place: Place) -> Lease {
        let mut state = self.lock();
        let Some(at) = state
            .registry
            .at(place)
            .and_then(|socket| socket.expires.at())
        else {
            return Lease::Endless;
        };
        if at > unix_millis() {
            return Lease::Until(at);
        }
        let taken = self.take_out(&mut state, place.slot, reason::TOKEN_EXPIRED);
        let was_in = taken.is_some();
        drop(state);
        if !was_in {
            return Lease::Endless;
        }
        self.work.notify_one();
        Lease::Over
    }

    fn has_room(&self, place: Option<Place>) -> bool {
        const ENOUGH: usize = MAX_PENDING_BYTES / 2;
        let mut state = self.lock();
        let State {
            registry, queue, ..
        } = &mut *state;
        match place.and_then(|place| registry.at(place)) {
            Some(socket) => !queue.is_full_for(socket, ENOUGH),
            None => queue.bytes() <= ENOUGH,
        }
    }

    fn room(&self) -> &Notify {
        &self.room
    }
}

/// If this event of the socket renews its token: its first argument, where that is an object. Only sockets that
/// have a token which ends have such an event; for all others `auth` is a name as any.
fn renewal<'d>(socket: &Socket, data: &'d str, attachments: &[Vec<u8>]) -> Option<Option<&'d str>> {
    if !socket.expires.is_renewable() || !attachments.is_empty() || !data.contains(AUTH) {
        return None;
    }
    let array: Vec<&RawValue> = serde_json::from_str(data).ok()?;
    let name: String = serde_json::from_str(array.first()?.get()).ok()?;
    let argument = array.get(1).map(|argument| argument.get());
    (name == AUTH).then(|| argument.filter(|argument| argument.starts_with('{')))
}

/// Whether a socket that has sent an event should be slowed: it has used up its burst. It is not read then
/// until it may send some more at once, so that it need not wait before each event.
fn keep_pace(socket: &mut Socket, now: u64, limits: &Limits) -> Flow<Until> {
    let Some(rate) = limits.events else {
        return Flow::Continue;
    };
    if socket.pace.is_full(now) {
        socket.slowed = 0;
    }
    match socket.pace.take_anyway(now, rate) {
        Ok(()) => Flow::Continue,
        Err(_) if socket.slowed >= MAX_SLOWED => Flow::Stop,
        Err(wait) => {
            socket.slowed += 1;
            Flow::Pause(Until::Later(wait + SLOWED_FOR))
        }
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
