//! Runs a `spin.toml` in this process on Wasmtime, as Spin 4.1 does and no kinder.
//!
//! Owns everything between an HTTP request and the components that answer it: manifest, composition,
//! instances, service chaining, SQLite, variables. Never knows of sockets, Socket.IO or the relay.

mod app;
mod bindings;
mod component_variables;
mod compose;
mod deny;
mod engine;
mod files;
mod headers;
mod hosts;
mod manifest;
mod names;
mod outbound;
mod plan;
mod routes;
mod serve;
mod service;
mod services;
mod sqlite;
mod stdio;
mod template;
mod variables;

use std::path::PathBuf;

pub use app::{App, Front};
pub use serve::serve;
pub use variables::{environment_key, secret_variables};

/// The body of requests and responses.
pub type Body = http_body_util::combinators::UnsyncBoxBody<bytes::Bytes, std::io::Error>;

/// What to run, and with what. Not `Debug`, because variables may be secret.
#[derive(Clone, Default)]
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
    /// Where compiled components are kept. Default: `parlour` in the user's cache directory.
    pub cache_dir: Option<PathBuf>,
}
