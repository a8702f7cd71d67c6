//! The relay protocol, version 1: what a relay sends to the app (`POST /relay`) and what the app
//! answers. `docs/relay-protocol.md` describes it for those who write another relay or another app.
//!
//! The types borrow: a payload is a [`RawValue`], copied from the socket to the database and back
//! without being parsed in between.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The version of the relay protocol, sent in [`header::PROTOCOL`].
pub const VERSION: &str = "1";

/// The path of the app that takes batches.
pub const PATH: &str = "/relay";

/// The lane of handshakes: Engine.IO connections before they are in any namespace.
/// No namespace has this name, because a namespace starts with `/`.
pub const HANDSHAKE_LANE: &str = "handshake";

/// The most bytes one batch's body has, unless a single event is larger. Spin and Akamai Functions
/// take 10 MiB.
pub const MAX_BATCH_BYTES: usize = 4 * 1024 * 1024;

/// The longest that a relay waits for acknowledgements, in milliseconds; it waits no longer if asked to.
pub const MAX_ACK_TIMEOUT: u64 = 3_600_000;

/// Request headers of a batch.
pub mod header {
    /// The version of this protocol: `1`.
    pub const PROTOCOL: &str = "parlour-protocol";
    /// Who relays: 1 to 64 of `A–Z a–z 0–9 _ - .`, the same over the relay's restarts.
    pub const RELAY: &str = "parlour-relay";
    /// Which life of that relay: milliseconds since 1970 when it started. A greater epoch declares
    /// every socket of the smaller ones gone.
    pub const EPOCH: &str = "parlour-epoch";
    /// [`HANDSHAKE_LANE`](super::HANDSHAKE_LANE) or a namespace, percent-encoded UTF-8.
    pub const LANE: &str = "parlour-lane";
    /// Rises from batch to batch of a lane within an epoch. The same number is the same batch.
    pub const SEQUENCE: &str = "parlour-sequence";
    /// 1, then 2 and so on when the same batch is sent again.
    pub const ATTEMPT: &str = "parlour-attempt";
    /// How many of the batch's events are `connect`. Lets the app forward a batch unread when it is 0.
    pub const CONNECTS: &str = "parlour-connects";
}

/// The body of a batch: the sockets it speaks of, once each, and the events in order.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Batch<'a> {
    /// Empty in the handshake lane.
    #[serde(default, borrow, skip_serializing_if = "Vec::is_empty")]
    pub sockets: Vec<Socket<'a>>,
    #[serde(borrow)]
    pub events: Vec<Event<'a>>,
}

/// What the relay knows of one Socket.IO socket (one client in one namespace) when the batch leaves.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Socket<'a> {
    /// The Socket.IO session id, unique in all relays; also the name of the socket's own room.
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    /// The Engine.IO session id: the same for all namespaces of one client connection.
    #[serde(borrow)]
    pub connection: Cow<'a, str>,
    /// What the app last gave with `accept` or `state`; absent before.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub state: Option<&'a RawValue>,
    /// The rooms the socket is in, without its own.
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    pub rooms: Vec<Cow<'a, str>>,
}

/// Something that happened at the relay. `socket` is an index into [`Batch::sockets`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Event<'a> {
    /// Handshake lane only: a client asks for an Engine.IO connection.
    #[serde(borrow)]
    Open(Open<'a>),
    /// A client asks to enter the namespace (Socket.IO CONNECT).
    #[serde(borrow)]
    Connect(Connect<'a>),
    /// A client sent an event (Socket.IO EVENT or BINARY_EVENT).
    #[serde(borrow)]
    Packet(Packet<'a>),
    /// A socket left the namespace or its connection ended.
    #[serde(borrow)]
    Disconnect(Disconnect<'a>),
    /// An [`Emit::ack`] is over: everyone answered, left, or ran out of time.
    #[serde(borrow)]
    Acks(Acks<'a>),
    /// Nothing happened for a while: an occasion to tidy up.
    Tick {},
}

/// The HTTP request a client opened its connection with.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Handshake<'a> {
    /// Path and query.
    #[serde(borrow)]
    pub url: Cow<'a, str>,
    /// In the order received, names in lower case. Values that are not UTF-8 are left out.
    #[serde(borrow)]
    pub headers: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// The peer's IP address.
    #[serde(borrow)]
    pub address: Cow<'a, str>,
    /// Whether the client came over TLS.
    #[serde(default)]
    pub secure: bool,
    /// Milliseconds since 1970 when the connection was made.
    pub time: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Open<'a> {
    #[serde(borrow)]
    pub connection: Cow<'a, str>,
    #[serde(borrow)]
    pub handshake: Handshake<'a>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Connect<'a> {
    pub socket: usize,
    #[serde(borrow)]
    pub handshake: Handshake<'a>,
    /// The payload of the CONNECT packet, always an object; absent when the client sent none.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<&'a RawValue>,
    /// Absent from a relay. The gateway adds what the namespace's `POST /connect` answered, once
    /// its middleware has let the client in.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub claims: Option<&'a RawValue>,
    /// Absent from a relay. The gateway puts the refusal of the namespace's middleware here.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<&'a RawValue>,
    /// Absent from a relay. The gateway says so where it did not ask the middleware, because the
    /// client's session could be recovered: who cannot take it up now must not enter.
    #[serde(default, skip_serializing_if = "is_false")]
    pub unjudged: bool,
}

fn is_false(value: &bool) -> bool {
    !value
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Packet<'a> {
    pub socket: usize,
    /// The id to acknowledge, where the client wants an ack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
    /// The packet's JSON array: the event's name, then its arguments.
    #[serde(borrow)]
    pub data: &'a RawValue,
    /// Base64 (standard alphabet, padded) of the attachments, in order of their placeholders.
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Cow<'a, str>>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Disconnect<'a> {
    pub socket: usize,
    /// Socket.IO's reason, such as `transport close` or `client namespace disconnect`.
    #[serde(borrow)]
    pub reason: Cow<'a, str>,
}

/// What came of an emit that asked for acknowledgements. Sockets are named by their ids, because
/// they can be many and the handler need not know more of them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Acks<'a> {
    #[serde(borrow)]
    pub handler: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub context: Option<&'a RawValue>,
    /// In the order in which they came.
    #[serde(borrow)]
    pub replies: Vec<Reply<'a>>,
    /// Who did not answer in time, or left before.
    #[serde(borrow)]
    pub missing: Vec<Cow<'a, str>>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Reply<'a> {
    #[serde(borrow)]
    pub socket: Cow<'a, str>,
    /// The JSON array of the ack's arguments.
    #[serde(borrow)]
    pub data: &'a RawValue,
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Cow<'a, str>>,
}

/// The body of the app's answer.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Response<'a> {
    /// In the order in which the relay carries them out.
    #[serde(borrow)]
    pub commands: Vec<Command<'a>>,
}

/// What the relay must do. Sockets are named by their Socket.IO session id, because a command may
/// speak of one that is not in the batch. A command for a socket that is gone is ignored.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Command<'a> {
    /// Handshake lane: the connection may be opened.
    #[serde(borrow)]
    Admit(Admit<'a>),
    /// Handshake lane: it may not.
    #[serde(borrow)]
    Reject(Reject<'a>),
    /// The socket is in the namespace (and in its own room): the client gets CONNECT.
    #[serde(borrow)]
    Accept(Accept<'a>),
    /// It is not: the client gets CONNECT_ERROR.
    #[serde(borrow)]
    Refuse(Refuse<'a>),
    /// The answer to a packet with an id.
    #[serde(borrow)]
    Ack(Ack<'a>),
    /// An event to every socket in one of `rooms` (or to all of the namespace where there are none)
    /// that is in none of `except`, once each.
    #[serde(borrow)]
    Emit(Emit<'a>),
    #[serde(borrow)]
    Join(Rooms<'a>),
    #[serde(borrow)]
    Leave(Rooms<'a>),
    /// Something for each socket in one of `rooms` (of the namespace where there are none) that is in
    /// none of `except`.
    #[serde(borrow)]
    Sockets(Sockets<'a>),
    /// Replaces the socket's state.
    #[serde(borrow)]
    State(State<'a>),
    /// The client gets DISCONNECT; with `close` its whole connection ends. The relay then reports a
    /// `disconnect` event as for any other.
    #[serde(borrow)]
    Disconnect(Kick<'a>),
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Admit<'a> {
    #[serde(borrow)]
    pub connection: Cow<'a, str>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Reject<'a> {
    #[serde(borrow)]
    pub connection: Cow<'a, str>,
    /// Engine.IO's error code: 4 (Forbidden) unless there is reason for another.
    pub code: u8,
    #[serde(borrow)]
    pub message: Cow<'a, str>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Accept<'a> {
    #[serde(borrow)]
    pub socket: Cow<'a, str>,
    /// Socket.IO's private session id, for connection state recovery.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<Cow<'a, str>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub state: Option<&'a RawValue>,
    /// The client takes up an earlier session.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub recovered: Option<Recovered<'a>>,
}

/// A session that is taken up again: its socket has another connection now.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Recovered<'a> {
    /// The session id of before, which the socket has again from now on. If another socket still has
    /// it, that one leaves (`transport close`), and its `disconnect` event names this id, too: only its
    /// [`Socket::connection`] tells the two apart.
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    /// The rooms it is in.
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    pub rooms: Vec<Cow<'a, str>>,
    /// What was emitted to it meanwhile: the client gets it before CONNECT.
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    pub missed: Vec<Missed<'a>>,
}

/// An event that a client has missed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Missed<'a> {
    pub offset: u64,
    /// As in [`Emit`].
    #[serde(borrow)]
    pub data: &'a RawValue,
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Cow<'a, str>>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Refuse<'a> {
    #[serde(borrow)]
    pub socket: Cow<'a, str>,
    #[serde(borrow)]
    pub message: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub data: Option<&'a RawValue>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Ack<'a> {
    #[serde(borrow)]
    pub socket: Cow<'a, str>,
    pub id: u64,
    /// The JSON array of the ack's arguments.
    #[serde(borrow)]
    pub data: &'a RawValue,
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Cow<'a, str>>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Emit<'a> {
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    pub rooms: Vec<Cow<'a, str>>,
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<Cow<'a, str>>,
    /// The JSON array: the event's name, then its arguments.
    #[serde(borrow)]
    pub data: &'a RawValue,
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Cow<'a, str>>,
    /// Its place among all that was stored. The client gets it as one more argument, a string, and
    /// tells it when it recovers its session. Without meaning for one that is `volatile` or has an `ack`,
    /// and in a namespace in which nobody got a `pid`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// Whose sockets it is for, if not the batch's namespace. Not together with `ack`.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Cow<'a, str>>,
    /// May be dropped for a client that cannot take it at once.
    #[serde(default, skip_serializing_if = "is_false")]
    pub volatile: bool,
    /// Only for the sockets of this relay.
    #[serde(default, skip_serializing_if = "is_false")]
    pub local: bool,
    /// Each receiver is asked to acknowledge; what comes of it is an [`Event::Acks`].
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub ack: Option<AckRequest<'a>>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AckRequest<'a> {
    /// Handed back: which of the app's handlers it is for.
    #[serde(borrow)]
    pub handler: Cow<'a, str>,
    /// Handed back: what that handler has to know.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub context: Option<&'a RawValue>,
    /// Milliseconds to wait, at most [`MAX_ACK_TIMEOUT`].
    pub timeout: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Rooms<'a> {
    #[serde(borrow)]
    pub socket: Cow<'a, str>,
    #[serde(borrow)]
    pub rooms: Vec<Cow<'a, str>>,
}

/// What happens to many sockets, wherever they are connected: to each first `join`, then `leave`, then
/// `disconnect`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Sockets<'a> {
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    pub rooms: Vec<Cow<'a, str>>,
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<Cow<'a, str>>,
    /// Rooms they enter.
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    pub join: Vec<Cow<'a, str>>,
    /// Rooms they leave.
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    pub leave: Vec<Cow<'a, str>>,
    /// They are disconnected, as by [`Kick`]; `true` is its `close`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disconnect: Option<bool>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct State<'a> {
    #[serde(borrow)]
    pub socket: Cow<'a, str>,
    #[serde(borrow)]
    pub state: &'a RawValue,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Kick<'a> {
    #[serde(borrow)]
    pub socket: Cow<'a, str>,
    #[serde(default)]
    pub close: bool,
}
