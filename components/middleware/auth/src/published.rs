//! Keys that somebody publishes (the variable `auth_jwks_url`). An instance of this middleware lives for a second
//! or so, so what was fetched is kept in the database, for all instances and all hosts of the application.

mod cache;
mod fetch;

use std::time::Duration;

use spin_sdk::wasip3::clocks::monotonic_clock;

use crate::keys::Keys;
use crate::refusal::Refusal;
use crate::settings::Published;

/// Seconds for which a set that is too old is used where it cannot be fetched again. A key that was withdrawn is good
/// for that long at worst, and an outage of whoever publishes it locks nobody out meanwhile.
const MAX_STALE: f64 = 86_400.0;

/// Seconds between two attempts, at most: who sends tokens with names of keys that do not exist must not make us ask for
/// each of them.
const FETCH_EVERY: f64 = 30.0;

/// Seconds that an attempt may take. Everybody who wants to enter the namespace waits for it.
const FETCH_TIME: f64 = 5.0;

/// How long somebody who waits for another's attempt waits before looking again.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A set as it was fetched, if it was, when the last attempt began, and when the last one that has ended did.
/// Times are in seconds since 1970.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Copy {
    pub json: Option<String>,
    pub fetched: f64,
    pub tried: f64,
    pub ended: f64,
}

/// What is to be done with a copy.
#[derive(Debug, PartialEq)]
enum Next {
    Use,
    Fetch,
    /// Somebody is fetching it.
    Wait,
    Unavailable,
}

/// `has`: whether it has the key that is wanted.
fn next(copy: &Copy, has: bool, max_age: f64, now: f64) -> Next {
    let (age, since) = (now - copy.fetched, now - copy.tried);
    let is_there = copy.json.is_some() && age < MAX_STALE;
    // A clock that went back makes both times worthless.
    let is_recent = (0.0..FETCH_EVERY.min(max_age)).contains(&since);
    let is_under_way = copy.tried > copy.ended && (0.0..FETCH_TIME).contains(&since);
    if is_there && has && (age < max_age || is_recent) {
        return Next::Use;
    }
    match (is_under_way, is_recent, is_there) {
        (true, ..) => Next::Wait,
        (false, false, _) => Next::Fetch,
        // It does not have the key, and did not a moment ago.
        (false, true, true) => Next::Use,
        (false, true, false) => Next::Unavailable,
    }
}

/// The set at this URL, such that it has the key if it is to be had.
pub async fn keys(published: &Published, kid: Option<&str>, now: f64) -> Result<Keys, Refusal> {
    let Published { url, max_age } = published;
    let mut waited = 0.0;
    loop {
        let copy = cache::read(url).await;
        let keys = copy.json.as_ref().and_then(|json| parsed(json.as_bytes()));
        let has = match (&keys, kid) {
            (Some(keys), Some(kid)) => keys.has(kid),
            (keys, None) => keys.is_some(),
            (None, _) => false,
        };
        match (next(&copy, has, *max_age, now + waited), keys) {
            (Next::Use, Some(keys)) => return Ok(keys),
            (Next::Wait, _) if waited < FETCH_TIME => {
                monotonic_clock::wait_for(LOOK_EVERY.as_nanos() as u64).await;
                waited += LOOK_EVERY.as_secs_f64();
            }
            (Next::Fetch, keys) => {
                let started = Copy {
                    tried: now + waited,
                    ..copy
                };
                cache::keep(url, &started).await;
                return match fetch(url).await {
                    Ok((json, fetched)) => {
                        let copy = Copy {
                            json: Some(json),
                            fetched: started.tried,
                            ended: started.tried,
                            ..started
                        };
                        cache::keep(url, &copy).await;
                        Ok(fetched)
                    }
                    Err(problem) => {
                        let ended = Copy {
                            ended: started.tried,
                            ..started.clone()
                        };
                        cache::keep(url, &ended).await;
                        eprintln!("auth: cannot fetch the keys at {url}: {problem}");
                        let is_there = now - started.fetched < MAX_STALE;
                        keys.filter(|_| is_there).ok_or(Refusal::KeysUnavailable)
                    }
                };
            }
            _ => return Err(Refusal::KeysUnavailable),
        }
    }
}

async fn fetch(url: &str) -> Result<(String, Keys), String> {
    let json = fetch::get(url, Duration::from_secs_f64(FETCH_TIME)).await?;
    let keys = Keys::published(json.as_bytes()).map_err(|problem| format!("the set {problem}"))?;
    Ok((json, keys))
}

fn parsed(json: &[u8]) -> Option<Keys> {
    Keys::published(json).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: f64 = 1_764_000_000.0;
    const MAX_AGE: f64 = 600.0;

    fn next(copy: &Copy, has: bool, now: f64) -> Next {
        super::next(copy, has, MAX_AGE, now)
    }

    fn copy(fetched: f64, tried: f64) -> Copy {
        Copy {
            json: Some("{}".into()),
            fetched: NOW - fetched,
            tried: NOW - tried,
            ended: NOW - tried,
        }
    }

    /// An attempt is under way.
    fn trying(copy: Copy, since: f64) -> Copy {
        Copy {
            tried: NOW - since,
            ..copy
        }
    }

    #[test]
    fn a_set_is_fetched_when_there_is_none_or_it_is_old() {
        assert_eq!(next(&Copy::default(), false, NOW), Next::Fetch);
        assert_eq!(next(&copy(10.0, 10.0), true, NOW), Next::Use);
        assert_eq!(
            next(&copy(MAX_AGE - 1.0, MAX_AGE - 1.0), true, NOW),
            Next::Use
        );
        assert_eq!(next(&copy(MAX_AGE, MAX_AGE), true, NOW), Next::Fetch);
    }

    #[test]
    fn a_key_that_is_not_in_it_is_looked_for_once_and_not_all_the_time() {
        assert_eq!(next(&copy(40.0, 40.0), false, NOW), Next::Fetch);
        assert_eq!(next(&copy(10.0, 10.0), false, NOW), Next::Use);
        // The last attempt failed.
        assert_eq!(next(&copy(400.0, 10.0), false, NOW), Next::Use);
    }

    #[test]
    fn an_old_set_is_used_where_it_cannot_be_fetched_again_but_not_for_good() {
        assert_eq!(next(&copy(MAX_AGE + 60.0, 10.0), true, NOW), Next::Use);
        assert_eq!(next(&copy(MAX_AGE + 60.0, 40.0), true, NOW), Next::Fetch);
        assert_eq!(next(&copy(MAX_STALE, 10.0), true, NOW), Next::Unavailable);
        assert_eq!(next(&copy(MAX_STALE, 40.0), true, NOW), Next::Fetch);
        let never = Copy {
            tried: NOW - 1.0,
            ended: NOW - 1.0,
            ..Copy::default()
        };
        assert_eq!(next(&never, false, NOW), Next::Unavailable);
    }

    #[test]
    fn who_comes_while_it_is_fetched_waits_unless_there_is_a_key() {
        let first = trying(Copy::default(), 1.0);
        assert_eq!(next(&first, false, NOW), Next::Wait);
        let old = MAX_AGE + 60.0;
        assert_eq!(next(&trying(copy(old, old), 1.0), true, NOW), Next::Use);
        assert_eq!(next(&trying(copy(60.0, 60.0), 1.0), false, NOW), Next::Wait);
        // It takes too long: whoever tries has gone.
        assert_eq!(
            next(&trying(copy(60.0, 60.0), 40.0), false, NOW),
            Next::Fetch
        );
    }

    #[test]
    fn a_set_that_is_good_for_less_is_fetched_more_often() {
        let old = copy(2.0, 2.0);
        assert_eq!(super::next(&old, true, 1.0, NOW), Next::Fetch);
        assert_eq!(super::next(&old, true, 3.0, NOW), Next::Use);
    }

    #[test]
    fn a_clock_that_went_back_does_not_stop_it() {
        assert_eq!(next(&copy(-1000.0, -1000.0), false, NOW), Next::Fetch);
    }
}
