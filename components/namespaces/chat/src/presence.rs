//! Who is where: `join`, `leave`, `rooms`, `name`, and what others are told when somebody comes or
//! goes. A member with several sockets comes with the first and goes with the last.

use parlour_sdk::{Ack, Args, Error, Namespace, Position, Raw, Result, Socket, json};
use serde::Serialize;

use crate::{
    Member, Nickname, RoomName,
    message::{self, DEFAULT_HISTORY},
    require_joined,
};

pub fn register(ns: &mut Namespace) {
    ns.on("join", join);
    ns.on("leave", leave);
    ns.on("rooms", rooms);
    ns.on("name", name);
    ns.on("whoami", whoami);
    ns.on_disconnecting(async |socket, _reason| {
        for key in socket.rooms() {
            announce_leaving(&socket, &key).await?;
        }
        Ok(())
    });
}

async fn join(socket: Socket, room: RoomName, ack: Ack) -> Result<()> {
    #[derive(Serialize)]
    struct Joined<'a> {
        room: &'a RoomName,
        members: Vec<Member>,
        messages: Vec<Raw>,
        offset: u64,
    }
    let key = room.key();
    let nsp = socket.nsp();
    // All is read before anything is changed, so that a crowd that joins at once stays cheap.
    let offset = nsp.last_offset().await?;
    let messages = nsp
        .history(&key, message::EVENT, Position::End, DEFAULT_HISTORY)
        .await?;
    let mut members = members(&socket, &key).await?;
    if !socket.is_in(&key) {
        let member = Member::of(&socket)?;
        socket.join(&key)?;
        if !members.contains(&member) {
            socket
                .to(&key)
                .emit("joined", json!({ "room": room, "member": member }))?;
            members.push(member);
        }
    }
    members.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
    let messages = message::arguments(messages.unwrap_or_default());
    ack.send(Joined {
        room: &room,
        members,
        messages,
        offset,
    })
}

async fn leave(socket: Socket, room: RoomName, ack: Ack) -> Result<()> {
    require_joined(&socket, &room)?;
    let key = room.key();
    announce_leaving(&socket, &key).await?;
    socket.leave(&key)?;
    ack.send(json!({ "room": room }))
}

async fn rooms(socket: Socket, _: Args<()>, ack: Ack) -> Result<()> {
    #[derive(Serialize)]
    struct Listed {
        name: RoomName,
        members: u32,
        messages: u64,
    }
    let rooms = socket.nsp().rooms(message::EVENT).await?;
    let listed: Vec<_> = rooms
        .into_iter()
        .filter_map(|room| {
            let name = RoomName::of_key(&room.name)?;
            Some(Listed {
                name,
                members: room.members,
                messages: room.messages,
            })
        })
        .collect();
    ack.send(listed)
}

async fn name(socket: Socket, name: Nickname, ack: Ack) -> Result<()> {
    let member = Member {
        name: name.into_inner(),
        ..Member::of(&socket)?
    };
    socket.set_data(&member)?;
    ack.send(json!({ "name": member.name }))
}

async fn whoami(socket: Socket, _: Args<()>, ack: Ack) -> Result<()> {
    ack.send(Member::of(&socket)?)
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
    for other in socket.nsp().to(key).fetch_sockets().await? {
        if *other.id != *socket.id() && other.data::<Member>()?.id == member.id {
            return Ok(());
        }
    }
    socket
        .to(key)
        .emit(event, json!({ "room": room, "member": member }))
}

/// Who is in a room, each once; by the socket's own name where it is one of several.
async fn members(socket: &Socket, key: &str) -> Result<Vec<Member>> {
    let own = Member::of(socket)?;
    let mut members: Vec<Member> = Vec::new();
    for other in socket.nsp().to(key).fetch_sockets().await? {
        members.push(other.data()?);
    }
    members.sort();
    members.dedup_by(|a, b| a.id == b.id);
    if let Some(same) = members.iter_mut().find(|member| member.id == own.id) {
        *same = own;
    }
    Ok(members)
}
