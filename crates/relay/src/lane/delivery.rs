//! Takes a lane's batches to the app, one at a time, until each is answered. While the app is away it waits
//! and gives nothing up; where the app fails at a batch, halves of it are sent, until the event that it fails at
//! is alone. It knows what an answer means, not what it does.

mod exchange;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parlour_protocol::relay::{self, Replay, Response};

use super::batch::Batch;
use super::log::{self, GAP_WAIT};
use super::outgoing::Outgoing;
use super::{Lane, State};
use crate::bus::Extent;
use crate::config::{
    MAX_FAILURES, MAX_PENDING_BYTES, RECOVERY_PAUSE, TICK_AFTER, TICK_EVERY, TRIM_AFTER,
};
use crate::connection::{How, close};
use crate::ledger::Hold;
use crate::reason;
use crate::shared::Shared;
use exchange::{Exchange, Reply};

pub use exchange::{Failure, probes};

/// How a batch ended.
enum Outcome {
    /// The app has committed it, or the first part of it, and its answer is carried out.
    Done,
    /// The app fails at it. It was not carried out, and never will be under this sequence number.
    Failed(Batch, Failure),
    /// The app has committed it, and its answer cannot be read.
    Lost(Batch, Failure),
    /// This life of the relay is over for the app.
    Superseded,
}

/// Delivers until the lane ends.
pub async fn run(shared: Arc<Shared>, lane: Arc<Lane>) {
    let mut outgoing = Outgoing::default();
    let is_handshakes = lane.is_handshakes();
    let mut ticked = true;
    loop {
        // Those who are ready to add events do so first: the batch is larger and not later.
        tokio::task::yield_now().await;
        lane.deliver_log(&shared, &mut outgoing, None);
        lane.let_others_go(&shared, &mut outgoing).await;
        let Some((batch, body)) = lane.take(&shared) else {
            if lane.has_recoveries() {
                // Clients have to read first what they were given. Nobody tells when they have.
                lane.has_work_within(&shared, &mut outgoing, RECOVERY_PAUSE)
                    .await;
                continue;
            }
            shared.idle.notify_waiters();
            shared.feeding.forget_those_who_have_read();
            if !is_handshakes && shared.end_lane(&lane) {
                return;
            }
            if lane.rest(&shared, &mut outgoing, ticked).await {
                ticked = true;
            }
            continue;
        };
        ticked = is_handshakes || batch.is_tick();
        match deliver(&shared, &lane, batch, body, &mut outgoing).await {
            Outcome::Done => {}
            Outcome::Failed(batch, failure) => {
                lane.failed(&shared, batch, &failure, &mut outgoing);
            }
            Outcome::Lost(batch, failure) => {
                lane.give_up(&shared, batch, &failure, &mut outgoing);
            }
            Outcome::Superseded => return shared.supersede(),
        }
        lane.lock().in_flight = false;
    }
}

/// Sends a batch until it is answered, and carries out the answer.
async fn deliver(
    shared: &Arc<Shared>,
    lane: &Lane,
    mut batch: Batch,
    body: Bytes,
    outgoing: &mut Outgoing,
) -> Outcome {
    let mut exchange = Exchange::new(shared, lane, &batch);
    let mut is_committed = false;
    loop {
        let failure = match exchange.send(body.clone()).await {
            Reply::Answer(answer) => match read(&answer) {
                Ok(response) if fits(&response, &batch) => {
                    lane.forward(shared, &response);
                    lane.take_replay(shared, response.replay.as_ref());
                    if let Some(previous) = response.previous
                        && !reach(shared, lane, previous, outgoing).await
                    {
                        return Outcome::Superseded;
                    }
                    lane.apply(shared, batch, &response, outgoing);
                    exchange.journey.ended();
                    return Outcome::Done;
                }
                Ok(_) => {
                    Failure::unreadable("it is done with none of the events, or with too many")
                }
                Err(failure) => failure,
            },
            Reply::Failed(failure) | Reply::Unreadable(failure) => failure,
            Reply::Away(problem) => {
                exchange.wait(&problem).await;
                continue;
            }
            Reply::Superseded => return Outcome::Superseded,
        };
        // What the app does not say in time it can still say later.
        let is_silence = is_committed && failure.is_silence;
        batch.failures += u32::from(!is_silence);
        let is_alone = batch.count == 1 && failure.may_pass;
        if is_silence || (is_alone || is_committed) && batch.failures < MAX_FAILURES {
            exchange.wait(&failure.detail).await;
            continue;
        }
        exchange.journey.failed(&failure.detail);
        if is_committed {
            return Outcome::Lost(batch, failure);
        }
        match withdraw(&mut exchange).await {
            Withdrawn::ForGood => return Outcome::Failed(batch, failure),
            // Its answer is found by sending it again.
            Withdrawn::TooLate => (is_committed, batch.failures) = (true, 0),
            Withdrawn::Superseded => return Outcome::Superseded,
        }
    }
}

/// Delivers the log up to where a batch was committed: its answer comes after that. What is missing is on the bus,
/// or is asked for. False: this life of the relay is over.
async fn reach(shared: &Arc<Shared>, lane: &Lane, previous: u64, outgoing: &mut Outgoing) -> bool {
    let patience = tokio::time::sleep(GAP_WAIT);
    tokio::pin!(patience);
    loop {
        let delivered = match lane.lock().log.delivered() {
            Some(delivered) => delivered,
            // It is the first answer, and nobody was here before.
            None => previous,
        };
        if delivered >= previous {
            lane.lock().log.advance(previous.min(delivered));
            return true;
        }
        if lane.deliver_log(shared, outgoing, Some(previous)) {
            return true;
        }
        if !shared.must_ask() {
            tokio::select! {
                () = lane.arrived.notified() => continue,
                () = &mut patience => {}
            }
        }
        let Some(delivered) = lane.lock().log.delivered() else {
            continue;
        };
        let Some(answer) = replay(shared, lane, delivered).await else {
            return false;
        };
        match read(&answer) {
            Ok(response) => lane.take_replay(shared, response.replay.as_ref()),
            Err(failure) => tracing::error!(
                namespace = lane.namespace(),
                failure = failure.detail,
                "cannot read what the log has"
            ),
        }
    }
}

/// Asks for what the log has after an offset, until the app answers. None: this life of the relay is over.
async fn replay(shared: &Arc<Shared>, lane: &Lane, delivered: u64) -> Option<Bytes> {
    let mut exchange = Exchange::new(shared, lane, &Batch::tick());
    loop {
        let problem = match exchange.send(Batch::replay_body(delivered)).await {
            Reply::Answer(answer) => return Some(answer),
            Reply::Failed(failure) | Reply::Unreadable(failure) => failure.detail,
            Reply::Away(problem) => problem,
            Reply::Superseded => return None,
        };
        exchange.wait(&problem).await;
    }
}

/// What comes of taking a batch back.
enum Withdrawn {
    /// It was not carried out, and never will be under its sequence number.
    ForGood,
    /// It was committed.
    TooLate,
    Superseded,
}

/// Makes sure that no attempt at the batch is carried out any more, however late: only then can its events be
/// sent again, in other batches, or given up. A batch of the same sequence number without events asks for that.
/// The app commits it, and then it is too late for the other; or it answers what the other one was answered.
async fn withdraw(exchange: &mut Exchange<'_>) -> Withdrawn {
    // Nothing is committed for a handshake.
    if exchange.lane.is_handshakes() {
        return Withdrawn::ForGood;
    }
    let mut failures = 0;
    loop {
        let problem = match exchange.send_empty().await {
            Reply::Answer(answer) => {
                return match read(&answer) {
                    Ok(response) if response.done == Some(0) => Withdrawn::ForGood,
                    _ => Withdrawn::TooLate,
                };
            }
            Reply::Unreadable(_) => return Withdrawn::TooLate,
            Reply::Failed(failure) => {
                failures += u32::from(!failure.is_silence);
                if failures >= MAX_FAILURES && !exchange.may_be_late {
                    // Each attempt was answered, and the answers say that nothing was carried out.
                    return Withdrawn::ForGood;
                }
                failure.detail
            }
            Reply::Away(problem) => problem,
            Reply::Superseded => return Withdrawn::Superseded,
        };
        exchange.wait(&problem).await;
    }
}

fn read(answer: &[u8]) -> Result<Response<'_>, Failure> {
    relay::from_slice(answer).map_err(|error| Failure::unreadable(&error.to_string()))
}

/// Whether this can be the answer to the batch.
fn fits(response: &Response<'_>, batch: &Batch) -> bool {
    response
        .done
        .is_none_or(|done| (1..=batch.count).contains(&done))
}

/// How long a lane waits that has nothing to send, and whether it then sends a tick. Without one it only
/// looks whether it is still needed.
fn patience(ticked: bool, has_sockets: bool) -> (Duration, bool) {
    match (ticked, has_sockets) {
        (false, _) => (TICK_AFTER, true),
        (true, has_sockets) => (TICK_EVERY, has_sockets),
    }
}

impl Lane {
    /// Before the next batch: lets other namespaces go first that were waiting when the last one was answered.
    async fn let_others_go(&self, shared: &Arc<Shared>, outgoing: &mut Outgoing) {
        let courtesy = {
            let mut state = self.lock();
            if state.queue.is_empty() && state.recoveries.is_empty() {
                return;
            }
            state.courtesy.take()
        };
        let Some(courtesy) = courtesy else { return };
        let their_turn = shared.turns.give_way(courtesy);
        tokio::pin!(their_turn);
        loop {
            tokio::select! {
                () = &mut their_turn => return,
                () = self.arrived.notified() => {
                    self.deliver_log(shared, outgoing, None);
                }
            }
        }
    }

    /// The app says what the log has that was not delivered here. It is next in line, or is delivered when its turn
    /// comes.
    fn take_replay(&self, shared: &Arc<Shared>, replay: Option<&Replay<'_>>) {
        let Some(replay) = replay else { return };
        let mut state = self.lock();
        let Some(previous) = state.log.delivered() else {
            return;
        };
        let Ok(commands) = serde_json::to_string(&replay.commands) else {
            return;
        };
        let extent = Extent {
            previous,
            head: replay.until,
        };
        state
            .log
            .arrived(log::Segment::new(extent, &commands, shared));
        state.log.is_at(replay.head);
        shared.metrics.replays.add(1);
        if !replay.lost {
            return;
        }
        // What is missing cannot be had any more. Clients find out what they have missed when they come back.
        state.log.advance(replay.until);
        let connections = state.hub.connections();
        drop(state);
        tracing::error!(
            namespace = self.namespace(),
            connections = connections.len(),
            "the log does not reach back to what was delivered: ending clients' connections"
        );
        for connection in connections {
            close(shared, &connection, reason::TRANSPORT_ERROR, How::Orderly);
        }
    }

    /// The next batch and its body. The lane has a batch in flight then, until its answer is carried out.
    fn take(&self, shared: &Shared) -> Option<(Batch, Bytes)> {
        let mut state = self.lock();
        let batch = state.next_batch(shared);
        state.in_flight = batch.is_some();
        let mut batch = batch?;
        let State { hub, log, .. } = &mut *state;
        let replay = log.should_ask() || shared.must_ask();
        log.is_asking();
        let body = batch.body(hub, log.delivered(), replay);
        batch.keep(shared.common.charge(Hold::Passing, body.len()));
        if state.queue.bytes() <= MAX_PENDING_BYTES / 2 {
            self.room.notify_waiters();
        }
        Some((batch, body.into()))
    }

    /// The app fails at a batch that was withdrawn.
    fn failed(
        &self,
        shared: &Arc<Shared>,
        batch: Batch,
        failure: &Failure,
        outgoing: &mut Outgoing,
    ) {
        if batch.count > 1 {
            let half = batch.count / 2;
            let (first, second) = batch.split_at(half);
            let mut state = self.lock();
            state.put_back(second);
            state.put_back(first);
        } else if failure.is_silence && batch.failures < MAX_FAILURES {
            self.lock().put_back(batch);
        } else {
            self.give_up(shared, batch, failure, outgoing);
        }
    }

    fn has_recoveries(&self) -> bool {
        !self.lock().recoveries.is_empty()
    }

    /// Waits for events. If none come for long, gives buffers back; then adds a tick, soon unless that was
    /// the last thing. True if it did.
    async fn rest(&self, shared: &Arc<Shared>, outgoing: &mut Outgoing, ticked: bool) -> bool {
        if self.has_work_within(shared, outgoing, TRIM_AFTER).await {
            return false;
        }
        *outgoing = Outgoing::default();
        let has_sockets = !self.lock().hub.is_empty();
        let (patience, then_tick) = patience(ticked, has_sockets);
        if self.has_work_within(shared, outgoing, patience).await || !then_tick {
            return false;
        }
        self.lock().queue.push_tick();
        true
    }

    /// Waits for events, and delivers meanwhile what arrives of the log. If something of it is missing, or may be, the
    /// event is a tick, which asks for it.
    async fn has_work_within(
        &self,
        shared: &Arc<Shared>,
        outgoing: &mut Outgoing,
        time: Duration,
    ) -> bool {
        let end = Instant::now() + time;
        loop {
            self.deliver_log(shared, outgoing, None);
            let ask_at = self.lock().ask_at(shared, Instant::now());
            tokio::select! {
                () = self.work.notified() => return true,
                () = self.arrived.notified() => continue,
                () = tokio::time::sleep_until(ask_at.map_or(end, |at| at.min(end)).into()) => {}
            }
            let now = Instant::now();
            let mut state = self.lock();
            if state.ask_at(shared, now).is_some_and(|at| at <= now) {
                state.queue.push_tick();
                return true;
            }
            if now >= end {
                return false;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_sockets_is_heard_every_hour_and_who_has_none_is_silent_after_one_tick() {
        assert_eq!(patience(false, false), (TICK_AFTER, true));
        assert_eq!(patience(false, true), (TICK_AFTER, true));
        let (time, then_tick) = patience(true, true);
        assert!(then_tick && time <= Duration::from_secs(60 * 60));
        assert!(!patience(true, false).1);
    }
}
