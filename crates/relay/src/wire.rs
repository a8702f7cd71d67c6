//! Bytes on their way from and to clients: sockets, frames, packets. Nothing here knows of a relay.

pub mod flow;
pub mod message;
pub mod outbox;
pub mod stream;
pub mod tls;
pub mod ws;
