//! An application on an HTTP port, as `spin up` puts it there.

use std::{convert::Infallible, sync::Arc, time::Duration};

use http::{HeaderValue, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use parlour_listener::{
    Accepted, Fault, Listener, RequestBody, Transfer, WriteDeadline, turn_away,
};
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{App, Body};

/// How long open connections may take to finish when the server stops.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// Serves the application on a listener until `stop`. Then connections finish what they are at,
/// and it returns. It does not shut the application down. A client may let it wait for `stall` with its request's
/// headers or body (408), or with reading the answer.
pub async fn serve(
    app: Arc<App>,
    listener: TcpListener,
    stall: Duration,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let stopping = CancellationToken::new();
    let connections = TaskTracker::new();
    let mut stop = std::pin::pin!(stop);
    let mut listener = Listener::new(listener, "the app");
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => accepted,
        };
        let Accepted {
            stream,
            peer: address,
            is_last,
        } = accepted;
        if is_last {
            turn_away(stream).await;
            continue;
        }
        let app = app.clone();
        let service = service_fn(move |mut request: http::Request<Incoming>| {
            let app = app.clone();
            async move {
                request.extensions_mut().insert(address);
                let transfer = Arc::new(Transfer::begin());
                let request = request
                    .map(|body| RequestBody::new(body, stall, transfer.clone()).boxed_unsync());
                let answer = app.handle(request).await;
                Ok::<_, Infallible>(match transfer.fault() {
                    Some(fault) => refusal(fault),
                    None => answer,
                })
            }
        });
        let stopping = stopping.clone();
        connections.spawn(async move {
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(stall)
                .serve_connection(TokioIo::new(WriteDeadline::new(stream, stall)), service);
            let mut connection = std::pin::pin!(connection);
            let served = tokio::select! {
                served = &mut connection => served,
                () = stopping.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = served {
                tracing::debug!(%address, "a connection failed: {error}");
            }
        });
    }
    stopping.cancel();
    connections.close();
    if tokio::time::timeout(STOP_GRACE, connections.wait())
        .await
        .is_err()
    {
        tracing::warn!(
            "{} connections did not finish within {STOP_GRACE:?}",
            connections.len()
        );
    }
    Ok(())
}

/// The answer to half a request, in place of what the application has made of it.
fn refusal(fault: Fault) -> Response<Body> {
    let body = Full::from(fault.text()).map_err(|never| match never {});
    let mut answer = Response::new(body.boxed_unsync());
    *answer.status_mut() = fault.status();
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    answer.headers_mut().insert(header::CONTENT_TYPE, text);
    answer
}
