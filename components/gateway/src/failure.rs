//! What the gateway itself answers when a batch cannot be handled: a status of the relay protocol
//! and `{"error": {"code", "message"}}`.

use bytes::Bytes;
use serde_json::json;
use spin_sdk::http::{FullBody, IntoResponse, Response, StatusCode};
use spin_sdk::wasip3::http::types::{self, ErrorCode};
use thiserror::Error;

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
    #[error("the batch's body is not what the relay protocol says: {0}")]
    Batch(serde_json::Error),
    #[error("the batch's body could not be read: {0}")]
    Body(ErrorCode),
    #[error("the answer could not be sent: {0}")]
    Answer(ErrorCode),
    #[error("the gateway's variable {name} {problem}")]
    Variable { name: &'static str, problem: String },
    #[error("{component} did not answer {path}: {problem}")]
    Component {
        component: String,
        path: &'static str,
        problem: String,
    },
    #[error(
        "the middleware before {component} refused a batch ({status}: {said:?}): no client's headers come with \
         a batch, so middleware that judges every request belongs before a door, see docs/middleware.md"
    )]
    Refused {
        component: String,
        status: StatusCode,
        said: String,
    },
    #[error("{component} is not there to answer {path}: {status}")]
    Away {
        component: String,
        path: &'static str,
        status: StatusCode,
    },
    #[error("{component} cannot do its work: {problem}")]
    Unready { component: String, problem: String },
    #[error("the answer could not be written: {0}")]
    Encode(serde_json::Error),
}

impl Failure {
    /// What the relay does with each status is in docs/relay-protocol.md: after a 500 it sends halves of the
    /// batch, so that one poisonous event does not hold up the others; after a 503 it waits.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Secret => StatusCode::UNAUTHORIZED,
            Self::Header { .. } | Self::Batch(_) | Self::Body(_) => StatusCode::BAD_REQUEST,
            Self::Answer(_)
            | Self::Variable { .. }
            | Self::Component { .. }
            | Self::Refused { .. }
            | Self::Encode(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Away { .. } | Self::Unready { .. } => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::Secret => "secret",
            Self::Header { .. } => "header",
            Self::Batch(_) | Self::Body(_) => "batch",
            Self::Variable { .. } => "configuration",
            Self::Component { .. } | Self::Refused { .. } => "component",
            Self::Away { .. } | Self::Unready { .. } => "unavailable",
            Self::Answer(_) | Self::Encode(_) => "internal",
        }
    }

    pub fn body(&self) -> String {
        json!({ "error": { "code": self.code(), "message": self.to_string() } }).to_string()
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Result<types::Response, ErrorCode> {
        let status = self.status();
        if status.is_server_error() {
            eprintln!("gateway: {self}");
        }
        let mut response = Response::builder()
            .status(status)
            .header("content-type", "application/json");
        if status == StatusCode::METHOD_NOT_ALLOWED {
            response = response.header("allow", "POST");
        }
        response
            .body(FullBody::new(Bytes::from(self.body())))
            .map_err(|error| ErrorCode::InternalError(Some(error.to_string())))?
            .into_response()
    }
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
        let body: serde_json::Value = serde_json::from_str(&failure.body()).unwrap();
        assert_eq!(body["error"]["code"], "header");
        assert_eq!(
            body["error"]["message"],
            "the header parlour-epoch is missing"
        );
    }
}
