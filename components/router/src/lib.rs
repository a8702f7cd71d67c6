//! Routes the batches of a namespace to the namespace's component, after that component's middleware has judged who
//! connects. It never runs a handler and never touches the database.

mod authorize;
mod check;
mod config;
mod excerpt;
mod failure;
mod forward;
mod probe;
mod refuse;
mod reply;

use parlour_envelope::{self as envelope, Envelope, Lane};
use spin_sdk::http::{Request, Result};
use spin_sdk::http_service;
use spin_sdk::wasip3::http::types;

use config::Config;
use failure::Failure;

#[http_service]
async fn handle(request: Request) -> Result<types::Response> {
    match answer(request).await {
        Ok(response) => Ok(response),
        Err(failure) => Ok(failure.respond()?),
    }
}

async fn answer(request: Request) -> Result<types::Response, Failure> {
    let Envelope { lane, connects } = Envelope::open(&request).await?;
    let namespace = match &lane {
        Lane::Namespace(namespace) => namespace,
        Lane::Probe => {
            envelope::body(request).await?;
            return probe::answer().await;
        }
        Lane::Check => return check::answer(&envelope::body(request).await?).await,
        Lane::Handshake => return Err(lane.elsewhere().into()),
    };
    let config = Config::known(envelope::variable("namespaces").await?)?;
    let Some(route) = config.route(namespace) else {
        let body = envelope::body(request).await?;
        return Ok(envelope::json(refuse::everyone(&body)?)?);
    };
    match route.door() {
        Some(door) if connects > 0 => {
            authorize::then_forward(request, namespace, door, route).await
        }
        _ => forward::unread(request, &route.component).await,
    }
}
