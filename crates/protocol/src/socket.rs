//! Socket.IO v5: its packets as Engine.IO messages, read as `socket.io-parser` 4.2 reads them and
//! written as it writes them. JSON stays text; nothing here knows a socket or a namespace's meaning.

mod ack;
mod decode;
mod encode;
mod placeholders;
mod reassemble;

pub use ack::AckId;
pub use decode::{decode, is_reserved};
pub use encode::{Head, connect, connect_error, disconnect};
pub use placeholders::renumber;
pub use reassemble::{Complete, Reassembler};

use serde_json::value::RawValue;

/// The protocol's revision.
pub const REVISION: &str = "5";

/// The namespace that a packet without one is for.
pub const MAIN_NAMESPACE: &str = "/";

/// Binary attachments a packet may announce.
pub const MAX_ATTACHMENTS: usize = 10;

/// The digits packets begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Connect = 0,
    Disconnect = 1,
    Event = 2,
    Ack = 3,
    ConnectError = 4,
    BinaryEvent = 5,
    BinaryAck = 6,
}

/// What one text message says. Borrowed from it.
#[derive(Debug, Clone)]
pub struct Packet<'a> {
    pub kind: Kind,
    /// Begins with `/`.
    pub namespace: &'a str,
    pub id: Option<AckId>,
    /// Valid JSON of the kind's shape: an object for CONNECT, an array for EVENT and ACK. Absent
    /// when the packet ended before it, which the reference allows for every kind.
    pub data: Option<&'a RawValue>,
    /// How many binary messages follow. 0 for kinds that have none.
    pub attachments: usize,
}

/// Why a message is no Socket.IO packet. The reference closes the connection at any of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("unknown packet type")]
    UnknownKind,
    #[error("the number of attachments is not a number followed by -")]
    IllegalAttachments,
    #[error("more than {MAX_ATTACHMENTS} attachments")]
    TooManyAttachments,
    #[error("the payload is not JSON of the shape that its packet type has")]
    InvalidPayload,
    #[error("text where a binary attachment was due")]
    TextInsteadOfAttachment,
    #[error("a binary message that no packet announced")]
    UnexpectedAttachment,
    #[error("a placeholder names an attachment that is not there")]
    IllegalPlaceholder,
}

#[cfg(test)]
mod tests;
