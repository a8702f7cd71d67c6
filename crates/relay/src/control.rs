//! The private listener: health, metrics, and `publish` for events that begin outside a batch.

use std::borrow::Cow;
use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;

use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use parlour_protocol::relay::{Command, Emit, MAX_BATCH_BYTES};
use parlour_protocol::socket;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::net::TcpListener;

use crate::config::HEADER_READ_TIMEOUT;
use crate::engine::respond;
use crate::origin::Body;
use crate::shared::Shared;

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";

pub async fn serve(
    shared: Arc<Shared>,
    listener: TcpListener,
    stop: impl Future<Output = ()> + Send,
) -> anyhow::Result<()> {
    let mut stop = pin!(stop);
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::error!(%error, "cannot accept a connection on the control listener");
                    continue;
                }
            },
            () = &mut stop => return Ok(()),
        };
        let shared = shared.clone();
        let service = service_fn(move |request| {
            let shared = shared.clone();
            async move { Ok::<_, Infallible>(route(&shared, request).await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_READ_TIMEOUT)
            .serve_connection(TokioIo::new(stream), service);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a control connection broke off");
            }
        });
    }
}

async fn route(shared: &Arc<Shared>, request: Request<Incoming>) -> Response<Body> {
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/healthz") => respond(StatusCode::OK, TEXT, "ok\n"),
        (&Method::GET, "/metrics") => respond(
            StatusCode::OK,
            "text/plain; version=0.0.4",
            shared.metrics.render(),
        ),
        (&Method::POST, "/publish") => publish(shared, request).await,
        (_, "/healthz" | "/metrics" | "/publish") => {
            respond(StatusCode::METHOD_NOT_ALLOWED, TEXT, "")
        }
        _ => respond(StatusCode::NOT_FOUND, TEXT, "Not found.\n"),
    }
}

/// The body of `POST /publish`.
#[derive(Deserialize)]
struct Publication<'a> {
    namespace: Cow<'a, str>,
    #[serde(default)]
    rooms: Vec<Cow<'a, str>>,
    #[serde(default)]
    except: Vec<Cow<'a, str>>,
    /// The JSON array of the event's name and arguments.
    #[serde(borrow)]
    data: &'a RawValue,
    #[serde(default)]
    volatile: bool,
}

async fn publish(shared: &Arc<Shared>, request: Request<Incoming>) -> Response<Body> {
    if !knows_secret(&shared.config.secret, &request) {
        let message = "give the relay's secret: authorization: Bearer …";
        return error(StatusCode::UNAUTHORIZED, "unauthorized", message);
    }
    let body = match Limited::new(request.into_body(), MAX_BATCH_BYTES)
        .collect()
        .await
    {
        Ok(body) => body.to_bytes(),
        Err(_) => {
            return error(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too_large",
                "a publication has at most 4 MiB",
            );
        }
    };
    let publication: Publication<'_> = match serde_json::from_slice(&body) {
        Ok(publication) => publication,
        Err(cause) => {
            let message = format!("cannot read the publication: {cause}");
            return error(StatusCode::BAD_REQUEST, "bad_request", &message);
        }
    };
    if socket::decode(&format!("2{}", publication.data.get())).is_err() {
        let message = "data must be an array that begins with an event's name, not a reserved one";
        return error(StatusCode::BAD_REQUEST, "bad_request", message);
    }
    let Publication {
        namespace,
        rooms,
        except,
        data,
        volatile,
    } = publication;
    let emit = Emit {
        rooms,
        except,
        data,
        attachments: Vec::new(),
        offset: None,
        namespace: None,
        volatile,
        local: false,
        ack: None,
    };
    let receivers = shared.publish(&namespace, &emit);
    shared.forward(
        &namespace,
        &shared.config.relay,
        &Command::Emit(Box::new(emit)),
    );
    respond(
        StatusCode::OK,
        JSON,
        serde_json::json!({ "receivers": receivers }).to_string(),
    )
}

/// Compares in a time that does not depend on where the two differ.
fn knows_secret<B>(secret: &str, request: &Request<B>) -> bool {
    let given = request
        .headers()
        .get(header::AUTHORIZATION)
        .map(|value| value.as_bytes());
    let Some(given) = given.and_then(|value| value.strip_prefix(b"Bearer ")) else {
        return false;
    };
    let differences = secret
        .bytes()
        .zip(given)
        .fold(0, |all, (a, b)| all | (a ^ b));
    !secret.is_empty() && given.len() == secret.len() && differences == 0
}

fn error(status: StatusCode, code: &str, message: &str) -> Response<Body> {
    let body = serde_json::json!({ "error": { "code": code, "message": message } });
    respond(status, JSON, body.to_string())
}
