//! Why a socket left: Socket.IO's own words, which applications compare with.

pub const TRANSPORT_CLOSE: &str = "transport close";
pub const TRANSPORT_ERROR: &str = "transport error";
pub const PING_TIMEOUT: &str = "ping timeout";
pub const PARSE_ERROR: &str = "parse error";
pub const CLIENT_NAMESPACE_DISCONNECT: &str = "client namespace disconnect";
pub const SERVER_NAMESPACE_DISCONNECT: &str = "server namespace disconnect";
/// Ours: the token that let the client in has ended, and was not renewed.
pub const TOKEN_EXPIRED: &str = "token expired";
pub const FORCED_CLOSE: &str = "forced close";
pub const FORCED_SERVER_CLOSE: &str = "forced server close";
pub const SERVER_SHUTTING_DOWN: &str = "server shutting down";

/// Those that a whole connection can be closed for.
pub const OF_CONNECTIONS: [&str; 8] = [
    TRANSPORT_CLOSE,
    TRANSPORT_ERROR,
    PING_TIMEOUT,
    PARSE_ERROR,
    SERVER_NAMESPACE_DISCONNECT,
    FORCED_CLOSE,
    FORCED_SERVER_CLOSE,
    SERVER_SHUTTING_DOWN,
];
