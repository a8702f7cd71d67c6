//! What a client is told that may not enter: 401 and `{"message", "data": {"code"}}`, which becomes
//! its `connect_error`.

use bytes::Bytes;
use serde_json::json;
use spin_sdk::http::{FullBody, Response, StatusCode};
use thiserror::Error;

#[derive(Debug, PartialEq, Error)]
pub enum Refusal {
    #[error("Sign in to enter: no token was sent")]
    MissingToken,
    #[error("The token is not valid: {0}")]
    InvalidToken(&'static str),
    #[error("The token has expired: sign in again")]
    ExpiredToken,
    #[error("The token is not valid yet")]
    NotYetValid,
    /// Whoever publishes the keys cannot be reached. Not the client's fault, but nobody else's connects should
    /// wait for it.
    #[error("The token cannot be checked now: try again")]
    KeysUnavailable,
}

impl Refusal {
    pub fn code(&self) -> &'static str {
        match self {
            Self::MissingToken => "missing_token",
            Self::InvalidToken(_) => "invalid_token",
            Self::ExpiredToken => "expired_token",
            Self::NotYetValid => "not_yet_valid",
            Self::KeysUnavailable => "keys_unavailable",
        }
    }

    pub fn body(&self) -> String {
        json!({ "message": self.to_string(), "data": { "code": self.code() } }).to_string()
    }

    pub fn response(&self) -> Response<FullBody<Bytes>> {
        let mut response = answer(StatusCode::UNAUTHORIZED, self.body());
        let challenge = spin_sdk::http::HeaderValue::from_static("Bearer");
        response.headers_mut().insert("www-authenticate", challenge);
        response
    }
}

/// The application is not set up to judge anybody. Not the client's fault, so no refusal.
pub fn misconfigured(problem: &str) -> Response<FullBody<Bytes>> {
    eprintln!("auth: {problem}");
    let body = json!({ "message": problem, "data": { "code": "configuration" } });
    answer(StatusCode::INTERNAL_SERVER_ERROR, body.to_string())
}

fn answer(status: StatusCode, body: String) -> Response<FullBody<Bytes>> {
    let mut response = Response::new(FullBody::new(Bytes::from(body)));
    *response.status_mut() = status;
    let json = spin_sdk::http::HeaderValue::from_static("application/json");
    response.headers_mut().insert("content-type", json);
    response
}
