//! Runs a `spin.toml` in this process on Wasmtime, as Spin 4.1 does and no kinder.
//! Owns everything between an HTTP request and the components that answer it. Never knows of
//! sockets, Socket.IO or the relay.

use std::{future::Future, path::PathBuf, sync::Arc};

/// The body of requests and responses.
pub type Body = http_body_util::combinators::UnsyncBoxBody<bytes::Bytes, std::io::Error>;

/// What to run, and with what.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The `spin.toml`.
    pub manifest: PathBuf,
    /// Where databases and logs are. Default: `.spin` beside the manifest.
    pub state_dir: Option<PathBuf>,
    /// As `--variable`: wins over `SPIN_VARIABLE_*`.
    pub variables: Vec<(String, String)>,
    /// Used only where neither flag, environment nor the manifest's default gives a value.
    pub default_variables: Vec<(String, String)>,
    /// Spin's runtime configuration file.
    pub runtime_config: Option<PathBuf>,
    /// Where compiled modules are kept. Default: `parlour` in the user's cache directory.
    pub cache_dir: Option<PathBuf>,
}

/// A running application.
pub struct App {
    _options: Options,
}

impl App {
    /// Reads, checks, composes and compiles the application.
    pub async fn load(options: Options) -> anyhow::Result<App> {
        Ok(App { _options: options })
    }

    /// Answers a client's request by the component whose public route matches.
    pub async fn handle(&self, _request: http::Request<Body>) -> http::Response<Body> {
        http::Response::new(Body::default())
    }

    /// Takes no new requests, lets the instances go and checkpoints the databases.
    pub async fn shutdown(&self) {}

    /// The resolved value of an application variable; none if it has none.
    pub fn variable(&self, _name: &str) -> anyhow::Result<Option<String>> {
        Ok(None)
    }
}

/// Serves the application on a listener until `stop`, as `spin up` would.
pub async fn serve(
    _app: Arc<App>,
    _listener: tokio::net::TcpListener,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    stop.await;
    Ok(())
}
