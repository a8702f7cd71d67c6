//! Hands every request that is not Engine.IO's to the app, and its answer back, both streaming, so many
//! at once and no longer than something moves.

mod body;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use ipnet::IpNet;
use parlour_listener::{Fault, RequestBody, Transfer};
use parlour_protocol::relay;
use percent_encoding::percent_decode_str;

use crate::core::config::{EXCHANGE_WAIT, STARTING};
use crate::core::origin::{Body, OriginError};
use crate::server::forwarded::{self, Peer};
use crate::server::respond::respond;
use crate::shared::Shared;
use body::{AnswerBody, Counted};

/// Headers that are between two neighbours only (RFC 9110, section 7.6.1).
const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
];

/// Headers that Spin and the relay protocol set themselves: a client's are dropped.
const RESERVED_PREFIXES: [&str; 2] = ["spin-", "parlour-"];

/// Whether a path is one of the relays' own, however it is written. Clients get 404 for it.
pub fn is_private(path: &str) -> bool {
    let decoded = percent_decode_str(path).decode_utf8_lossy();
    let segments = decoded
        .split(['/', '\\'])
        .filter(|segment| !segment.is_empty() && *segment != ".");
    [relay::PATH, relay::HANDSHAKE_PATH]
        .iter()
        .any(|own| segments.clone().eq(own.split('/').skip(1)))
}

pub async fn handle(shared: &Shared, peer: Peer, request: Request<Incoming>) -> Response<Body> {
    let turn = shared.exchanges.clone().acquire_owned();
    let Ok(Ok(permit)) = tokio::time::timeout(EXCHANGE_WAIT, turn).await else {
        return busy();
    };
    let place = shared.starting.acquire().await;
    let (head, body) = request.into_parts();
    let transfer = Arc::new(Transfer::begin());
    let patience = shared.config.stall_timeout;
    let account = shared.ledger.account();
    let body = RequestBody::new(body, patience, transfer.clone());
    let body = Counted::new(body, account.clone()).boxed_unsync();
    let trusted = &shared.config.limits.trusted_proxies;
    let request = Request::from_parts(for_the_app(head, peer, trusted), body);
    let answer = answer_in_time(shared.origin.call(request), &transfer, patience);
    let answer = with_place_at_first(answer, place).await;
    if let Some(fault) = transfer.fault() {
        return plain(fault.status(), fault.text());
    }
    match answer {
        Some(Ok(mut response)) => {
            drop_hop_by_hop(response.headers_mut());
            response.map(|body| {
                let body = Counted::new(body, account);
                AnswerBody::new(body, patience, permit).boxed_unsync()
            })
        }
        Some(Err(error)) => {
            tracing::warn!(%error, "cannot hand a request to the app");
            plain(StatusCode::BAD_GATEWAY, "The app does not answer.\n")
        }
        None if transfer.is_awaited() => plain(Fault::Late.status(), Fault::Late.text()),
        None => {
            tracing::warn!("the app let a client's request wait for {patience:?}");
            plain(StatusCode::GATEWAY_TIMEOUT, "The app does not answer.\n")
        }
    }
}

/// What comes of it, with a place that others can have once it is done or has taken a while.
async fn with_place_at_first<T, P>(work: impl Future<Output = T>, place: P) -> T {
    let mut work = pin!(work);
    if let Ok(done) = tokio::time::timeout(STARTING, work.as_mut()).await {
        return done;
    }
    drop(place);
    work.await
}

/// The app's answer; none if neither it nor the client does anything for too long.
async fn answer_in_time(
    answer: impl Future<Output = Result<Response<Body>, OriginError>>,
    transfer: &Transfer,
    patience: Duration,
) -> Option<Result<Response<Body>, OriginError>> {
    let mut answer = pin!(answer);
    loop {
        let due = transfer.last() + patience;
        match tokio::time::timeout_at(due, answer.as_mut()).await {
            Ok(answer) => return Some(answer),
            Err(_) if transfer.last() + patience > due => {}
            Err(_) => return None,
        }
    }
}

/// What the app is told of a request: all but what is between the client and the relay.
fn for_the_app(mut head: Parts, peer: Peer, trusted: &[IpNet]) -> Parts {
    drop_hop_by_hop(&mut head.headers);
    let reserved = |name: &HeaderName| {
        RESERVED_PREFIXES
            .iter()
            .any(|it| name.as_str().starts_with(it))
    };
    let names: Vec<HeaderName> = head
        .headers
        .keys()
        .filter(|name| reserved(name))
        .cloned()
        .collect();
    for name in names {
        head.headers.remove(name);
    }
    forwarded::tell(&mut head.headers, peer, trusted);
    // What follows the first connection is no version's business; the path is all the app needs.
    head.version = http::Version::HTTP_11;
    let path = head.uri.path_and_query().map_or("/", |it| it.as_str());
    head.uri = path.parse().unwrap_or_default();
    head.extensions = http::Extensions::new();
    head
}

fn plain(status: StatusCode, text: &'static str) -> Response<Body> {
    respond(status, "text/plain; charset=utf-8", text)
}

fn busy() -> Response<Body> {
    let mut response = plain(
        StatusCode::SERVICE_UNAVAILABLE,
        "Too many requests at once.\n",
    );
    let soon = HeaderValue::from_static("1");
    response.headers_mut().insert(header::RETRY_AFTER, soon);
    response
}

fn drop_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_relays_paths_are_private_however_they_are_written() {
        for path in [
            "/relay",
            "/relay/",
            "//relay",
            "/%72elay",
            "/./relay",
            "/relay/handshake",
            "/relay//handshake/",
            "/relay%2Fhandshake",
            "/relay/%68andshake",
        ] {
            assert!(is_private(path), "{path}");
        }
        for path in [
            "/",
            "/relays",
            "/relay/x",
            "/x/relay",
            "/Relay",
            "/handshake",
            "/relay/handshake/x",
        ] {
            assert!(!is_private(path), "{path}");
        }
    }

    #[test]
    fn headers_between_neighbours_are_dropped() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, x-mine"),
            ("x-mine", "1"),
            ("transfer-encoding", "chunked"),
            ("accept", "*/*"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let odd = HeaderValue::from_bytes(b"caf\xe9, x-other").unwrap();
        headers.append(header::CONNECTION, odd);
        headers.insert("x-other", HeaderValue::from_static("1"));
        drop_hop_by_hop(&mut headers);
        assert_eq!(
            headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(),
            ["accept"]
        );
    }
}
