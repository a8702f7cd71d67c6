//! Times on the command line: a number with a unit, such as `25s`, or a bare number, which means what it has always
//! meant for its flag: milliseconds for most, seconds for `--request-timeout` and `--ttl`.

use std::time::Duration;

/// How many nanoseconds there are in what a number is followed by.
const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];

/// `bare`: the unit of a number without one.
fn duration(text: &str, bare: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit = if unit.is_empty() { bare } else { unit };
    let (_, nanoseconds) = UNITS.iter().find(|(name, _)| *name == unit)?;
    let number: u64 = number.parse().ok()?;
    let seconds = u128::from(number) * u128::from(*nanoseconds);
    let whole = u64::try_from(seconds / 1_000_000_000).ok()?;
    Some(Duration::new(whole, (seconds % 1_000_000_000) as u32))
}

/// At least a millisecond, in milliseconds.
pub fn milliseconds(text: &str) -> Result<u64, String> {
    at_least(text, 1)
}

/// At least ten milliseconds, in milliseconds: how often something is asked that costs something.
pub fn ten_milliseconds(text: &str) -> Result<u64, String> {
    at_least(text, 10)
}

fn at_least(text: &str, least: u64) -> Result<u64, String> {
    let time = duration(text, "ms").and_then(|time| u64::try_from(time.as_millis()).ok());
    match time {
        Some(time) if time >= least => Ok(time),
        Some(_) => Err(format!("it must be {least}ms at least")),
        None => Err("write it as 25s, 500ms, 2m, or 25000, which is in milliseconds".to_owned()),
    }
}

/// Seconds, which may be in the past.
pub fn seconds(text: &str) -> Result<i64, String> {
    let (sign, amount) = match text.strip_prefix('-') {
        Some(amount) => (-1, amount),
        None => (1, text),
    };
    let time = duration(amount, "s").and_then(|time| i64::try_from(time.as_secs()).ok());
    time.map(|seconds| sign * seconds)
        .ok_or_else(|| "write it as 90s, 15m, 24h, 30d, or 3600, which is in seconds".to_owned())
}

/// A time limit, or none: as Spin reads them, a bare number is in seconds.
pub fn limit(text: &str) -> Result<Option<Duration>, String> {
    if text == "none" {
        return Ok(None);
    }
    match duration(text, "s") {
        Some(time) if !time.is_zero() => Ok(Some(time)),
        _ => Err("write it as 30s, 500ms, 2m, none, or 30, which is in seconds".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_number_is_milliseconds_and_a_unit_says_what_it_says() {
        for (text, expected) in [
            ("25000", 25_000),
            ("25s", 25_000),
            ("500ms", 500),
            ("2m", 120_000),
            ("1h", 3_600_000),
        ] {
            assert_eq!(milliseconds(text), Ok(expected), "{text}");
        }
        for wrong in [
            "", "0", "0s", "999us", "s", "2 m", "-1", "1.5s", "2w", "25S",
        ] {
            assert!(milliseconds(wrong).is_err(), "{wrong}");
        }
        assert_eq!(ten_milliseconds("10"), Ok(10));
        assert!(ten_milliseconds("9").unwrap_err().contains("10ms at least"));
        assert!(milliseconds("99999999999999999999d").is_err());
        assert!(milliseconds("25 sec").unwrap_err().contains("25s"));
    }

    #[test]
    fn limits_are_read_as_spin_reads_them_and_have_minutes_too() {
        assert_eq!(limit("30"), Ok(Some(Duration::from_secs(30))));
        assert_eq!(limit("30s"), Ok(Some(Duration::from_secs(30))));
        assert_eq!(limit("500ms"), Ok(Some(Duration::from_millis(500))));
        assert_eq!(limit("2m"), Ok(Some(Duration::from_secs(120))));
        assert_eq!(limit("none"), Ok(None));
        for wrong in ["", "0", "s", "-1", "1.5s"] {
            assert!(limit(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_token_can_be_made_that_has_expired() {
        assert_eq!(seconds("86400"), Ok(86_400));
        assert_eq!(seconds("1d"), Ok(86_400));
        assert_eq!(seconds("-60"), Ok(-60));
        assert_eq!(seconds("-1m"), Ok(-60));
        for wrong in ["", "-", "--1", "soon"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
