//! Requests that a component sends: refused, answered by another component, or sent over the
//! network, as `allowed_outbound_hosts` says.

use std::{
    pin::Pin,
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures::task::AtomicWaker;
use http::{Request, Response, header, uri::Scheme};
use http_body_util::BodyExt;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client as HyperClient, ResponseFuture, connect::HttpConnector},
    rt::TokioExecutor,
};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

use crate::hosts::{AllowedHosts, SELF_HOST, chained_component};

/// How long to wait for a connection, and for the head of a response, if the guest does not say.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(600);

/// Sends requests over the network, by HTTP/1.1, over kept connections.
pub struct Client {
    plain: HyperClient<HttpConnector, WasiBody>,
    /// Made when it is first needed: to read the certificates that the system trusts takes some time. None
    /// where there are none.
    secure: OnceLock<Option<SecureClient>>,
}

type SecureClient = HyperClient<HttpsConnector<HttpConnector>, WasiBody>;

impl Default for Client {
    fn default() -> Self {
        Client {
            plain: HyperClient::builder(TokioExecutor::new()).build_http(),
            secure: OnceLock::new(),
        }
    }
}

impl Client {
    fn secure(&self) -> Result<&SecureClient, Error> {
        let client = self.secure.get_or_init(|| {
            let connector = HttpsConnectorBuilder::new().with_native_roots();
            let connector = connector.inspect_err(|error| {
                tracing::error!(%error, "no request can be sent by https: this system trusts no certificate");
            });
            let connector = connector.ok()?.https_only().enable_http1().build();
            Some(HyperClient::builder(TokioExecutor::new()).build(connector))
        });
        client.as_ref().ok_or(Error::TlsCertificateError)
    }

    fn request(&self, request: Request<WasiBody>) -> Result<ResponseFuture, Error> {
        Ok(match request.uri().scheme() == Some(&Scheme::HTTPS) {
            true => self.secure()?.request(request),
            false => self.plain.request(request),
        })
    }
}

type IoResult = Box<dyn Future<Output = Result<(), Error>> + Send>;
type Sent = Result<(Response<WasiBody>, IoResult), Error>;

/// An answer on its way.
pub type Answering<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The application that a component is part of, as its own requests see it.
pub trait Application: Send + Sync {
    /// Answers a request by the public routes.
    fn handle(&self, request: Request<WasiBody>) -> Answering<'_, Response<WasiBody>>;

    /// Answers a request to the component of that name. None if that answers no requests.
    fn chain<'a>(
        &'a self,
        component: &'a str,
        request: Request<WasiBody>,
    ) -> Answering<'a, Option<Response<WasiBody>>>;
}

/// Ends an instance from within a call it made: where Spin traps the caller, and the interface here
/// has only errors.
#[derive(Default)]
pub struct Trap {
    is_set: AtomicBool,
    waker: AtomicWaker,
}

impl Trap {
    fn set(&self) {
        self.is_set.store(true, Relaxed);
        self.waker.wake();
    }

    pub fn poll(&self, cx: &mut Context) -> Poll<()> {
        self.waker.register(cx.waker());
        if self.is_set.load(Relaxed) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

/// The way out of one instance.
pub struct Outbound {
    pub allowed: Arc<AllowedHosts>,
    pub application: Weak<dyn Application>,
    pub client: Arc<Client>,
    pub trap: Arc<Trap>,
}

impl WasiHttpHooks for Outbound {
    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _: IoResult,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        let destination = match self.destination(&request) {
            Ok(destination) => destination,
            Err(error) => return Box::new(std::future::ready(Err(error))),
        };
        let Some(application) = self.application.upgrade() else {
            return Box::new(std::future::ready(Err(Error::ConnectionTerminated)));
        };
        let (client, trap) = (self.client.clone(), self.trap.clone());
        Box::new(async move {
            let response = match destination {
                Destination::Component(id) => {
                    match application.chain(&id, without_host(request)).await {
                        Some(response) => response,
                        None => {
                            tracing::error!(
                                "a request to {id}.spin.internal: no trigger has that component"
                            );
                            trap.set();
                            std::future::pending().await
                        }
                    }
                }
                Destination::Application => {
                    let request = to_self(request).map_err(|_| Error::HttpRequestUriInvalid)?;
                    application.handle(request).await
                }
                Destination::Network => send(&client, without_host(request), options).await?,
            };
            let io: IoResult = Box::new(std::future::ready(Ok(())));
            Ok((response, io))
        })
    }
}

/// Lets all headers of a request in, `host` among them: Spin hides none from a WASI 0.3 guest, which
/// still cannot send them.
pub struct Incoming;

impl WasiHttpHooks for Incoming {
    fn is_forbidden_header(&mut self, _: &http::HeaderName) -> bool {
        false
    }

    fn send_request(
        &mut self,
        _: Request<WasiBody>,
        _: Option<RequestOptions>,
        _: IoResult,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        Box::new(std::future::ready(Err(Error::ConfigurationError)))
    }
}

enum Destination {
    Component(String),
    Application,
    Network,
}

impl Outbound {
    fn destination(&self, request: &Request<WasiBody>) -> Result<Destination, Error> {
        let uri = request.uri();
        let authority = uri
            .authority()
            .filter(|authority| !authority.host().is_empty());
        let Some(authority) = authority.filter(|authority| authority.host() != SELF_HOST) else {
            return if self.allowed.allows_self() {
                Ok(Destination::Application)
            } else {
                refuse("self")
            };
        };
        let scheme = uri.scheme_str().unwrap_or("https");
        let host = authority.host();
        if !self.allowed.allows(scheme, host, authority.port_u16()) {
            return refuse(&format!("{scheme}://{authority}"));
        }
        if let Some(component) = chained_component(host) {
            return Ok(Destination::Component(component.to_owned()));
        }
        Ok(Destination::Network)
    }
}

fn refuse(place: &str) -> Result<Destination, Error> {
    tracing::warn!(
        "A component tried to make an outbound network connection to disallowed destination \
         '{place}'. To allow it, add it to the component's `allowed_outbound_hosts`."
    );
    Err(Error::HttpRequestDenied)
}

fn without_host(mut request: Request<WasiBody>) -> Request<WasiBody> {
    request.headers_mut().remove(header::HOST);
    request
}

/// Turns a request without an authority into one that could have come from outside.
fn to_self(mut request: Request<WasiBody>) -> Result<Request<WasiBody>, http::Error> {
    let path = request
        .uri()
        .path_and_query()
        .map_or("/", |path| path.as_str());
    *request.uri_mut() = http::Uri::builder().path_and_query(path).build()?;
    let host = header::HeaderValue::from_static("localhost");
    request.headers_mut().insert(header::HOST, host);
    Ok(request)
}

async fn send(
    client: &Client,
    request: Request<WasiBody>,
    options: Option<RequestOptions>,
) -> Result<Response<WasiBody>, Error> {
    let limit = options
        .and_then(|options| options.first_byte_timeout)
        .unwrap_or(DEFAULT_TIMEOUT);
    let response = tokio::time::timeout(limit, client.request(request)?)
        .await
        .map_err(|_| Error::ConnectionReadTimeout)?
        .map_err(|error| {
            tracing::debug!("an outbound request failed: {error:?}");
            if error.is_connect() {
                Error::ConnectionRefused
            } else {
                Error::HttpProtocolError
            }
        })?;
    Ok(response.map(|body| body.map_err(Error::from).boxed_unsync()))
}
