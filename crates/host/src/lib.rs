//! Runs a `spin.toml` in this process on Wasmtime, as Spin 4.1 does, with the same errors and limits.
//!
//! Owns everything between an HTTP request and the components that answer it: manifest, composition,
//! instances, service chaining, SQLite, variables. Never knows of sockets, Socket.IO or the relay.

mod app;
mod backup;
mod bindings;
mod component_variables;
mod compose;
mod deny;
mod engine;
mod files;
mod headers;
mod hosts;
mod limits;
mod manifest;
mod names;
mod outbound;
mod plan;
mod routes;
mod runtime_config;
mod serve;
mod service;
mod services;
mod sources;
mod sqlite;
pub mod state_dir;
mod stdio;
mod template;
mod unmet;
mod variables;

use std::{path::PathBuf, time::Duration};

pub use app::{App, Front};
pub use backup::{Copied, back_up, restore};
pub use serve::serve;
pub use sources::{Build, Sources};
pub use variables::{ENVIRONMENT_PREFIX, environment_key, secret_variables, variable_names};

/// The version of Wasmtime that components run on.
pub const WASMTIME: &str = wasmtime_environ::VERSION;

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
    /// How long a component may take to answer, waiting or computing. Default: as long as it likes.
    pub request_timeout: Option<Duration>,
    /// Bytes of memory that one instance may have, its dependencies' included. Wins over the runtime
    /// configuration's `max_instance_memory`. Default: 256 MiB.
    pub max_instance_memory: Option<usize>,
    /// Serve databases that are found malformed after a crash.
    pub allow_malformed_database: bool,
}
