//! What a namespace is written with: Socket.IO's server API for a Spin component.
//!
//! ```no_run
//! use parlour_sdk::{Ack, Namespace, Result, Socket, json};
//! use spin_sdk::{http::{IntoResponse, Request}, http_service};
//!
//! #[http_service]
//! async fn handle(request: Request) -> impl IntoResponse {
//!     parlour_sdk::serve(echo, request).await
//! }
//!
//! fn echo(ns: &mut Namespace) {
//!     ns.on_connect(async |socket| socket.join("everybody"));
//!     ns.on("say", async |socket, text: String, ack| {
//!         socket.to("everybody").emit("said", &text)?; // stored, then delivered
//!         ack.send(json!({ "length": text.len() }))
//!     });
//!     ns.on_disconnecting(async |socket, reason| {
//!         for room in socket.rooms() {
//!             socket.to(room).emit("gone", &reason)?;
//!         }
//!         Ok(())
//!     });
//! }
//! # fn main() {}
//! ```
//!
//! Nothing a handler does happens at once: it is recorded, committed with everything else of the
//! batch, and only then carried out. A handler that fails leaves no trace, and its sender gets an
//! ack `{error: {code, message}}`. `docs/namespace.md` has what happens underneath.

mod ack;
mod args;
mod asked;
mod batch;
mod binary;
mod context;
mod decode;
mod emit;
mod error;
mod handshake;
mod log;
mod members;
#[cfg(test)]
mod memory;
mod namespace;
mod nsp;
mod peer;
mod remote;
mod replay;
mod rooms;
mod serve;
mod settings;
mod sid;
mod socket;
mod store;
mod target;

mod bindings {
    // Generated: imports are symbols, and symbols are unsafe.
    #![allow(missing_docs, unsafe_code, clippy::all)]
    spin_sdk::wit_bindgen::generate!({
        world: "user",
        path: "../../wit",
        runtime_path: "spin_sdk::wit_bindgen::rt",
        generate_all,
        async: true,
    });
}

use bindings::parlour::rooms::rooms as interface;

pub use ack::Ack;
pub use args::{Args, FromArgs, ToArgs};
pub use asked::{Acks, DEFAULT_TIMEOUT, Reply};
pub use binary::{Binary, Raw};
pub use emit::{BroadcastOperator, Named, Once, Own};
pub use error::{Error, Result};
pub use handshake::Handshake;
pub use interface::{Position, Room};
pub use namespace::{Namespace, Packet};
pub use nsp::{Entry, Nsp};
pub use remote::{Page, RemoteSocket};
pub use rooms::RoomNames;
pub use serde_json::json;
pub use serve::serve;
pub use socket::Socket;
