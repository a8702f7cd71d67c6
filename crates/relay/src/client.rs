//! Socket.IO on one connection: which namespace a packet is for, and whether it may come now, by the
//! rules of the reference's `client.js`. What an event means is the app's business.

use std::sync::Arc;

use parlour_protocol::socket::{self, AckId, Kind, Malformed, Packet, Reassembler};
use serde_json::value::RawValue;

use crate::config::{MAX_NAMESPACE_BYTES, MAX_NAMESPACES};
use crate::connection::{Connection, How, Inner, Membership, close};
use crate::lane::Pushed;
use crate::message::Message;
use crate::reason;
use crate::shared::Shared;

/// What the reader of a connection does next.
pub enum Next {
    Continue,
    /// Wait until the namespace can take more of this client.
    Wait(Membership),
    /// The connection is closed.
    Stop,
}

/// An Engine.IO message that is text.
pub fn on_text(shared: &Arc<Shared>, connection: &Arc<Connection>, text: &str) -> Next {
    let packet = match socket::decode(text) {
        Ok(packet) => packet,
        Err(error) => return malformed(shared, connection, error),
    };
    let mut inner = connection.lock();
    if !inner.open {
        return Next::Stop;
    }
    if inner.reassembler.is_some() {
        drop(inner);
        return malformed(shared, connection, Malformed::TextInsteadOfAttachment);
    }
    if matches!(packet.kind, Kind::BinaryEvent | Kind::BinaryAck) {
        inner.reassembler = Some(Box::new(Reassembler::new(&packet)));
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

/// An Engine.IO message that is binary: an attachment.
pub fn on_binary(shared: &Arc<Shared>, connection: &Arc<Connection>, data: &[u8]) -> Next {
    let mut inner = connection.lock();
    if !inner.open {
        return Next::Stop;
    }
    let Some(reassembler) = &mut inner.reassembler else {
        drop(inner);
        return malformed(shared, connection, Malformed::UnexpectedAttachment);
    };
    if !reassembler.add(data) {
        return Next::Continue;
    }
    let complete = inner.reassembler.take().expect("it was there").finish();
    let packet = match complete {
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
    let refusal = if namespace.len() > MAX_NAMESPACE_BYTES {
        Some("Invalid namespace")
    } else if connection.lock().memberships.len() >= MAX_NAMESPACES {
        Some("Too many namespaces")
    } else {
        None
    };
    if let Some(message) = refusal {
        let refusal = socket::connect_error(namespace, message, None);
        let _ = connection.send_message(&Message::text(&refusal));
        return Next::Continue;
    }
    shared.with_lane(namespace, |lane| {
        lane.enter(connection, packet.data.map(RawValue::get))
    });
    Next::Continue
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
    match member
        .lane
        .event(shared, member, id, data.get(), attachments)
    {
        Pushed::Fine => Next::Continue,
        Pushed::Full => Next::Wait(member.clone()),
        Pushed::TooMuchHeld => {
            invalid_state(shared, connection);
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
        Pushed::Full => Next::Wait(member.clone()),
        Pushed::Fine | Pushed::TooMuchHeld => Next::Continue,
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
