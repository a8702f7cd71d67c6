//! How much memory the relay holds for its clients: an account for each client, and the total. Whoever
//! keeps bytes for a client charges its account as long as they are kept. What follows from a full account
//! (reading pauses, or the connection is closed) is decided where clients are read and written.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::sync::Notify;

/// The total counts accounts in steps of this many bytes, so that most charges touch the client's own
/// counters only. A connection that does nothing costs less than one step.
const STEP: usize = 4096;

/// What a connection is counted for besides what it keeps: its record, its task, its timers.
pub const CONNECTION_BYTES: usize = 2048;

/// Why bytes are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// As long as the client wants: its handshake, its rooms, messages of which it has sent a part.
    Kept,
    /// Until the app has taken them or the client has read them. While there is much of this, the client is
    /// not read.
    Passing,
    /// Frames of broadcasts that the client has yet to read, and shares with others. They count for the
    /// client; in the total they count once, for the relay.
    Shared,
}

/// All accounts together.
#[derive(Debug)]
pub struct Ledger {
    /// In bytes: whole steps.
    total: AtomicUsize,
    limit: usize,
    client_limit: usize,
    /// The total has come above its limit.
    pub exceeded: Notify,
}

/// What is kept for one client, or for nobody in particular.
#[derive(Debug)]
pub struct Account {
    ledger: Arc<Ledger>,
    kept: AtomicUsize,
    passing: AtomicUsize,
    shared: AtomicUsize,
    /// A reader waits for relief.
    waiting: AtomicBool,
    /// Little enough is passing that the client can be read again.
    relief: Notify,
}

/// Bytes that are counted for as long as this lives.
#[derive(Debug)]
pub struct Charge {
    account: Arc<Account>,
    hold: Hold,
    bytes: usize,
}

impl Ledger {
    /// `limit` and `client_limit` in bytes.
    pub fn new(limit: usize, client_limit: usize) -> Arc<Ledger> {
        Arc::new(Ledger {
            total: AtomicUsize::new(0),
            limit,
            client_limit,
            exceeded: Notify::new(),
        })
    }

    pub fn account(self: &Arc<Self>) -> Arc<Account> {
        Arc::new(Account {
            ledger: self.clone(),
            kept: AtomicUsize::new(0),
            passing: AtomicUsize::new(0),
            shared: AtomicUsize::new(0),
            waiting: AtomicBool::new(false),
            relief: Notify::new(),
        })
    }

    /// A frame that several clients will refer to. The total has it once, until the last of them is done.
    pub fn share(self: &Arc<Self>, frame: Vec<u8>) -> Bytes {
        self.follow(0, frame.len());
        let ledger = self.clone();
        Bytes::from_owner(SharedFrame { ledger, frame })
    }

    pub fn total(&self) -> usize {
        self.total.load(Ordering::Relaxed)
    }

    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Whether new clients should be refused: the last tenth is for those who are here.
    pub fn is_nearly_full(&self) -> bool {
        self.total() > self.limit - self.limit / 10
    }

    pub fn is_exceeded(&self) -> bool {
        self.total() > self.limit
    }

    /// Follows an account from one size to another.
    fn follow(&self, before: usize, after: usize) {
        let (before, after) = (before.next_multiple_of(STEP), after.next_multiple_of(STEP));
        if after > before {
            let was = self.total.fetch_add(after - before, Ordering::Relaxed);
            if was <= self.limit && was + (after - before) > self.limit {
                self.exceeded.notify_one();
            }
        } else if before > after {
            self.total.fetch_sub(before - after, Ordering::Relaxed);
        }
    }
}

struct SharedFrame {
    ledger: Arc<Ledger>,
    frame: Vec<u8>,
}

impl AsRef<[u8]> for SharedFrame {
    fn as_ref(&self) -> &[u8] {
        &self.frame
    }
}

impl Drop for SharedFrame {
    fn drop(&mut self) {
        self.ledger.follow(self.frame.len(), 0);
    }
}

impl Account {
    pub fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// Counts bytes until [`Account::sub`] is told the same. Where something owns the bytes, it should own a
    /// [`Charge`] instead.
    pub fn add(&self, hold: Hold, bytes: usize) {
        let before = self.counter(hold).fetch_add(bytes, Ordering::Relaxed);
        if hold != Hold::Shared {
            self.ledger.follow(before, before + bytes);
        }
    }

    pub fn sub(&self, hold: Hold, bytes: usize) {
        // In one order with `waiting`, of which the reader writes first and reads the counters then: one of
        // the two sees what the other did.
        let before = self.counter(hold).fetch_sub(bytes, Ordering::SeqCst);
        debug_assert!(before >= bytes, "more was given back than was charged");
        if hold != Hold::Shared {
            self.ledger.follow(before, before - bytes);
        }
        if hold != Hold::Kept && self.waiting.load(Ordering::SeqCst) && !self.is_slow() {
            self.relief.notify_one();
        }
    }

    /// Something that was counted for `was` bytes has `now`.
    pub fn change(&self, hold: Hold, was: usize, now: usize) {
        match now >= was {
            true => self.add(hold, now - was),
            false => self.sub(hold, was - now),
        }
    }

    pub fn charge(self: &Arc<Self>, hold: Hold, bytes: usize) -> Charge {
        self.add(hold, bytes);
        Charge {
            account: self.clone(),
            hold,
            bytes,
        }
    }

    /// All that the client makes the relay keep.
    pub fn size(&self) -> usize {
        self.get(Hold::Kept) + self.passing()
    }

    /// Whether the client should be closed.
    pub fn is_over(&self) -> bool {
        self.size() > self.ledger.client_limit
    }

    /// Whether the client should not be read for now.
    pub fn is_slow(&self) -> bool {
        self.passing() > self.ledger.client_limit / 4
    }

    /// Returns when the client can be read. It has one reader.
    pub async fn relieved(&self) {
        self.waiting.store(true, Ordering::SeqCst);
        while self.is_slow() {
            self.relief.notified().await;
        }
        self.waiting.store(false, Ordering::SeqCst);
    }

    fn passing(&self) -> usize {
        self.get(Hold::Passing) + self.get(Hold::Shared)
    }

    fn get(&self, hold: Hold) -> usize {
        self.counter(hold).load(Ordering::SeqCst)
    }

    fn counter(&self, hold: Hold) -> &AtomicUsize {
        match hold {
            Hold::Kept => &self.kept,
            Hold::Passing => &self.passing,
            Hold::Shared => &self.shared,
        }
    }
}

impl Charge {
    /// Counts what has come to what is counted already.
    pub fn grow(&mut self, bytes: usize) {
        self.account.add(self.hold, bytes);
        self.bytes += bytes;
    }

    pub fn account(&self) -> &Arc<Account> {
        &self.account
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.account.sub(self.hold, self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_total_follows_every_account_and_ends_at_nothing() {
        let ledger = Ledger::new(1 << 20, 1 << 16);
        let (one, other) = (ledger.account(), ledger.account());
        one.add(Hold::Kept, 100);
        assert_eq!(ledger.total(), STEP);
        let mut charge = other.charge(Hold::Passing, STEP + 1);
        assert_eq!(ledger.total(), 3 * STEP);
        charge.grow(STEP);
        assert_eq!((ledger.total(), other.size()), (4 * STEP, 2 * STEP + 1));
        one.change(Hold::Kept, 100, STEP + 1);
        one.change(Hold::Kept, STEP + 1, 1);
        drop(charge);
        one.sub(Hold::Kept, 1);
        assert_eq!((ledger.total(), one.size(), other.size()), (0, 0, 0));
    }

    #[test]
    fn a_shared_frame_is_in_the_total_once_and_as_long_as_somebody_has_it() {
        let ledger = Ledger::new(1 << 20, 1 << 16);
        let frame = ledger.share(vec![0; 2 * STEP]);
        let other = frame.clone();
        drop(frame);
        assert_eq!(ledger.total(), 2 * STEP);
        drop(other);
        assert_eq!(ledger.total(), 0);
    }

    #[test]
    fn shared_bytes_count_for_the_client_and_not_in_the_total() {
        let ledger = Ledger::new(1 << 20, 1 << 16);
        let account = ledger.account();
        let charge = account.charge(Hold::Shared, (1 << 16) + 1);
        assert_eq!(ledger.total(), 0);
        assert!(account.is_over() && account.is_slow());
        drop(charge);
        assert!(!account.is_over() && !account.is_slow());
    }

    #[test]
    fn what_a_client_keeps_does_not_stop_its_being_read() {
        let account = Ledger::new(1 << 20, 1 << 16).account();
        account.add(Hold::Kept, 1 << 16);
        assert!(!account.is_slow() && !account.is_over());
        account.add(Hold::Kept, 1);
        assert!(account.is_over());
    }

    #[tokio::test]
    async fn the_total_says_when_it_is_exceeded() {
        let ledger = Ledger::new(10 * STEP, 1 << 20);
        let account = ledger.account();
        account.add(Hold::Passing, 9 * STEP + 1);
        assert!(ledger.is_nearly_full() && !ledger.is_exceeded());
        account.add(Hold::Passing, STEP);
        assert!(ledger.is_exceeded());
        ledger.exceeded.notified().await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_reader_goes_on_when_enough_has_passed_whoever_releases_it() {
        for _ in 0..2000 {
            let account = Ledger::new(1 << 20, 1 << 16).account();
            let own = account.charge(Hold::Passing, 1 << 14);
            let shared = account.charge(Hold::Shared, 1);
            let reader = account.clone();
            let reader = tokio::spawn(async move { reader.relieved().await });
            let other = tokio::spawn(async move { drop(shared) });
            drop(own);
            other.await.unwrap();
            let read = tokio::time::timeout(Duration::from_secs(60), reader).await;
            read.expect("nobody woke the reader").unwrap();
        }
    }
}
