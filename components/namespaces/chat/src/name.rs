//! Names that clients give: of rooms and of themselves.

use serde::{Deserialize, Serialize};

/// Characters of a room's name.
pub const MAX_ROOM_NAME: usize = 64;

/// Characters of a nickname.
pub const MAX_NICKNAME: usize = 40;

/// Stands before the names that clients give, so that none is a socket's own room.
const PREFIX: char = '#';

/// A room's name: 1 to 64 characters, no control characters, no blanks around it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct RoomName(String);

/// What somebody is called: 1 to 40 characters, no control characters, no blanks around it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Nickname(String);

impl RoomName {
    /// The room in Socket.IO's sense.
    pub fn key(&self) -> String {
        format!("{PREFIX}{}", self.0)
    }

    /// The name of a room in Socket.IO's sense; none if it is a socket's own.
    pub fn of_key(key: &str) -> Option<Self> {
        key.strip_prefix(PREFIX).map(|name| Self(name.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Nickname {
    pub fn into_inner(self) -> String {
        self.0
    }
}

impl TryFrom<String> for RoomName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        checked(&name, "a room's name", MAX_ROOM_NAME).map(Self)
    }
}

impl TryFrom<String> for Nickname {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        checked(&name, "a name", MAX_NICKNAME).map(Self)
    }
}

fn checked(name: &str, what: &str, most: usize) -> Result<String, String> {
    let name = name.trim();
    let length = name.chars().count();
    if length == 0 || length > most || name.chars().any(char::is_control) {
        return Err(format!(
            "{what} has 1 to {most} characters and no control characters"
        ));
    }
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_cannot_be_named_like_a_sockets_own() {
        let room = RoomName::try_from("  general ".to_owned()).unwrap();
        assert_eq!(
            (room.as_str(), room.key().as_str()),
            ("general", "#general")
        );
        assert_eq!(RoomName::of_key("#general"), Some(room));
        assert_eq!(RoomName::of_key("Zk3aB4cD5eF6gH7iJ8kL"), None);
    }

    #[test]
    fn names_have_limits() {
        let room = |name: &str| RoomName::try_from(name.to_owned());
        assert!(room(&"ä".repeat(MAX_ROOM_NAME)).is_ok());
        assert!(room(&"a".repeat(MAX_ROOM_NAME + 1)).is_err());
        assert!(room(" ").is_err() && room("a\nb").is_err());
        assert!(Nickname::try_from("a".repeat(MAX_NICKNAME + 1)).is_err());
    }
}
