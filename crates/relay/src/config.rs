//! How a relay is set up, and every limit it has, each with its unit. Nothing here does anything.

use std::time::Duration;

/// A relay's settings. `Default` has Socket.IO's values; `secret` must be set.
#[derive(Clone)]
pub struct Config {
    /// The relay's name in the relay protocol: 1 to 64 of `A–Z a–z 0–9 _ - .`, the same after a restart.
    pub relay: String,
    /// Shared with the app's gateway; also what `POST /publish` asks for.
    pub secret: String,
    /// Where Engine.IO lives, without a trailing slash.
    pub path: String,
    /// How long the server waits after a pong before it sends the next ping.
    pub ping_interval: Duration,
    /// How long a client may take to answer a ping.
    pub ping_timeout: Duration,
    /// Bytes of one WebSocket message or one polling request.
    pub max_payload: usize,
    /// A connection that has joined no namespace after this is closed.
    pub connect_timeout: Duration,
    /// A WebSocket that wants to take over from polling must have done so after this.
    pub upgrade_timeout: Duration,
    /// Cross-origin requests from browsers. `None` sends no CORS headers, as Socket.IO by default.
    pub cors: Option<Cors>,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            relay: "relay".into(),
            secret: String::new(),
            path: "/socket.io".into(),
            ping_interval: Duration::from_millis(25_000),
            ping_timeout: Duration::from_millis(20_000),
            max_payload: 1_000_000,
            connect_timeout: Duration::from_millis(45_000),
            upgrade_timeout: Duration::from_millis(10_000),
            cors: None,
        }
    }
}

/// Never shows the secret.
impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("relay", &self.relay)
            .field("path", &self.path)
            .field("ping_interval", &self.ping_interval)
            .field("ping_timeout", &self.ping_timeout)
            .field("max_payload", &self.max_payload)
            .field("connect_timeout", &self.connect_timeout)
            .field("upgrade_timeout", &self.upgrade_timeout)
            .field("cors", &self.cors)
            .finish_non_exhaustive()
    }
}

/// What Socket.IO's option `cors` says: which pages of other origins may connect.
#[derive(Debug, Clone)]
pub struct Cors {
    pub origins: AllowedOrigins,
    /// Whether such a page's cookies come along. Not with [`AllowedOrigins::Any`]: browsers refuse it.
    pub credentials: bool,
}

#[derive(Debug, Clone)]
pub enum AllowedOrigins {
    /// `*`
    Any,
    /// Each as a browser sends it: scheme, host and port.
    These(Vec<String>),
}
