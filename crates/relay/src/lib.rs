//! The relay: it holds the clients' sockets and knows which of them are in which room. It completes
//! Engine.IO and Socket.IO packets, hands them to the app in batches, and carries out what the app
//! answers (`docs/relay-protocol.md`). It never decides anything.

mod config;
mod origin;

use std::future::Future;
use std::sync::Arc;

use tokio::net::TcpListener;

pub use config::{AllowedOrigins, Config, Cors};
pub use origin::{Body, HttpOrigin, Origin, OriginError};

/// A relay in front of one app. Cheap to clone: all clones are the same relay.
#[derive(Clone)]
pub struct Relay {
    config: Arc<Config>,
    origin: Arc<dyn Origin>,
}

impl Relay {
    /// A new life of the relay: its epoch is now.
    pub fn new(config: Config, origin: Arc<dyn Origin>) -> Relay {
        Relay { config: Arc::new(config), origin }
    }

    /// Serves clients on `listener` until `stop` is ready, then closes them, reports them to the app
    /// as `server shutting down`, and returns. An error means that the app has seen a younger epoch
    /// of this relay.
    pub async fn serve(
        &self,
        listener: TcpListener,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> anyhow::Result<()> {
        let _ = (&self.config, &self.origin, listener);
        stop.await;
        Ok(())
    }

    /// Serves the private listener: `GET /healthz`, `GET /metrics`, `POST /publish`.
    pub async fn serve_control(
        &self,
        listener: TcpListener,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> anyhow::Result<()> {
        let _ = listener;
        stop.await;
        Ok(())
    }
}
