//! What a client says of the session that it wants back.

use parlour_protocol::relay;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{decode::decode, interface::Claim};

/// The longest secret that is looked up: ours have 20 characters.
pub(super) const MAX_PID: usize = 64;

/// By what the client wants its session back: `auth.pid`, and `auth.offset` if it has seen an event.
pub(super) fn claim(auth: Option<&RawValue>) -> Option<Claim> {
    let auth = Auth::of(auth)?;
    let pid = text(auth.pid)?;
    // An offset that is no number was not given out here, so it is unknown what its client has seen.
    let seen = match auth.offset {
        None => None,
        offset => Some(number(&text(offset)?)?),
    };
    (pid.len() <= MAX_PID).then_some(Claim {
        pid,
        seen,
        from_connected: false,
    })
}

/// An offset as the relay writes it. `parse` would take a sign as well.
fn number(text: &str) -> Option<u64> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_plain)
}

/// Whether the client wants to be told how far it has come, so that it can come back to its session. One that cannot
/// read offsets says in its `auth` that it wants none: `{"offset": false}`.
pub(super) fn wants_session(connect: &relay::Connect<'_>) -> bool {
    let offset = Auth::of(connect.auth).and_then(|auth| auth.offset);
    offset.is_none_or(|offset| offset.get() != "false")
}

/// What Socket.IO's client says of its session. No application has these names for something of its own, because they
/// are Socket.IO's.
#[derive(Deserialize)]
struct Auth<'a> {
    #[serde(borrow, default)]
    pid: Option<&'a RawValue>,
    #[serde(borrow, default)]
    offset: Option<&'a RawValue>,
}

impl<'a> Auth<'a> {
    fn of(auth: Option<&'a RawValue>) -> Option<Self> {
        decode(auth?).ok()
    }
}

fn text(json: Option<&RawValue>) -> Option<String> {
    decode(json?).ok()
}

/// What `POST /recover` is asked: the claims of several clients.
pub(crate) fn claims(auths: &[Option<&RawValue>]) -> Vec<Option<Claim>> {
    auths.iter().map(|auth| claim(*auth)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_says_so_wants_no_session() {
        let wants = |auth: Option<&str>| {
            let auth = auth.map_or_else(String::new, |auth| format!(r#","auth":{auth}"#));
            let json = format!(
                r#"{{"socket":0,"handshake":{{"url":"/","headers":[],"address":"::1","time":1}}{auth}}}"#
            );
            let connect: relay::Connect<'_> = serde_json::from_str(&json).unwrap();
            wants_session(&connect)
        };
        assert!(!wants(Some(r#"{"name":"a","offset":false}"#)));
        assert!(!wants(Some(r#"{"offset":"17","offset" : false }"#)));
        for auth in [
            "{}",
            r#"{"offset":"17"}"#,
            r#"{"offset":null}"#,
            r#"{"recovery":false}"#,
        ] {
            assert!(wants(Some(auth)), "{auth}");
        }
        assert!(wants(None));
    }

    #[test]
    fn only_what_was_given_out_is_a_claim() {
        let claim = |json: &str| {
            let auth: Box<RawValue> = serde_json::from_str(json).unwrap();
            claim(Some(&auth)).map(|claim| (claim.pid, claim.seen))
        };
        let pid = || "p".to_owned();
        assert_eq!(
            claim(r#"{"pid":"p","offset":"17","name":"a"}"#),
            Some((pid(), Some(17)))
        );
        assert_eq!(claim(r#"{"pid":"p"}"#), Some((pid(), None)));
        for none in [
            "{}",
            r#"{"pid":1}"#,
            r#"{"pid":"p","offset":17}"#,
            r#"{"pid":"p","offset":"connected"}"#,
            r#"{"pid":"p","offset":"-1"}"#,
            r#"{"pid":"p","offset":"+1"}"#,
            r#"{"pid":"p","offset":""}"#,
            r#"{"pid":"p","offset":"17;relay-1:3"}"#,
            r#"{"pid":"p","offset":"99999999999999999999"}"#,
            r#"{"offset":"17"}"#,
        ] {
            assert_eq!(claim(none), None, "{none}");
        }
    }
}
