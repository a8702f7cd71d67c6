// Middleware that signs the request on its way in and the response on its way out.

use http::HeaderValue;
use spin_sdk::{
    http::{Request, Response, Result, next},
    http_service,
};

#[http_service]
async fn handle(mut request: Request) -> Result<Response> {
    let name = HeaderValue::from_static(env!("CARGO_CRATE_NAME"));
    request.headers_mut().append("x-in", name.clone());
    let mut response = next(request).await?;
    response.headers_mut().append("x-out", name);
    Ok(response)
}
