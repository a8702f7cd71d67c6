//! An application on an HTTP port, as `spin up` puts it there.

use std::{convert::Infallible, io, sync::Arc, time::Duration};

use http_body_util::BodyExt;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use parlour_listener::{Accepted, Listener, WriteDeadline, turn_away};
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::App;

/// How long open connections may take to finish when the server stops.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// Serves the application on a listener until `stop`. Then connections finish what they are at,
/// and it returns. It does not shut the application down. A client may let it wait for `stall` with the
/// headers of its request, or with reading the answer.
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
                let request = request.map(|body| body.map_err(io::Error::other).boxed_unsync());
                Ok::<_, Infallible>(app.handle(request).await)
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
