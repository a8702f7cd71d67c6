//! How often something may happen, such as `20/10s`: a bucket of 20 tokens that takes 10 seconds to
//! fill, evenly. Reads the words and does the sums; keeps no bucket.

use std::fmt;
use std::time::Duration;

/// The longest time a limit may be over, in microseconds: 31 days.
const MAX_PERIOD: u64 = 31 * 24 * 3600 * SECOND;

/// Microseconds.
const MILLISECOND: u64 = 1000;
const SECOND: u64 = 1000 * MILLISECOND;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;

/// A token bucket's measures, as a bucket is kept: by the time at which it will be full again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limit {
    count: u32,
    /// Microseconds that one token takes to come.
    interval: i64,
}

impl Limit {
    /// Reads `none`, or a count, `/`, and the time it is for: `ms`, `s`, `m` or `h`, with how many of
    /// them before it if not one.
    pub fn parse(text: &str) -> Result<Option<Self>, String> {
        let text = text.trim();
        if text == "none" {
            return Ok(None);
        }
        let problem = |what: &str| {
            format!("is {text:?}: {what}; it must be none or like 20/10s, 60/m, 1000/h or 5/500ms")
        };
        let (count, period) = text
            .split_once('/')
            .ok_or_else(|| problem("there is no / in it"))?;
        let count = number(count).ok_or_else(|| problem("before the / there is no count"))?;
        let period = microseconds(period).ok_or_else(|| problem("after the / there is no time"))?;
        if period > MAX_PERIOD {
            return Err(problem("that is for longer than 31 days"));
        }
        if u64::from(count) > period {
            return Err(problem("that is more than one in a microsecond"));
        }
        // Rounded up: a token may take a moment longer to come, but there is never one too many.
        let interval = i64::try_from(period.div_ceil(u64::from(count)))
            .expect("the microseconds of 31 days are far from the most");
        Ok(Some(Self { count, interval }))
    }

    /// Microseconds that one token takes to come.
    pub fn interval(&self) -> i64 {
        self.interval
    }

    /// Microseconds that an empty bucket takes to be full.
    pub fn fill(&self) -> i64 {
        self.interval * i64::from(self.count)
    }

    /// How long until there is a token in a bucket that will be full at this time, both times being
    /// microseconds.
    pub fn wait(&self, full_at: i64, now: i64) -> Duration {
        let next = full_at - self.fill() + self.interval;
        Duration::from_micros(u64::try_from(next - now).unwrap_or(0))
    }
}

/// The limit as a part of a key.
impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}us", self.count, self.fill())
    }
}

/// Digits and nothing else, at least 1.
fn number(text: &str) -> Option<u32> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|&number| digits && number > 0)
}

fn microseconds(text: &str) -> Option<u64> {
    let unit = text.trim_start_matches(|char: char| char.is_ascii_digit());
    let many = match text.strip_suffix(unit)? {
        "" => 1,
        many => number(many)?,
    };
    let unit = match unit {
        "ms" => MILLISECOND,
        "s" => SECOND,
        "m" => MINUTE,
        "h" => HOUR,
        _ => return None,
    };
    Some(u64::from(many) * unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(text: &str) -> Limit {
        Limit::parse(text).unwrap().unwrap()
    }

    #[test]
    fn a_limit_is_a_count_for_a_time() {
        for (text, interval, fill) in [
            ("20/10s", 500_000, 10_000_000),
            ("60/m", 1_000_000, 60_000_000),
            (" 1000/h\n", 3_600_000, 3_600_000_000),
            ("5/500ms", 100_000, 500_000),
            ("1/ms", 1000, 1000),
            ("3/1h", 1_200_000_000, 3_600_000_000),
            ("1/744h", 2_678_400_000_000, 2_678_400_000_000),
        ] {
            let limit = limit(text);
            assert_eq!((limit.interval(), limit.fill()), (interval, fill), "{text}");
        }
    }

    #[test]
    fn what_does_not_divide_evenly_never_gives_one_more() {
        let limit = limit("7/s");
        assert_eq!(limit.interval(), 142_858);
        assert!(limit.fill() < 8 * limit.interval());
    }

    #[test]
    fn none_is_no_limit() {
        assert_eq!(Limit::parse("none"), Ok(None));
        assert_eq!(Limit::parse(" none\n"), Ok(None));
    }

    #[test]
    fn what_is_no_limit_is_said() {
        for (text, said) in [
            ("", "there is no /"),
            ("20", "there is no /"),
            ("/s", "no count"),
            ("0/s", "no count"),
            ("-1/s", "no count"),
            ("+1/s", "no count"),
            ("1.5/s", "no count"),
            ("5000000000/h", "no count"),
            ("20/", "no time"),
            ("20/10", "no time"),
            ("20/0s", "no time"),
            ("20/10 s", "no time"),
            ("20/day", "no time"),
            ("20/10s/m", "no time"),
            ("20/S", "no time"),
            ("1/745h", "31 days"),
            ("1/4294967295h", "31 days"),
            ("1001/ms", "more than one in a microsecond"),
        ] {
            let problem = Limit::parse(text).unwrap_err();
            assert!(problem.contains(said), "{problem}");
            assert!(problem.starts_with(&format!("is {text:?}: ")), "{problem}");
            assert!(problem.contains("like 20/10s"), "{problem}");
        }
    }

    #[test]
    fn an_empty_bucket_has_its_next_token_after_one_interval() {
        let limit = limit("20/10s");
        let now = 1_000_000_000;
        let wait = |full_at| limit.wait(full_at, now);
        assert_eq!(wait(now + limit.fill()), Duration::from_millis(500));
        assert_eq!(wait(now + limit.fill() - 1), Duration::from_micros(499_999));
        assert_eq!(wait(now), Duration::ZERO);
    }
}
