//! One client's session: its connection, and the sockets that it has in namespaces. When the connection ends, or
//! a time is over, the namespaces are told, with nothing locked.

use std::sync::Arc;

use crate::connection::{Beat, Closed, Connection, How, Lease, Membership, Sent};
use crate::core::reason;
use crate::core::timers::{Purpose, Timer};
use crate::shared::Shared;
use crate::wire::message::Message;
use crate::wire::ws::code;

/// Closes a connection, unless it is closed already.
pub fn close(shared: &Shared, connection: &Arc<Connection>, reason: &'static str, how: How) {
    let Some(Closed {
        memberships,
        is_gone,
    }) = connection.close(shared, how)
    else {
        return;
    };
    shared.connections.close(connection, is_gone);
    shared.metrics.connections.down();
    shared.metrics.closed(reason);
    tracing::debug!(
        connection = connection.id.shown(),
        reason,
        "connection closed"
    );
    for Membership {
        namespace, place, ..
    } in memberships
    {
        namespace.left(place, reason);
    }
}

/// Closes a connection because the app disconnects one of its sockets and wants all gone: every socket
/// gets DISCONNECT, and `server namespace disconnect` for a reason.
pub fn close_kicked(shared: &Shared, connection: &Arc<Connection>) {
    let memberships = connection.lock().memberships.clone();
    for Membership { namespace, .. } in &memberships {
        let packet = Message::text(namespace.disconnect_packet());
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
pub fn close_over_limit(shared: &Shared, connection: &Arc<Connection>) {
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
pub fn close_too_fast(shared: &Shared, connection: &Arc<Connection>) {
    tracing::warn!(
        connection = connection.id.shown(),
        "closing a client that sends too many events"
    );
    shared.metrics.closed_over_limit.add(1);
    let how = How::Code(code::POLICY_VIOLATION);
    close(shared, connection, reason::TRANSPORT_ERROR, how);
}

/// Closes a connection because of a packet that may not come now: for a namespace the client is not in, or CONNECT
/// for one it is in. The reason is that of the reference, which depends on whether its transport can close at once.
pub fn close_invalid(shared: &Shared, connection: &Arc<Connection>) {
    let at_once = connection.is_writable();
    let reason = if at_once {
        reason::FORCED_CLOSE
    } else {
        reason::FORCED_SERVER_CLOSE
    };
    tracing::debug!(
        connection = connection.id.shown(),
        "a packet in an invalid state"
    );
    close(shared, connection, reason, How::Orderly);
}

/// Closes the session if the client takes back its request before it was answered.
pub struct PollGuard {
    shared: Arc<Shared>,
    connection: Option<Arc<Connection>>,
}

impl PollGuard {
    pub fn new(shared: Arc<Shared>, connection: Arc<Connection>) -> PollGuard {
        PollGuard {
            shared,
            connection: Some(connection),
        }
    }

    pub fn answered(mut self) {
        self.connection = None;
    }
}

impl Drop for PollGuard {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            close(
                &self.shared,
                &connection,
                reason::TRANSPORT_ERROR,
                How::Abort,
            );
        }
    }
}

/// Waits for connections' timers, and does what is due, for as long as the relay lives.
pub async fn run_timers(shared: Arc<Shared>) {
    loop {
        let due = shared.timers.due().await;
        // What clients have sent in time is read first.
        tokio::task::yield_now().await;
        for timer in due {
            if let Some(connection) = shared.connections.of_timer(timer) {
                on_timer(&shared, &connection, timer);
            }
        }
    }
}

fn on_timer(shared: &Shared, connection: &Arc<Connection>, timer: Timer) {
    match timer.purpose {
        Purpose::Heartbeat => match connection.heartbeat(shared, timer.turn) {
            Beat::Alive => {}
            Beat::End(reason, how) => close(shared, connection, reason, how),
            Beat::Overflow => close_over_limit(shared, connection),
        },
        Purpose::Expiry => expire(shared, connection, timer.turn),
        Purpose::Connect if connection.is_idle() => close(
            shared,
            connection,
            reason::FORCED_SERVER_CLOSE,
            How::Orderly,
        ),
        Purpose::Connect => {}
        Purpose::Linger => {
            if connection.stop_lingering() {
                shared.connections.forget(connection);
            }
        }
    }
}

/// Ends the sockets whose time is over, and sets the timer for the others.
fn expire(shared: &Shared, connection: &Arc<Connection>, turn: u8) {
    let mut first = None;
    for member in connection.expired(turn).unwrap_or_default() {
        let Membership {
            namespace, place, ..
        } = member;
        match namespace.expire(place) {
            Lease::Until(at) => first = Some(first.map_or(at, |first: u64| first.min(at))),
            Lease::Endless => {}
            Lease::Over => {
                let packet = Message::text(namespace.disconnect_packet());
                if connection.send_message(&packet) == Sent::Overflow {
                    close_over_limit(shared, connection);
                }
            }
        }
    }
    if let Some(first) = first {
        connection.expect_expiry(shared, first);
    }
}
