//! All components that answer requests, by id, and the public routes to them. Where a request to
//! the application enters, whether from outside or from one of its own components.

use std::{collections::HashMap, net::SocketAddr};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http::{Request, Response, StatusCode, Uri, header, uri::Authority, uri::Scheme};
use http_body_util::{BodyExt, Empty, Full};
use wasmtime_wasi_http::WasiBody;

use crate::{
    headers::{self, RouteHeaders},
    hosts::chained_component,
    manifest::StaticResponse,
    names::ComponentId,
    outbound::{Answering, Application},
    plan::Target,
    routes::Router,
    service::Service,
};

/// Paths below this are answered by the host itself.
const WELL_KNOWN: &str = "/.well-known/spin/";
/// The route under which a chained request is said to have matched.
const CHAINED_ROUTE: &str = "/...";
/// The address a chained request, or one without an address, is said to come from.
const NO_ADDRESS: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0);

/// The application, as requests see it.
pub struct Services {
    pub name: String,
    pub version: String,
    pub router: Router,
    /// By the index that `router` gives.
    pub targets: Vec<Target>,
    pub by_component: HashMap<ComponentId, Service>,
}

impl Services {
    /// Answers a request from outside. Anything that goes wrong inside is a 500.
    pub async fn handle(&self, mut request: Request<WasiBody>) -> Response<WasiBody> {
        let headers = request.headers_mut();
        let host = headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok());
        if host.is_some_and(|host| chained_component(host).is_some()) {
            headers.remove(header::HOST);
        }
        // Of the connection to the client, which guests know nothing of.
        headers.remove(header::CONNECTION);

        let path = request.uri().path().to_owned();
        if let Some(well_known) = path.strip_prefix(WELL_KNOWN) {
            return self.well_known(well_known);
        }
        let Some(found) = self.router.find(&path) else {
            return status(StatusCode::NOT_FOUND);
        };
        if let Err(error) = complete_uri(&mut request) {
            tracing::warn!("refused a request: {error:#}");
            return status(StatusCode::BAD_REQUEST);
        }
        let address = request.extensions().get().copied().unwrap_or(NO_ADDRESS);
        let route = RouteHeaders {
            route: found.route,
            rest: &found.rest,
            parameters: &found.parameters,
            client: address,
        };
        match &self.targets[found.trigger] {
            Target::Static(response) => fixed(response),
            Target::Component(id) => match self.by_component.get(id) {
                Some(service) => respond(id, service, request, &route).await,
                None => status(StatusCode::INTERNAL_SERVER_ERROR),
            },
        }
    }

    /// Answers a request of one component to another. None if that answers no requests.
    pub async fn chain(
        &self,
        component: &str,
        mut request: Request<WasiBody>,
    ) -> Option<Response<WasiBody>> {
        let id = ComponentId::synthetic(component.to_owned());
        let service = self.by_component.get(&id)?;
        let path = request.uri().path().to_owned();
        if let Err(error) = complete_uri(&mut request) {
            tracing::warn!("refused a chained request: {error:#}");
            return None;
        }
        let route = RouteHeaders {
            route: CHAINED_ROUTE,
            rest: &path,
            parameters: &Default::default(),
            client: NO_ADDRESS,
        };
        Some(respond(&id, service, request, &route).await)
    }

    fn well_known(&self, name: &str) -> Response<WasiBody> {
        match name {
            "health" => Response::new(full("OK")),
            "info" => {
                let info = serde_json::json!({ "name": self.name, "version": self.version });
                let mut response = Response::new(full(format!("{info:#}")));
                let json = header::HeaderValue::from_static("application/json");
                response.headers_mut().insert(header::CONTENT_TYPE, json);
                response
            }
            _ => status(StatusCode::NOT_FOUND),
        }
    }
}

impl Application for Services {
    fn handle(&self, request: Request<WasiBody>) -> Answering<'_, Response<WasiBody>> {
        Box::pin(self.handle(request))
    }

    fn chain<'a>(
        &'a self,
        component: &'a str,
        request: Request<WasiBody>,
    ) -> Answering<'a, Option<Response<WasiBody>>> {
        Box::pin(self.chain(component, request))
    }
}

async fn respond(
    id: &ComponentId,
    service: &Service,
    mut request: Request<WasiBody>,
    route: &RouteHeaders<'_>,
) -> Response<WasiBody> {
    if let Err(error) = headers::add(&mut request, route) {
        tracing::error!(component = %id, "refused a request: {error:#}");
        return status(StatusCode::INTERNAL_SERVER_ERROR);
    }
    match service.handle((), request).await {
        Ok(response) => response,
        Err(error) => {
            tracing::error!(component = %id, "a request failed: {error:?}");
            status(StatusCode::INTERNAL_SERVER_ERROR)
        }
    }
}

/// Puts scheme and authority into a request's URI, which a client sends in the `Host` header.
fn complete_uri(request: &mut Request<WasiBody>) -> Result<()> {
    let in_header = match request.headers().get(header::HOST) {
        Some(host) => {
            let host = host.to_str().context("'Host' header is not valid UTF-8")?;
            let host: Authority = host
                .parse()
                .context("'Host' header contains an invalid authority")?;
            Some(host)
        }
        None => None,
    };
    let mut parts = request.uri().clone().into_parts();
    parts.authority = match (in_header, parts.authority) {
        (None, None) => bail!("no 'Host' header present in request"),
        (Some(a), Some(b)) if a != b => {
            bail!("authority in 'Host' header does not match authority in URI")
        }
        (Some(authority), _) | (None, Some(authority)) => Some(authority),
    };
    parts.scheme = Some(Scheme::HTTP);
    if parts.path_and_query.is_none() {
        parts.path_and_query = Some(http::uri::PathAndQuery::from_static("/"));
    }
    *request.uri_mut() = Uri::from_parts(parts)?;
    Ok(())
}

fn fixed(response: &StaticResponse) -> Response<WasiBody> {
    let mut builder = Response::builder().status(response.status_code.unwrap_or(200));
    for (name, value) in &response.headers {
        builder = builder.header(name, value);
    }
    let body = response.body.clone().map_or_else(empty, full);
    builder.body(body).unwrap_or_else(|error| {
        tracing::error!("a static_response is invalid: {error}");
        status(StatusCode::INTERNAL_SERVER_ERROR)
    })
}

pub fn status(status: StatusCode) -> Response<WasiBody> {
    let mut response = Response::new(empty());
    *response.status_mut() = status;
    response
}

pub fn empty() -> WasiBody {
    Empty::<Bytes>::new()
        .map_err(|never| match never {})
        .boxed_unsync()
}

fn full(bytes: impl Into<Bytes>) -> WasiBody {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}
