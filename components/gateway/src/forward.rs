//! The calls to other components, and the bodies that go through. Thin: it decides nothing, because
//! nothing here runs outside Wasm.

use bytes::Bytes;
use spin_sdk::http::body::IncomingBodyExt as _;
use spin_sdk::http::{self, FullBody, HeaderMap, IntoResponse as _, Request, Response};
use spin_sdk::variables;
use spin_sdk::wasip3::http::client;
use spin_sdk::wasip3::http::types::{self, ErrorCode, Fields, Method, Scheme};
use spin_sdk::wasip3::wit_future;

use crate::failure::Failure;

/// The path of a namespace that takes batches.
const EVENTS: &str = "/events";

pub async fn variable(name: &'static str) -> Result<String, Failure> {
    variables::get(name)
        .await
        .map_err(|error| Failure::Variable {
            name,
            problem: format!("cannot be read: {error:?}"),
        })
}

pub async fn read(request: Request) -> Result<Bytes, Failure> {
    request.into_body().bytes().await.map_err(Failure::Body)
}

pub fn json(body: Vec<u8>) -> Result<types::Response, Failure> {
    let response = Response::builder()
        .header("content-type", "application/json")
        .header("content-length", body.len())
        .body(FullBody::new(Bytes::from(body)))
        .map_err(|error| ErrorCode::InternalError(Some(error.to_string())));
    response
        .and_then(|response| response.into_response())
        .map_err(Failure::Body)
}

/// Hands the batch on as it came, and returns the answer as it comes: the bodies do not pass
/// through this component's memory.
pub async fn unread(request: Request, component: &str) -> Result<types::Response, Failure> {
    let headers = batch_headers(request.headers());
    let incoming = request
        .into_body()
        .take_unstarted()
        .expect("nobody has read the body yet");
    // Kept until the answer is there: dropped, it would tell the sender that the body was consumed.
    let (consumed, consumed_reader) = wit_future::new(|| Ok(()));
    let (contents, trailers) = types::Request::consume_body(incoming, consumed_reader);
    let fields = fields(headers).map_err(|problem| failed(component, problem))?;
    let (outgoing, _sent) = types::Request::new(fields, Some(contents), trailers, None);
    address(&outgoing, component).map_err(|()| failed(component, "no such address"))?;
    let response = client::send(outgoing)
        .await
        .map_err(|error| failed(component, error))?;
    drop(consumed);
    Ok(response)
}

/// Hands on a batch that was changed on its way.
pub async fn changed(
    headers: &HeaderMap,
    component: &str,
    body: Vec<u8>,
) -> Result<types::Response, Failure> {
    let mut request = http::Request::post(url(component, EVENTS));
}
