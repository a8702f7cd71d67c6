//! The relay's counterpart: authenticates its batches, answers handshakes and hands every other batch
//! to the component of its namespace, after that component's middleware has judged who connects.
//! It never runs a handler and never touches the database.

mod config;
mod envelope;
mod excerpt;
mod failure;
mod forward;
mod handshake;
mod judge;
mod probe;
mod refuse;
mod reply;

use spin_sdk::http::{IntoResponse, Method, Request, Result};
use spin_sdk::http_service;
use spin_sdk::wasip3::http::types;

use config::Config;
use envelope::{Envelope, Lane};
use failure::Failure;

#[http_service]
async fn handle(request: Request) -> Result<types::Response> {
    match answer(request).await {
        Ok(response) => Ok(response),
        Err(failure) => Ok(failure.into_response()?),
    }
}

async fn answer(request: Request) -> Result<types::Response, Failure> {
    if request.method() != Method::POST {
        return Err(Failure::Method);
    }
    config::authenticate(request.headers(), &forward::variable("relay_secret").await?)?;
    let envelope = Envelope::read(request.headers())?;
    let namespace = match &envelope.lane {
        Lane::Handshake => {
            let origins = forward::variable("allowed_origins").await?;
            let body = forward::read(request).await?;
            return match handshake::answer(&body, &origins)? {
                Some(answer) => forward::json(answer),
                None => probe::answer().await,
            };
        }
        Lane::Namespace(namespace) => namespace,
    };
    let config = Config::known(forward::variable("namespaces").await?)?;
    let Some(route) = config.route(namespace) else {
        return forward::json(refuse::everyone(&forward::read(request).await?)?);
    };
    match route.door() {
        Some(door) if envelope.connects > 0 => {
            judge::then_forward(request, namespace, door, route).await
        }
        _ => forward::unread(request, &route.component).await,
    }
}
