//! The end of a connection: its sockets are told why, its transport says goodbye. It happens once.

use std::sync::Arc;

use super::polling::{CLOSE, NOOP};
use super::{Connection, Inner, Membership, Sent, Transport};
use crate::config::{LINGER, POLLING_CLOSE_WAIT};
use crate::outbox::Outbox;
use crate::reason;
use crate::shared::Shared;
use crate::timers::Purpose;
use crate::ws::{self, code};

/// How the transport ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// The server wants it: the client is told even if it has to be waited for.
    Orderly,
    /// Something is wrong: the client is told if it can be told now.
    Abort,
    /// As `Abort`, with this WebSocket close code.
    Code(u16),
    /// The client has said so, in an Engine.IO packet.
    Said,
    /// There is no transport any more.
    Gone,
}

/// Closes a connection, unless it is closed already.
pub fn close(shared: &Arc<Shared>, connection: &Arc<Connection>, reason: &'static str, how: How) {
    let memberships = {
        let mut inner = connection.lock();
        let Some(memberships) = shut(shared, connection, &mut inner, how) else {
            return;
        };
        memberships
    };
    shared.metrics.closed(reason);
    tracing::debug!(
        connection = connection.id.shown(),
        reason,
        "connection closed"
    );
    for membership in memberships {
        membership.lane.left(shared, membership.place, reason);
    }
}

/// Closes a connection because the app disconnects one of its sockets and wants all gone: every socket
/// gets DISCONNECT, and `server namespace disconnect` for a reason.
pub fn close_kicked(shared: &Arc<Shared>, connection: &Arc<Connection>) {
    let memberships = connection.lock().memberships.clone();
    for Membership { lane, .. } in &memberships {
        let packet = crate::message::Message::text(lane.disconnect_packet());
        if connection.send_message(&packet) == Sent::Overflow {
            return close_over_limit(shared, connection);
        }
    }
    close(
        shared,
        connection,
        reason::SERVER_NAMESPACE_DISCONNECT,
        How::Orderly,
    );
}

/// Closes a connection whose client makes the relay keep more than it may. What waits for the client is
/// dropped at once.
pub fn close_over_limit(shared: &Arc<Shared>, connection: &Arc<Connection>) {
    tracing::warn!(
        connection = connection.id.shown(),
        bytes = connection.account().size(),
        "closing a client that makes the relay keep too much: it does not read, or sends without end"
    );
    shared.metrics.closed_over_limit.add(1);
    let code = code::TRY_AGAIN_LATER;
    close(shared, connection, reason::TRANSPORT_ERROR, How::Code(code));
    connection.abandon();
}

/// Closes a connection that went on sending more events than it may.
pub fn close_too_fast(shared: &Arc<Shared>, connection: &Arc<Connection>) {
    tracing::warn!(
        connection = connection.id.shown(),
        "closing a client that sends too many events"
    );
    shared.metrics.closed_over_limit.add(1);
    let how = How::Code(code::POLICY_VIOLATION);
    close(shared, connection, reason::TRANSPORT_ERROR, how);
}

/// Ends the transport and gives back what the client was in. None if that has happened before.
fn shut(
    shared: &Arc<Shared>,
    connection: &Arc<Connection>,
    inner: &mut Inner,
    how: How,
) -> Option<Vec<Membership>> {
    if !inner.open {
        return None;
    }
    inner.receiving = None;
    inner.asking.clear();
    match &mut inner.transport {
        Transport::Polling(polling) => {
            // What waits comes first and by itself, as engine.io has it: socket.io-client would take what it
            // gets together with the end for something that it has after it, and not count its offset.
            let can_tell = polling.is_polled() && polling.is_empty();
            polling.closing = how == How::Orderly && !can_tell;
            if polling.closing {
                polling.release();
                shared.set_timer(connection, POLLING_CLOSE_WAIT, Purpose::Linger);
            } else {
                polling.push_packet(if how == How::Said { NOOP } else { CLOSE });
                polling.release();
            }
            shared.connections.close(connection, !polling.closing);
        }
        _ => {
            if how != How::Gone {
                let code = if let How::Code(code) = how {
                    code
                } else {
                    code::NO_STATUS
                };
                let mut outbox = Outbox::default();
                outbox.write(|out| ws::write_close(out, code));
                connection.transmit(inner, &mut outbox);
                connection.finish(inner);
                shared.set_timer(connection, LINGER, Purpose::Linger);
            }
            // Its reader forgets it, once it has found the transport closed.
            shared.connections.close(connection, false);
        }
    }
    inner.open = false;
    shared.metrics.connections.down();
    Some(std::mem::take(&mut inner.memberships))
}
