//! What is said: `message`, `typing`, `history`.

use parlour_sdk::{Ack, Entry, Error, Namespace, Nsp, Once, Position, Result, Socket, json};
use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};

use crate::{Member, RoomName, checked_text, id::message_id, now, require_joined};

/// The stored event.
pub const EVENT: &str = "message";

/// How many messages a page of history has unless the client says otherwise.
pub const DEFAULT_HISTORY: u32 = 50;

/// How many it can have.
pub const MAX_HISTORY: u32 = 100;

/// Characters of an id that a client gives its message.
pub const MAX_ID: usize = 128;

pub fn register(ns: &mut Namespace) {
    ns.on(EVENT, message);
    ns.on("typing", typing);
    ns.on("history", history);
}

#[derive(Deserialize)]
#[serde(expecting = "an object {room, text, id?}")]
struct Said {
    room: RoomName,
    text: String,
    id: Option<String>,
}

/// As it is sent and stored.
#[derive(Serialize)]
struct Message<'a> {
    id: &'a str,
    room: &'a RoomName,
    from: &'a Member,
    text: &'a str,
    at: u64,
}

async fn message(io: Nsp, socket: Socket, said: Said, ack: Ack) -> Result<()> {
    #[derive(Serialize)]
    struct Answer<'a> {
        id: &'a str,
        at: u64,
    }
    require_joined(&socket, &said.room)?;
    let text = checked_text(said.text)?;
    let from = Member::of(&socket)?;
    let at = now();
    let is_given = said.id.is_some();
    let id = match said.id {
        Some(id) => checked_id(id)?,
        None => message_id(at),
    };
    let message = Message {
        id: &id,
        room: &said.room,
        from: &from,
        text: &text,
        at,
    };
    let answer = Answer { id: &id, at };
    let room = io.to(said.room.key());
    if is_given {
        let once = Once {
            id: id.clone(),
            sender: from.id.clone(),
        };
        return room.emit_once(once, EVENT, &message, ack, &answer);
    }
    room.id(&id).emit(EVENT, &message)?;
    ack.send(&answer)
}

#[derive(Deserialize)]
#[serde(expecting = "an object {room, typing}")]
struct Typing {
    room: RoomName,
    typing: bool,
}

async fn typing(socket: Socket, typing: Typing) -> Result<Value> {
    require_joined(&socket, &typing.room)?;
    let Typing { room, typing } = typing;
    let event = json!({ "room": room, "member": Member::of(&socket)?, "typing": typing });
    socket.to(room.key()).volatile().emit("typing", event)?;
    Ok(json!({}))
}

#[derive(Deserialize)]
#[serde(expecting = "an object {room, before?, limit?}")]
struct Wanted {
    room: RoomName,
    before: Option<Before>,
    limit: Option<u32>,
}

/// What a page of history comes before.
#[derive(Deserialize)]
#[serde(untagged, expecting = "the offset of a message, or its id")]
enum Before {
    Offset(u64),
    Id(String),
}

async fn history(io: Nsp, socket: Socket, wanted: Wanted) -> Result<Vec<Box<RawValue>>> {
    require_joined(&socket, &wanted.room)?;
    let limit = wanted.limit.unwrap_or(DEFAULT_HISTORY);
    if !(1..=MAX_HISTORY).contains(&limit) {
        let message = format!("`limit` is 1 to {MAX_HISTORY}, not {limit}");
        return Err(Error::bad_request(message));
    }
    let key = wanted.room.key();
    let until = match wanted.before {
        None => Position::End,
        Some(Before::Offset(offset)) => Position::Before(offset),
        Some(Before::Id(id)) => match *io.offsets_of(&key, EVENT, &id).await? {
            [] => {
                let message = "`before` is not the id of a message in this room";
                return Err(Error::new("not_found", message));
            }
            [offset] => Position::Before(offset),
            _ => {
                let message =
                    "several messages in this room have the id `before`: give the offset of one";
                return Err(Error::new("ambiguous", message));
            }
        },
    };
    Ok(told(&io.history(&key, EVENT, until, limit).await?))
}

/// Stored messages as they were sent, each with its offset in front: `history` goes on from there.
pub fn told(page: &[Entry]) -> Vec<Box<RawValue>> {
    let told = |entry: &Entry| {
        let message = entry.argument()?;
        let members = message.get().strip_prefix('{')?;
        let json = format!("{{\"offset\":{},{members}", entry.offset);
        RawValue::from_string(json).ok()
    };
    page.iter().filter_map(told).collect()
}

fn checked_id(id: String) -> Result<String> {
    let length = id.chars().count();
    if length == 0 || length > MAX_ID || id.chars().any(char::is_control) {
        let message = format!("`id` has 1 to {MAX_ID} characters and no control characters");
        return Err(Error::bad_request(message));
    }
    Ok(id)
}
