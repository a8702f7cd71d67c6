//! Cross-origin resource sharing as the npm package `cors` does it, which Socket.IO uses.

use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

use crate::core::config::{AllowedOrigins, Cors};
use crate::core::origin::Body;
use crate::server::respond::respond;

/// What `cors` allows unless it is told otherwise.
const METHODS: HeaderValue = HeaderValue::from_static("GET,HEAD,PUT,PATCH,POST,DELETE");

/// Answers OPTIONS.
pub fn preflight(cors: &Cors, request: &HeaderMap) -> Response<Body> {
    let mut response = respond(StatusCode::NO_CONTENT, "", "");
    let headers = response.headers_mut();
    headers.extend(self::headers(cors, request));
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    headers.append(
        header::VARY,
        HeaderValue::from_static("Access-Control-Request-Headers"),
    );
    if let Some(asked) = request.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
    }
    response
}

/// The headers of any other answer.
pub fn headers(cors: &Cors, request: &HeaderMap) -> HeaderMap {
    let mut headers = HeaderMap::new();
    match &cors.origins {
        AllowedOrigins::Any => {
            headers.insert(
                header::ACCESS_CONTROL_ALLOW_ORIGIN,
                HeaderValue::from_static("*"),
            );
        }
        AllowedOrigins::These(origins) => {
            headers.insert(header::VARY, HeaderValue::from_static("Origin"));
            let origin = request.get(header::ORIGIN);
            if let Some(origin) = origin.filter(|it| origins.iter().any(|allowed| *it == allowed)) {
                headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            }
        }
    }
    if cors.credentials {
        headers.insert(
            header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
            HeaderValue::from_static("true"),
        );
    }
    headers
}
