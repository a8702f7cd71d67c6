//! What is around a batch, for the components that relays send batches to: `handshake` and `router`. Both admit only
//! who knows the secret, read the same headers, and word in the same way why they cannot take a batch.

mod failure;
mod headers;
mod secret;

use bytes::Bytes;
use parlour_protocol::relay::check::Report;
use spin_sdk::http::body::IncomingBodyExt as _;
use spin_sdk::http::{FullBody, IntoResponse as _, Method, Request, Response, StatusCode};
use spin_sdk::variables;
use spin_sdk::wasip3::http::types::{self, ErrorCode};

pub use failure::{Failure, respond};
pub use headers::{Envelope, Lane};

impl Envelope {
    /// Looks at everything of a request but its body: that it is a `POST`, that its sender knows the secret, and what
    /// its headers say of the batch.
    pub async fn open(request: &Request) -> Result<Self, Failure> {
        if request.method() != Method::POST {
            return Err(Failure::Method);
        }
        secret::check(request.headers(), &variable("relay_secret").await?)?;
        Self::read(request.headers())
    }
}

/// A variable of the component, which it must have.
pub async fn variable(name: &'static str) -> Result<String, Failure> {
    optional_variable(name)
        .await?
        .ok_or_else(|| Failure::Variable {
            name,
            problem: "is missing: add it to the component's variables in spin.toml".to_owned(),
        })
}

/// None where the component has no such variable.
pub async fn optional_variable(name: &'static str) -> Result<Option<String>, Failure> {
    match variables::get(name).await {
        Ok(value) => Ok(Some(value)),
        Err(variables::Error::Undefined(_)) => Ok(None),
        Err(error) => Err(unreadable(name, error)),
    }
}

fn unreadable(name: &'static str, error: variables::Error) -> Failure {
    Failure::Variable {
        name,
        problem: format!("cannot be read: {error}"),
    }
}

/// The batch itself.
pub async fn body(request: Request) -> Result<Bytes, Failure> {
    request.into_body().bytes().await.map_err(Failure::Body)
}

/// 200 with these bytes of JSON.
pub fn json(body: Vec<u8>) -> Result<types::Response, Failure> {
    answer(StatusCode::OK, Bytes::from(body))
}

/// The answer to a check.
pub fn report(report: &Report) -> Result<types::Response, Failure> {
    json(serde_json::to_vec(report).map_err(Failure::Encode)?)
}

/// The answer to a probe: 200 without commands.
pub fn ready() -> Result<types::Response, Failure> {
    json(br#"{"commands":[]}"#.to_vec())
}

/// An answer of JSON. With its length known, it leaves in one piece.
pub fn answer(status: StatusCode, body: Bytes) -> Result<types::Response, Failure> {
    Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .header("content-length", body.len())
        .body(FullBody::new(body))
        .map_err(|error| ErrorCode::InternalError(Some(error.to_string())))
        .and_then(|response| response.into_response())
        .map_err(Failure::Answer)
}
