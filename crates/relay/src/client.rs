//! Socket.IO on one connection: which namespace a packet is for, and whether it may come now, by the
//! rules of the reference's `client.js`. What an event means is the app's business.

use std::sync::Arc;
use std::time::Duration;

use parlour_protocol::socket::{self, AckId, Kind, Malformed, Packet, Reassembler};
use serde_json::value::RawValue;

use crate::config::MAX_NAMESPACE_BYTES;
use crate::connection::{
    Connection, How, Inner, Membership, Receiving, Sent, close, close_over_limit, close_too_fast,
};
use crate::hub::Place;
use crate::lane::{Lane, Pushed};
use crate::ledger::Hold;
use crate::message::Message;
use crate::reason;
use crate::shared::Shared;

/// What the reader of a connection does next.
pub enum Next {
    Continue,
    /// Read nothing more until then: see [`pause`].
    Wait(Until),
    /// The connection is closed.
    Stop,
}

/// Until when a client is not read.
pub enum Until {
    /// This namespace has room, for more of this socket if it has one.
    Room(Arc<Lane>, Option<Place>),
    /// So much time has passed.
    Later(Duration),
    /// The app has taken, or the client has read, enough of what is kept for it.
    Relief,
}

/// Waits until a client may be read again.
pub async fn pause(shared: &Shared, connection: &Connection, until: Until) {
    connection.pause(shared, true);
    match until {
        Until::Room(lane, place) => lane.wait_for_room(place).await,
        Until::Later(time) => tokio::time::sleep(time).await,
        Until::Relief => {}
    }
    connection.account().relieved().await;
    connection.pause(shared, false);
}

/// An Engine.IO message that is text.
pub fn on_text(shared: &Arc<Shared>, connection: &Arc<Connection>, text: &str) -> Next {
    let next = handle_text(shared, connection, text);
    within_limits(shared, connection, next)
}

/// An Engine.IO message that is binary: an attachment.
pub fn on_binary(shared: &Arc<Shared>, connection: &Arc<Connection>, data: &[u8]) -> Next {
    let next = handle_binary(shared, connection, data);
    within_limits(shared, connection, next)
}

/// What follows a message, whatever it was: a client for which much is kept is not read, or closed.
fn within_limits(shared: &Arc<Shared>, connection: &Arc<Connection>, next: Next) -> Next {
    let account = connection.account();
    match next {
        Next::Stop => Next::Stop,
        _ if account.is_over() => {
            close_over_limit(shared, connection);
            Next::Stop
        }
        Next::Continue if account.is_slow() => Next::Wait(Until::Relief),
        next => next,
    }
}

fn handle_text(shared: &Arc<Shared>, connection: &Arc<Connection>, text: &str) -> Next {
    let packet = match socket::decode(text) {
        Ok(packet) => packet,
        Err(error) => return malformed(shared, connection, error),
    };
    let mut inner = connection.lock();
    if !inner.open {
        return Next::Stop;
    }
    if inner.receiving.is_some() {
        drop(inner);
        return malformed(shared, connection, Malformed::TextInsteadOfAttachment);
    }
    if matches!(packet.kind, Kind::BinaryEvent | Kind::BinaryAck) {
        inner.receiving = Some(Box::new(Receiving {
            reassembler: Reassembler::new(&packet),
            charge: connection.account().charge(Hold::Kept, text.len()),
            progress: shared.timers.now(),
        }));
        if packet.attachments > 0 {
            return Next::Continue;
        }
    }
    let member = member(&inner, packet.namespace);
    drop(inner);
    match (packet.kind, member) {
        (Kind::Connect, None) => connect(shared, connection, &packet),
        (Kind::Event | Kind::BinaryEvent, Some(member)) => {
            event(shared, connection, &member, packet.id, packet.data, &[])
        }
        (Kind::Disconnect, Some(member)) => disconnect(shared, connection, &member),
        (Kind::Ack | Kind::BinaryAck, Some(member)) => {
            acknowledged(shared, &member, packet.id, packet.data, &[])
        }
        _ => {
            invalid_state(shared, connection);
            Next::Stop
        }
    }
}

fn handle_binary(shared: &Arc<Shared>, connection: &Arc<Connection>, data: &[u8]) -> Next {
    let mut inner = connection.lock();
    if !inner.open {
        return Next::Stop;
    }
    let Some(receiving) = &mut inner.receiving else {
        drop(inner);
        return malformed(shared, connection, Malformed::UnexpectedAttachment);
    };
    if !receiving.reassembler.add(data) {
        receiving.charge.grow(data.len());
        receiving.progress = shared.timers.now();
        return Next::Continue;
    }
    let receiving = inner.receiving.take().expect("it was there");
    let packet = match receiving.reassembler.finish() {
        Ok(packet) => packet,
        Err(error) => {
            drop(inner);
            return malformed(shared, connection, error);
        }
    };
    let member = member(&inner, &packet.namespace);
    drop(inner);
    match (packet.kind, member) {
        (Kind::BinaryEvent, Some(member)) => event(
            shared,
            connection,
            &member,
            packet.id,
            packet.data.as_deref(),
            &packet.attachments,
        ),
        (_, Some(member)) => acknowledged(
            shared,
            &member,
            packet.id,
            packet.data.as_deref(),
            &packet.attachments,
        ),
        (_, None) => {
            invalid_state(shared, connection);
            Next::Stop
        }
    }
}

fn member(inner: &Inner, namespace: &str) -> Option<Membership> {
    inner
        .memberships
        .iter()
        .find(|member| member.lane.namespace() == namespace)
        .cloned()
}

fn connect(shared: &Arc<Shared>, connection: &Arc<Connection>, packet: &Packet<'_>) -> Next {
    let namespace = packet.namespace;
    let limits = &shared.config.limits;
    let refusal = if namespace.len() > MAX_NAMESPACE_BYTES {
        Some("Invalid namespace")
    } else if connection.lock().memberships.len() >= limits.namespaces_per_connection {
        Some("Too many namespaces")
    } else {
        None
    };
    if let Some(message) = refusal {
        let refusal = socket::connect_error(namespace, message, None);
        if connection.send_message(&Message::text(&refusal)) == Sent::Overflow {
            close_over_limit(shared, connection);
            return Next::Stop;
        }
        return Next::Continue;
    }
    shared.with_lane(namespace, |lane| {
        match lane.enter(shared, connection, packet.data.map(RawValue::get)) {
            Pushed::Fine => Next::Continue,
            _ => Next::Wait(Until::Room(lane.clone(), None)),
        }
    })
}

fn event(
    shared: &Arc<Shared>,
    connection: &Arc<Connection>,
    member: &Membership,
    id: Option<AckId>,
    data: Option<&RawValue>,
    attachments: &[Vec<u8>],
) -> Next {
    // A packet without a payload has no event's name: the reference calls no handler.
    let Some(data) = data else {
        return Next::Continue;
    };
    let lane = &member.lane;
    match lane.event(shared, member, id, data.get(), attachments) {
        Pushed::Fine => Next::Continue,
        Pushed::Full => Next::Wait(Until::Room(lane.clone(), Some(member.place))),
        Pushed::TooFast(wait) => Next::Wait(Until::Later(wait)),
        Pushed::TooFastForLong => {
            close_too_fast(shared, connection);
            Next::Stop
        }
    }
}

/// An acknowledgement that nobody asked for, or that comes too late, means nothing.
fn acknowledged(
    shared: &Arc<Shared>,
    member: &Membership,
    id: Option<AckId>,
    data: Option<&RawValue>,
    attachments: &[Vec<u8>],
) -> Next {
    let (Some(id), Some(data)) = (id, data) else {
        return Next::Continue;
    };
    let lane = &member.lane;
    match lane.acknowledged(shared, member, id, data.get(), attachments) {
        Pushed::Fine => Next::Continue,
        _ => Next::Wait(Until::Room(lane.clone(), Some(member.place))),
    }
}

fn disconnect(shared: &Arc<Shared>, connection: &Arc<Connection>, member: &Membership) -> Next {
    connection.lock().leave(&member.lane, member.place);
    member
        .lane
        .left(shared, member.place, reason::CLIENT_NAMESPACE_DISCONNECT);
    Next::Continue
}

/// Not Socket.IO. The reference closes the connection, with this reason.
fn malformed(shared: &Arc<Shared>, connection: &Arc<Connection>, error: Malformed) -> Next {
    tracing::debug!(connection = connection.id.shown(), %error, "malformed packet");
    close(shared, connection, reason::FORCED_CLOSE, How::Orderly);
    Next::Stop
}

/// A packet that may not come now: for a namespace the client is not in, or CONNECT for one it is in.
/// The reason is that of the reference, which depends on whether its transport can close at once.
pub fn invalid_state(shared: &Arc<Shared>, connection: &Arc<Connection>) {
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
