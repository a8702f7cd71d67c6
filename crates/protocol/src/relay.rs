//! The relay protocol, version 1: what a relay sends to the app (`POST /relay/handshake` and `POST /relay`) and what
//! the app answers. `docs/relay-protocol.md` describes it for those who write another relay or another app.
//!
//! The types borrow: a payload is a [`RawValue`], copied from the socket to the database and back
//! without being parsed in between.

pub mod check;
mod command;

use std::borrow::Cow;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

pub use command::{
    Accept, Ack, AckRequest, Admit, Anew, Command, Contest, Emit, Kick, Missed, Page, Recovered,
    Refuse, Reject, Renewed, Replay, Response, Rooms, Sockets, State,
};

/// The version of the relay protocol, sent in [`header::PROTOCOL`].
pub const VERSION: &str = "1";

/// The path of the app that takes the batches of namespaces.
pub const PATH: &str = "/relay";

/// The path of the app that takes handshakes, which is another component.
pub const HANDSHAKE_PATH: &str = "/relay/handshake";

/// The lane of handshakes: Engine.IO connections before they are in any namespace.
/// No namespace has this name, because a namespace starts with `/`.
pub const HANDSHAKE_LANE: &str = "handshake";

/// The lane by which the relay asks, at either path, whether the app can do its work. No namespace has this name.
pub const PROBE_LANE: &str = "probe";

/// The lane by which whoever starts a server asks, at either path, whether the app is set up as it must be. No
/// namespace has this name.
pub const CHECK_LANE: &str = "check";

/// The most bytes one batch's body has, unless a single event is larger. Spin and Akamai Functions
/// take 10 MiB.
pub const MAX_BATCH_BYTES: usize = 4 * 1024 * 1024;

/// Bytes of an answer after which the app begins no further event of the batch: what it has done so far it
/// commits, and the relay sends the rest again. So answers stay small, whatever a batch asks for.
pub const SOFT_ANSWER_BYTES: usize = 4 * 1024 * 1024;

/// The most bytes one answer has. An event that makes it longer all by itself is undone, and is an error for its
/// sender. Akamai Functions take 10 MiB.
pub const MAX_ANSWER_BYTES: usize = 8 * 1024 * 1024;

/// How long a batch may work while it holds the database's write lock before it begins no further event:
/// other namespaces wait for that lock.
pub const MAX_BATCH_EFFORT: Duration = Duration::from_millis(20);

/// Bytes of missed events that a client is given at a time when it takes up its session, unless the first
/// event is larger.
pub const RECOVERY_PAGE_BYTES: usize = 1024 * 1024;

/// Bytes of a namespace's log that one answer replays, unless the first entry is larger.
pub const REPLAY_BYTES: usize = 1024 * 1024;

/// The longest that a relay waits for acknowledgements, in milliseconds; it waits no longer if asked to.
pub const MAX_ACK_TIMEOUT: u64 = 3_600_000;

/// Reads a batch or an answer, which are long and full of strings: that it is text is seen once, for the
/// whole of it.
pub fn from_slice<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, serde_json::Error> {
    let text = std::str::from_utf8(json).map_err(serde::de::Error::custom)?;
    serde_json::from_str(text)
}

/// Headers of a batch and of its answer.
pub mod header {
    /// The version of this protocol: `1`.
    pub const PROTOCOL: &str = "parlour-protocol";
    /// Who relays: 1 to 64 of `A–Z a–z 0–9 _ - .`, the same over the relay's restarts.
    pub const RELAY: &str = "parlour-relay";
    /// Which life of that relay: milliseconds since 1970 when it started. A greater epoch declares
    /// every socket of the smaller ones gone.
    pub const EPOCH: &str = "parlour-epoch";
    /// [`HANDSHAKE_LANE`](super::HANDSHAKE_LANE), [`PROBE_LANE`](super::PROBE_LANE),
    /// [`CHECK_LANE`](super::CHECK_LANE) or a namespace, percent-encoded UTF-8.
    pub const LANE: &str = "parlour-lane";
    /// Rises from batch to batch of a lane within an epoch. The same number is the same batch.
    pub const SEQUENCE: &str = "parlour-sequence";
    /// 1, then 2 and so on when the same batch is sent again.
    pub const ATTEMPT: &str = "parlour-attempt";
    /// How many of the batch's events are `connect` or `renew`. Lets the app forward a batch unread when it
    /// is 0.
    pub const CONNECTS: &str = "parlour-connects";
    /// How many rooms a socket may be in. The app refuses more; the relay does what the app says.
    pub const MAX_ROOMS: &str = "parlour-max-rooms";
    /// The trace that the batch belongs to, of W3C Trace Context. Only from relays that make traces.
    pub const TRACEPARENT: &str = "traceparent";
    /// In the answer: how long the app took for what, as browsers have it. The relay reads [`COMMIT`].
    pub const SERVER_TIMING: &str = "server-timing";
    /// The metric of [`SERVER_TIMING`] that is the database's commit: `commit;dur=1.25`, in milliseconds.
    pub const COMMIT: &str = "commit";
}

/// The body of a batch: the sockets it speaks of, once each, and the events in order.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Batch<'a> {
    /// Empty in the handshake lane.
    #[serde(default, borrow, skip_serializing_if = "Vec::is_empty")]
    pub sockets: Vec<Socket<'a>>,
    #[serde(borrow)]
    pub events: Vec<Event<'a>>,
    /// The offset up to which the relay has delivered the namespace's log to its sockets. Absent: it has none there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivered: Option<u64>,
    /// The answer should have what the log has after `delivered`: the relay knows, or suspects, that it has not
    /// got everything by a faster way.
    #[serde(default, skip_serializing_if = "is_false")]
    pub replay: bool,
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
///
/// The handshakes are boxed: most batches are long lists of packets.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Event<'a> {
    /// Handshake lane only: a client asks for an Engine.IO connection.
    #[serde(borrow)]
    Open(Open<'a>),
    /// A client asks to enter the namespace (Socket.IO CONNECT).
    #[serde(borrow)]
    Connect(Connect<'a>),
    /// A client that is in the namespace, and was accepted with an [`Accept::expires`], shows another token.
    #[serde(borrow)]
    Renew(Renew<'a>),
    /// A client sent an event (Socket.IO EVENT or BINARY_EVENT).
    #[serde(borrow)]
    Packet(Packet<'a>),
    /// A socket left the namespace or its connection ended.
    #[serde(borrow)]
    Disconnect(Disconnect<'a>),
    /// An [`Emit::ack`] is over: everyone answered, left, or ran out of time.
    #[serde(borrow)]
    Acks(Acks<'a>),
    /// What clients of this relay do with an [`Emit::ack`] of another relay's, where nothing else connects the two.
    /// The app puts it into the log, as [`Command::Report`].
    #[serde(borrow)]
    Report(Report<'a>),
    /// Nothing happened for a while: an occasion to tidy up.
    Tick {},
}

/// The HTTP request a client opened its connection with.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Handshake<'a> {
    /// Path and query.
    #[serde(borrow)]
    pub url: Cow<'a, str>,
    /// In the order received, names in lower case. Each byte of a value is the character of its number (Latin-1), as in
    /// Node.js: [`latin1`](crate::latin1).
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
    pub handshake: Box<Handshake<'a>>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Connect<'a> {
    pub socket: usize,
    #[serde(borrow)]
    pub handshake: Box<Handshake<'a>>,
    /// The payload of the CONNECT packet, always an object; absent when the client sent none.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<&'a RawValue>,
    /// A random text that nobody else knows. The app may give it to the client as [`Accept::pid`]: then it
    /// need not keep a secret of its own in the answer that it stores.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<Cow<'a, str>>,
    /// What came of the app's [`Contest`]. After [`Anew`], and of a client that asks to enter while it asks already:
    /// `Answers`, so that it is a new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
    /// Absent from a relay. The router adds what the namespace's `POST /connect` answered, once
    /// its middleware has let the client in.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub claims: Option<&'a RawValue>,
    /// Absent from a relay. The router puts the refusal of the namespace's middleware here.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<&'a RawValue>,
    /// Absent from a relay. The router says so where it did not ask the middleware, because the
    /// client's session could be recovered. If it cannot be any more, the answer is [`Anew`].
    #[serde(default, skip_serializing_if = "is_false")]
    pub unjudged: bool,
    /// The event comes again, because the app did not finish it: what the app gave back for it in
    /// [`Response::progress`] or [`Page::progress`]. The middleware has judged it already.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<&'a RawValue>,
}

/// Whether the client that had a session until now is still there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Owner {
    /// It has answered a ping.
    Answers,
    /// It has not, in some seconds, or its relay cannot be asked.
    Silent,
}

/// What a relay tells another one of its clients' acknowledgements.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report<'a> {
    /// The relay that asks.
    #[serde(borrow)]
    pub to: Cow<'a, str>,
    /// The offset of the event that asks.
    pub number: u64,
    /// What relays have agreed on. The app need not look into it.
    #[serde(borrow)]
    pub report: &'a RawValue,
    /// Its place in the namespace's log. Absent in an event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
}

/// A client shows another token: the event `auth` of a socket that was accepted with an expiry. It is judged
/// as a [`Connect`] is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Renew<'a> {
    pub socket: usize,
    /// The id to acknowledge, where the client wants an ack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
    #[serde(borrow)]
    pub handshake: Box<Handshake<'a>>,
    /// The event's first argument; absent if that is no object.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<&'a RawValue>,
    /// As in [`Connect`].
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub claims: Option<&'a RawValue>,
    /// As in [`Connect`].
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<&'a RawValue>,
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
    /// The app has failed at this event: it must forget the socket without running any handler.
    #[serde(default, skip_serializing_if = "is_false")]
    pub unhandled: bool,
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
