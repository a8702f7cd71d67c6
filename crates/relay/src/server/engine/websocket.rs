//! WebSocket: opens a session or takes one over from polling.

mod probe;
mod reading;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;

use super::opening::{admit, open_packet};
use super::refusal::Refusal;
use crate::connection::{Connection, Opening, Sent};
use crate::core::origin::Body;
use crate::server::forwarded::Peer;
use crate::server::respond::respond;
use crate::session::close_over_limit;
use crate::shared::Shared;
use crate::wire::outbox::Outbox;
use crate::wire::ws::{self, Reader};
use reading::{raw, run};

/// Whether a request wants to become a WebSocket.
pub fn is_upgrade(request: &Request<Incoming>) -> bool {
    let upgrade = request.headers().get(header::UPGRADE);
    upgrade.is_some_and(|it| it.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Answers a verified upgrade request. What follows happens in a task of its own.
pub async fn handle(
    shared: Arc<Shared>,
    peer: Peer,
    mut request: Request<Incoming>,
    sid: &str,
) -> Response<Body> {
    let Some(response) = switching_protocols(&request) else {
        return Refusal::bad_request().upgrade_response();
    };
    if sid.is_empty() {
        let opening = match admit(&shared, peer, &request).await {
            Ok(opening) => opening,
            Err(refusal) => return refusal.upgrade_response(),
        };
        let upgraded = hyper::upgrade::on(&mut request);
        tokio::spawn(Box::pin(open(shared, opening, upgraded)));
    } else {
        let connection = shared.connections.find(sid);
        let Some(connection) = connection else {
            return Refusal::unknown_session().upgrade_response();
        };
        let upgraded = hyper::upgrade::on(&mut request);
        tokio::spawn(Box::pin(probe::run(shared, connection, upgraded)));
    }
    response
}

/// The answer to a legal WebSocket handshake.
fn switching_protocols(request: &Request<Incoming>) -> Option<Response<Body>> {
    let headers = request.headers();
    let key = headers.get(header::SEC_WEBSOCKET_KEY)?.as_bytes();
    let legal = key.len() == 24 && headers.get(header::SEC_WEBSOCKET_VERSION)? == "13";
    let accept = HeaderValue::from_str(&ws::accept_key(key))
        .ok()
        .filter(|_| legal)?;
    let mut response = respond(StatusCode::SWITCHING_PROTOCOLS, "", Bytes::new());
    let headers = response.headers_mut();
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    Some(response)
}

/// Opens a session on a new WebSocket.
async fn open(shared: Arc<Shared>, opening: Opening, upgraded: OnUpgrade) {
    let Some((stream, received)) = raw(upgraded).await else {
        return;
    };
    let (read, write) = stream.into_split();
    let connection = shared
        .connections
        .open(|key, stamp| Connection::websocket(opening, key, stamp, write));
    shared.metrics.connections.up();
    let mut outbox = Outbox::default();
    let packet = open_packet(&shared, &connection.id, &[]);
    outbox.write(|out| ws::write_text(out, &[&packet]));
    if connection.send(&mut outbox) == Sent::Overflow {
        close_over_limit(&shared, &connection);
    }
    connection.start_timers(&shared);
    tokio::spawn(run(shared, connection, read, Reader::new(&received)));
}
