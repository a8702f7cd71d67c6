//! Who need not be judged: a client that comes back to its session was, when it came first. Its
//! component knows its sessions and is asked about all clients of a batch at once.

use parlour_envelope as envelope;
use parlour_protocol::json;
use parlour_protocol::relay::{Batch, Event, Owner};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use spin_sdk::http::{HeaderMap, HeaderValue, StatusCode};

use crate::failure::Failure;
use crate::forward;

/// The path of a namespace that knows sessions.
const RECOVER: &str = "/recover";

/// `POST /recover`.
#[derive(Serialize)]
struct Question<'a> {
    namespace: &'a str,
    /// The `auth` of each client, null of one that claims no session.
    clients: &'a [Option<&'a RawValue>],
}

#[derive(Default, Deserialize)]
struct Answer {
    recoverable: Vec<bool>,
}

/// Parses the variable `recovery_skip_middlewares`; missing, it is true, as in Socket.IO.
pub fn is_wanted(variable: Option<&str>) -> Result<bool, envelope::Failure> {
    match variable.map(str::trim) {
        None | Some("true") => Ok(true),
        Some("false") => Ok(false),
        Some(other) => Err(envelope::Failure::Variable {
            name: "recovery_skip_middlewares",
            problem: format!("is {other:?}, neither true nor false"),
        }),
    }
}

/// For each event of the batch that is judged, in order: whether its client comes back to a session. Where the
/// component does not know, nobody does, and is judged.
pub async fn coming_back(
    batch: &Batch<'_>,
    namespace: &str,
    component: &str,
) -> Result<Vec<bool>, Failure> {
    let clients = claims(batch);
    if clients.iter().all(Option::is_none) {
        return Ok(vec![false; clients.len()]);
    }
    let question = Question {
        namespace,
        clients: &clients,
    };
    let body = serde_json::to_vec(&question).map_err(envelope::Failure::Encode)?;
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    headers.insert("content-length", HeaderValue::from(body.len()));
    let found = forward::ask(component, RECOVER, headers, body).await?;
    if matches!(found.status.as_u16(), 502..=504) {
        // Who would be judged instead could lose the session for that.
        return Err(Failure::Away {
            component: component.to_owned(),
            path: RECOVER,
            status: found.status,
        });
    }
    Ok(answer(found.status, &found.body, clients.len()))
}

/// The `auth` of each `connect` that claims a session, unless whoever has that session is known to be there.
fn claims<'a>(batch: &Batch<'a>) -> Vec<Option<&'a RawValue>> {
    let of_event = |event: &Event<'a>| match event {
        Event::Connect(connect) if connect.progress.is_some() => None,
        Event::Connect(connect) if connect.owner == Some(Owner::Answers) => Some(None),
        Event::Connect(connect) => Some(connect.auth.filter(|auth| claims_session(auth))),
        Event::Renew(_) => Some(None),
        _ => None,
    };
    batch.events.iter().filter_map(of_event).collect()
}

/// Whether a client says in its `auth` that it has a session.
fn claims_session(auth: &RawValue) -> bool {
    #[derive(Deserialize)]
    struct Auth<'a> {
        #[serde(borrow, default)]
        pid: Option<&'a RawValue>,
    }
    json::decode(auth).is_ok_and(|auth: Auth<'_>| auth.pid.is_some())
}

fn answer(status: StatusCode, body: &[u8], clients: usize) -> Vec<bool> {
    let answer: Answer = match status {
        StatusCode::OK => serde_json::from_slice(body).unwrap_or_default(),
        _ => Answer::default(),
    };
    if answer.recoverable.len() == clients {
        answer.recoverable
    } else {
        vec![false; clients]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn middleware_is_skipped_unless_it_is_said_otherwise() {
        assert!(is_wanted(None).unwrap() && is_wanted(Some(" true ")).unwrap());
        assert!(!is_wanted(Some("false")).unwrap());
        let failure = is_wanted(Some("no")).unwrap_err().to_string();
        assert!(
            failure.contains("recovery_skip_middlewares is \"no\""),
            "{failure}"
        );
    }

    #[test]
    fn only_who_claims_a_session_is_asked_about() {
        let body = r#"{"sockets":[{"id":"s1","connection":"c1"}],"events":[
            {"connect":{"socket":0,"handshake":{"url":"/","headers":[],"address":"::1","time":1},"auth":{"pid":"x"}}},
            {"tick":{}},
            {"renew":{"socket":0,"handshake":{"url":"/","headers":[],"address":"::1","time":1},"auth":{"pid":"x"}}},
            {"connect":{"socket":0,"owner":"answers","handshake":{"url":"/","headers":[],"address":"::1","time":1},"auth":{"pid":"x"}}},
            {"connect":{"socket":0,"handshake":{"url":"/","headers":[],"address":"::1","time":1},"auth":{"a":"\"pid\""}}},
            {"connect":{"socket":0,"handshake":{"url":"/","headers":[],"address":"::1","time":1},"auth":7}},
            {"connect":{"socket":0,"handshake":{"url":"/","headers":[],"address":"::1","time":1}}}]}"#;
        let batch: Batch<'_> = serde_json::from_str(body).unwrap();
        let claims: Vec<_> = claims(&batch).iter().map(Option::is_some).collect();
        assert_eq!(claims, [true, false, false, false, false, false]);
    }

    #[test]
    fn what_is_no_answer_lets_nobody_past_the_middleware() {
        let ok = StatusCode::OK;
        assert_eq!(
            answer(ok, br#"{"recoverable":[true,false]}"#, 2),
            [true, false]
        );
        for (status, body) in [
            (ok, "{}"),
            (ok, r#"{"recoverable":[true]}"#),
            (ok, "yes"),
            (StatusCode::NOT_FOUND, r#"{"recoverable":[true,true]}"#),
            (StatusCode::INTERNAL_SERVER_ERROR, ""),
        ] {
            assert_eq!(answer(status, body.as_bytes(), 2), [false, false], "{body}");
        }
    }
}
