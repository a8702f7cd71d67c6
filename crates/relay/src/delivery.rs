//! Takes a namespace's batches to the app, one at a time, until each is answered. While the app is away it waits
//! and gives nothing up; where the app fails at a batch, halves of it are sent, until the event that it fails at
//! is alone. It knows what an answer means, not what it does.

mod effects;
mod exchange;
mod forward;
mod give_up;
mod journey;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parlour_protocol::relay::{self, Replay, Response};

use crate::connection::How;
use crate::core::config::{MAX_FAILURES, RECOVERY_PAUSE, TICK_AFTER, TICK_EVERY, TRIM_AFTER};
use crate::core::reason;
use crate::namespace::{Batch, GAP_WAIT, Namespace, Outgoing};
use crate::session::close;
use crate::shared::Shared;
use effects::perform;
use exchange::{Exchange, Failure, Reply};
use give_up::give_up;

pub use effects::{answer_contest, emit_volatile, publish};
pub use exchange::probes;

/// Does something with a namespace, which begins to exist if it must, while it cannot end.
pub fn with_namespace<T>(
    shared: &Arc<Shared>,
    namespace: &str,
    act: impl FnOnce(&Arc<Namespace>) -> T,
) -> T {
    let begin = || {
        let namespace = Arc::new(Namespace::new(namespace, &shared.core, &shared.feeding));
        tokio::spawn(run(shared.clone(), namespace.clone()));
        namespace
    };
    shared.namespaces.with(namespace, begin, act)
}

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

/// Delivers until the namespace ends.
pub async fn run(shared: Arc<Shared>, namespace: Arc<Namespace>) {
    let mut outgoing = Outgoing::default();
    let is_handshakes = namespace.is_handshakes();
    let mut ticked = true;
    loop {
        // Those who are ready to add events do so first: the batch is larger and not later.
        tokio::task::yield_now().await;
        deliver_log(&shared, &namespace, &mut outgoing, None);
        let_others_go(&shared, &namespace, &mut outgoing).await;
        let Some((batch, body)) = namespace.take() else {
            if namespace.has_recoveries() {
                // Clients have to read first what they were given. Nobody tells when they have.
                has_work_within(&shared, &namespace, &mut outgoing, RECOVERY_PAUSE).await;
                continue;
            }
            shared.idle.notify_waiters();
            shared.feeding.forget_those_who_have_read();
            if !is_handshakes && shared.namespaces.end(&namespace) {
                return;
            }
            if rest(&shared, &namespace, &mut outgoing, ticked).await {
                ticked = true;
            }
            continue;
        };
        ticked = is_handshakes || batch.is_tick();
        match deliver(&shared, &namespace, batch, body, &mut outgoing).await {
            Outcome::Done => {}
            Outcome::Failed(batch, failure) => {
                failed(&shared, &namespace, batch, &failure, &mut outgoing);
            }
            Outcome::Lost(batch, failure) => {
                give_up(&shared, &namespace, batch, &failure, &mut outgoing);
            }
            Outcome::Superseded => return shared.supersede(),
        }
        namespace.end_flight();
    }
}

/// Sends a batch until it is answered, and carries out the answer.
async fn deliver(
    shared: &Arc<Shared>,
    namespace: &Arc<Namespace>,
    mut batch: Batch,
    body: Bytes,
    outgoing: &mut Outgoing,
) -> Outcome {
    let mut exchange = Exchange::new(shared, namespace, &batch);
    let mut is_committed = false;
    loop {
        let failure = match exchange.send(body.clone()).await {
            Reply::Answer(answer) => match read(&answer) {
                Ok(response) if fits(&response, &batch) => {
                    forward::forward(shared, namespace, &response);
                    take_replay(shared, namespace, response.replay.as_ref());
                    if let Some(previous) = response.previous
                        && !reach(shared, namespace, previous, outgoing).await
                    {
                        return Outcome::Superseded;
                    }
                    namespace.apply(batch, &response, outgoing);
                    perform(shared, namespace, outgoing);
                    forward::forward_elsewhere(shared, namespace, &response.commands);
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
        let is_alone = batch.count() == 1 && failure.may_pass;
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
async fn reach(
    shared: &Arc<Shared>,
    namespace: &Arc<Namespace>,
    previous: u64,
    outgoing: &mut Outgoing,
) -> bool {
    let patience = tokio::time::sleep(GAP_WAIT);
    tokio::pin!(patience);
    if namespace.delivered().is_none() {
        // It is the first answer, and nobody was here before.
        namespace.advance(previous);
    }
    loop {
        if deliver_log(shared, namespace, outgoing, Some(previous)) {
            return true;
        }
        if !shared.must_ask() {
            tokio::select! {
                () = namespace.arrived.notified() => continue,
                () = &mut patience => {}
            }
        }
        let Some(delivered) = namespace.delivered() else {
            continue;
        };
        let Some(answer) = replay(shared, namespace, delivered).await else {
            return false;
        };
        match read(&answer) {
            Ok(response) => take_replay(shared, namespace, response.replay.as_ref()),
            Err(failure) => tracing::error!(
                namespace = namespace.name(),
                failure = failure.detail,
                "cannot read what the log has"
            ),
        }
    }
}

/// Asks for what the log has after an offset, until the app answers. None: this life of the relay is over.
async fn replay(shared: &Arc<Shared>, namespace: &Arc<Namespace>, delivered: u64) -> Option<Bytes> {
    let mut exchange = Exchange::new(shared, namespace, &Batch::tick());
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
    if exchange.namespace.is_handshakes() {
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
        .is_none_or(|done| (1..=batch.count()).contains(&done))
}

/// How long a namespace waits that has nothing to send, and whether it then sends a tick. Without one it only
/// looks whether it is still needed.
fn patience(ticked: bool, has_sockets: bool) -> (Duration, bool) {
    match (ticked, has_sockets) {
        (false, _) => (TICK_AFTER, true),
        (true, has_sockets) => (TICK_EVERY, has_sockets),
    }
}

/// Delivers what is next in line of the log, as far as `limit`. True if everything up to there was delivered.
fn deliver_log(
    shared: &Arc<Shared>,
    namespace: &Arc<Namespace>,
    outgoing: &mut Outgoing,
    limit: Option<u64>,
) -> bool {
    while namespace.deliver_next(outgoing, limit) {
        perform(shared, namespace, outgoing);
    }
    limit.is_none_or(|limit| namespace.delivered() >= Some(limit))
}

/// Before the next batch: lets other namespaces go first that were waiting when the last one was answered.
async fn let_others_go(shared: &Arc<Shared>, namespace: &Arc<Namespace>, outgoing: &mut Outgoing) {
    let Some(courtesy) = namespace.courtesy() else {
        return;
    };
    let their_turn = shared.turns.give_way(courtesy);
    tokio::pin!(their_turn);
    loop {
        tokio::select! {
            () = &mut their_turn => return,
            () = namespace.arrived.notified() => {
                deliver_log(shared, namespace, outgoing, None);
            }
        }
    }
}

/// The app says what the log has that was not delivered here. If something of that is lost, clients find out what
/// they have missed when they come back.
fn take_replay(shared: &Shared, namespace: &Namespace, replay: Option<&Replay<'_>>) {
    let Some(replay) = replay else { return };
    let connections = namespace.take_replay(replay);
    if !replay.lost {
        return;
    }
    tracing::error!(
        namespace = namespace.name(),
        connections = connections.len(),
        "the log does not reach back to what was delivered: ending clients' connections"
    );
    for connection in connections {
        close(shared, &connection, reason::TRANSPORT_ERROR, How::Orderly);
    }
}

/// The app fails at a batch that was withdrawn.
fn failed(
    shared: &Arc<Shared>,
    namespace: &Arc<Namespace>,
    batch: Batch,
    failure: &Failure,
    outgoing: &mut Outgoing,
) {
    if batch.count() > 1 {
        let half = batch.count() / 2;
        namespace.put_back(batch.split_at(half).into());
    } else if failure.is_silence && batch.failures < MAX_FAILURES {
        namespace.put_back([batch]);
    } else {
        give_up(shared, namespace, batch, failure, outgoing);
    }
}

/// Waits for events. If none come for long, gives buffers back; then adds a tick, soon unless that was
/// the last thing. True if it did.
async fn rest(
    shared: &Arc<Shared>,
    namespace: &Arc<Namespace>,
    outgoing: &mut Outgoing,
    ticked: bool,
) -> bool {
    if has_work_within(shared, namespace, outgoing, TRIM_AFTER).await {
        return false;
    }
    *outgoing = Outgoing::default();
    let (patience, then_tick) = patience(ticked, namespace.has_sockets());
    if has_work_within(shared, namespace, outgoing, patience).await || !then_tick {
        return false;
    }
    namespace.push_tick();
    true
}

/// Waits for events, and delivers meanwhile what arrives of the log. If something of it is missing, or may be, the
/// event is a tick, which asks for it.
async fn has_work_within(
    shared: &Arc<Shared>,
    namespace: &Arc<Namespace>,
    outgoing: &mut Outgoing,
    time: Duration,
) -> bool {
    let end = Instant::now() + time;
    loop {
        deliver_log(shared, namespace, outgoing, None);
        let ask_at = namespace.ask_at();
        tokio::select! {
            () = namespace.work.notified() => return true,
            () = namespace.arrived.notified() => continue,
            () = tokio::time::sleep_until(ask_at.map_or(end, |at| at.min(end)).into()) => {}
        }
        let now = Instant::now();
        if namespace.ask_now(now) {
            return true;
        }
        if now >= end {
            return false;
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
