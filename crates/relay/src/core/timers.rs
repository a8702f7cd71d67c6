//! All connections' timers in one task: heartbeats and deadlines, in buckets of time. An entry is
//! twelve bytes and names its connection weakly; a connection that is gone has no work here.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Ping due, or pong overdue.
    Heartbeat,
    /// No namespace joined.
    Connect,
    /// Closed, but the client has not noticed.
    Linger,
    /// A token ends, or it is time to look how long it still is.
    Expiry,
}

#[derive(Debug, Clone, Copy)]
pub struct Timer {
    /// Where the connection is registered …
    pub key: u32,
    /// … and which of those that were ever there it is.
    pub stamp: u32,
    pub purpose: Purpose,
    /// A heartbeat's turn, or that of a token's end: an older one is void.
    pub turn: u8,
}

pub struct Timers {
    start: Instant,
    /// Milliseconds. A timer is at most this late.
    bucket: u64,
    buckets: Mutex<BTreeMap<u64, Vec<Timer>>>,
    earlier: Notify,
}

impl Timers {
    /// Precise to a small part of `shortest`.
    pub fn new(shortest: Duration) -> Timers {
        Timers {
            start: Instant::now(),
            bucket: (shortest.as_millis() as u64 / 256).clamp(1, 100),
            buckets: Mutex::default(),
            earlier: Notify::new(),
        }
    }

    /// Milliseconds since the relay began.
    pub fn now(&self) -> u64 {
        self.start.elapsed().as_millis() as u64
    }

    /// Nanoseconds of the same clock.
    pub fn nanos(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }

    pub fn at(&self, due: u64, timer: Timer) {
        let bucket = due.div_ceil(self.bucket);
        let mut buckets = self.lock();
        let first = buckets.first_key_value().map(|(bucket, _)| *bucket);
        buckets.entry(bucket).or_default().push(timer);
        if first.is_none_or(|first| bucket < first) {
            self.earlier.notify_one();
        }
    }

    /// Waits until a bucket is due, and takes it.
    pub async fn due(&self) -> Vec<Timer> {
        loop {
            let first = self.lock().first_key_value().map(|(bucket, _)| *bucket);
            let Some(first) = first else {
                self.earlier.notified().await;
                continue;
            };
            let when = self.start + Duration::from_millis(first * self.bucket);
            if Instant::now() >= when {
                return self.lock().remove(&first).unwrap_or_default();
            }
            let _ = tokio::time::timeout_at(when.into(), self.earlier.notified()).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Vec<Timer>>> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
