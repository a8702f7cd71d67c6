//! Serves files: those that `files` in the manifest mounts for this component, such as a page and Socket.IO's client
//! bundles. It can only read them, and it knows nothing of chat.

mod answer;
mod files;

use std::path::Path;

use bytes::Bytes;
use spin_sdk::http::{FullBody, IntoResponse, Request, Response};
use spin_sdk::{http_service, variables};

use answer::{Answer, Settings};

/// Where Spin mounts a component's files.
const ROOT: &str = "/";

#[http_service]
async fn handle(request: Request) -> impl IntoResponse {
    let settings = Settings {
        root: Path::new(ROOT),
        policy: variables::get("content_security_policy").await.ok(),
        immutable: variables::get("immutable").await.ok(),
    };
    let Answer {
        status,
        headers,
        body,
    } = settings.answer(request.method(), request.uri().path(), request.headers());
    let mut response = Response::new(FullBody::new(Bytes::from(body)));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}
