//! What the task that takes batches to the app takes from a namespace, and gives back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parlour_protocol::relay::Replay;

use super::batch::Batch;
use super::log;
use super::state::{Namespace, State};
use crate::connection::{Connection, Slot};
use crate::core::bus::Extent;
use crate::core::config::MAX_PENDING_BYTES;
use crate::core::ledger::Hold;
use crate::core::sid::Sid;
use crate::core::turns::Courtesy;

impl Namespace {
    /// The next batch and its body. The namespace has a batch in flight then, until its answer is carried out.
    pub fn take(&self) -> Option<(Batch, Bytes)> {
        let mut state = self.lock();
        let batch = self.next_batch(&mut state);
        state.in_flight = batch.is_some();
        let mut batch = batch?;
        let State { registry, log, .. } = &mut *state;
        let replay = log.should_ask() || self.core.must_ask();
        log.is_asking();
        let body = batch.body(registry, log.delivered(), replay);
        batch.keep(self.core.common.charge(Hold::Passing, body.len()));
        if state.queue.bytes() <= MAX_PENDING_BYTES / 2 {
            self.room.notify_waiters();
        }
        Some((batch, body.into()))
    }

    /// The next batch to send, if there is one that may be sent now.
    fn next_batch(&self, state: &mut State) -> Option<Batch> {
        let has_turn = !state.recovered_last || state.queue.is_empty();
        state.recovered_last = has_turn && !state.recoveries.is_empty() && self.feeding.may_go_on();
        let State {
            registry,
            queue,
            recoveries,
            recovered_last,
            ..
        } = state;
        let queue = if *recovered_last { recoveries } else { queue };
        queue.take(|id| registry.account_of(id))
    }

    /// The batch that was taken is done with.
    pub fn end_flight(&self) {
        self.lock().in_flight = false;
    }

    /// Parts of a batch are sent, in their order, before anything that came later.
    pub fn put_back<const N: usize>(&self, parts: [Batch; N]) {
        let mut state = self.lock();
        for part in parts.into_iter().rev() {
            state.put_back(part);
        }
    }

    /// It is sent after everything that has come up to now.
    pub fn put_last(&self, batch: Batch) {
        self.lock().queue.put_last(batch);
    }

    /// The ids of a batch's sockets.
    pub fn ids(&self, batch: &Batch) -> Vec<String> {
        let mut state = self.lock();
        let mut id = |slot: Slot| state.registry.get(slot).map(|socket| socket.id);
        let slots = (0..).map_while(|index| batch.socket(index));
        let ids = slots.map(|slot| id(slot).as_ref().map(Sid::to_string));
        ids.map(Option::unwrap_or_default).collect()
    }

    pub fn has_recoveries(&self) -> bool {
        !self.lock().recoveries.is_empty()
    }

    pub fn has_sockets(&self) -> bool {
        !self.lock().registry.is_empty()
    }

    /// Whether nobody was let in who has not left: for all that is known, the app may not have this namespace.
    pub fn is_only_a_name(&self) -> bool {
        !self.lock().registry.has_members()
    }

    pub fn push_tick(&self) {
        self.lock().queue.push_tick();
    }

    /// When to ask the app for what the log has, if nothing happens before.
    pub fn ask_at(&self) -> Option<Instant> {
        self.lock().ask_at(self.core.ask_every(), Instant::now())
    }

    /// A tick, which asks for it, is the next event if it is time. True if it is.
    pub fn ask_now(&self, now: Instant) -> bool {
        let mut state = self.lock();
        let every = self.core.ask_every();
        let is_due = state.ask_at(every, now).is_some_and(|at| at <= now);
        if is_due {
            state.queue.push_tick();
        }
        is_due
    }

    /// Whom to let go first, the next time.
    pub fn owe(&self, courtesy: Courtesy) {
        self.lock().courtesy = Some(courtesy);
    }

    /// Whom to let go first, if there is anything to send.
    pub fn courtesy(&self) -> Option<Courtesy> {
        let mut state = self.lock();
        if state.queue.is_empty() && state.recoveries.is_empty() {
            return None;
        }
        state.courtesy.take()
    }

    /// How far the log was delivered. None: the app has not said where its log is.
    pub fn delivered(&self) -> Option<u64> {
        self.lock().log.delivered()
    }

    /// Everything of the log up to here was delivered.
    pub fn advance(&self, head: u64) {
        self.lock().log.advance(head);
    }

    /// The app says what the log has that was not delivered here. It is next in line, or is delivered when its turn
    /// comes. What is missing of it cannot be had any more: that concerns the connections that are given back.
    pub fn take_replay(&self, replay: &Replay<'_>) -> Vec<Arc<Connection>> {
        let mut state = self.lock();
        let Some(previous) = state.log.delivered() else {
            return Vec::new();
        };
        let Ok(commands) = serde_json::to_string(&replay.commands) else {
            return Vec::new();
        };
        let extent = Extent {
            previous,
            head: replay.until,
        };
        let segment = log::Segment::new(extent, &commands, &self.core);
        state.log.arrived(segment);
        state.log.is_at(replay.head);
        self.core.metrics.replays.add(1);
        if !replay.lost {
            return Vec::new();
        }
        state.log.advance(replay.until);
        state.registry.connections()
    }

    /// A part of the log has come by the bus, or from another namespace's batch. The commands are a JSON array.
    pub fn hear(&self, extent: Extent, commands: &str) {
        let mut state = self.lock();
        if state.is_deaf() {
            return;
        }
        let segment = log::Segment::new(extent, commands, &self.core);
        state.log.arrived(segment);
        drop(state);
        self.arrived.notify_one();
    }

    /// The log is known to reach up to here.
    pub fn hear_of(&self, head: u64) {
        self.lock().log.heard_of(head);
        self.arrived.notify_one();
    }

    /// Something may be missing: the app is asked soon.
    pub fn suspect(&self) {
        self.lock().log.suspect();
        self.arrived.notify_one();
    }

    /// How far this relay has delivered the log, unless other relays were told before.
    pub fn untold(&self) -> Option<u64> {
        self.lock().log.untold()
    }
}

impl State {
    fn ask_at(&mut self, every: Option<Duration>, now: Instant) -> Option<Instant> {
        match self.registry.is_empty() {
            true => None,
            false => self.log.ask_at(now, every),
        }
    }

    fn put_back(&mut self, part: Batch) {
        match part.is_of_recoveries {
            true => self.recoveries.put_back(part),
            false => self.queue.put_back(part),
        }
    }

    /// What the app has left of a batch, of which it has done so many events. As it will not do many more at
    /// once, it is not sent all of the rest again each time. `has_passed`: the batch went before such a rest.
    pub(super) fn put_back_rest(&mut self, rest: Batch, done: usize, has_passed: bool) {
        let queue = match rest.is_of_recoveries {
            true => &mut self.recoveries,
            false => &mut self.queue,
        };
        let (next, later) = match rest.count() <= 2 * done {
            true => (rest, None),
            false => {
                let (next, later) = rest.split_at(2 * done);
                (next, Some(later))
            }
        };
        if has_passed {
            queue.put_behind_parts(next);
            later.into_iter().for_each(|it| queue.put_behind_parts(it));
        } else {
            later.into_iter().for_each(|it| queue.put_back_rest(it));
            queue.put_back_rest(next);
        }
    }
}
