//! HTTP long-polling: GET takes packets, POST brings them. One of each at a time, or the session ends.

use std::io::{self, ErrorKind};
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use parlour_listener::{Fault, RequestBody, Transfer};
use parlour_protocol::engine::{self, Packet};

use super::opening::{admit, open_packet};
use super::packet;
use super::refusal::Refusal;
use crate::client;
use crate::connection::{Answering, Connection, How, Packets, PollAnswer};
use crate::core::ledger::{Charge, Hold};
use crate::core::origin::Body;
use crate::core::reason;
use crate::server::forwarded::Peer;
use crate::server::respond::respond;
use crate::session::{PollGuard, close};
use crate::shared::Shared;
use crate::wire::flow::Flow;

/// A request without a session opens one.
pub async fn handle(
    shared: Arc<Shared>,
    peer: Peer,
    request: Request<Incoming>,
    sid: &str,
) -> Response<Body> {
    if sid.is_empty() {
        return open(shared, peer, request).await;
    }
    let Some(connection) = shared.connections.find(sid) else {
        return Refusal::unknown_session().response();
    };
    match *request.method() {
        Method::GET => poll(shared, connection).await,
        Method::POST => post(shared, connection, request).await,
        _ => respond(StatusCode::INTERNAL_SERVER_ERROR, "", ""),
    }
}

async fn open(shared: Arc<Shared>, peer: Peer, request: Request<Incoming>) -> Response<Body> {
    let opening = match admit(&shared, peer, &request).await {
        Ok(opening) => opening,
        Err(refusal) => return refusal.response(),
    };
    let connection = shared
        .connections
        .open(|key, stamp| Connection::polling(opening, key, stamp));
    shared.metrics.connections.up();
    connection.start_timers(&shared);
    let can_upgrade = shared.config.allow_upgrades && shared.config.transports.websocket;
    let upgrades: &[&str] = if can_upgrade { &["websocket"] } else { &[] };
    let packet = open_packet(&shared, &connection.id, upgrades);
    let packets = Packets::new(connection.account(), packet);
    payload(&connection, packets)
}

async fn poll(shared: Arc<Shared>, connection: Arc<Connection>) -> Response<Body> {
    match connection.poll() {
        PollAnswer::Now(packets) => payload(&connection, packets),
        PollAnswer::Last(packets) => {
            shared.connections.forget(&connection);
            payload(&connection, packets)
        }
        PollAnswer::Wait(packets) => {
            let guard = PollGuard::new(shared, connection.clone());
            let packets = packets.await;
            guard.answered();
            match packets {
                Ok(packets) => payload(&connection, packets),
                Err(_) => Refusal::unknown_session().response(),
            }
        }
        PollAnswer::Overlap => {
            close(&shared, &connection, reason::TRANSPORT_ERROR, How::Abort);
            respond(StatusCode::BAD_REQUEST, "", "")
        }
        PollAnswer::No => Refusal::unknown_session().response(),
    }
}

async fn post(
    shared: Arc<Shared>,
    connection: Arc<Connection>,
    request: Request<Incoming>,
) -> Response<Body> {
    let binary = request
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|it| it == "application/octet-stream");
    if binary || !connection.begin_post() {
        close(&shared, &connection, reason::TRANSPORT_ERROR, How::Abort);
        return respond(StatusCode::BAD_REQUEST, "", "");
    }
    let guard = PollGuard::new(shared.clone(), connection.clone());
    let mut received = connection.account().charge(Hold::Kept, 0);
    let max_payload = shared.config.max_payload;
    let transfer = Arc::new(Transfer::begin());
    let body = request.into_body();
    let body = RequestBody::new(body, shared.config.stall_timeout, transfer.clone());
    let body = tokio::select! {
        biased;
        body = collect(body, max_payload, &mut received, &connection) => body,
        () = has_ended(&shared, &connection) => Err(io::Error::from(ErrorKind::TimedOut).into()),
    };
    let response = match body {
        Ok(body) => take(&shared, &connection, &String::from_utf8_lossy(&body)).await,
        Err(error) if error.is::<LengthLimitError>() => {
            respond(StatusCode::PAYLOAD_TOO_LARGE, "", "")
        }
        Err(error) => {
            tracing::debug!(connection = connection.id.shown(), %error, "a request with packets broke off");
            close(&shared, &connection, reason::TRANSPORT_ERROR, How::Abort);
            let fault = transfer.fault().unwrap_or(Fault::Late);
            respond(fault.status(), "", "")
        }
    };
    guard.answered();
    connection.end_post();
    response
}

/// Returns when the session has ended, or a little later: nobody waits for its packets any more.
async fn has_ended(shared: &Shared, connection: &Connection) {
    while connection.lock().open {
        tokio::time::sleep(shared.config.ping_timeout).await;
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Reads a request's body, and counts it as it comes.
async fn collect(
    body: RequestBody,
    max_payload: usize,
    received: &mut Charge,
    connection: &Connection,
) -> Result<Vec<u8>, Failure> {
    let mut body = Limited::new(body, max_payload);
    let mut all = Vec::new();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            received.grow(data.len());
            connection.moved(data.len());
            all.extend_from_slice(&data);
        }
    }
    Ok(all)
}

/// Handles the packets of a payload, in order.
async fn take(shared: &Arc<Shared>, connection: &Arc<Connection>, payload: &str) -> Response<Body> {
    for packet in engine::decode_payload(payload) {
        if let Ok(Packet::Close) = packet {
            close(shared, connection, reason::TRANSPORT_CLOSE, How::Said);
            break;
        }
        let next = packet::handle(shared, connection, packet);
        match next {
            Flow::Continue => {}
            Flow::Pause(until) => client::pause(shared, connection, until).await,
            Flow::Stop => return respond(StatusCode::BAD_REQUEST, "", ""),
        }
    }
    no_store(respond(StatusCode::OK, "text/html", "ok"))
}

/// Packets on their way to their client.
struct Payload {
    packets: Packets,
    _answering: Answering,
}

impl AsRef<[u8]> for Payload {
    fn as_ref(&self) -> &[u8] {
        self.packets.as_ref()
    }
}

fn payload(connection: &Arc<Connection>, packets: Packets) -> Response<Body> {
    let payload = Payload {
        packets,
        _answering: connection.answering(),
    };
    no_store(respond(
        StatusCode::OK,
        "text/plain; charset=UTF-8",
        Bytes::from_owner(payload),
    ))
}

fn no_store(mut response: Response<Body>) -> Response<Body> {
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
