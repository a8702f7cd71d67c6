//! What `parlour --version` says.

use std::sync::OnceLock;

use parlour_protocol::{engine, relay, socket};

/// The version of the program, of what runs the application, and of what it speaks, in one line.
pub fn long() -> &'static str {
    static LONG: OnceLock<String> = OnceLock::new();
    LONG.get_or_init(|| {
        format!(
            "{} (Wasmtime {}; Socket.IO protocol {}, Engine.IO protocol {}, relay protocol {})",
            env!("CARGO_PKG_VERSION"),
            parlour_host::WASMTIME,
            socket::REVISION,
            engine::REVISION,
            relay::VERSION
        )
    })
}
