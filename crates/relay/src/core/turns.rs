//! Turns of the namespaces at the app. They share a database with one writer, and SQLite gives its lock to whoever
//! asks first after it was released. That would always be the namespace that has just had it: the others look
//! again only every few milliseconds, up to every 100. So who has been answered lets those go first who were
//! waiting already: who sends little, and who has waited for long.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

/// The most that a namespace waits for others.
const MAX_WAIT: Duration = Duration::from_secs(2);

/// A batch that has waited for so long goes first even if it is a large one.
const PATIENCE: Duration = Duration::from_millis(50);

/// How many of the batches that are under way are looked at, the oldest first.
const LOOKED_AT: usize = 32;

/// A batch that is under way for so long does not wait for the database's lock, which Spin gives up after this
/// time. It is not waited for.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Default)]
pub struct Turns {
    inner: Mutex<Inner>,
    /// A batch was answered.
    answered: Notify,
}

#[derive(Default)]
struct Inner {
    /// How many batches were sent.
    sent: u64,
    /// Those without an answer, by their number.
    under_way: BTreeMap<u64, Sent>,
}

/// A batch that was sent.
#[derive(Clone, Copy)]
struct Sent {
    at: Instant,
    events: usize,
}

/// Whom a namespace that has been answered lets go first.
#[derive(Debug, Clone, Copy)]
pub struct Courtesy {
    /// Batches with a smaller number than this,
    before: u64,
    /// that do not have more events than its own had, or have waited for long;
    events: usize,
    /// but not longer than up to here.
    until: Instant,
}

/// A batch that is under way, until this is dropped.
struct UnderWay<'t> {
    turns: &'t Turns,
    number: u64,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.turns.lock().under_way.remove(&self.number);
        self.turns.answered.notify_waiters();
    }
}

impl Turns {
    /// Runs the exchange that sends a batch of so many events and waits for its answer.
    pub async fn take<T>(&self, events: usize, exchange: impl Future<Output = T>) -> (T, Courtesy) {
        let sent = Instant::now();
        let under_way = self.send(Sent { at: sent, events });
        let answer = exchange.await;
        drop(under_way);
        let now = Instant::now();
        let courtesy = Courtesy {
            before: self.lock().sent,
            events,
            // Others may have as much time as this one has had. So one that needs little is never slowed
            // to less than half its pace, however long the others take.
            until: now + (now - sent).min(MAX_WAIT),
        };
        (answer, courtesy)
    }

    /// Waits until those who are to go first are answered, or have had enough time.
    pub async fn give_way(&self, courtesy: Courtesy) {
        loop {
            let answered = self.answered.notified();
            if !self.lock().has_before(&courtesy) {
                return;
            }
            if timeout_at(courtesy.until, answered).await.is_err() {
                return;
            }
        }
    }

    fn send(&self, batch: Sent) -> UnderWay<'_> {
        let mut inner = self.lock();
        let number = inner.sent;
        inner.sent += 1;
        inner.under_way.insert(number, batch);
        UnderWay {
            turns: self,
            number,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Whether there is a batch that is to go first.
    fn has_before(&self, courtesy: &Courtesy) -> bool {
        let earlier = self.under_way.range(..courtesy.before);
        earlier.take(LOOKED_AT).any(|(_, batch)| {
            let waited = batch.at.elapsed();
            waited < LOCK_TIMEOUT && (batch.events <= courtesy.events || waited >= PATIENCE)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::pin::{Pin, pin};
    use std::task::{Context, Waker};

    use tokio::sync::oneshot;

    use super::*;

    fn is_over(future: Pin<&mut impl Future>) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        future.poll(&mut context).is_ready()
    }

    #[tokio::test]
    async fn who_was_answered_lets_those_go_first_who_were_waiting() {
        let turns = Turns::default();
        let (end_busy, busy) = oneshot::channel();
        let (end_quiet, quiet) = oneshot::channel();
        let (mut busy, mut quiet) = (pin!(turns.take(9, busy)), pin!(turns.take(1, quiet)));
        assert!(!is_over(busy.as_mut()) && !is_over(quiet.as_mut()));
        // So that its turn took longer than anything else here.
        tokio::time::sleep(Duration::from_millis(10)).await;
        end_busy.send(()).unwrap();
        let (_, courtesy) = busy.await;
        let courtesy = Courtesy {
            until: courtesy.until + Duration::from_secs(60),
            ..courtesy
        };
        let mut next = pin!(turns.give_way(courtesy));
        assert!(!is_over(next.as_mut()));
        end_quiet.send(()).unwrap();
        let (_, courtesy) = quiet.await;
        assert!(is_over(next.as_mut()));
        // The other one waits for nobody: nothing else is under way.
        assert!(is_over(pin!(turns.give_way(courtesy))));
    }

    #[tokio::test]
    async fn nobody_gives_way_to_what_was_sent_later() {
        let turns = Turns::default();
        let (_, courtesy) = turns.take(9, async {}).await;
        let _later = turns.send(sent(1, Duration::ZERO));
        assert!(!turns.lock().has_before(&courtesy));
    }

    #[tokio::test]
    async fn a_small_batch_gives_way_to_a_large_one_only_when_that_has_waited_long() {
        let turns = Turns::default();
        let large = turns.send(sent(100, Duration::ZERO));
        let (_, courtesy) = turns.take(1, async {}).await;
        assert!(!turns.lock().has_before(&courtesy));
        drop(large);
        let large = turns.send(sent(100, PATIENCE));
        let (_, courtesy) = turns.take(1, async {}).await;
        assert!(turns.lock().has_before(&courtesy));
        drop(large);
        // Such a one does not wait for the lock any more.
        let _hangs = turns.send(sent(1, LOCK_TIMEOUT));
        let (_, courtesy) = turns.take(9, async {}).await;
        assert!(!turns.lock().has_before(&courtesy));
    }

    #[tokio::test]
    async fn one_that_hangs_holds_nobody_up_for_longer_than_their_own_turns_take() {
        let turns = Turns::default();
        let _hangs = turns.send(sent(1, Duration::ZERO));
        let began = Instant::now();
        let step = Duration::from_millis(20);
        let (_, courtesy) = turns.take(1, tokio::time::sleep(step)).await;
        turns.give_way(courtesy).await;
        assert!(began.elapsed() >= 2 * step);
    }

    fn sent(events: usize, ago: Duration) -> Sent {
        let at = Instant::now() - ago;
        Sent { at, events }
    }
}
