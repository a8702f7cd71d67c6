//! The private listener: health, metrics, and `publish` for events that begin outside a batch. It has a
//! thread of its own, so that it can say so when everything else is stuck.

use std::borrow::Cow;
use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use parlour_listener::{Accepted, Listener, WriteDeadline};
use parlour_protocol::relay::{Command, Emit, MAX_BATCH_BYTES};
use parlour_protocol::socket;
use serde::Deserialize;
use serde_json::value::RawValue;
use subtle::ConstantTimeEq;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{self, Handle};
use tokio::sync::oneshot;

use crate::core::bus::Segment;
use crate::core::config::MAX_HTTP_BUFFER;
use crate::core::origin::Body;
use crate::delivery;
use crate::server::health::{self, Health};
use crate::server::respond::respond;
use crate::shared::Shared;

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// How long whoever comes when there are no descriptors left may take: others wait meanwhile.
const LAST_TIMEOUT: Duration = Duration::from_secs(10);

pub async fn serve(
    shared: Arc<Shared>,
    health: Arc<Health>,
    listener: TcpListener,
    stop: impl Future<Output = ()> + Send,
) -> anyhow::Result<()> {
    let listener = listener.into_std()?;
    // What is not about this thread happens where everything else does.
    let main = Handle::current();
    let own = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the control listener's runtime")?;
    let (_until_dropped, mut dropped) = oneshot::channel::<()>();
    std::thread::Builder::new()
        .name("control".into())
        .spawn(move || {
            own.block_on(async {
                tokio::select! {
                    served = accept(shared, health, listener, main) => {
                        if let Err(error) = served {
                            tracing::error!(%error, "the control listener has ended");
                        }
                    }
                    _ = &mut dropped => {}
                }
            });
        })
        .context("cannot start the control listener's thread")?;
    stop.await;
    Ok(())
}

async fn accept(
    shared: Arc<Shared>,
    health: Arc<Health>,
    listener: std::net::TcpListener,
    main: Handle,
) -> anyhow::Result<()> {
    let mut listener = Listener::new(TcpListener::from_std(listener)?, "the control listener");
    loop {
        let Accepted {
            stream, is_last, ..
        } = listener.accept().await;
        let connection = connection(
            shared.clone(),
            health.clone(),
            main.clone(),
            stream,
            is_last,
        );
        if is_last {
            // The descriptor must be back before the next one comes.
            let _ = tokio::time::timeout(LAST_TIMEOUT, connection).await;
        } else {
            tokio::spawn(connection);
        }
    }
}

async fn connection(
    shared: Arc<Shared>,
    health: Arc<Health>,
    main: Handle,
    stream: TcpStream,
    is_last: bool,
) {
    let stall = shared.config.stall_timeout;
    let service = service_fn(move |request| {
        let (shared, health, main) = (shared.clone(), health.clone(), main.clone());
        async move { Ok::<_, Infallible>(route(shared, health, &main, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(stall)
        .max_buf_size(MAX_HTTP_BUFFER)
        .keep_alive(!is_last)
        .serve_connection(TokioIo::new(WriteDeadline::new(stream, stall)), service);
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a control connection broke off");
    }
}

async fn route(
    shared: Arc<Shared>,
    health: Arc<Health>,
    main: &Handle,
    request: Request<Incoming>,
) -> Response<Body> {
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/healthz") => judged(health.alive()),
        (&Method::GET, "/readyz") => judged(match health.alive() {
            Ok(()) => elsewhere(main, async move { health::ready(&shared, &health).await })
                .await
                .unwrap_or_else(|| Err("the runtime has ended".into())),
            stuck => stuck,
        }),
        // It looks into the namespaces: were one locked for good, this thread must not wait for it.
        (&Method::GET, "/metrics") => elsewhere(main, async move { shared.render_metrics() })
            .await
            .map_or_else(
                || respond(StatusCode::SERVICE_UNAVAILABLE, TEXT, ""),
                |text| respond(StatusCode::OK, PROMETHEUS, text),
            ),
        (&Method::POST, "/publish") => {
            elsewhere(main, async move { publish(&shared, request).await })
                .await
                .unwrap_or_else(|| respond(StatusCode::SERVICE_UNAVAILABLE, TEXT, ""))
        }
        (_, "/healthz" | "/readyz" | "/metrics" | "/publish") => {
            respond(StatusCode::METHOD_NOT_ALLOWED, TEXT, "")
        }
        _ => respond(StatusCode::NOT_FOUND, TEXT, "Not found.\n"),
    }
}

/// Does something where the relay's tasks run. None if they do not any more.
async fn elsewhere<T: Send + 'static>(
    main: &Handle,
    work: impl Future<Output = T> + Send + 'static,
) -> Option<T> {
    main.spawn(work).await.ok()
}

/// 200 `ok`, or 503 with the reason.
fn judged(outcome: Result<(), String>) -> Response<Body> {
    match outcome {
        Ok(()) => respond(StatusCode::OK, TEXT, "ok\n"),
        Err(reason) => respond(StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("{reason}\n")),
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
    let body = Limited::new(request.into_body(), MAX_BATCH_BYTES).collect();
    let body = match tokio::time::timeout(shared.config.stall_timeout, body).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(cause)) if cause.is::<LengthLimitError>() => {
            let message = "a publication has at most 4 MiB";
            return error(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message);
        }
        Ok(Err(cause)) => {
            let message = format!("the publication broke off: {cause}");
            return error(StatusCode::BAD_REQUEST, "bad_request", &message);
        }
        Err(_) => {
            let message = "the publication took too long to come";
            return error(StatusCode::REQUEST_TIMEOUT, "timeout", message);
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
        previous: None,
        volatile,
        local: false,
        ack: None,
        asked: None,
        asker: None,
    };
    let receivers = delivery::publish(shared, &namespace, &emit);
    let commands = vec![Command::Emit(Box::new(emit))];
    let extent = None;
    shared.publish_on_bus(&namespace, &Segment { extent, commands });
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
    !secret.is_empty() && bool::from(secret.as_bytes().ct_eq(given))
}

fn error(status: StatusCode, code: &str, message: &str) -> Response<Body> {
    let body = serde_json::json!({ "error": { "code": code, "message": message } });
    respond(status, JSON, body.to_string())
}
