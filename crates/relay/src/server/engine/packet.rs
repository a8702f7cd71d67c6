//! What an Engine.IO packet from a client means, where that is the same on every transport.

use std::sync::Arc;

use parlour_protocol::engine::Packet;

use crate::client;
use crate::connection::{Connection, How, Until};
use crate::core::reason;
use crate::session::close;
use crate::shared::Shared;
use crate::wire::flow::Flow;

/// Handles any packet but `Close`. An error is a packet that is none.
pub fn handle<E>(
    shared: &Arc<Shared>,
    connection: &Arc<Connection>,
    packet: Result<Packet<'_>, E>,
) -> Flow<Until> {
    let end = |reason| {
        close(shared, connection, reason, How::Abort);
        Flow::Stop
    };
    match packet {
        Ok(Packet::Message(text)) => client::on_text(shared, connection, text),
        Ok(Packet::Binary(data)) => client::on_binary(shared, connection, &data),
        Ok(Packet::Pong(_)) => {
            connection.pong(shared);
            Flow::Continue
        }
        // The server pings, not the client.
        Ok(Packet::Ping(_)) => end(reason::TRANSPORT_ERROR),
        Ok(_) => Flow::Continue,
        Err(_) => end(reason::PARSE_ERROR),
    }
}
