//! How often something may happen: a token bucket, kept as the one moment at which it will be full again
//! (GCRA, the generic cell rate algorithm).

use std::time::Duration;

/// So many a second, and this many at once after a pause.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    /// Nanoseconds that one takes.
    interval: u64,
    burst: u64,
}

impl Rate {
    /// `per_second` is not 0.
    pub fn new(per_second: u32, burst: u32) -> Rate {
        Rate {
            interval: 1_000_000_000 / u64::from(per_second.max(1)),
            burst: u64::from(burst.max(1)),
        }
    }
}

/// The bucket. It holds nanoseconds of whoever's clock it is asked with.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    full_at: u64,
}

impl Pace {
    /// Takes one. If there is none, how long until there is.
    pub fn take(&mut self, now: u64, rate: Rate) -> Result<(), Duration> {
        let full_at = self.full_at.max(now) + rate.interval;
        match full_at.checked_sub(now + rate.burst * rate.interval) {
            None | Some(0) => {
                self.full_at = full_at;
                Ok(())
            }
            Some(wait) => Err(Duration::from_nanos(wait)),
        }
    }

    /// Takes one whether there is one or not. If there was none, how long until there would have been.
    pub fn take_anyway(&mut self, now: u64, rate: Rate) -> Result<(), Duration> {
        self.full_at = self.full_at.max(now) + rate.interval;
        match self.full_at.checked_sub(now + rate.burst * rate.interval) {
            None | Some(0) => Ok(()),
            Some(wait) => Err(Duration::from_nanos(wait)),
        }
    }

    /// Whether nothing was taken lately.
    pub fn is_full(self, now: u64) -> bool {
        self.full_at <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_burst_then_the_rate() {
        let rate = Rate::new(10, 3);
        let mut pace = Pace::default();
        let now = 5 * SECOND;
        for _ in 0..3 {
            assert_eq!(pace.take(now, rate), Ok(()));
        }
        assert_eq!(pace.take(now, rate), Err(Duration::from_millis(100)));
        assert!(!pace.is_full(now));
        assert_eq!(pace.take(now + SECOND / 10, rate), Ok(()));
        assert!(pace.take(now + SECOND / 10, rate).is_err());
        let later = now + SECOND;
        assert!(pace.is_full(later));
        for _ in 0..3 {
            assert_eq!(pace.take(later, rate), Ok(()));
        }
        assert!(pace.take(later, rate).is_err());
    }

    #[test]
    fn what_is_taken_anyway_is_waited_for() {
        let rate = Rate::new(10, 1);
        let mut pace = Pace::default();
        assert_eq!(pace.take_anyway(0, rate), Ok(()));
        assert_eq!(pace.take_anyway(0, rate), Err(Duration::from_millis(100)));
        assert_eq!(pace.take_anyway(0, rate), Err(Duration::from_millis(200)));
        assert!(!pace.is_full(SECOND / 10) && pace.is_full(SECOND));
    }
}
