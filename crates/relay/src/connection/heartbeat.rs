//! Engine.IO's heartbeat: the server pings, the client answers in time or is gone. Also what else a
//! connection has a deadline for.

use std::sync::Arc;
use std::time::Duration;

use super::{Connection, How, Inner, Sent, Transport};
use crate::core::Core;
use crate::core::config::ATTACHMENTS_WAIT;
use crate::core::reason;
use crate::core::timers::Purpose;

const PING: &str = "2";

/// How late a timer usually is, in milliseconds.
const USUAL_LATENESS: u64 = 5;

/// What the heartbeat has found.
#[must_use]
pub enum Beat {
    Alive,
    /// The connection must be closed, for this reason.
    End(&'static str, How),
    /// The client makes the relay keep more than it may.
    Overflow,
}

impl Connection {
    /// Schedules the first ping and the deadline for a namespace.
    pub fn start_timers(self: &Arc<Self>, core: &Core) {
        let mut inner = self.lock();
        self.expect_ping(core, &mut inner);
        drop(inner);
        self.set_timer(core, core.config.connect_timeout, Purpose::Connect);
    }

    /// The next ping is due a whole interval from now.
    pub(super) fn expect_ping(&self, core: &Core, inner: &mut Inner) {
        inner.awaiting_pong = false;
        self.set_due(core, inner, core.config.ping_interval);
        self.set_heartbeat(core, inner);
    }

    /// The client answered a ping.
    pub fn pong(&self, core: &Core) {
        let mut inner = self.lock();
        for asking in inner.asking.drain(..) {
            // Who asked may have given up waiting.
            let _ = asking.send(());
        }
        if !std::mem::take(&mut inner.awaiting_pong) {
            return;
        }
        self.set_due(core, &mut inner, core.config.ping_interval);
        // The timer that runs is the pong's. Where it ends before the next ping, it will do.
        if core.config.ping_interval < core.config.ping_timeout {
            self.set_heartbeat(core, &mut inner);
        }
    }

    /// Pings before it is time, unless a pong is waited for; that may take so long at least.
    pub(super) fn ping_now(self: &Arc<Self>, core: &Core, inner: &mut Inner, at_least: Duration) {
        if !inner.awaiting_pong {
            self.send_control(inner, PING);
            inner.awaiting_pong = true;
            self.set_due(core, inner, core.config.ping_timeout);
        }
        inner.due = inner
            .due
            .max(core.timers.now() + at_least.as_millis() as u64);
        self.set_heartbeat(core, inner);
    }

    /// The heartbeat's timer has run out.
    pub fn heartbeat(self: &Arc<Self>, core: &Core, turn: u8) -> Beat {
        let mut inner = self.lock();
        if !inner.open || inner.turn != turn {
            return Beat::Alive;
        }
        if inner.has_stalled(core.timers.now()) {
            tracing::debug!(connection = self.id.shown(), "attachments do not come");
            return Beat::End(reason::TRANSPORT_ERROR, How::Orderly);
        }
        if core.timers.now() >= inner.due {
            if inner.is_overdue() {
                return Beat::End(reason::PING_TIMEOUT, How::Abort);
            }
            if !inner.awaiting_pong {
                self.send_control(&mut inner, PING);
                inner.awaiting_pong = true;
                if self.sent() == Sent::Overflow {
                    return Beat::Overflow;
                }
            }
            // From when it was due, so that timers' lateness does not add up; but a relay that was held up
            // itself does not take that from the client's time.
            let since = inner
                .due
                .max(core.timers.now().saturating_sub(USUAL_LATENESS));
            inner.due = since + core.config.ping_timeout.as_millis() as u64;
        }
        self.set_heartbeat(core, &mut inner);
        Beat::Alive
    }

    /// Whether the client has been in no namespace yet, and asks for none.
    pub fn is_idle(&self) -> bool {
        let inner = self.lock();
        !inner.joined && inner.memberships.is_empty()
    }

    /// The time is over that a closed connection's client had to hear of it. True if it polls: nobody else will
    /// find its transport closed.
    pub fn stop_lingering(&self) -> bool {
        let polling = matches!(self.lock().transport, Transport::Polling(_));
        self.abandon();
        polling
    }

    /// Whether the client should have answered a ping by now. Timers are a little late; a request that
    /// comes after the deadline must not be luckier than one that comes later.
    pub fn is_overdue(&self, core: &Core) -> bool {
        let inner = self.lock();
        inner.open && inner.is_overdue() && core.timers.now() >= inner.due
    }

    /// The client is not read for now, or again.
    pub fn pause(&self, core: &Core, paused: bool) {
        let mut inner = self.lock();
        inner.paused = paused;
        if inner.awaiting_pong {
            self.set_due(core, &mut inner, core.config.ping_timeout);
        }
    }

    fn set_due(&self, core: &Core, inner: &mut Inner, after: Duration) {
        inner.due = core.timers.now() + after.as_millis() as u64;
    }

    /// From now on, only this timer counts as the heartbeat's.
    fn set_heartbeat(&self, core: &Core, inner: &mut Inner) {
        inner.turn = inner.turn.wrapping_add(1);
        self.set_timer_at(core, inner.due, Purpose::Heartbeat, inner.turn);
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
