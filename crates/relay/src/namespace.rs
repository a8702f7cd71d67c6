//! One namespace (or the handshakes, which are in none yet): its sockets and rooms, the events that wait for the
//! app, and what the app's commands do. The relay protocol calls it a lane.
//!
//! What its clients' connections have to take is sent to them. All else that must happen, once nothing is locked,
//! is given back as effects.

mod acknowledge;
mod apply;
mod batch;
mod context;
mod effect;
mod emit;
mod enter;
mod expected;
mod handover;
mod identity;
mod intake;
mod log;
mod offsets;
mod outgoing;
mod pending_acks;
mod registry;
mod sockets;
mod state;
mod text;

pub use batch::Batch;
pub use effect::Effect;
pub use enter::INTERNAL;
pub use expected::AckRequestId;
pub use log::GAP_WAIT;
pub use outgoing::Outgoing;
pub use state::{Decision, Namespace};
