//! What a client is told that connects too often: 429 and `{"message", "data": {"code", "retry_after"}}`,
//! which becomes its `connect_error`.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use spin_sdk::http::{FullBody, HeaderValue, Response, StatusCode};
use thiserror::Error;

#[derive(Debug, PartialEq, Error)]
pub enum Refusal {
    #[error("Too many connections: try again in {} s", seconds(wait))]
    TooMany { wait: Duration },
    /// The application is not set up to limit anybody. Not the client's fault.
    #[error("{0}")]
    Misconfigured(String),
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Misconfigured(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn data(&self) -> Value {
        match self {
            Self::TooMany { wait } => {
                json!({ "code": "rate_limited", "retry_after": seconds(wait) })
            }
            Self::Misconfigured(_) => json!({ "code": "configuration" }),
        }
    }

    fn body(&self) -> String {
        json!({ "message": self.to_string(), "data": self.data() }).to_string()
    }

    pub fn response(&self) -> Response<FullBody<Bytes>> {
        let mut response = Response::new(FullBody::new(Bytes::from(self.body())));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        match self {
            Self::TooMany { wait } => {
                headers.insert("retry-after", HeaderValue::from(seconds(wait)));
            }
            Self::Misconfigured(problem) => eprintln!("rate-limit: {problem}"),
        }
        response
    }
}

/// Whole seconds, rounded up, at least 1: who comes back then finds a token.
fn seconds(wait: &Duration) -> u64 {
    (wait.as_secs() + u64::from(wait.subsec_nanos() > 0)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn too_many(wait: Duration) -> (Response<FullBody<Bytes>>, Value) {
        let refusal = Refusal::TooMany { wait };
        let body = serde_json::from_str(&refusal.body()).unwrap();
        (refusal.response(), body)
    }

    #[test]
    fn who_comes_too_often_is_told_when_to_come_back() {
        let (response, body) = too_many(Duration::from_millis(2001));
        assert_eq!(response.status(), 429);
        assert_eq!(response.headers()["retry-after"], "3");
        assert_eq!(
            body,
            json!({
                "message": "Too many connections: try again in 3 s",
                "data": { "code": "rate_limited", "retry_after": 3 }
            })
        );
    }

    #[test]
    fn the_wait_is_at_least_a_second() {
        for (wait, seconds) in [(0, "1"), (1, "1"), (1000, "1"), (1001, "2")] {
            let (response, _) = too_many(Duration::from_millis(wait));
            assert_eq!(response.headers()["retry-after"], seconds, "{wait} ms");
        }
    }

    #[test]
    fn a_mistake_in_the_setup_is_no_refusal() {
        let refusal = Refusal::Misconfigured("the variable rate_limit is \"x\"".to_owned());
        let response = refusal.response();
        assert_eq!(response.status(), 500);
        assert!(!response.headers().contains_key("retry-after"));
        let body: Value = serde_json::from_str(&refusal.body()).unwrap();
        assert_eq!(body["data"]["code"], "configuration");
        assert_eq!(body["message"], "the variable rate_limit is \"x\"");
    }
}
