//! The public listener: accepts connections, sends each request where it belongs, and ends it all in
//! order when it is time.

pub mod control;
mod engine;
mod forwarded;
pub mod health;
mod proxy;
mod respond;
mod takeover;

use std::convert::Infallible;
use std::future::{Future, poll_fn, ready};
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;

use anyhow::bail;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use parlour_listener::{Accepted, Listener, WriteDeadline, turn_away};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};

use crate::connection::How;
use crate::core::Life;
use crate::core::config::{HTTP_CONNECTION_BYTES, MAX_HEADERS, MAX_HTTP_BUFFER, SHUTDOWN_WAIT};
use crate::core::ledger::Hold;
use crate::core::origin::Body;
use crate::core::reason;
use crate::session::close;
use crate::shared::Shared;
use crate::wire::stream::Stream;

use forwarded::Peer;
use health::Health;
use respond::respond;
use takeover::Takeover;

/// Where the app serves the files of Socket.IO's client.
const CLIENT_FILES: &str = "/socket.io/";

/// Serves clients until `stop`, or until this life of the relay is over.
pub async fn serve(
    shared: Arc<Shared>,
    health: &Health,
    listener: TcpListener,
    stop: impl Future<Output = ()> + Send,
) -> anyhow::Result<()> {
    let (stopping, _) = watch::channel(false);
    // Its last sender is dropped when the last connection's task has ended.
    let (alive, mut all_ended) = mpsc::channel::<()>(1);
    let mut stop = pin!(stop);
    let mut life = shared.life.subscribe();
    let mut listener = Listener::new(listener, "clients");
    health.watch(listener.shortage());
    let certificate = async {
        match &shared.config.tls {
            Some(tls) => tls.watch().await,
            None => std::future::pending().await,
        }
    };
    let mut certificate = pin!(certificate);
    let superseded = loop {
        tokio::select! {
            Accepted { stream, peer, is_last } = listener.accept() => {
                if !is_last {
                    let task = connection(shared.clone(), stream, peer.ip(), stopping.subscribe(), alive.clone());
                    tokio::spawn(task);
                } else if shared.config.tls.is_none() {
                    turn_away(stream).await;
                }
            }
            () = &mut certificate => {}
            () = &mut stop => break false,
            _ = life.changed() => break *life.borrow() == Life::Superseded,
        }
    };
    health.stop();
    drop((listener, alive));
    for connection in shared.connections.all() {
        close(
            &shared,
            &connection,
            reason::SERVER_SHUTTING_DOWN,
            How::Abort,
        );
    }
    stopping.send_replace(true);
    let ended = async {
        if !superseded {
            all_delivered(&shared).await;
        }
        let _ = all_ended.recv().await;
    };
    if tokio::time::timeout(SHUTDOWN_WAIT, ended).await.is_err() {
        tracing::warn!(
            "the app or a client did not finish within {SHUTDOWN_WAIT:?}; stopping all the same"
        );
    }
    if superseded {
        let (relay, epoch) = (&shared.config.relay, shared.epoch);
        bail!(
            "another relay named {relay:?} has started after this one ({epoch}): give every relay its own name. \
             Or this one could not reach the app for three hours: start it again"
        );
    }
    Ok(())
}

/// Waits until the app has every event.
async fn all_delivered(shared: &Shared) {
    loop {
        let mut idle = pin!(shared.idle.notified());
        idle.as_mut().enable();
        if shared
            .all_namespaces()
            .iter()
            .all(|namespace| namespace.is_idle())
        {
            return;
        }
        idle.await;
    }
}

/// Serves one TCP connection until it ends or becomes a WebSocket.
async fn connection(
    shared: Arc<Shared>,
    stream: TcpStream,
    address: IpAddr,
    mut stopping: watch::Receiver<bool>,
    alive: mpsc::Sender<()>,
) {
    // Dropped when the connection ends or becomes a WebSocket.
    let is_proxy = forwarded::is_trusted(address, &shared.config.limits.trusted_proxies);
    let _place = match shared.addresses.accept(address, is_proxy) {
        Ok(place) => place,
        Err(why) => return engine::turn_away(&shared, stream, why).await,
    };
    let account = shared.ledger.account();
    let _charge = account.charge(Hold::Kept, HTTP_CONNECTION_BYTES);
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    let stream = tokio::select! {
        stream = secured(&shared, stream) => stream,
        _ = stopping.changed() => return,
    };
    let stream = match stream {
        Ok(stream) => stream,
        Err(error) => return tracing::debug!(%address, %error, "a TLS handshake failed"),
    };
    let peer = Peer {
        address,
        is_secure: matches!(stream, Stream::Tls(_)),
    };
    let stall = shared.config.stall_timeout;
    let takeover = Takeover::default();
    let heir = takeover.clone();
    let service = service_fn(move |request| route(&shared, peer, &takeover, request));
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(stall)
        .max_buf_size(MAX_HTTP_BUFFER)
        .max_headers(MAX_HEADERS)
        .serve_connection(TokioIo::new(WriteDeadline::new(stream, stall)), service);
    let ended = tokio::select! {
        ended = poll_fn(|cx| connection.poll_without_shutdown(cx)) => ended,
        // Changes once: when it is time to stop.
        _ = stopping.changed() => {
            Pin::new(&mut connection).graceful_shutdown();
            poll_fn(|cx| connection.poll_without_shutdown(cx)).await
        }
    };
    match ended {
        Ok(()) => {
            let parts = connection.into_parts();
            let mut stream = parts.io.into_inner().into_inner();
            match heir.heir() {
                // Who was to have it may have ended meanwhile.
                Some(heir) => drop(heir.send((stream, parts.read_buf))),
                // An error is a client that has gone.
                None => drop(stream.shutdown().await),
            }
        }
        Err(error) => tracing::debug!(%error, "an HTTP connection broke off"),
    }
    drop(alive);
}

/// The stream as clients are to use it.
async fn secured(shared: &Shared, stream: TcpStream) -> std::io::Result<Stream> {
    Ok(match &shared.config.tls {
        Some(tls) => Stream::Tls(Arc::new(tls.accept(stream).await?)),
        None => Stream::Plain(stream),
    })
}

/// An answer to come. Boxed: while it waits for the app's it is all that a client costs.
type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

fn route(
    shared: &Arc<Shared>,
    peer: Peer,
    takeover: &Takeover,
    mut request: Request<Incoming>,
) -> Answer {
    let shared = shared.clone();
    let path = request.uri().path();
    match below(&shared.config.path, path) {
        Some(file) if is_client_file(file) => {
            // The app has them where they are by default.
            let query = request.uri().query();
            let query = query.map(|query| format!("?{query}")).unwrap_or_default();
            let there = format!("{CLIENT_FILES}{file}{query}");
            *request.uri_mut() = there.parse().unwrap_or_default();
        }
        Some(_) => {
            let trusted = &shared.config.limits.trusted_proxies;
            let sender = forwarded::sender(peer, request.headers(), trusted);
            request.extensions_mut().insert(takeover.clone());
            return Box::pin(async move { Ok(engine::handle(shared, sender, request).await) });
        }
        None if proxy::is_private(path) => {
            let response = respond(
                StatusCode::NOT_FOUND,
                "text/plain; charset=utf-8",
                "Not found.\n",
            );
            return Box::pin(ready(Ok(response)));
        }
        None => {}
    }
    if shared.ledger.is_nearly_full() {
        return Box::pin(ready(Ok(engine::full(&shared))));
    }
    Box::pin(async move { Ok(proxy::handle(&shared, peer, request).await) })
}

/// What comes after the prefix and a slash: all of that is Engine.IO's, but for the client's files.
fn below<'a>(prefix: &str, path: &'a str) -> Option<&'a str> {
    path.strip_prefix(prefix.trim_end_matches('/'))
        .and_then(|rest| rest.strip_prefix('/'))
}

fn is_client_file(file: &str) -> bool {
    let name = file.strip_suffix(".map").unwrap_or(file);
    matches!(
        name,
        "socket.io.js"
            | "socket.io.min.js"
            | "socket.io.esm.min.js"
            | "socket.io.msgpack.min.js"
            | "socket.io.esm.js"
            | "socket.io.msgpack.js"
    )
}

#[cfg(fuzzing)]
pub use engine::fuzzing::query;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engine_io_has_its_path_but_for_the_clients_files() {
        let is_engines =
            |prefix, path| below(prefix, path).is_some_and(|file| !is_client_file(file));
        for path in [
            "/socket.io/",
            "/socket.io/anything",
            "/socket.io/socket.io.css",
        ] {
            assert!(is_engines("/socket.io", path), "{path}");
            assert!(is_engines("/socket.io/", path), "{path}");
        }
        for path in [
            "/",
            "/socket.io",
            "/socket.iox/",
            "/socket.io/socket.io.js",
            "/socket.io/socket.io.min.js",
            "/socket.io/socket.io.esm.min.js",
            "/socket.io/socket.io.min.js.map",
        ] {
            assert!(!is_engines("/socket.io", path), "{path}");
        }
    }
}
