//! The way to the app. `Origin` is the seam: an app in this process or one behind HTTP. `HttpOrigin`
//! is the second. Neither knows what it carries.

mod quickack;

use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, Uri, header};
use http_body_util::BodyExt;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use quickack::QuickAck;

/// A request's or response's body, whoever makes it.
pub type Body = http_body_util::combinators::UnsyncBoxBody<Bytes, std::io::Error>;

/// How the relay reaches the app: with whole HTTP requests whose URI is a path.
pub trait Origin: Send + Sync + 'static {
    fn call(
        &self,
        request: Request<Body>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Body>, OriginError>> + Send + '_>>;
}

/// The app gave no answer. It may have carried out the request all the same.
#[derive(Debug, thiserror::Error)]
pub enum OriginError {
    #[error("no connection to the app at {origin}: {source}")]
    Connect {
        origin: String,
        source: std::io::Error,
    },
    #[error("the app at {origin} gave no answer: {source}")]
    Exchange {
        origin: String,
        source: hyper::Error,
    },
    /// For origins that are not HTTP.
    #[error("the app gave no answer: {0}")]
    Other(String),
}

/// Kept connections that nobody uses right now; more than these are closed.
const MAX_IDLE_CONNECTIONS: usize = 64;

/// How long the app may take to accept a TCP connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// An app behind `http://host:port`, over kept HTTP/1.1 connections.
pub struct HttpOrigin {
    address: String,
    host: HeaderValue,
    kept: Mutex<Vec<SendRequest<Body>>>,
}

impl HttpOrigin {
    pub fn new(origin: &str) -> anyhow::Result<Self> {
        let uri: Uri = origin
            .parse()
            .with_context(|| format!("cannot read the origin {origin:?}: give http://host:port"))?;
        ensure!(
            uri.scheme_str() == Some("http"),
            "the origin {origin:?} is not http: give http://host:port"
        );
        ensure!(
            uri.path().is_empty() || uri.path() == "/",
            "the origin {origin:?} has a path: give http://host:port"
        );
        let authority = uri
            .authority()
            .context("the origin has no host: give http://host:port")?;
        let host = authority.host();
        let port = authority.port_u16().unwrap_or(80);
        Ok(HttpOrigin {
            address: format!("{host}:{port}"),
            host: HeaderValue::from_str(authority.as_str())?,
            kept: Mutex::default(),
        })
    }

    /// A kept connection that is ready for a request.
    fn idle(&self) -> Option<SendRequest<Body>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|sender| !sender.is_closed());
        let ready = kept.iter().rposition(SendRequest::is_ready)?;
        Some(kept.swap_remove(ready))
    }

    /// It may still be busy with a response's body; `idle` skips it then.
    fn keep(&self, sender: SendRequest<Body>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < MAX_IDLE_CONNECTIONS {
            kept.push(sender);
        }
    }

    async fn connect(&self) -> Result<SendRequest<Body>, OriginError> {
        let failed = |source| OriginError::Connect {
            origin: self.address.clone(),
            source,
        };
        let stream = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(&self.address))
            .await
            .map_err(|_| failed(std::io::ErrorKind::TimedOut.into()))?
            .map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        let (sender, connection) = http1::handshake(TokioIo::new(QuickAck::new(stream)))
            .await
            .map_err(|e| self.exchange(e))?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to the app ended");
            }
        });
        Ok(sender)
    }

    fn exchange(&self, source: hyper::Error) -> OriginError {
        OriginError::Exchange {
            origin: self.address.clone(),
            source,
        }
    }

    async fn exchange_on_any(
        &self,
        mut request: Request<Body>,
    ) -> Result<Response<Body>, OriginError> {
        request
            .headers_mut()
            .entry(header::HOST)
            .or_insert_with(|| self.host.clone());
        loop {
            let (mut sender, was_kept) = match self.idle() {
                Some(sender) => (sender, true),
                None => (self.connect().await?, false),
            };
            match sender.try_send_request(request).await {
                Ok(response) => {
                    self.keep(sender);
                    return Ok(
                        response.map(|body| body.map_err(std::io::Error::other).boxed_unsync())
                    );
                }
                // The app had closed the kept connection before anything was sent: nothing happened yet.
                Err(mut error) => match error.take_message() {
                    Some(unsent) if was_kept => request = unsent,
                    _ => return Err(self.exchange(error.into_error())),
                },
            }
        }
    }
}

impl Origin for HttpOrigin {
    fn call(
        &self,
        request: Request<Body>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Body>, OriginError>> + Send + '_>> {
        Box::pin(self.exchange_on_any(request))
    }
}
