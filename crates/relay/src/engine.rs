//! Engine.IO over HTTP: every request under its path ends here. Checks requests as the reference's
//! `verify` does, opens sessions, and hands requests of open ones to their transport.

mod cors;
mod polling;
mod websocket;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use parlour_protocol::engine::{Open, REVISION};
use parlour_protocol::relay::Handshake;
use percent_encoding::percent_decode_str;
use tokio::net::TcpStream;

use crate::addresses::TooMany;
use crate::connection::{How, Opening, close};
use crate::lane::Verdict;
use crate::ledger::Hold;
use crate::origin::Body;
use crate::reason;
use crate::server::Peer;
use crate::shared::{Shared, unix_millis};
use crate::sid::Sid;

/// Engine.IO's errors: code, message. Their HTTP status is 400, for `FORBIDDEN` 403.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    code: u8,
    message: String,
    /// It is over a limit of the relay, which Engine.IO has no code for: this is the status of the answer.
    limit: Option<StatusCode>,
}

impl Refusal {
    const FORBIDDEN: u8 = 4;

    fn unknown_transport() -> Refusal {
        Refusal::new(0, "Transport unknown")
    }

    fn unknown_session() -> Refusal {
        Refusal::new(1, "Session ID unknown")
    }

    fn bad_handshake_method() -> Refusal {
        Refusal::new(2, "Bad handshake method")
    }

    fn bad_request() -> Refusal {
        Refusal::new(3, "Bad request")
    }

    fn unsupported_version() -> Refusal {
        Refusal::new(5, "Unsupported protocol version")
    }

    fn new(code: u8, message: impl Into<String>) -> Refusal {
        Refusal {
            code,
            message: message.into(),
            limit: None,
        }
    }

    fn too_many(why: TooMany) -> Refusal {
        let (status, message) = match why {
            TooMany::InAll => (StatusCode::SERVICE_UNAVAILABLE, "Too many connections"),
            TooMany::FromAddress => {
                let message = "Too many connections from this address";
                (StatusCode::TOO_MANY_REQUESTS, message)
            }
            TooMany::TooOften => {
                let message = "Too many new connections from this address";
                (StatusCode::TOO_MANY_REQUESTS, message)
            }
        };
        Refusal {
            limit: Some(status),
            ..Refusal::new(3, message)
        }
    }

    /// The handshake is kept as long as the connection, and goes with every CONNECT.
    fn too_large() -> Refusal {
        Refusal {
            limit: Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
            ..Refusal::new(3, "The request's headers are too large")
        }
    }

    /// The relay keeps as much for its clients as it may.
    fn full() -> Refusal {
        Refusal {
            limit: Some(StatusCode::SERVICE_UNAVAILABLE),
            ..Refusal::new(3, "The server is full")
        }
    }

    fn response(&self) -> Response<Body> {
        if let Some(status) = self.limit {
            return over_limit(status, &self.message);
        }
        let status = if self.code == Refusal::FORBIDDEN {
            StatusCode::FORBIDDEN
        } else {
            StatusCode::BAD_REQUEST
        };
        let body = serde_json::json!({ "code": self.code, "message": self.message }).to_string();
        respond(status, "application/json", body)
    }

    /// Instead of a WebSocket the reference answers with the bare message, always 400.
    fn upgrade_response(self) -> Response<Body> {
        if let Some(status) = self.limit {
            return over_limit(status, &self.message);
        }
        let mut response = respond(StatusCode::BAD_REQUEST, "text/html", self.message);
        response
            .headers_mut()
            .insert(header::CONNECTION, HeaderValue::from_static("close"));
        response
    }
}

/// Seconds. Clients that are refused at one time add some of their own, as socket.io-client does.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("5");

/// The query parameters that Engine.IO reads. Of repeated ones, the last counts, as in the reference.
#[derive(Debug, Default, PartialEq, Eq)]
struct Query {
    revision: String,
    transport: String,
    sid: String,
}

impl Query {
    fn parse(query: &str) -> Query {
        let mut parsed = Query::default();
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let target = match name {
                "EIO" => &mut parsed.revision,
                "transport" => &mut parsed.transport,
                "sid" => &mut parsed.sid,
                _ => continue,
            };
            *target = percent_decode_str(&value.replace('+', " "))
                .decode_utf8_lossy()
                .into_owned();
        }
        parsed
    }
}

/// Answers a request under Engine.IO's path.
pub async fn handle(shared: Arc<Shared>, peer: Peer, request: Request<Incoming>) -> Response<Body> {
    let cors = shared.config.cors.as_ref();
    let mut cors_headers = HeaderMap::new();
    if let Some(cors) = cors {
        if request.method() == Method::OPTIONS {
            return cors::preflight(cors, request.headers());
        }
        cors_headers = cors::headers(cors, request.headers());
    }
    let mut response = route(shared, peer, request).await;
    response.headers_mut().extend(cors_headers);
    response
}

async fn route(shared: Arc<Shared>, peer: Peer, request: Request<Incoming>) -> Response<Body> {
    let query = Query::parse(request.uri().query().unwrap_or_default());
    // Without that transport the reference does not look at upgrades: the request is one like any other.
    let upgrade = shared.config.transports.websocket && websocket::is_upgrade(&request);
    match verify(&shared, &request, &query, upgrade) {
        Err(refusal) if upgrade => refusal.upgrade_response(),
        Err(refusal) => refusal.response(),
        Ok(()) if upgrade => websocket::handle(shared, peer, request, &query.sid).await,
        Ok(()) => polling::handle(shared, peer, request, &query.sid).await,
    }
}

/// The reference's `verify`, and the check of the revision that follows it.
fn verify(
    shared: &Arc<Shared>,
    request: &Request<Incoming>,
    query: &Query,
    upgrade: bool,
) -> Result<(), Refusal> {
    if !shared.config.transports.allow(&query.transport) {
        return Err(Refusal::unknown_transport());
    }
    if !query.sid.is_empty() {
        let session = shared
            .connections
            .find(&query.sid)
            .ok_or_else(Refusal::unknown_session)?;
        if session.is_overdue(shared) {
            close(shared, &session, reason::PING_TIMEOUT, How::Abort);
            return Err(Refusal::unknown_session());
        }
        let transport = if session.is_websocket() {
            "websocket"
        } else {
            "polling"
        };
        return if upgrade && query.transport == "websocket"
            || !upgrade && query.transport == transport
        {
            Ok(())
        } else {
            Err(Refusal::bad_request())
        };
    }
    if request.method() != Method::GET {
        return Err(Refusal::bad_handshake_method());
    }
    if upgrade != (query.transport == "websocket") {
        return Err(Refusal::bad_request());
    }
    if query.revision != REVISION {
        return Err(Refusal::unsupported_version());
    }
    Ok(())
}

/// Asks the app whether the client may open a connection.
async fn admit(
    shared: &Shared,
    peer: Peer,
    request: &Request<Incoming>,
) -> Result<Opening, Refusal> {
    if shared.ledger.is_nearly_full() {
        shared.metrics.refused.add(1);
        return Err(Refusal::full());
    }
    let place = shared.addresses.open(peer.address).map_err(|why| {
        shared.metrics.refused.add(1);
        tracing::debug!(address = %peer.address, ?why, "refusing a connection");
        Refusal::too_many(why)
    })?;
    let id = Sid::random();
    let handshake: Box<str> = describe(peer, request).into();
    if handshake.len() > shared.config.limits.header_bytes {
        shared.metrics.refused.add(1);
        return Err(Refusal::too_large());
    }
    let account = shared.ledger.account();
    let _waiting = account.charge(Hold::Kept, handshake.len());
    shared.handshakes.wait_for_room(None).await;
    let event = account.charge(Hold::Passing, handshake.len());
    let verdict = shared.handshakes.open(id, &handshake, event);
    match verdict.await {
        Ok(Verdict::Admitted) => Ok(Opening {
            id,
            handshake,
            account,
            place,
        }),
        Ok(Verdict::Rejected { code, message }) => Err(Refusal::new(code, message)),
        Err(_) => Err(Refusal::bad_request()),
    }
}

fn describe(peer: Peer, request: &Request<Incoming>) -> String {
    let headers = request.headers().iter();
    let handshake = Handshake {
        url: request
            .uri()
            .path_and_query()
            .map_or("/", |it| it.as_str())
            .into(),
        headers: headers
            .filter_map(|(name, value)| {
                Some((
                    name.as_str().into(),
                    std::str::from_utf8(value.as_bytes()).ok()?.into(),
                ))
            })
            .collect(),
        address: peer.address.to_string().into(),
        secure: peer.is_secure,
        time: unix_millis(),
    };
    serde_json::to_string(&handshake).expect("a handshake is JSON")
}

/// The session's first packet.
fn open_packet(shared: &Shared, sid: &Sid, upgrades: &[&str]) -> String {
    Open {
        sid: sid.as_str(),
        upgrades,
        ping_interval: shared.config.ping_interval.as_millis() as u64,
        ping_timeout: shared.config.ping_timeout.as_millis() as u64,
        max_payload: shared.config.max_payload,
    }
    .packet()
}

/// The answer to a request that the relay has no room for.
pub fn full(shared: &Shared) -> Response<Body> {
    shared.metrics.refused.add(1);
    Refusal::full().response()
}

/// Ends a TCP connection that is one too many, with an answer to whatever it was to ask.
pub async fn turn_away(shared: &Shared, stream: TcpStream, why: TooMany) {
    shared.metrics.refused.add(1);
    let Refusal { limit, message, .. } = Refusal::too_many(why);
    let status = limit.unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    let answer = format!(
        "HTTP/1.1 {status}\r\nretry-after: 5\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{message}.\n",
        message.len() + 2
    );
    let _ = stream.try_write(answer.as_bytes());
}

/// Turns a request away. Its TCP connection is closed: it costs as much as a client's.
fn over_limit(status: StatusCode, message: &str) -> Response<Body> {
    let mut response = respond(status, "text/plain; charset=utf-8", format!("{message}.\n"));
    let headers = response.headers_mut();
    if status != StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE {
        headers.insert(header::RETRY_AFTER, RETRY_AFTER);
    }
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

pub fn respond(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Response<Body> {
    let body = Full::new(body.into())
        .map_err(|never| match never {})
        .boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    if !content_type.is_empty() {
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    response
}

#[cfg(fuzzing)]
pub mod fuzzing {
    /// `EIO`, `transport` and `sid`.
    pub fn query(text: &str) -> [String; 3] {
        let query = super::Query::parse(text);
        [query.revision, query.transport, query.sid]
    }
}

#[cfg(test)]
mod tests;
