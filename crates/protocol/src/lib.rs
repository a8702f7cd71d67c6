//! Engine.IO v4, Socket.IO v5 and the relay protocol, as types and pure functions: no sockets, no
//! clock, no allocation that a packet does not need. Everything that crosses a process boundary in
//! Parlour is defined here, and nowhere else.

pub mod engine;
pub mod json;
pub mod latin1;
pub mod relay;
pub mod routes;
pub mod socket;
