//! May this client connect at all? Answers the relay's handshakes, each before the client has a WebSocket or a session.
//! It knows the origins that are allowed and nothing of namespaces.

mod origins;

use parlour_envelope::{self as envelope, Envelope, Failure, Lane};
use parlour_protocol::relay::check::Report;
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
    let allowed = envelope::optional_variable("allowed_origins").await?;
    let allowed = allowed.as_deref().unwrap_or(origins::ANY);
    let body = envelope::body(request).await?;
    match lane {
        Lane::Handshake => envelope::json(origins::answer(&body, allowed)?),
        Lane::Check => envelope::report(&Report {
            component: "handshake".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            findings: origins::findings(allowed),
            namespaces: Vec::new(),
        }),
        // It has come this far, so it can do its work.
        _ => envelope::ready(),
    }
}
