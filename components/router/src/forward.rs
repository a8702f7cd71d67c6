//! The calls to other components, and the bodies that go through. Thin: it decides nothing, because
//! nothing here runs outside Wasm.

use bytes::Bytes;
use parlour_envelope as envelope;
use parlour_protocol::relay::header;
use spin_sdk::http::body::IncomingBodyExt as _;
use spin_sdk::http::{
    self, FromResponse as _, FullBody, HeaderMap, HeaderValue, Request, Response, StatusCode,
};
use spin_sdk::wasip3::http::client;
use spin_sdk::wasip3::http::types::{self, Fields, Method, Scheme};
use spin_sdk::wasip3::wit_future;

use crate::failure::Failure;
use crate::reply;

/// The path of a namespace that takes batches.
const EVENTS: &str = "/events";

/// Where a component is reached from others of its application, whatever its routes are.
const HOST: &str = "spin.internal";

/// Hands the batch on as it came, and returns the answer as it comes: neither body passes through
/// this component's memory, unless the batch was refused.
pub async fn unread(request: Request, component: &str) -> Result<types::Response, Failure> {
    let fields = batch_headers(request.headers());
    let incoming = request
        .into_body()
        .take_unstarted()
        .expect("nobody has read the body yet");
    // Dropped only when the answer is there: that tells the sender that its body was consumed.
    let (consumed, on_consumed) = wit_future::new(|| Ok(()));
    let (contents, trailers) = types::Request::consume_body(incoming, on_consumed);
    let fields = Fields::try_from(fields).map_err(|error| failed(component, EVENTS, error))?;
    let (outgoing, _sent) = types::Request::new(fields, Some(contents), trailers, None);
    address(&outgoing, component).map_err(|()| failed(component, EVENTS, "it has no address"))?;
    let response = client::send(outgoing)
        .await
        .map_err(|error| failed(component, EVENTS, error))?;
    drop(consumed);
    for_the_relay(component, response).await
}

fn address(request: &types::Request, component: &str) -> Result<(), ()> {
    request.set_method(&Method::Post)?;
    request.set_scheme(Some(&Scheme::Http))?;
    request.set_authority(Some(&format!("{component}.{HOST}")))?;
    request.set_path_with_query(Some(EVENTS))
}

/// Hands on a batch whose `connect` events have been judged.
pub async fn judged(
    mut headers: HeaderMap,
    component: &str,
    body: Vec<u8>,
) -> Result<types::Response, Failure> {
    headers.insert("content-length", HeaderValue::from(body.len()));
    let response = post(component, EVENTS, headers, body).await?;
    let mut body = response.into_body();
    let response = body.take_unstarted().expect("nobody has read the body yet");
    for_the_relay(component, response).await
}

/// A component's answer to a batch, untouched where the relay understands it by its status alone.
async fn for_the_relay(
    component: &str,
    response: types::Response,
) -> Result<types::Response, Failure> {
    let problem = |error| failed(component, EVENTS, error);
    let status = StatusCode::from_u16(response.get_status_code())
        .map_err(|error| failed(component, EVENTS, error))?;
    if reply::is_plain(status) {
        return Ok(response);
    }
    let response = Response::from_response(response).map_err(problem)?;
    let body = response.into_body().bytes().await.map_err(problem)?;
    reply::check(component, status, &body)?;
    Ok(envelope::answer(status, body)?)
}

/// What a component has answered.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// `POST`s to a path of a component and reads the whole answer.
pub async fn ask(
    component: &str,
    path: &'static str,
    headers: HeaderMap,
    body: Vec<u8>,
) -> Result<Answer, Failure> {
    let response = post(component, path, headers, body).await?;
    let status = response.status();
    let headers = response.headers().clone();
    let body = response.into_body().bytes().await;
    Ok(Answer {
        status,
        headers,
        body: body.map_err(|error| failed(component, path, error))?,
    })
}

async fn post(
    component: &str,
    path: &'static str,
    headers: HeaderMap,
    body: Vec<u8>,
) -> Result<Response, Failure> {
    let mut request = http::Request::post(format!("http://{component}.{HOST}{path}"))
        .body(FullBody::new(Bytes::from(body)))
        .map_err(|error| failed(component, path, error))?;
    *request.headers_mut() = headers;
    http::send(request)
        .await
        .map_err(|error| failed(component, path, error))
}

/// The headers that go with a batch to its namespace: the relay's own, and its trace; never its secret.
pub fn batch_headers(headers: &HeaderMap) -> HeaderMap {
    headers
        .iter()
        .filter(|(name, _)| {
            let name = name.as_str();
            name.starts_with("parlour-")
                || matches!(
                    name,
                    "content-type" | "content-length" | header::TRACEPARENT
                )
        })
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

fn failed(component: &str, path: &'static str, problem: impl ToString) -> Failure {
    Failure::Component {
        component: component.to_owned(),
        path,
        problem: problem.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_stays_with_the_router() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("authorization", "Bearer hunter2"),
            ("parlour-lane", "/"),
            ("content-type", "application/json"),
            ("content-length", "2"),
            (
                "traceparent",
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            ),
            ("host", "localhost"),
        ] {
            headers.insert(name, value.parse().unwrap());
        }
        let kept = batch_headers(&headers);
        let mut names: Vec<_> = kept.keys().map(|name| name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "content-length",
                "content-type",
                "parlour-lane",
                "traceparent"
            ]
        );
    }
}
