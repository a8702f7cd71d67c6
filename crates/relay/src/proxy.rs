//! Hands every request that is not Engine.IO's to the app, and its answer back, both streaming.

use std::net::IpAddr;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use parlour_protocol::relay;
use percent_encoding::percent_decode_str;

use crate::engine::respond;
use crate::origin::Body;
use crate::shared::Shared;

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

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Headers that Spin and the relay protocol set themselves: a client's are dropped.
const RESERVED_PREFIXES: [&str; 2] = ["spin-", "parlour-"];

/// Whether a path is the relays' own, however it is written. Clients get 404 for it.
pub fn is_private(path: &str) -> bool {
    let decoded = percent_decode_str(path).decode_utf8_lossy();
    let mut segments = decoded
        .split(['/', '\\'])
        .filter(|segment| !segment.is_empty() && *segment != ".");
    segments.next() == relay::PATH.strip_prefix('/') && segments.next().is_none()
}

pub async fn handle(shared: &Shared, peer: IpAddr, request: Request<Incoming>) -> Response<Body> {
    let (mut head, body) = request.into_parts();
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
    add_forwarded(&mut head.headers, peer);
    // What follows the first connection is no version's business; the path is all the app needs.
    head.version = http::Version::HTTP_11;
    let path = head.uri.path_and_query().map_or("/", |it| it.as_str());
    head.uri = path.parse().unwrap_or_default();
    head.extensions = http::Extensions::new();
    let body = body.map_err(std::io::Error::other).boxed_unsync();
    match shared.origin.call(Request::from_parts(head, body)).await {
        Ok(mut response) => {
            drop_hop_by_hop(response.headers_mut());
            response
        }
        Err(error) => {
            tracing::warn!(%error, "cannot hand a request to the app");
            respond(
                StatusCode::BAD_GATEWAY,
                "text/plain; charset=utf-8",
                "The app does not answer.\n",
            )
        }
    }
}

fn drop_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

fn add_forwarded(headers: &mut HeaderMap, peer: IpAddr) {
    let before = headers
        .get(FORWARDED_FOR)
        .and_then(|value| value.to_str().ok());
    let chain = before.map_or_else(|| peer.to_string(), |before| format!("{before}, {peer}"));
    if let Ok(chain) = HeaderValue::from_str(&chain) {
        headers.insert(FORWARDED_FOR, chain);
    }
    headers
        .entry(FORWARDED_PROTO)
        .or_insert(HeaderValue::from_static("http"));
    if let Some(host) = headers.get(header::HOST).cloned() {
        headers.entry(FORWARDED_HOST).or_insert(host);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_relays_path_is_private_however_it_is_written() {
        for path in ["/relay", "/relay/", "//relay", "/%72elay", "/./relay"] {
            assert!(is_private(path), "{path}");
        }
        for path in ["/", "/relays", "/relay/x", "/x/relay", "/Relay"] {
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
        drop_hop_by_hop(&mut headers);
        assert_eq!(
            headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(),
            ["accept"]
        );
    }

    #[test]
    fn a_forwarded_request_says_whose_it_is() {
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_static("chat.example"));
        headers.insert(FORWARDED_FOR, HeaderValue::from_static("10.0.0.1"));
        add_forwarded(&mut headers, IpAddr::from([127, 0, 0, 1]));
        assert_eq!(headers[FORWARDED_FOR], "10.0.0.1, 127.0.0.1");
        assert_eq!(headers[FORWARDED_PROTO], "http");
        assert_eq!(headers[FORWARDED_HOST], "chat.example");
    }
}
