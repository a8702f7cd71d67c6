//! What is answered when a batch cannot be taken: a status of the relay protocol and
//! `{"error": {"code", "message"}}`.

use std::fmt::Display;

use bytes::Bytes;
use serde_json::json;
use spin_sdk::http::{FullBody, IntoResponse as _, Response, StatusCode};
use spin_sdk::wasip3::http::types::{self, ErrorCode};
use thiserror::Error;

/// Why a batch cannot be taken, as far as that does not depend on the component.
#[derive(Debug, Error)]
pub enum Failure {
    #[error("a batch is sent with POST")]
    Method,
    #[error(
        "the header authorization must be `Bearer ` and the relay secret: give the relay and the app the same \
         variable relay_secret"
    )]
    Secret,
    #[error("the header {name} {problem}")]
    Header { name: &'static str, problem: String },
    #[error("a batch of {whose} is sent to {path}")]
    Elsewhere { whose: String, path: &'static str },
    #[error("the batch's body is not what the relay protocol says: {0}")]
    Batch(serde_json::Error),
    #[error("the batch's body could not be read: {0}")]
    Body(ErrorCode),
    #[error("the answer could not be sent: {0}")]
    Answer(ErrorCode),
    #[error("the variable {name} {problem}")]
    Variable { name: &'static str, problem: String },
    #[error("the answer could not be written: {0}")]
    Encode(serde_json::Error),
}

impl Failure {
    /// What the relay does with each status is in docs/relay-protocol.md.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Secret => StatusCode::UNAUTHORIZED,
            Self::Header { .. } | Self::Elsewhere { .. } | Self::Batch(_) | Self::Body(_) => {
                StatusCode::BAD_REQUEST
            }
            Self::Answer(_) | Self::Variable { .. } | Self::Encode(_) => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        }
    }

    /// The same for programs that read the body.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::Secret => "secret",
            Self::Header { .. } => "header",
            Self::Elsewhere { .. } => "lane",
            Self::Batch(_) | Self::Body(_) => "batch",
            Self::Variable { .. } => "configuration",
            Self::Answer(_) | Self::Encode(_) => "internal",
        }
    }

    /// What `component` answers then.
    pub fn respond(&self, component: &str) -> Result<types::Response, ErrorCode> {
        respond(component, self.status(), self.code(), self)
    }
}

/// Answers why a component cannot take a batch. The log is told of it as well, if that is nothing that the relay did.
pub fn respond(
    component: &str,
    status: StatusCode,
    code: &str,
    message: &impl Display,
) -> Result<types::Response, ErrorCode> {
    if status.is_server_error() {
        eprintln!("{component}: {message}");
    }
    let mut response = Response::builder()
        .status(status)
        .header("content-type", "application/json");
    if status == StatusCode::METHOD_NOT_ALLOWED {
        response = response.header("allow", "POST");
    }
    response
        .body(FullBody::new(Bytes::from(body(code, message))))
        .map_err(|error| ErrorCode::InternalError(Some(error.to_string())))?
        .into_response()
}

fn body(code: &str, message: &impl Display) -> String {
    json!({ "error": { "code": code, "message": message.to_string() } }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_in_json_which_header_is_wrong() {
        let failure = Failure::Header {
            name: "parlour-epoch",
            problem: "is missing".to_owned(),
        };
        assert_eq!(failure.status(), StatusCode::BAD_REQUEST);
        let body: serde_json::Value =
            serde_json::from_str(&body(failure.code(), &failure)).unwrap();
        assert_eq!(body["error"]["code"], "header");
        assert_eq!(
            body["error"]["message"],
            "the header parlour-epoch is missing"
        );
    }
}
