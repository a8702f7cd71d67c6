//! The answer to a request for a file (RFC 9110): methods, conditions, content codings. Pure.

use spin_sdk::http::{HeaderMap, HeaderValue, Method, StatusCode};

use crate::files::{self, File, SOCKET_IO};

/// The page may load only what this component serves, talk only to the server it came from, and be
/// in nobody's frame.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     manifest-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: &'static [u8],
}

pub fn to(method: &Method, path: &str, request: &HeaderMap) -> Answer {
    if !matches!(*method, Method::GET | Method::HEAD) {
        let mut answer = text(
            StatusCode::METHOD_NOT_ALLOWED,
            b"Files are only to be read: GET or HEAD.\n",
        );
        set(&mut answer.headers, "allow", "GET, HEAD");
        return answer;
    }
    let mut answer = match files::find(path) {
        Some(file) => contents(file, request),
        None => text(
            StatusCode::NOT_FOUND,
            b"Not found. The chat is at /, Socket.IO's client at /socket.io/socket.io.js.\n",
        ),
    };
    if *method == Method::HEAD {
        answer.body = b"";
    }
    answer
}

fn contents(file: &'static File, request: &HeaderMap) -> Answer {
    let mut headers = HeaderMap::new();
    set(&mut headers, "etag", &format!("W/\"{}\"", file.etag));
    set(&mut headers, "cache-control", file.cache_control());
    set(&mut headers, "x-content-type-options", "nosniff");
    if !file.codings.is_empty() {
        set(&mut headers, "vary", "accept-encoding");
    }
    if file.path.starts_with(SOCKET_IO) {
        // Pages of other origins may import the module.
        set(&mut headers, "access-control-allow-origin", "*");
    }
    if file.path.ends_with(".html") {
        let policy = CONTENT_SECURITY_POLICY;
        set(&mut headers, "content-security-policy", policy);
        set(&mut headers, "referrer-policy", "no-referrer");
    }
    if is_known(request, file.etag) {
        return Answer {
            status: StatusCode::NOT_MODIFIED,
            headers,
            body: b"",
        };
    }
    set(&mut headers, "content-type", file.content_type);
    let coded = file
        .codings
        .iter()
        .find(|(coding, _)| is_accepted(request, coding));
    let body = match coded {
        Some((coding, body)) => {
            set(&mut headers, "content-encoding", coding);
            body
        }
        None => file.body,
    };
    headers.insert("content-length", HeaderValue::from(body.len()));
    Answer {
        status: StatusCode::OK,
        headers,
        body,
    }
}

fn text(status: StatusCode, body: &'static [u8]) -> Answer {
    let mut headers = HeaderMap::new();
    set(&mut headers, "content-type", "text/plain; charset=utf-8");
    set(&mut headers, "x-content-type-options", "nosniff");
    headers.insert("content-length", HeaderValue::from(body.len()));
    Answer {
        status,
        headers,
        body,
    }
}

fn set(headers: &mut HeaderMap, name: &'static str, value: &str) {
    let value = HeaderValue::from_str(value).expect("all our values are printable ASCII");
    headers.insert(name, value);
}

/// Whether `if-none-match` names this ETag, weak or strong.
fn is_known(request: &HeaderMap, etag: &str) -> bool {
    list(request, "if-none-match").any(|known| {
        let known = known.strip_prefix("W/").unwrap_or(known);
        known == "*" || known.trim_matches('"') == etag
    })
}

/// Whether `accept-encoding` names this coding and does not rule it out.
fn is_accepted(request: &HeaderMap, coding: &str) -> bool {
    list(request, "accept-encoding").any(|entry| {
        let mut parts = entry.split(';').map(str::trim);
        let is_named = parts
            .next()
            .is_some_and(|name| name.eq_ignore_ascii_case(coding));
        is_named && !parts.any(|weight| matches!(weight.trim_end_matches('0'), "q=" | "q=0."))
    })
}

/// The entries of a header that is a list, in all its lines.
fn list<'a>(request: &'a HeaderMap, name: &'static str) -> impl Iterator<Item = &'a str> {
    request
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
}

#[cfg(test)]
mod tests;
