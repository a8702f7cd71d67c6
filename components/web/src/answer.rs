//! The answer to a request for a file (RFC 9110): methods, conditions, content codings. It reads files and does
//! nothing else.

use std::io;
use std::path::Path;

use sha2::{Digest as _, Sha256};
use spin_sdk::http::{HeaderMap, HeaderValue, Method, StatusCode};

use crate::files::File;

/// Where no variable says otherwise, a page may load only what this component serves, talk only to the server it came
/// from, and be in nobody's frame.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     manifest-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Where Socket.IO's client bundles are.
const SOCKET_IO: &str = "socket.io/";

/// The bytes of a SHA-256 that are an ETag.
const ETAG_BYTES: usize = 12;

/// What is served, and what the component's variables say of it.
pub struct Settings<'a> {
    pub root: &'a Path,
    /// The header `content-security-policy` of pages.
    pub policy: Option<String>,
    /// What the paths begin with of files that have a hash of their contents in their names.
    pub immutable: Option<String>,
}

pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Settings<'_> {
    pub fn answer(&self, method: &Method, path: &str, request: &HeaderMap) -> Answer {
        if !matches!(*method, Method::GET | Method::HEAD) {
            let mut answer = text(
                StatusCode::METHOD_NOT_ALLOWED,
                "Files are only to be read: GET or HEAD.\n",
            );
            set(&mut answer.headers, "allow", "GET, HEAD");
            return answer;
        }
        let mut answer = match File::find(self.root, path) {
            Some(file) => self.contents(&file, request).unwrap_or_else(|error| {
                eprintln!("cannot read {}: {error}", file.name);
                text(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "The file cannot be read.\n",
                )
            }),
            None => text(StatusCode::NOT_FOUND, "Not found.\n"),
        };
        if *method == Method::HEAD {
            answer.body.clear();
        }
        answer
    }

    fn contents(&self, file: &File, request: &HeaderMap) -> io::Result<Answer> {
        let mut headers = HeaderMap::new();
        let codings = file.codings();
        let coded = codings.iter().find(|it| is_accepted(request, it.coding));
        let body = match coded {
            Some(coded) => coded.read()?,
            None => file.read()?,
        };
        let etag = etag(&body);
        set(&mut headers, "etag", &format!("W/\"{etag}\""));
        set(&mut headers, "cache-control", self.cache_control(file));
        set(&mut headers, "x-content-type-options", "nosniff");
        if !codings.is_empty() {
            set(&mut headers, "vary", "accept-encoding");
        }
        if file.name.starts_with(SOCKET_IO) {
            // Pages of other origins may import the module.
            set(&mut headers, "access-control-allow-origin", "*");
        }
        if file.content_type().starts_with("text/html") {
            let policy = self.policy.as_deref().unwrap_or(CONTENT_SECURITY_POLICY);
            set(&mut headers, "content-security-policy", policy);
            set(&mut headers, "referrer-policy", "no-referrer");
        }
        if is_known(request, &etag) {
            return Ok(Answer {
                status: StatusCode::NOT_MODIFIED,
                headers,
                body: Vec::new(),
            });
        }
        set(&mut headers, "content-type", file.content_type());
        if let Some(coded) = coded {
            set(&mut headers, "content-encoding", coded.coding);
        }
        headers.insert("content-length", HeaderValue::from(body.len()));
        Ok(Answer {
            status: StatusCode::OK,
            headers,
            body,
        })
    }

    fn cache_control(&self, file: &File) -> &'static str {
        let immutable = self.immutable.as_deref().filter(|it| !it.is_empty());
        if immutable.is_some_and(|prefix| file.name.starts_with(prefix.trim_start_matches('/'))) {
            "public, max-age=31536000, immutable"
        } else if file.name.starts_with(SOCKET_IO) {
            "public, max-age=0"
        } else {
            "no-cache"
        }
    }
}

/// Names contents; without quotes.
fn etag(contents: &[u8]) -> String {
    let digest = Sha256::digest(contents);
    let bytes = digest.iter().take(ETAG_BYTES);
    bytes.map(|byte| format!("{byte:02x}")).collect()
}

fn text(status: StatusCode, body: &str) -> Answer {
    let mut headers = HeaderMap::new();
    set(&mut headers, "content-type", "text/plain; charset=utf-8");
    set(&mut headers, "x-content-type-options", "nosniff");
    headers.insert("content-length", HeaderValue::from(body.len()));
    Answer {
        status,
        headers,
        body: body.into(),
    }
}

/// A value that no header can have, which may only come from a variable, is left out.
fn set(headers: &mut HeaderMap, name: &'static str, value: &str) {
    match HeaderValue::from_str(value) {
        Ok(value) => drop(headers.insert(name, value)),
        Err(_) => eprintln!("{name} cannot be sent, it has a control character: {value:?}"),
    }
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
