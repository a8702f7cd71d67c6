//! Takes a lane's batches to the app, one at a time, until each is answered. While the app is away it waits
//! and gives nothing up; where the app fails at a batch, halves of it are sent, until the event that it fails at
//! is alone. It knows what an answer means, not what it does.

mod exchange;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parlour_protocol::relay::{self, Response};

use super::Lane;
use super::batch::Batch;
use super::outgoing::Outgoing;
use crate::config::{
    MAX_FAILURES, MAX_PENDING_BYTES, RECOVERY_PAUSE, TICK_AFTER, TICK_EVERY, TRIM_AFTER,
};
use crate::ledger::Hold;
use crate::shared::Shared;
use exchange::{Exchange, Reply};

pub use exchange::{Failure, probe};

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
        lane.let_others_go(&shared).await;
        let Some((batch, body)) = lane.take(&shared) else {
            if lane.has_recoveries() {
                // Clients have to read first what they were given. Nobody tells when they have.
                lane.has_work_within(RECOVERY_PAUSE).await;
                continue;
            }
            shared.idle.notify_waiters();
            shared.feeding.forget_those_who_have_read();
            if !is_handshakes && shared.end_lane(&lane) {
                return;
            }
            if lane.rest(&mut outgoing, ticked).await {
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
        lane.answered(&shared);
        lane.catch_up(&shared, &mut outgoing);
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
    async fn let_others_go(&self, shared: &Shared) {
        let courtesy = {
            let mut state = self.lock();
            if state.queue.is_empty() && state.recoveries.is_empty() {
                return;
            }
            state.courtesy.take()
        };
        if let Some(courtesy) = courtesy {
            shared.turns.give_way(courtesy).await;
        }
    }

    /// The next batch and its body. The lane has a batch in flight then, until [`Lane::catch_up`].
    fn take(&self, shared: &Shared) -> Option<(Batch, Bytes)> {
        let mut state = self.lock();
        let batch = state.next_batch(shared);
        state.in_flight = batch.is_some();
        let mut batch = batch?;
        if !self.is_handshakes() {
            let certain = shared.commits.certain(None);
            state.offsets.advance(certain.unwrap_or(0));
            state.under_way = Some(shared.commits.begin());
        }
        let body = batch.body(&mut state.hub);
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

    /// The answer to the batch is carried out, here and in other lanes.
    fn answered(&self, shared: &Shared) {
        if let Some(batch) = self.lock().under_way.take() {
            shared.commits.end(batch);
        }
    }

    fn has_recoveries(&self) -> bool {
        !self.lock().recoveries.is_empty()
    }

    /// Waits for events. If none come for long, gives buffers back; then adds a tick, soon unless that was
    /// the last thing. True if it did.
    async fn rest(&self, outgoing: &mut Outgoing, ticked: bool) -> bool {
        if self.has_work_within(TRIM_AFTER).await {
            return false;
        }
        *outgoing = Outgoing::default();
        let has_sockets = !self.lock().hub.is_empty();
        let (patience, then_tick) = patience(ticked, has_sockets);
        if self.has_work_within(patience).await || !then_tick {
            return false;
        }
        self.lock().queue.push_tick();
        true
    }

    async fn has_work_within(&self, time: Duration) -> bool {
        let work = tokio::time::timeout(time, self.work.notified());
        work.await.is_ok()
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
