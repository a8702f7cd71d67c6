//! HTTP middleware as anyone might have it, that has never heard of Parlour: every request, whatever its
//! path, must carry the key.

use bytes::Bytes;
use spin_sdk::http::{FullBody, IntoResponse, Request, Response, Result, StatusCode, next};
use spin_sdk::http_service;
use spin_sdk::wasip3::http::types;

const HEADER: &str = "x-api-key";
const KEY: &str = "sesame";

#[http_service]
async fn handle(request: Request) -> Result<types::Response> {
    if request.headers().get(HEADER).is_some_and(|key| key == KEY) {
        return Ok(next(request).await?.into_response()?);
    }
    let said = FullBody::new(Bytes::from_static(b"No entry without the key\n"));
    let mut refusal = Response::new(said);
    *refusal.status_mut() = StatusCode::FORBIDDEN;
    Ok(refusal.into_response()?)
}
