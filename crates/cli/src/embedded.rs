//! The app in this process as the relay's origin: the relay reaches it by its public routes, just as
//! over HTTP.

use std::pin::Pin;
use std::sync::Arc;

use http::{Request, Response};
use parlour_relay::{Body, Origin, OriginError};

pub struct Embedded(pub Arc<parlour_host::App>);

impl Origin for Embedded {
    fn call(
        &self,
        request: Request<Body>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Body>, OriginError>> + Send + '_>> {
        Box::pin(async move { Ok(self.0.handle(request).await) })
    }
}
