//! Who is where: `join`, `leave`, `members`, `rooms`, `name`, and what others are told when somebody comes,
//! goes or changes the name. A member with several sockets comes with the first and goes with the last.

use parlour_sdk::{Error, Namespace, Nsp, Page, Position, RemoteSocket, Result, Socket, json};
use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};

use crate::{
    Member, Nickname, RoomName,
    message::{self, DEFAULT_HISTORY},
    require_joined,
};

/// How many members `join` answers, and one page of `members` has at most.
pub const MAX_MEMBERS: u32 = 100;

pub fn register(ns: &mut Namespace) {
    ns.on("join", join);
    ns.on("leave", leave);
    ns.on("members", members);
    ns.on("rooms", rooms);
    ns.on("name", name);
    ns.on("whoami", whoami);
    ns.on_disconnecting(async |socket: Socket| {
        for key in socket.rooms() {
            announce_leaving(&socket, &key).await?;
        }
        Ok(())
    });
}

/// What one who joins is told.
#[derive(Serialize)]
struct Joined {
    room: RoomName,
    #[serde(flatten)]
    page: Listed,
    messages: Vec<Box<RawValue>>,
    offset: u64,
}

async fn join(io: Nsp, socket: Socket, room: RoomName) -> Result<Joined> {
    let key = room.key();
    // All is read before anything is changed, so that a crowd that joins at once stays cheap.
    let offset = io.last_offset().await?;
    let messages = io
        .history(&key, message::EVENT, Position::End, DEFAULT_HISTORY)
        .await?;
    let page = io.members(&key, None, MAX_MEMBERS).await?;
    let mut page = Listed::of(page)?;
    let member = Member::of(&socket)?;
    if !socket.is_in(&key) {
        let is_new = socket.other_sockets_in(&key).await? == 0;
        socket.join(&key)?;
        if is_new {
            socket
                .to(&key)
                .emit("joined", json!({ "room": room, "member": member }))?;
            page.count += 1;
        }
    }
    page.include(member);
    let messages = message::told(&messages);
    Ok(Joined {
        room,
        page,
        messages,
        offset,
    })
}

/// A page of a room's members, as it is answered.
#[derive(Serialize)]
struct Listed {
    /// By their names.
    members: Vec<Member>,
    /// How many there are in all.
    count: u32,
    /// What the next page comes after.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

impl Listed {
    fn of(page: Page) -> Result<Self> {
        let members: Result<Vec<Member>> = page.members.iter().map(RemoteSocket::data).collect();
        let mut listed = Self {
            members: members?,
            count: page.count,
            next: page.next,
        };
        listed.sort();
        Ok(listed)
    }

    /// Makes this member part of the page, by the name that it has here.
    fn include(&mut self, member: Member) {
        self.members.retain(|other| other.id != member.id);
        self.members.push(member);
        self.sort();
    }

    fn sort(&mut self) {
        self.members
            .sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
    }
}

#[derive(Deserialize)]
#[serde(expecting = "an object {room, after?, limit?}")]
struct Wanted {
    room: RoomName,
    after: Option<String>,
    limit: Option<u32>,
}

async fn members(io: Nsp, socket: Socket, wanted: Wanted) -> Result<Listed> {
    require_joined(&socket, &wanted.room)?;
    let limit = wanted.limit.unwrap_or(MAX_MEMBERS);
    if !(1..=MAX_MEMBERS).contains(&limit) {
        let message = format!("`limit` is 1 to {MAX_MEMBERS}, not {limit}");
        return Err(Error::bad_request(message));
    }
    let (key, after) = (wanted.room.key(), wanted.after.as_deref());
    let page = io.members(&key, after, limit).await?;
    Listed::of(page)
}

async fn leave(socket: Socket, room: RoomName) -> Result<Value> {
    require_joined(&socket, &room)?;
    let key = room.key();
    announce_leaving(&socket, &key).await?;
    socket.leave(&key)?;
    Ok(json!({ "room": room }))
}

/// A room, and how much there is in it.
#[derive(Serialize)]
struct Counted {
    name: RoomName,
    members: u32,
    messages: u64,
}

async fn rooms(io: Nsp) -> Result<Vec<Counted>> {
    let rooms = io.rooms(message::EVENT).await?;
    let listed = rooms
        .into_iter()
        .filter_map(|room| {
            let name = RoomName::of_key(&room.name)?;
            Some(Counted {
                name,
                members: room.members,
                messages: room.messages,
            })
        })
        .collect();
    Ok(listed)
}

async fn name(socket: Socket, name: Nickname) -> Result<Value> {
    let before = Member::of(&socket)?;
    let member = Member {
        name: name.into_inner(),
        ..before.clone()
    };
    if member != before {
        socket.set_data(&member)?;
        announce_name(&socket, &member)?;
    }
    Ok(json!({ "name": member.name }))
}

/// Tells everybody who shares a room with this member what the member is called now. One emission to all the
/// rooms, so that who shares several of them hears it once.
fn announce_name(socket: &Socket, member: &Member) -> Result<()> {
    let rooms: Vec<String> = socket
        .rooms()
        .into_iter()
        .filter(|key| RoomName::of_key(key).is_some())
        .collect();
    if rooms.is_empty() {
        return Ok(()); // To no room at all would be to everybody.
    }
    socket
        .to(rooms)
        .emit("renamed", json!({ "member": member }))
}

async fn whoami(socket: Socket) -> Result<Member> {
    Member::of(&socket)
}

/// A socket whose session was recovered is in its rooms again: tells the others, if it had left.
pub async fn come_back(socket: &Socket) -> Result<()> {
    if !socket.had_left() {
        return Ok(());
    }
    for key in socket.rooms() {
        announce(socket, &key, "joined").await?;
    }
    Ok(())
}

async fn announce_leaving(socket: &Socket, key: &str) -> Result<()> {
    announce(socket, key, "left").await
}

/// Tells the others in a room, unless the member is in it with another socket.
async fn announce(socket: &Socket, key: &str, event: &str) -> Result<()> {
    let member = Member::of(socket)?;
    let room = RoomName::of_key(key).ok_or_else(|| Error::internal("a room without a name"))?;
    if socket.other_sockets_in(key).await? > 0 {
        return Ok(());
    }
    socket
        .to(key)
        .emit(event, json!({ "room": room, "member": member }))
}
