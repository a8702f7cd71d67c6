//! How much one batch may do before it is committed, so that its answer stays small and others get the
//! database's write lock in time. What is left of it the relay sends again.

use std::time::Instant;

use parlour_protocol::relay::{MAX_BATCH_EFFORT, SOFT_ANSWER_BYTES};

#[derive(Default)]
pub(super) struct Budget {
    /// When an event had ended after which the batch held the write lock. To wait for the lock is not its fault.
    locked_since: Option<Instant>,
}

impl Budget {
    /// Whether the batch should stop here. `bytes`: what it has answered and read; `is_locked`: it has used the
    /// database.
    pub fn is_spent(&mut self, bytes: usize, is_locked: bool, now: impl Fn() -> Instant) -> bool {
        if bytes >= SOFT_ANSWER_BYTES {
            return true;
        }
        is_locked && {
            let now = now();
            let since = *self.locked_since.get_or_insert(now);
            now.duration_since(since) >= MAX_BATCH_EFFORT
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_counts_from_the_first_event_that_used_the_database_and_bytes_always() {
        let start = Instant::now();
        let later = |part: u32| start + MAX_BATCH_EFFORT * part / 2;
        let mut budget = Budget::default();
        assert!(!budget.is_spent(0, false, || later(0)));
        assert!(!budget.is_spent(0, true, || later(10)));
        assert!(!budget.is_spent(0, true, || later(11)));
        assert!(budget.is_spent(0, true, || later(12)));
        let mut budget = Budget::default();
        assert!(!budget.is_spent(SOFT_ANSWER_BYTES - 1, false, || later(0)));
        assert!(budget.is_spent(SOFT_ANSWER_BYTES, false, || later(0)));
    }
}
