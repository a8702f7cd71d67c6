//! WebSocket: opens a session or takes one over from polling.

mod accept;
mod probe;
mod reading;

use std::sync::Arc;

use http::{Request, Response, header};
use hyper::body::Incoming;
use tokio::sync::oneshot;

use super::Query;
use super::opening::{admit, open_packet};
use super::refusal::Refusal;
use crate::connection::{Connection, Opening, Sent};
use crate::core::origin::Body;
use crate::server::forwarded::Peer;
use crate::server::takeover::{Raw, Takeover};
use crate::session::close_over_limit;
use crate::shared::Shared;
use crate::wire::outbox::Outbox;
use crate::wire::ws::{self, Reader};
use accept::switching_protocols;
use reading::run;

/// Whether a request wants to become a WebSocket.
pub fn is_upgrade(request: &Request<Incoming>) -> bool {
    let upgrade = request.headers().get(header::UPGRADE);
    upgrade.is_some_and(|it| it.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Answers a verified upgrade request. What follows happens in a task of its own.
pub async fn handle(
    shared: Arc<Shared>,
    peer: Peer,
    request: Request<Incoming>,
    query: &Query,
) -> Response<Body> {
    let response = match switching_protocols(request.headers()) {
        Ok(response) => response,
        Err(problem) => return Refusal::new(3, problem).upgrade_response(),
    };
    let Some(takeover) = request.extensions().get::<Takeover>() else {
        return Refusal::bad_request().upgrade_response();
    };
    let base64 = query.base64;
    if query.sid.is_empty() {
        let opening = match admit(&shared, peer, &request).await {
            Ok(opening) => opening,
            Err(refusal) => return refusal.upgrade_response(),
        };
        let raw = takeover.begin();
        tokio::spawn(Box::pin(open(shared, opening, raw, base64)));
    } else {
        let connection = shared.connections.find(&query.sid);
        let Some(connection) = connection else {
            return Refusal::unknown_session().upgrade_response();
        };
        let raw = takeover.begin();
        tokio::spawn(Box::pin(probe::run(shared, connection, raw, base64)));
    }
    response
}

/// Opens a session on a new WebSocket.
async fn open(shared: Arc<Shared>, opening: Opening, raw: oneshot::Receiver<Raw>, base64: bool) {
    let Ok((stream, received)) = raw.await else {
        return;
    };
    let (read, write) = stream.into_split();
    let connection = shared
        .connections
        .open(|key, stamp| Connection::websocket(opening, key, stamp, write, base64));
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
