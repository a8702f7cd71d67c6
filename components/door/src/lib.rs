//! A namespace's door: what stands behind middleware that judges every request, and is asked
//! `POST /connect` in the namespace's place. Whoever comes this far may enter, with the claims that the
//! middleware made. It keeps nothing and never sees a batch.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use serde_json::{json, value::RawValue};
use spin_sdk::http::{
    FullBody, HeaderMap, HeaderValue, IntoResponse, Method, Request, Response, StatusCode,
};
use spin_sdk::http_service;

/// Where the middleware leaves what it knows of the client: base64url of JSON.
const CLAIMS: &str = "parlour-claims";

#[http_service]
async fn handle(request: Request) -> impl IntoResponse {
    let (status, body) = answer(request.method(), request.uri().path(), request.headers());
    // With its length known, the answer leaves in one piece.
    let length = HeaderValue::from(body.len());
    let mut response = Response::new(FullBody::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    headers.insert("content-length", length);
    response
}

fn answer(method: &Method, path: &str, headers: &HeaderMap) -> (StatusCode, Vec<u8>) {
    match (method, path) {
        (&Method::POST, "/connect") => match claims(headers) {
            Some(claims) => (StatusCode::OK, claims),
            None => error(
                StatusCode::BAD_REQUEST,
                "malformed",
                &format!("`{CLAIMS}` must be JSON in base64url"),
            ),
        },
        (method, path) => error(
            StatusCode::NOT_FOUND,
            "not_found",
            &format!("a door has POST /connect, not {method} {path}"),
        ),
    }
}

/// The claims as JSON: `null` where there are none, nothing if they are malformed.
fn claims(headers: &HeaderMap) -> Option<Vec<u8>> {
    let Some(claims) = headers.get(CLAIMS) else {
        return Some(b"null".to_vec());
    };
    let claims = URL_SAFE_NO_PAD.decode(claims.as_bytes()).ok()?;
    serde_json::from_slice::<&RawValue>(&claims).ok()?;
    Some(claims)
}

fn error(status: StatusCode, code: &str, message: &str) -> (StatusCode, Vec<u8>) {
    let body = json!({ "error": { "code": code, "message": message } });
    (status, body.to_string().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connect(claims: Option<&str>) -> (u16, String) {
        let mut headers = HeaderMap::new();
        if let Some(claims) = claims {
            headers.insert(CLAIMS, claims.parse().unwrap());
        }
        let (status, body) = answer(&Method::POST, "/connect", &headers);
        (status.as_u16(), String::from_utf8(body).unwrap())
    }

    #[test]
    fn whoever_comes_this_far_may_enter() {
        assert_eq!(connect(None), (200, "null".to_owned()));
    }

    #[test]
    fn what_the_middleware_claims_goes_back_to_the_gateway() {
        let claims = r#"{"sub":"ada"}"#;
        let encoded = URL_SAFE_NO_PAD.encode(claims);
        assert_eq!(connect(Some(&encoded)), (200, claims.to_owned()));
    }

    #[test]
    fn claims_that_are_no_json_admit_nobody() {
        for wrong in ["{", "e30=", &URL_SAFE_NO_PAD.encode("{")] {
            let (status, body) = connect(Some(wrong));
            assert_eq!(status, 400, "{wrong}");
            assert!(body.contains("parlour-claims"), "{body}");
        }
    }

    #[test]
    fn a_door_has_nothing_else() {
        for (method, path) in [
            (Method::POST, "/events"),
            (Method::GET, "/connect"),
            (Method::POST, "/"),
        ] {
            let (status, body) = answer(&method, path, &HeaderMap::new());
            assert_eq!(status, StatusCode::NOT_FOUND);
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(body["error"]["code"], "not_found");
            let message = body["error"]["message"].as_str().unwrap();
            assert!(message.ends_with(&format!("{method} {path}")), "{message}");
        }
    }
}
