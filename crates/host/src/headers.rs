//! The `spin-*` headers that tell a component how it was reached. They are added to what the
//! client sent and replace nothing: a client can send them too, and its own come first.

use std::{collections::BTreeMap, net::SocketAddr};

use anyhow::{Context, Result};
use http::{HeaderName, HeaderValue, Request, header};

/// What is known about the way a request took.
pub struct RouteHeaders<'a> {
    /// As written in the manifest.
    pub route: &'a str,
    /// What the trailing wildcard stands for.
    pub rest: &'a str,
    pub parameters: &'a BTreeMap<&'a str, &'a str>,
    pub client: SocketAddr,
}

/// Adds the headers. Fails if a header of the request is not UTF-8, which Spin does not let in.
pub fn add<B>(request: &mut Request<B>, route: &RouteHeaders) -> Result<()> {
    for (name, value) in request.headers() {
        std::str::from_utf8(value.as_bytes())
            .with_context(|| format!("the request's header {name} is not UTF-8"))?;
    }
    let host = match request.headers().get(header::HOST) {
        Some(host) => std::str::from_utf8(host.as_bytes())?.to_owned(),
        None => "localhost".to_owned(),
    };
    let uri = request.uri();
    let path_and_query = uri.path_and_query().map_or("/", |p| p.as_str());
    let full_url = format!(
        "{}://{host}{path_and_query}",
        uri.scheme_str().unwrap_or("http")
    );
    let component_route = route.route.strip_suffix("/...").unwrap_or(route.route);
    let based = based_route(route.route);
    let client = route.client.to_string();

    let headers = request.headers_mut();
    for (name, value) in [
        ("spin-path-info", route.rest),
        ("spin-full-url", &full_url),
        ("spin-matched-route", &based),
        ("spin-base-path", "/"),
        ("spin-raw-component-route", route.route),
        ("spin-component-route", component_route),
        ("spin-client-addr", &client),
    ] {
        // A value that no header can carry is left out, as Spin does.
        if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
            headers.append(name, value);
        }
    }
    for (name, value) in route.parameters {
        let name = format!(
            "spin-path-match-{}",
            name.replace('_', "-").to_ascii_lowercase()
        );
        let name = HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value.as_bytes())) {
            headers.append(name, value);
        }
    }
    Ok(())
}

/// A route with a leading slash and without a trailing one.
fn based_route(route: &str) -> String {
    let route = route.strip_suffix('/').unwrap_or(route);
    if route.is_empty() || route.starts_with('/') {
        route.to_owned()
    } else {
        format!("/{route}")
    }
}
