//! What the app answers to a batch: commands, which the relay carries out.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Report, is_false};

/// The body of the app's answer.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Response<'a> {
    /// In the order in which the relay carries them out.
    #[serde(borrow)]
    pub commands: Vec<Command<'a>>,
    /// How many of the batch's events, from the first on, were handled. The relay sends the rest again, as
    /// another batch. Absent: all of them. 0 answers a batch without events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done: Option<usize>,
    /// For each `connect` event that was not handled, in order: what the relay gives back with it as
    /// [`Connect::progress`](super::Connect::progress).
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    pub progress: Vec<&'a RawValue>,
    /// The head of the namespace's log just before this batch was committed. The relay delivers the log up to
    /// here before it carries out the commands. Absent: the batch neither read nor changed anything, so it has no
    /// place in that order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<u64>,
    /// The head of the namespace's log with this batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<u64>,
    /// What the relay has asked for by [`Batch::replay`](super::Batch::replay). It is read fresh for each attempt.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub replay: Option<Replay<'a>>,
}

/// A part of a namespace's log.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Replay<'a> {
    /// `emit`, `join`, `leave`, `state`, `disconnect` and `sockets`, each with its `offset`, in the log's order.
    #[serde(borrow)]
    pub commands: Vec<Command<'a>>,
    /// The log has nothing else between [`Batch::delivered`](super::Batch::delivered) and here. Less than the head
    /// if there is more than fits into one answer.
    pub until: u64,
    /// The head of the log when it was read.
    pub head: u64,
    /// Something in between was deleted before this relay asked: its clients must come back and begin anew.
    #[serde(default, skip_serializing_if = "is_false")]
    pub lost: bool,
}

/// What the relay must do. Sockets are named by their Socket.IO session id, because a command may
/// speak of one that is not in the batch. A command for a socket that is gone is ignored.
///
/// The large ones are boxed: most answers are long lists of acks.
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
    /// The client wants a session whose socket is connected, as far as the app knows: the relay finds out
    /// whether its client answers, and sends the `connect` event again.
    #[serde(borrow)]
    Contest(Contest<'a>),
    /// The client's session has gone since the router did not have it judged for that: the relay sends the
    /// `connect` event again, as a new client's.
    #[serde(borrow)]
    Anew(Anew<'a>),
    /// The socket's time ends at another moment.
    #[serde(borrow, rename = "renew")]
    Renew(Renewed<'a>),
    /// It takes up its session, and has missed more than fits into one answer. The client gets this much;
    /// its `connect` event comes again, for the rest.
    #[serde(borrow)]
    Page(Box<Page<'a>>),
    /// The answer to a packet with an id.
    #[serde(borrow)]
    Ack(Ack<'a>),
    /// An event to every socket in one of `rooms` (or to all of the namespace where there are none)
    /// that is in none of `except`, once each.
    #[serde(borrow)]
    Emit(Box<Emit<'a>>),
    #[serde(borrow)]
    Join(Rooms<'a>),
    #[serde(borrow)]
    Leave(Rooms<'a>),
    /// Something for each socket in one of `rooms` (of the namespace where there are none) that is in
    /// none of `except`.
    #[serde(borrow)]
    Sockets(Box<Sockets<'a>>),
    /// Replaces the socket's state.
    #[serde(borrow)]
    State(State<'a>),
    /// The client gets DISCONNECT; with `close` its whole connection ends. The relay then reports a
    /// `disconnect` event as for any other.
    #[serde(borrow)]
    Disconnect(Kick<'a>),
    /// For one relay: what another one's clients do with what it asks of them. It stands in the log, because nothing
    /// else connects the two.
    #[serde(borrow)]
    Report(Report<'a>),
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
    /// Milliseconds since 1970. From then on the client is not welcome any more, unless it has renewed its
    /// token: it gets DISCONNECT.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<u64>,
    /// The client takes up an earlier session.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub recovered: Option<Box<Recovered<'a>>>,
}

/// Who must be asked before a session is given to somebody else.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Contest<'a> {
    /// Who asks to enter.
    #[serde(borrow)]
    pub socket: Cow<'a, str>,
    /// The socket that has the session.
    #[serde(borrow)]
    pub owner: Cow<'a, str>,
    /// The relay that has that socket.
    #[serde(borrow)]
    pub relay: Cow<'a, str>,
}

/// Who must enter as a new client, or not at all.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Anew<'a> {
    #[serde(borrow)]
    pub socket: Cow<'a, str>,
}

/// A socket has shown another token.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Renewed<'a> {
    #[serde(borrow)]
    pub socket: Cow<'a, str>,
    /// As [`Accept::expires`]. Absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<u64>,
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

/// Some of what a client has missed that takes up its session.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Page<'a> {
    #[serde(borrow)]
    pub socket: Cow<'a, str>,
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    pub missed: Vec<Missed<'a>>,
    /// Comes back with the `connect` event, as [`Connect::progress`](super::Connect::progress).
    #[serde(borrow)]
    pub progress: &'a RawValue,
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
    /// Its place in the log of the namespace that it is for. The client gets it as one more argument, a string,
    /// and tells it when it recovers its session; not if the event has an `ack`, nor in a namespace in which
    /// nobody got a `pid`. Absent: it is not in the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// Whose sockets it is for, if not the batch's namespace. Not together with `ack`.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Cow<'a, str>>,
    /// Only together with `namespace` and `offset`: the offset before it in that namespace's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<u64>,
    /// May be dropped for a client that cannot take it at once.
    #[serde(default, skip_serializing_if = "is_false")]
    pub volatile: bool,
    /// Only for the sockets of this relay.
    #[serde(default, skip_serializing_if = "is_false")]
    pub local: bool,
    /// Each receiver is asked to acknowledge; what comes of it is an [`Event::Acks`].
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub ack: Option<AckRequest<'a>>,
    /// Only together with `ack`: who is asked, each socket with the relay that it is connected to. Absent where
    /// there is one relay only: everyone whom the event reaches.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<Vec<(Cow<'a, str>, Cow<'a, str>)>>,
    /// Only together with `ack`: the relay that asks, and that the others report to. Absent in an answer: it is
    /// the batch's.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub asker: Option<Cow<'a, str>>,
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
    /// Its place in the namespace's log, where other relays have to carry it out as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
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
    /// Its place in the log of the namespace that it is for, where other relays have to carry it out as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// Whose sockets it is for, if not the batch's namespace. Only together with `offset` and `previous`.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Cow<'a, str>>,
    /// Only together with `namespace`: the offset before it in that namespace's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<u64>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct State<'a> {
    #[serde(borrow)]
    pub socket: Cow<'a, str>,
    #[serde(borrow)]
    pub state: &'a RawValue,
    /// Its place in the namespace's log, where other relays have to carry it out as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Kick<'a> {
    #[serde(borrow)]
    pub socket: Cow<'a, str>,
    #[serde(default)]
    pub close: bool,
    /// Its place in the namespace's log, where other relays have to carry it out as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
}

impl Command<'_> {
    /// Its place in the log of the namespace that it is for.
    pub fn offset(&self) -> Option<u64> {
        match self {
            Command::Emit(emit) => emit.offset,
            Command::Join(rooms) | Command::Leave(rooms) => rooms.offset,
            Command::Sockets(sockets) => sockets.offset,
            Command::State(state) => state.offset,
            Command::Disconnect(kick) => kick.offset,
            Command::Report(report) => report.offset,
            _ => None,
        }
    }

    /// The namespace that it is for, if it names one.
    pub fn namespace(&self) -> Option<&str> {
        match self {
            Command::Emit(emit) => emit.namespace.as_deref(),
            Command::Sockets(sockets) => sockets.namespace.as_deref(),
            _ => None,
        }
    }

    /// The offset before it in the log of another namespace that it is for.
    pub fn previous(&self) -> Option<u64> {
        match self {
            Command::Emit(emit) => emit.previous,
            Command::Sockets(sockets) => sockets.previous,
            _ => None,
        }
    }
}
