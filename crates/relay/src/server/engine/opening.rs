//! The beginning of a session: the app is asked whether the client may have one.

use http::Request;
use hyper::body::Incoming;
use parlour_protocol::engine::Open;
use parlour_protocol::latin1;
use parlour_protocol::relay::Handshake;

use super::refusal::Refusal;
use crate::connection::{Opening, wait_for_room};
use crate::core::ledger::Hold;
use crate::core::sid::Sid;
use crate::core::unix_millis;
use crate::namespace::Decision;
use crate::server::forwarded::Peer;
use crate::shared::Shared;

/// Asks the app whether the client may open a connection.
pub async fn admit(
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
    if size(request) > shared.config.limits.header_bytes {
        shared.metrics.refused.add(1);
        return Err(Refusal::too_large());
    }
    let handshake: Box<str> = describe(peer, request).into();
    let account = shared.ledger.account();
    let _waiting = account.charge(Hold::Kept, handshake.len());
    wait_for_room(&*shared.handshakes, None).await;
    let event = account.charge(Hold::Passing, handshake.len());
    let decision = shared.handshakes.open(id, &handshake, event);
    match decision.await {
        Ok(Decision::Admitted) => Ok(Opening {
            id,
            handshake,
            account,
            place,
        }),
        Ok(Decision::Rejected { code, message }) => Err(Refusal::new(code, message)),
        Err(_) => Err(Refusal::bad_request()),
    }
}

/// Bytes of the request's line and headers, about.
fn size(request: &Request<Incoming>) -> usize {
    const LINE: usize = "GET  HTTP/1.1\r\n".len();
    const BETWEEN: usize = ": \r\n".len();
    let url = request.uri().path_and_query();
    let headers = request.headers().iter();
    let headers = headers.map(|(name, value)| name.as_str().len() + value.len() + BETWEEN);
    LINE + url.map_or(0, |it| it.as_str().len()) + headers.sum::<usize>()
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
            .map(|(name, value)| (name.as_str().into(), latin1::decode(value.as_bytes())))
            .collect(),
        address: peer.address.to_string().into(),
        secure: peer.is_secure,
        time: unix_millis(),
    };
    serde_json::to_string(&handshake).expect("a handshake is JSON")
}

/// The session's first packet.
pub fn open_packet(shared: &Shared, sid: &Sid, upgrades: &[&str]) -> String {
    Open {
        sid: sid.as_str(),
        upgrades,
        ping_interval: shared.config.ping_interval.as_millis() as u64,
        ping_timeout: shared.config.ping_timeout.as_millis() as u64,
        max_payload: shared.config.max_payload,
    }
    .packet()
}
