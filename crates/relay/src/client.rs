//! Socket.IO on one connection: which namespace a packet is for, and whether it may come now, by the
//! rules of the reference's `client.js`. What an event means is the app's business.

use std::sync::Arc;

use parlour_protocol::socket::{self, AckId, Kind, Malformed, Packet, Reassembler};
use serde_json::value::RawValue;

use crate::connection::{
    Connection, How, Inner, Membership, Receiving, Sent, Until, wait_for_room,
};
use crate::core::config::MAX_NAMESPACE_BYTES;
use crate::core::ledger::Hold;
use crate::core::reason;
use crate::delivery;
use crate::session::{close, close_invalid, close_over_limit, close_too_fast};
use crate::shared::Shared;
use crate::wire::flow::Flow;
use crate::wire::message::Message;

/// Waits until a client may be read again.
pub async fn pause(shared: &Shared, connection: &Connection, until: Until) {
    connection.pause(shared, true);
    match until {
        Until::Room(namespace, place) => wait_for_room(&*namespace, place).await,
        Until::Later(time) => tokio::time::sleep(time).await,
        Until::Relief => {}
    }
    connection.account().relieved().await;
    connection.pause(shared, false);
}

/// An Engine.IO message that is text.
pub fn on_text(shared: &Arc<Shared>, connection: &Arc<Connection>, text: &str) -> Flow<Until> {
    let next = handle_text(shared, connection, text);
    within_limits(shared, connection, next)
}

/// An Engine.IO message that is binary: an attachment.
pub fn on_binary(shared: &Arc<Shared>, connection: &Arc<Connection>, data: &[u8]) -> Flow<Until> {
    let next = handle_binary(shared, connection, data);
    within_limits(shared, connection, next)
}

/// What follows a message, whatever it was: a client for which much is kept is not read, or closed.
fn within_limits(
    shared: &Arc<Shared>,
    connection: &Arc<Connection>,
    next: Flow<Until>,
) -> Flow<Until> {
    let account = connection.account();
    match next {
        Flow::Stop => Flow::Stop,
        _ if account.is_over() => {
            close_over_limit(shared, connection);
            Flow::Stop
        }
        Flow::Continue if account.is_slow() => Flow::Pause(Until::Relief),
        next => next,
    }
}

fn handle_text(shared: &Arc<Shared>, connection: &Arc<Connection>, text: &str) -> Flow<Until> {
    let packet = match socket::decode(text) {
        Ok(packet) => packet,
        Err(error) => return malformed(shared, connection, error),
    };
    let mut inner = connection.lock();
    if !inner.open {
        return Flow::Stop;
    }
    if inner.receiving.is_some() {
        drop(inner);
        return malformed(shared, connection, Malformed::TextInsteadOfAttachment);
    }
    if matches!(packet.kind, Kind::BinaryEvent | Kind::BinaryAck) {
        let charge = connection.account().charge(Hold::Kept, text.len());
        let (parts, now) = (Reassembler::new(&packet), shared.timers.now());
        let receiving = Receiving::new(parts, charge, connection.has_moved(), now);
        inner.receiving = Some(Box::new(receiving));
        if packet.attachments > 0 {
            return Flow::Continue;
        }
    }
    let member = member(&inner, packet.namespace);
    drop(inner);
    match (packet.kind, member) {
        (Kind::Connect, member) if member.as_ref().is_none_or(|member| !member.is_in) => {
            connect(shared, connection, &packet)
        }
        (Kind::Event | Kind::BinaryEvent, Some(member)) => {
            event(shared, connection, &member, packet.id, packet.data, &[])
        }
        (Kind::Disconnect, Some(member)) => disconnect(connection, &member),
        (Kind::Ack | Kind::BinaryAck, Some(member)) => {
            acknowledged(&member, packet.id, packet.data, &[])
        }
        _ => {
            close_invalid(shared, connection);
            Flow::Stop
        }
    }
}

fn handle_binary(shared: &Arc<Shared>, connection: &Arc<Connection>, data: &[u8]) -> Flow<Until> {
    let mut inner = connection.lock();
    if !inner.open {
        return Flow::Stop;
    }
    let Some(receiving) = &mut inner.receiving else {
        drop(inner);
        return malformed(shared, connection, Malformed::UnexpectedAttachment);
    };
    if !receiving.reassembler.add(data) {
        receiving.goes_on(data.len(), connection.has_moved(), shared.timers.now());
        return Flow::Continue;
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
            &member,
            packet.id,
            packet.data.as_deref(),
            &packet.attachments,
        ),
        (_, None) => {
            close_invalid(shared, connection);
            Flow::Stop
        }
    }
}

/// As which socket the client is in the namespace. Where it asks to be, and has asked more than once: the first.
fn member(inner: &Inner, namespace: &str) -> Option<Membership> {
    let mut members = inner
        .memberships
        .iter()
        .filter(|member| member.namespace.name() == namespace);
    let is_in = members.clone().find(|member| member.is_in);
    is_in.or_else(|| members.next()).cloned()
}

fn connect(shared: &Arc<Shared>, connection: &Arc<Connection>, packet: &Packet<'_>) -> Flow<Until> {
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
            return Flow::Stop;
        }
        return Flow::Continue;
    }
    delivery::with_namespace(shared, namespace, |namespace| {
        namespace.enter(connection, packet.data.map(RawValue::get))
    })
}

fn event(
    shared: &Arc<Shared>,
    connection: &Arc<Connection>,
    member: &Membership,
    id: Option<AckId>,
    data: Option<&RawValue>,
    attachments: &[Vec<u8>],
) -> Flow<Until> {
    // A packet without a payload has no event's name: the reference calls no handler.
    let Some(data) = data else {
        return Flow::Continue;
    };
    let flow = member.namespace.event(member, id, data.get(), attachments);
    if matches!(flow, Flow::Stop) {
        close_too_fast(shared, connection);
    }
    flow
}

/// An acknowledgement that nobody asked for, or that comes too late, means nothing.
fn acknowledged(
    member: &Membership,
    id: Option<AckId>,
    data: Option<&RawValue>,
    attachments: &[Vec<u8>],
) -> Flow<Until> {
    let (Some(id), Some(data)) = (id, data) else {
        return Flow::Continue;
    };
    let namespace = &member.namespace;
    namespace.acknowledged(member, id, data.get(), attachments)
}

/// A client that has asked twice, and leaves when the first answer has come, wants no second one.
fn disconnect(connection: &Connection, member: &Membership) -> Flow<Until> {
    let namespace = &member.namespace;
    let left = connection.lock().leave_all(&**namespace);
    for place in left {
        namespace.left(place, reason::CLIENT_NAMESPACE_DISCONNECT);
    }
    Flow::Continue
}

/// Not Socket.IO. The reference closes the connection, with this reason.
fn malformed(shared: &Arc<Shared>, connection: &Arc<Connection>, error: Malformed) -> Flow<Until> {
    tracing::debug!(connection = connection.id.shown(), %error, "malformed packet");
    close(shared, connection, reason::FORCED_CLOSE, How::Orderly);
    Flow::Stop
}
