//! Engine.IO's heartbeat: the server pings, the client answers in time or is gone. A client that answers late
//! because its link is slow is not: what it sends and reads meanwhile is a sign of life, if it is not too little. Also
//! what else a connection has a deadline for.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parlour_listener::Patience;

use super::{Connection, How, Inner, Sent, Transport};
use crate::core::Core;
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
            self.send_ping(inner);
            self.set_due(core, inner, core.config.ping_timeout);
        }
        inner.due = inner
            .due
            .max(core.timers.now() + at_least.as_millis() as u64);
        self.set_heartbeat(core, inner);
    }

    /// The heartbeat's timer has run out.
    pub fn heartbeat(self: &Arc<Self>, core: &Core, turn: u8) -> Beat {
        let inner = &mut *self.lock();
        if !inner.open || inner.turn != turn {
            return Beat::Alive;
        }
        if self.has_stalled(inner, core.timers.now()) {
            tracing::debug!(connection = self.id.shown(), "attachments do not come");
            return Beat::End(reason::TRANSPORT_ERROR, How::Orderly);
        }
        if core.timers.now() >= inner.due {
            if inner.is_overdue() {
                if !self.is_moving(core, inner) {
                    return Beat::End(reason::PING_TIMEOUT, How::Abort);
                }
                (inner.heard, inner.reprieved) = (self.has_moved(), true);
            }
            if !inner.awaiting_pong {
                self.send_ping(inner);
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
        self.set_heartbeat(core, inner);
        Beat::Alive
    }

    /// The client has sent so many bytes, or has read them of what waited for it.
    pub fn moved(&self, bytes: usize) {
        self.moved.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// All of them until now.
    pub fn has_moved(&self) -> u64 {
        self.moved.load(Ordering::Relaxed)
    }

    /// An answer to a poll is on its way as long as what this gives is there. The client cannot hear a ping before it
    /// has read that, and how long it may take is limited where it is written.
    pub fn answering(self: &Arc<Self>) -> Answering {
        self.answering.fetch_add(1, Ordering::Relaxed);
        Answering(self.clone())
    }

    fn send_ping(self: &Arc<Self>, inner: &mut Inner) {
        self.send_control(inner, PING);
        inner.awaiting_pong = true;
        (inner.heard, inner.reprieved) = (self.has_moved(), false);
    }

    /// Whether a client whose pong is late is on the way to send it: it gets the same time once more for anything that
    /// it has sent, as engine.io does for a packet, and then again and again if that is 1 KiB for each second of it.
    fn is_moving(&self, core: &Core, inner: &Inner) -> bool {
        let moved = self.has_moved() - inner.heard;
        let is_enough = match inner.reprieved {
            false => moved > 0,
            true => Patience::is_enough(moved, core.config.ping_timeout),
        };
        is_enough || self.answering.load(Ordering::Relaxed) > 0
    }

    /// Whether the attachments of a packet have not come for long. Looked at with every heartbeat.
    fn has_stalled(&self, inner: &mut Inner, now: u64) -> bool {
        let paused = inner.paused;
        let receiving = inner.receiving.as_mut().filter(|_| !paused);
        receiving.is_some_and(|it| it.has_stalled(self.has_moved(), now))
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
        let is_late = inner.open && inner.is_overdue() && core.timers.now() >= inner.due;
        is_late && !self.is_moving(core, &inner)
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

/// An answer to a poll that its client has not read yet.
pub struct Answering(Arc<Connection>);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.answering.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Inner {
    /// Whether the end of the present wait is the end of the connection. While the client is not read, a
    /// missing pong is no fault of its, unless it is not read because it does not read either.
    fn is_overdue(&self) -> bool {
        self.awaiting_pong && (!self.paused || self.is_behind())
    }

    /// Whether something waits that the client has not read.
    fn is_behind(&self) -> bool {
        match &self.transport {
            Transport::Polling(polling) => !polling.is_empty(),
            _ => self.backlog.is_some(),
        }
    }
}
