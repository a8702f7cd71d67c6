//! The chat that `/` and `/members` share: rooms, messages, history. Who somebody is, each of them
//! decides in its own `on_connect`, by giving the socket a [`Member`].

mod id;
mod message;
mod name;
mod presence;
mod text;

use parlour_sdk::{Error, Namespace, Result, Socket};
use serde::{Deserialize, Serialize};

pub use name::{Nickname, RoomName};
pub use presence::come_back;
pub use text::{MAX_TEXT_BYTES, checked_text, now};

/// Somebody who chats, perhaps from several sockets at once.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Member {
    pub id: String,
    pub name: String,
}

impl Member {
    /// Whose socket this is.
    pub fn of(socket: &Socket) -> Result<Self> {
        let member = socket.data()?;
        member.ok_or_else(|| Error::internal("this socket belongs to nobody"))
    }
}

/// Registers all handlers but `on_connect`.
pub fn register(ns: &mut Namespace) {
    presence::register(ns);
    message::register(ns);
}

/// A room one has not joined is none of one's business.
fn require_joined(socket: &Socket, room: &RoomName) -> Result<()> {
    if socket.is_in(&room.key()) {
        return Ok(());
    }
    Err(Error::new(
        "not_joined",
        format!("join the room {} first", room.as_str()),
    ))
}
