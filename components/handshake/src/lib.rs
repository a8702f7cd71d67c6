//! May this client connect at all? Answers the relay's handshakes, each before the client has a WebSocket or a session.
//! It knows the origins that are allowed and nothing of namespaces.

mod origins;

use parlour_envelope::{self as envelope, Envelope, Failure, Lane};
use spin_sdk::http::{Request, Result};
use spin_sdk::http_service;
use spin_sdk::wasip3::http::types;

#[http_service]
async fn handle(request: Request) -> Result<types::Response> {
    match answer(request).await {
        Ok(response) => Ok(response),
        Err(failure) => Ok(failure.respond("handshake")?),
    }
}

async fn answer(request: Request) -> Result<types::Response, Failure> {
    let Envelope { lane, .. } = Envelope::open(&request).await?;
    if let Lane::Namespace(_) = lane {
        return Err(lane.elsewhere());
    }
    let allowed = envelope::variable("allowed_origins").await?;
    let body = envelope::body(request).await?;
    match lane {
        Lane::Handshake => envelope::json(origins::answer(&body, &allowed)?),
        // It has come this far, so it can do its work.
        _ => envelope::ready(),
    }
}
