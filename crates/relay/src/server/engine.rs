//! Engine.IO over HTTP: every request under its path ends here. Checks requests as the reference's
//! `verify` does, opens sessions, and hands requests of open ones to their transport.

mod cors;
mod opening;
mod packet;
mod polling;
mod refusal;
mod websocket;

use std::sync::Arc;

use http::{HeaderMap, Method, Request, Response};
use hyper::body::Incoming;
use parlour_protocol::engine::REVISION;
use percent_encoding::percent_decode_str;

use crate::connection::How;
use crate::core::origin::Body;
use crate::core::reason;
use crate::server::forwarded::Peer;
use crate::session::close;
use crate::shared::Shared;
use refusal::Refusal;

pub use refusal::{full, turn_away};

/// The query parameters that Engine.IO reads. Of repeated ones, the last counts, as in the reference.
#[derive(Debug, Default, PartialEq, Eq)]
struct Query {
    revision: String,
    transport: String,
    sid: String,
    /// The client takes no binary frames, but base64.
    base64: bool,
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
                "b64" => {
                    parsed.base64 = !value.is_empty();
                    continue;
                }
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
        Ok(()) if upgrade => websocket::handle(shared, peer, request, &query).await,
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
