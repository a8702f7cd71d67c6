//! The app in this process as the relay's origin: the relay reaches it by its public routes, just as
//! over HTTP.

use std::pin::Pin;
use std::sync::Arc;

use http::header::{HOST, HeaderValue};
use http::{Request, Response};
use parlour_relay::{Body, Origin, OriginError};

pub struct Embedded(pub Arc<parlour_host::App>);

impl Origin for Embedded {
    fn call(
        &self,
        mut request: Request<Body>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Body>, OriginError>> + Send + '_>> {
        // The relay's own requests name no host; over HTTP its client would.
        let headers = request.headers_mut();
        if !headers.contains_key(HOST) {
            headers.insert(HOST, HeaderValue::from_static("localhost"));
        }
        Box::pin(async move { Ok(self.0.handle(request).await) })
    }
}
