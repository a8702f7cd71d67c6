//! Engine.IO's heartbeat: the server pings, the client answers in time or is gone. Also what else a
//! connection has a deadline for.

use std::sync::Arc;
use std::time::Duration;

use super::{Connection, How, Inner, Sent, Transport, close, close_over_limit, identity};
use crate::config::ATTACHMENTS_WAIT;
use crate::reason;
use crate::shared::Shared;
use crate::timers::{Purpose, Timer};

const PING: &str = "2";

/// How late a timer usually is, in milliseconds.
const USUAL_LATENESS: u64 = 5;

impl Connection {
    /// Schedules the first ping and the deadline for a namespace.
    pub fn start_timers(self: &Arc<Self>, shared: &Shared) {
        let mut inner = self.lock();
        self.expect_ping(shared, &mut inner);
        drop(inner);
        shared.set_timer(self, shared.config.connect_timeout, Purpose::Connect);
    }

    /// The next ping is due a whole interval from now.
    pub(super) fn expect_ping(&self, shared: &Shared, inner: &mut Inner) {
        inner.awaiting_pong = false;
        self.set_due(shared, inner, shared.config.ping_interval);
        self.set_heartbeat(shared, inner);
    }

    /// The client answered a ping.
    pub fn pong(&self, shared: &Shared) {
        let mut inner = self.lock();
        for asking in inner.asking.drain(..) {
            // Who asked may have given up waiting.
            let _ = asking.send(());
        }
        if !std::mem::take(&mut inner.awaiting_pong) {
            return;
        }
        self.set_due(shared, &mut inner, shared.config.ping_interval);
        // The timer that runs is the pong's. Where it ends before the next ping, it will do.
        if shared.config.ping_interval < shared.config.ping_timeout {
            self.set_heartbeat(shared, &mut inner);
        }
    }

    /// Pings before it is time, unless a pong is waited for; that may take so long at least.
    pub(super) fn ping_now(
        self: &Arc<Self>,
        shared: &Shared,
        inner: &mut Inner,
        at_least: Duration,
    ) {
        if !inner.awaiting_pong {
            self.send_control(inner, PING);
            inner.awaiting_pong = true;
            self.set_due(shared, inner, shared.config.ping_timeout);
        }
        inner.due = inner
            .due
            .max(shared.timers.now() + at_least.as_millis() as u64);
        self.set_heartbeat(shared, inner);
    }

    /// Whether the client should have answered a ping by now. Timers are a little late; a request that
    /// comes after the deadline must not be luckier than one that comes later.
    pub fn is_overdue(&self, shared: &Shared) -> bool {
        let inner = self.lock();
        inner.open && inner.is_overdue() && shared.timers.now() >= inner.due
    }

    /// The client is not read for now, or again.
    pub fn pause(&self, shared: &Shared, paused: bool) {
        let mut inner = self.lock();
        inner.paused = paused;
        if inner.awaiting_pong {
            self.set_due(shared, &mut inner, shared.config.ping_timeout);
        }
    }

    fn set_due(&self, shared: &Shared, inner: &mut Inner, after: Duration) {
        inner.due = shared.timers.now() + after.as_millis() as u64;
    }

    /// From now on, only this timer counts as the heartbeat's.
    fn set_heartbeat(&self, shared: &Shared, inner: &mut Inner) {
        inner.turn = inner.turn.wrapping_add(1);
        let timer = Timer {
            key: self.key,
            stamp: self.stamp,
            purpose: Purpose::Heartbeat,
            turn: inner.turn,
        };
        shared.timers.at(inner.due, timer);
    }
}

impl Inner {
    /// Whether the end of the present wait is the end of the connection. While the client is not read, a
    /// missing pong is no fault of its, unless it is not read because it does not read either.
    fn is_overdue(&self) -> bool {
        self.awaiting_pong && (!self.paused || self.is_behind())
    }

    /// Whether the attachments of a packet have not come for long. Looked at with every heartbeat.
    fn has_stalled(&self, now: u64) -> bool {
        let wait = ATTACHMENTS_WAIT.as_millis() as u64;
        self.receiving
            .as_ref()
            .is_some_and(|it| !self.paused && now > it.progress + wait)
    }

    /// Whether something waits that the client has not read.
    fn is_behind(&self) -> bool {
        match &self.transport {
            Transport::Polling(polling) => !polling.is_empty(),
            _ => self.backlog.is_some(),
        }
    }
}

/// A timer of this connection has run out.
pub fn on_timer(shared: &Arc<Shared>, connection: &Arc<Connection>, timer: Timer) {
    match timer.purpose {
        Purpose::Heartbeat => heartbeat(shared, connection, timer.turn),
        Purpose::Expiry => identity::expire(shared, connection, timer.turn),
        Purpose::Connect => {
            let inner = connection.lock();
            let idle = !inner.joined && inner.memberships.is_empty();
            drop(inner);
            if idle {
                close(
                    shared,
                    connection,
                    reason::FORCED_SERVER_CLOSE,
                    How::Orderly,
                );
            }
        }
        Purpose::Linger => {
            let polling = matches!(connection.lock().transport, Transport::Polling(_));
            connection.abandon();
            if polling {
                shared.connections.forget(connection);
            }
        }
    }
}

fn heartbeat(shared: &Arc<Shared>, connection: &Arc<Connection>, turn: u8) {
    let mut inner = connection.lock();
    if !inner.open || inner.turn != turn {
        return;
    }
    if inner.has_stalled(shared.timers.now()) {
        drop(inner);
        tracing::debug!(
            connection = connection.id.shown(),
            "attachments do not come"
        );
        close(shared, connection, reason::TRANSPORT_ERROR, How::Orderly);
        return;
    }
    if shared.timers.now() >= inner.due {
        if inner.is_overdue() {
            drop(inner);
            close(shared, connection, reason::PING_TIMEOUT, How::Abort);
            return;
        }
        if !inner.awaiting_pong {
            connection.send_control(&mut inner, PING);
            inner.awaiting_pong = true;
            if connection.sent() == Sent::Overflow {
                drop(inner);
                return close_over_limit(shared, connection);
            }
        }
        // From when it was due, so that timers' lateness does not add up; but a relay that was held up
        // itself does not take that from the client's time.
        let since = inner
            .due
            .max(shared.timers.now().saturating_sub(USUAL_LATENESS));
        inner.due = since + shared.config.ping_timeout.as_millis() as u64;
    }
    connection.set_heartbeat(shared, &mut inner);
}
