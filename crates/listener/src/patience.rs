//! How long a peer may keep us waiting: for a limit, and again and again for as long if it moves enough
//! bytes each time. So a slow peer is served, and one that stalls or trickles is not.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// Bytes that a peer must move for each second that we wait for it.
const MIN_BYTES_PER_SECOND: f64 = 1024.0;

/// The account of one transfer. Only time that we wait counts, and while nobody waits it costs no timer.
#[derive(Debug)]
pub struct Patience {
    limit: Duration,
    /// How long we have waited, without the current wait.
    waited: Duration,
    /// How much has moved in that time.
    moved: usize,
    /// When the current wait began, and the timer for its end.
    current: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl Patience {
    pub fn new(limit: Duration) -> Patience {
        Patience {
            limit,
            waited: Duration::ZERO,
            moved: 0,
            current: None,
        }
    }

    /// Whether a peer that has moved so many bytes in that time is slow, and not silent.
    pub fn is_enough(moved: u64, time: Duration) -> bool {
        moved as f64 >= time.as_secs_f64() * MIN_BYTES_PER_SECOND
    }

    /// We wait. Ready when that has been too long.
    pub fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let left = self.limit.saturating_sub(self.waited);
            let (_, timer) = self
                .current
                .get_or_insert_with(|| (Instant::now(), Box::pin(tokio::time::sleep(left))));
            ready!(timer.as_mut().poll(cx));
            if !Patience::is_enough(self.moved as u64, self.limit) {
                return Poll::Ready(());
            }
            self.reset();
        }
    }

    /// The wait is over: these bytes have moved.
    pub fn moved(&mut self, bytes: usize) {
        if let Some((since, _)) = self.current.take() {
            self.waited += since.elapsed();
        }
        self.moved += bytes;
    }

    /// Nothing is under way any more: what comes next has its own account.
    pub fn reset(&mut self) {
        self.current = None;
        self.waited = Duration::ZERO;
        self.moved = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    const LIMIT: Duration = Duration::from_millis(100);

    async fn over(patience: &mut Patience) {
        poll_fn(|cx| patience.poll_over(cx)).await;
    }

    #[tokio::test]
    async fn a_peer_that_does_nothing_is_waited_for_until_the_limit() {
        let mut patience = Patience::new(LIMIT);
        let start = Instant::now();
        over(&mut patience).await;
        assert!(start.elapsed() >= LIMIT);
    }

    #[tokio::test]
    async fn a_trickle_buys_no_time() {
        let mut patience = Patience::new(LIMIT);
        patience.waited = LIMIT;
        patience.moved(1);
        over(&mut patience).await;
        assert_eq!(patience.waited, LIMIT);
    }

    #[tokio::test]
    async fn bytes_buy_the_limit_once_more_however_many_they_are() {
        let mut patience = Patience::new(LIMIT);
        patience.moved(1 << 30);
        let start = Instant::now();
        over(&mut patience).await;
        assert!(start.elapsed() >= 2 * LIMIT);
    }

    #[tokio::test]
    async fn a_new_transfer_has_its_own_account() {
        let mut patience = Patience::new(LIMIT);
        over(&mut patience).await;
        patience.reset();
        let start = Instant::now();
        over(&mut patience).await;
        assert!(start.elapsed() >= LIMIT);
    }
}
