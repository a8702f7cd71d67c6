//! What is said: `message`, `typing`, `history`.

use parlour_sdk::{Ack, Error, Namespace, Once, Position, Raw, Result, Socket, json};
use serde::{Deserialize, Serialize};

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

async fn message(socket: Socket, said: Said, ack: Ack) -> Result<()> {
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
    let room = socket.nsp().to(said.room.key());
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

async fn typing(socket: Socket, typing: Typing, ack: Ack) -> Result<()> {
    require_joined(&socket, &typing.room)?;
    let Typing { room, typing } = typing;
    let event = json!({ "room": room, "member": Member::of(&socket)?, "typing": typing });
    socket.to(room.key()).volatile().emit("typing", event)?;
    ack.send(json!({}))
}

#[derive(Deserialize)]
#[serde(expecting = "an object {room, before?, limit?}")]
struct Wanted {
    room: RoomName,
    before: Option<String>,
    limit: Option<u32>,
}

async fn history(socket: Socket, wanted: Wanted, ack: Ack) -> Result<()> {
    require_joined(&socket, &wanted.room)?;
    let limit = wanted.limit.unwrap_or(DEFAULT_HISTORY);
    if !(1..=MAX_HISTORY).contains(&limit) {
        let message = format!("`limit` is 1 to {MAX_HISTORY}, not {limit}");
        return Err(Error::bad_request(message));
    }
    let until = wanted.before.map_or(Position::End, Position::BeforeId);
    let page = socket
        .nsp()
        .history(&wanted.room.key(), EVENT, until, limit)
        .await?;
    let Some(page) = page else {
        let message = "`before` is not the id of a message in this room";
        return Err(Error::new("not_found", message));
    };
    ack.send(arguments(page))
}

/// Stored messages as they were sent.
pub fn arguments(page: Vec<parlour_sdk::Entry>) -> Vec<Raw> {
    page.iter()
        .filter_map(parlour_sdk::Entry::argument)
        .collect()
}

fn checked_id(id: String) -> Result<String> {
    let length = id.chars().count();
    if length == 0 || length > MAX_ID || id.chars().any(char::is_control) {
        let message = format!("`id` has 1 to {MAX_ID} characters and no control characters");
        return Err(Error::bad_request(message));
    }
    Ok(id)
}
