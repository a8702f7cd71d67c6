//! What the variables of a namespace's component say about sessions and the log: how long things
//! are kept. They are read once in the life of an instance, which is short.

use std::cell::Cell;

use spin_sdk::variables;

use crate::interface::Policy;

/// How long after its connection is gone a client can have its session back, Socket.IO's
/// `maxDisconnectionDuration`: `2m`, or `none`. A component without it recovers none.
const RECOVERY: &str = "recovery_duration";

/// How long emissions to a room are kept: `30d`, or `none` for good.
const AGE: &str = "retention_age";

/// How many emissions to one room are kept: a number, or `none` for all.
const COUNT: &str = "retention_count";

thread_local! {
    static KNOWN: Cell<Option<Policy>> = const { Cell::new(None) };
}

/// The error says which variable is wrong, and how.
pub(crate) async fn policy() -> Result<Policy, String> {
    if let Some(known) = KNOWN.get() {
        return Ok(known);
    }
    let policy = Policy {
        recovery: read(RECOVERY, duration).await?,
        max_age: read(AGE, duration).await?,
        max_count: read(COUNT, count).await?,
    };
    KNOWN.set(Some(policy));
    Ok(policy)
}

/// What is wrong with the variables: all of it, not only what is found first.
pub(crate) async fn problems() -> Vec<String> {
    let all = [
        read(RECOVERY, duration).await,
        read(AGE, duration).await,
        read(COUNT, count).await,
    ];
    all.into_iter().filter_map(Result::err).collect()
}

/// 0 where the component has no such variable.
async fn read(name: &str, parse: fn(&str) -> Result<u64, &'static str>) -> Result<u64, String> {
    match variables::get(name).await {
        Ok(text) => parse(text.trim()).map_err(|problem| {
            format!("the variable {name} is {text:?}, which is not {problem}, nor none")
        }),
        Err(variables::Error::Undefined(_)) => Ok(0),
        Err(error) => Err(format!("the variable {name} cannot be read: {error}")),
    }
}

/// Milliseconds.
fn duration(text: &str) -> Result<u64, &'static str> {
    const PROBLEM: &str = "a number followed by ms, s, m, h or d, such as 2m";
    if text == "none" {
        return Ok(0);
    }
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let milliseconds = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(PROBLEM),
    };
    let number: u64 = number.parse().map_err(|_| PROBLEM)?;
    number.checked_mul(milliseconds).ok_or(PROBLEM)
}

fn count(text: &str) -> Result<u64, &'static str> {
    match text {
        "none" => Ok(0),
        text => text.parse().map_err(|_| "a number"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        for (text, milliseconds) in [
            ("none", 0),
            ("0s", 0),
            ("250ms", 250),
            ("2m", 120_000),
            ("12h", 43_200_000),
            ("30d", 2_592_000_000),
        ] {
            assert_eq!(duration(text), Ok(milliseconds), "{text}");
        }
        for text in [
            "",
            "2",
            "m",
            "-1s",
            "2 m",
            "2w",
            "1.5h",
            "99999999999999999999d",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn counts_are_numbers() {
        assert_eq!((count("none"), count("1000")), (Ok(0), Ok(1000)));
        assert!(count("many").is_err() && count("-1").is_err() && count("").is_err());
    }
}
