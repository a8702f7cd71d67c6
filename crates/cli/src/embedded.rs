//! The app in this process as the relay's origin: the relay reaches it by its public routes, just as
//! over HTTP. Another app can take its place while the relay runs.

use std::pin::Pin;
use std::sync::{Arc, RwLock};

use http::header::{HOST, HeaderValue};
use http::{Request, Response};
use parlour_host::App;
use parlour_relay::{Body, Origin, OriginError};

pub struct Embedded(RwLock<Arc<App>>);

impl Embedded {
    pub fn new(app: Arc<App>) -> Embedded {
        Embedded(RwLock::new(app))
    }

    /// The one that answers.
    pub fn app(&self) -> Arc<App> {
        self.0.read().unwrap_or_else(|it| it.into_inner()).clone()
    }

    /// From now on this one answers. Gives back the one of before, which still has requests to answer: whoever
    /// asked it holds it as well.
    pub fn replace(&self, app: Arc<App>) -> Arc<App> {
        let mut current = self.0.write().unwrap_or_else(|it| it.into_inner());
        std::mem::replace(&mut current, app)
    }
}

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
        Box::pin(async move { Ok(self.app().handle(request).await) })
    }
}
