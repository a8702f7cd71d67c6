//! Serves the browser client, and Socket.IO's client bundles as Socket.IO's server does. All files are
//! embedded when the component is built; it reads nothing and knows nothing of chat.

mod answer;
mod files;

use bytes::Bytes;
use spin_sdk::http::{FullBody, IntoResponse, Request, Response};
use spin_sdk::http_service;

use answer::Answer;

#[http_service]
async fn handle(request: Request) -> impl IntoResponse {
    let Answer {
        status,
        headers,
        body,
    } = answer::to(request.method(), request.uri().path(), request.headers());
    let mut response = Response::new(FullBody::new(Bytes::from_static(body)));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}
