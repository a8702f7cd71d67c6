//! The way to the app. `Origin` is the seam: an app in this process or one behind HTTP. `HttpOrigin`
//! is the second. Neither knows what it carries.

mod quickack;
mod tls;

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, Uri, header};
use http_body_util::BodyExt;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use quickack::QuickAck;
use tls::Secure;

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
    #[error("no connection to the app at {origin}: {problem}")]
    Tls { origin: String, problem: String },
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

/// How long the app may take to accept a TCP connection, and then for the TLS handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// An app behind `http://host:port` or `https://host:port`, over kept HTTP/1.1 connections.
pub struct HttpOrigin {
    address: String,
    secure: Option<Secure>,
    host: HeaderValue,
    kept: Mutex<Vec<SendRequest<Body>>>,
}

/// What an origin looks like.
const FORM: &str = "give http://host:port or https://host";

impl HttpOrigin {
    /// Trusts those authorities, if the origin is `https`, that this machine trusts.
    pub fn new(origin: &str) -> anyhow::Result<Self> {
        Self::trusting(origin, None)
    }

    /// `authorities`: the PEM file of those who may vouch for the app, instead of those that this machine trusts.
    pub fn trusting(origin: &str, authorities: Option<&Path>) -> anyhow::Result<Self> {
        let uri: Uri = origin
            .parse()
            .with_context(|| format!("cannot read the origin {origin:?}: {FORM}"))?;
        let is_secure = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => bail!("the origin {origin:?} is neither http nor https: {FORM}"),
        };
        ensure!(
            uri.path_and_query().is_none_or(|path| path == "/"),
            "the origin {origin:?} has a path: {FORM}"
        );
        ensure!(
            is_secure || authorities.is_none(),
            "--origin-ca is for https, and the origin {origin:?} is http: leave one of them out, or change it"
        );
        let authority = uri
            .authority()
            .with_context(|| format!("the origin has no host: {FORM}"))?;
        let host = authority.host();
        let usual = if is_secure { 443 } else { 80 };
        let port = authority.port_u16().unwrap_or(usual);
        let secure = is_secure
            .then(|| Secure::to(host, authorities))
            .transpose()?;
        Ok(HttpOrigin {
            address: format!("{host}:{port}"),
            secure,
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
        let stream = QuickAck::new(stream);
        let Some(secure) = &self.secure else {
            return self.speak_http(stream).await;
        };
        let session = tokio::time::timeout(CONNECT_TIMEOUT, secure.connect(stream)).await;
        match session {
            Ok(Ok(session)) => self.speak_http(session).await,
            Ok(Err(problem)) => Err(self.no_session(problem)),
            Err(_) => Err(self.no_session("the TLS handshake takes too long".to_owned())),
        }
    }

    fn no_session(&self, problem: String) -> OriginError {
        OriginError::Tls {
            origin: self.address.clone(),
            problem,
        }
    }

    async fn speak_http<S>(&self, stream: S) -> Result<SendRequest<Body>, OriginError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (sender, connection) = http1::handshake(TokioIo::new(stream))
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
