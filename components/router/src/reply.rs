//! What a component may answer to a batch. Middleware that knows only HTTP may refuse a batch in words of
//! its own, which the relay would misread: a 401 as its own wrong secret, a 404 or a redirect as an app
//! that is away, and either would be tried for ever. Such an answer is a failure of the component.

use serde::Deserialize;
use spin_sdk::http::StatusCode;

use crate::excerpt;
use crate::failure::Failure;

/// Whether an answer of this status means to the relay what it says, whoever gave it. It can then go
/// back unread.
pub fn is_plain(status: StatusCode) -> bool {
    matches!(status.as_u16(), 200 | 500 | 502..=504)
}

/// Judges any other answer. A 400, 409 or 413 is the namespace's if it is worded as the relay protocol
/// words errors; everything else has come from something before it.
pub fn check(component: &str, status: StatusCode, body: &[u8]) -> Result<(), Failure> {
    let may_be_ours = matches!(status.as_u16(), 400 | 409 | 413);
    if may_be_ours && serde_json::from_slice::<Error>(body).is_ok() {
        return Ok(());
    }
    Err(Failure::Refused {
        component: component.to_owned(),
        status,
        said: excerpt::of(body),
    })
}

/// The body of an error in the relay protocol.
#[derive(Deserialize)]
struct Error {
    #[serde(rename = "error")]
    _error: Code,
}

#[derive(Deserialize)]
struct Code {
    #[serde(rename = "code")]
    _code: String,
    #[serde(rename = "message")]
    _message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = r#"{"error": {"code": "stale", "message": "a younger epoch was seen"}}"#;

    fn status(code: u16) -> StatusCode {
        StatusCode::from_u16(code).unwrap()
    }

    #[test]
    fn what_the_relay_understands_goes_back_unread() {
        for code in [200, 500, 502, 503, 504] {
            assert!(is_plain(status(code)), "{code}");
        }
        for code in [204, 302, 400, 401, 403, 404, 409, 413, 429, 501] {
            assert!(!is_plain(status(code)), "{code}");
        }
    }

    #[test]
    fn a_namespace_may_say_that_a_batch_is_wrong_stale_or_too_large() {
        for code in [400, 409, 413] {
            assert!(check("vip", status(code), OURS.as_bytes()).is_ok());
        }
    }

    #[test]
    fn a_batch_that_middleware_refused_is_a_failure_that_says_what_to_do() {
        for (code, body) in [
            (401, OURS),
            (403, "no key"),
            (404, OURS),
            (302, ""),
            (204, ""),
            (400, "no key"),
            (409, r#"{"error": "conflict"}"#),
            (413, r#"{"error": {"code": 7, "message": "large"}}"#),
        ] {
            let failure = check("vip", status(code), body.as_bytes()).unwrap_err();
            assert_eq!(failure.status(), 500, "{code}");
            assert_eq!(failure.code(), "component");
            let message = failure.to_string();
            assert!(
                message.starts_with("the middleware before vip refused a batch"),
                "{message}"
            );
            assert!(message.contains(&code.to_string()), "{message}");
            assert!(message.contains("docs/middleware.md"), "{message}");
        }
    }
}
