//! What a namespace is written with: Socket.IO's server API for a Spin component.
//!
//! ```no_run
//! use parlour_sdk::{Io, Nsp, Reason, Socket, json};
//!
//! parlour_sdk::main!(app);
//!
//! fn app(io: &mut Io) {
//!     io.on_connect(async |socket: Socket| socket.join("everybody"));
//!     io.on("say", async |io: Nsp, text: String| {
//!         io.to("everybody").emit("said", &text)?; // stored, then delivered
//!         Ok(json!({ "length": text.len() })) // the acknowledgement
//!     });
//!     io.on_disconnecting(async |socket: Socket, reason: Reason| {
//!         for room in socket.rooms() {
//!             socket.to(room).emit("gone", &reason)?;
//!         }
//!         Ok(())
//!     });
//! }
//! # fn main() {}
//! ```
//!
//! A handler takes what it names: see [`Handler`].
//!
//! Nothing a handler does happens at once: it is recorded, committed with everything else of the
//! batch, and only then carried out. A handler that fails leaves no trace, and its sender gets an
//! ack `{error: {code, message}}`. `docs/namespace.md` has what happens underneath.

mod ack;
mod args;
mod asked;
mod batch;
mod binary;
mod check;
mod claims;
mod context;
mod decode;
mod emit;
mod entry;
mod error;
mod extract;
mod extractors;
mod handler;
mod handshake;
mod io;
mod log;
mod members;
#[cfg(test)]
mod memory;
mod namespace;
mod nsp;
mod packet;
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
        path: "wit",
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
pub use claims::{Auth, Claims};
pub use emit::{BroadcastOperator, Named, Once, Own};
#[doc(hidden)]
pub use entry::__entry;
pub use error::{Error, Result};
pub use extract::{Call, Extract, ViaArgs, ViaContext, ViaData, on};
pub use handler::{Handler, Outcome};
pub use handshake::Handshake;
pub use interface::{Position, Room};
pub use io::Io;
pub use namespace::Namespace;
pub use nsp::{Entry, Nsp};
pub use packet::{Packet, Reason};
pub use remote::{Page, RemoteSocket};
pub use rooms::RoomNames;
pub use serde_json::{Value, json};
pub use serve::serve;
pub use socket::Socket;
