//! What the answer to `POST /connect` means for the client.

use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};
use spin_sdk::http::StatusCode;

use super::CONNECT;
use crate::excerpt;
use crate::failure::Failure;
use crate::forward::Answer;
use parlour_protocol::json::decode;
use parlour_protocol::routes::{JUDGED, Route};

#[derive(Debug)]
pub enum Decision {
    /// The client may enter; the component hands these claims to its handlers.
    Admitted(Box<RawValue>),
    /// It may not: `{"message", "data"}` for its `connect_error`.
    Refused(Box<RawValue>),
    /// Nobody was asked: it comes back to its session, or is asked about once more.
    Skipped,
}

impl Decision {
    /// The router's own refusal.
    pub fn refused(message: &str, code: &str) -> Self {
        Self::Refused(raw(
            &json!({ "message": message, "data": { "code": code } }),
        ))
    }
}

/// Nobody is let in where the middleware is missing.
pub fn unguarded() -> Decision {
    Decision::refused(
        "This namespace is closed: the middleware that must judge its clients is missing",
        "middleware_missing",
    )
}

/// What is missing of the middleware that must have judged, by what the answer says of it.
pub fn missing(answer: &Answer, route: &Route) -> Option<String> {
    let values = answer.headers.get_all(JUDGED).into_iter();
    let values = values.filter_map(|value| value.to_str().ok());
    let judged = values.flat_map(|value| value.split(',')).map(str::trim);
    route.missing_in(judged)
}

/// Judges by the status. A 5xx judges nobody: the batch fails and the relay sends it again.
pub fn from_answer(answer: &Answer, component: &str) -> Result<Decision, Failure> {
    let (status, body) = (answer.status, &*answer.body);
    match status.as_u16() {
        200 => serde_json::from_slice(body)
            .map(Decision::Admitted)
            .map_err(|error| no_decision(component, format!("its 200 has no JSON body: {error}"))),
        400..=499 => Ok(Decision::Refused(refusal(status, body))),
        502..=504 => Err(Failure::Away {
            component: component.to_owned(),
            path: CONNECT,
            status,
        }),
        _ => Err(no_decision(
            component,
            format!("it said {status}: {}", excerpt::of(body)),
        )),
    }
}

fn no_decision(component: &str, problem: String) -> Failure {
    Failure::Component {
        component: component.to_owned(),
        path: CONNECT,
        problem,
    }
}

#[derive(Deserialize, Serialize)]
struct Refusal<'a> {
    #[serde(borrow)]
    message: std::borrow::Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    data: Option<&'a RawValue>,
}

/// The middleware's own words where it said them in JSON, else the status and its text.
fn refusal(status: StatusCode, body: &[u8]) -> Box<RawValue> {
    let said = serde_json::from_slice::<&RawValue>(body).ok();
    if let Some(refusal) = said.and_then(|said| decode::<Refusal<'_>>(said).ok()) {
        return raw(&refusal);
    }
    let text = excerpt::of(body);
    let message = match text.as_str() {
        "" => status.canonical_reason().unwrap_or("Refused"),
        text => text,
    };
    raw(&json!({ "message": message, "data": { "code": status.as_u16() } }))
}

fn raw(value: &impl Serialize) -> Box<RawValue> {
    to_raw_value(value).expect("strings, numbers and raw JSON always serialise")
}

#[cfg(test)]
mod tests {
    use super::*;
    use spin_sdk::http::HeaderMap;

    fn judge(status: u16, body: &str) -> Result<Decision, Failure> {
        from_answer(&answer(status, body), "members")
    }

    fn answer(status: u16, body: &str) -> Answer {
        Answer {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: body.to_owned().into(),
        }
    }

    #[test]
    fn who_must_judge_must_say_that_it_has() {
        let proven = |route: &str, judged: &[&str]| {
            let routes = parlour_protocol::routes::parse(&format!("{{\"/\":{route}}}")).unwrap();
            let mut answer = answer(200, "null");
            for name in judged {
                answer.headers.append(JUDGED, name.parse().unwrap());
            }
            missing(&answer, &routes[0].1).is_none()
        };
        let auth = r#"{"component":"members","middleware":"auth"}"#;
        assert!(proven(auth, &["auth"]) && proven(auth, &["rate-limit, auth"]));
        assert!(!proven(auth, &[]) && !proven(auth, &["rate-limit"]) && !proven(auth, &["auth2"]));
        let both = r#"{"component":"members","middleware":["rate-limit","auth"]}"#;
        assert!(proven(both, &["auth", "rate-limit"]) && !proven(both, &["auth"]));
        let some = r#"{"component":"members"}"#;
        assert!(proven(some, &["any"]) && !proven(some, &[]));
    }

    fn refused(status: u16, body: &str) -> String {
        match judge(status, body).unwrap() {
            Decision::Refused(refusal) => refusal.get().to_owned(),
            _ => panic!("not refused"),
        }
    }

    #[test]
    fn a_200_admits_with_its_body_as_claims() {
        let Decision::Admitted(claims) = judge(200, r#"{"sub":"ann"}"#).unwrap() else {
            panic!("refused");
        };
        assert_eq!(claims.get(), r#"{"sub":"ann"}"#);
    }

    #[test]
    fn a_4xx_refuses_in_the_middlewares_words() {
        assert_eq!(
            refused(
                401,
                r#"{"message": "no token", "data": {"code": "missing_token"}, "trace": 1}"#
            ),
            r#"{"message":"no token","data":{"code": "missing_token"}}"#
        );
        assert_eq!(refused(403, r#"{"message":"no"}"#), r#"{"message":"no"}"#);
        assert_eq!(
            refused(
                403,
                r#"{"message":"no","message":"no \ud83d","data":{"n":1e1}}"#
            ),
            "{\"message\":\"no \u{fffd}\",\"data\":{\"n\":1e1}}"
        );
    }

    #[test]
    fn a_4xx_without_json_refuses_with_its_text_or_status() {
        assert_eq!(
            refused(403, ""),
            r#"{"data":{"code":403},"message":"Forbidden"}"#
        );
        assert_eq!(
            refused(429, " slow down\n"),
            r#"{"data":{"code":429},"message":"slow down"}"#
        );
        assert_eq!(
            refused(400, "[1]"),
            r#"{"data":{"code":400},"message":"[1]"}"#
        );
        let long = refused(400, &"é".repeat(1000));
        assert_eq!(long.matches('é').count(), excerpt::MAX_CHARS);
    }

    #[test]
    fn what_is_no_decision_fails_the_batch_and_never_admits() {
        assert_eq!(judge(503, "").unwrap_err().status(), 503);
        for (status, body) in [(500, "no key"), (200, "yes"), (204, ""), (302, "")] {
            let failure = judge(status, body).unwrap_err();
            assert_eq!(failure.status(), 500, "{status}");
            assert!(failure.to_string().contains("members"), "{failure}");
        }
        assert!(
            judge(500, "no key")
                .unwrap_err()
                .to_string()
                .contains("no key")
        );
    }
}
