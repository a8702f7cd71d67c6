//! Who is in the rooms that were asked for in this batch. Kept up with what the batch records, so
//! that a crowd that comes or goes at once does not ask the database for each of it again.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap, HashSet},
    rc::Rc,
};

use serde::Deserialize;

use crate::{
    context::Context,
    error::Result,
    interface::{Change, Member, Place, Session},
    peer::Peer,
};

/// How many (room, user) pairs one question to the database has, unless one socket alone has more.
const ASKED_AT_ONCE: usize = 2_000;

/// A socket and its public data, as JSON.
#[derive(Clone)]
pub(crate) struct Known {
    pub id: Rc<str>,
    pub data: Rc<str>,
}

impl Known {
    pub fn bytes(&self) -> usize {
        self.id.len() + self.data.len()
    }
}

impl From<Member> for Known {
    fn from(member: Member) -> Self {
        Self {
            id: member.socket.into(),
            data: member.data.into(),
        }
    }
}

#[derive(Default)]
pub(crate) struct Members {
    /// All sockets of a room with their data.
    rooms: HashMap<String, BTreeMap<Rc<str>, Rc<str>>>,
    /// By room and user: how many sockets that user has there.
    sockets: HashMap<String, HashMap<String, u32>>,
}

impl Members {
    pub fn of(&self, room: &str) -> Option<Vec<Known>> {
        let members = self.rooms.get(room)?.iter();
        let known = |(id, data): (&Rc<str>, &Rc<str>)| Known {
            id: id.clone(),
            data: data.clone(),
        };
        Some(members.map(known).collect())
    }

    /// Keeps what the database said, all changes so far included.
    pub fn learn(&mut self, room: String, members: &[Known]) {
        let members = members.iter().cloned();
        let members = members.map(|Known { id, data }| (id, data));
        self.rooms.insert(room, members.collect());
    }

    fn sockets_of(&self, room: &str, user: &str) -> Option<u32> {
        self.sockets.get(room)?.get(user).copied()
    }

    fn learn_sockets(&mut self, place: Place, sockets: u32) {
        let room = self.sockets.entry(place.room).or_default();
        room.insert(place.user, sockets);
    }

    /// What is known is no longer certain.
    pub fn forget(&mut self) {
        self.rooms.clear();
        self.sockets.clear();
    }

    /// A socket is in its rooms again.
    pub fn come_back(&mut self, session: &Session) {
        let (id, data) = (session.socket.as_str(), session.data.as_str());
        for room in &session.rooms {
            if let Some(members) = self.rooms.get_mut(room) {
                members.insert(id.into(), data.into());
            }
            if session.had_left {
                self.count(room, &user(id, data), 1);
            }
        }
    }

    /// Follows a change of this socket's.
    pub fn follow(&mut self, change: &Change, peer: &Peer) {
        match change {
            Change::Join(to) => {
                if let Some(members) = self.rooms.get_mut(&to.room) {
                    members.insert(to.socket.as_str().into(), peer.data().into());
                }
                self.count(&to.room, &peer.user(), 1);
            }
            Change::Leave(from) => {
                if let Some(members) = self.rooms.get_mut(&from.room) {
                    members.remove(&*from.socket);
                }
                self.count(&from.room, &peer.user(), -1);
            }
            Change::Disconnect(gone) => {
                for members in self.rooms.values_mut() {
                    members.remove(&*gone.socket);
                }
                let user = peer.user();
                for room in &*peer.rooms.borrow() {
                    self.count(room, &user, -1);
                }
            }
            Change::Move(_) => self.forget(),
            Change::Update(new) => {
                for members in self.rooms.values_mut() {
                    if let Some(data) = members.get_mut(&*new.socket) {
                        *data = new.data.as_str().into();
                    }
                }
                // It may belong to another user now.
                for room in &*peer.rooms.borrow() {
                    self.sockets.remove(room);
                }
            }
            Change::Connect(_)
            | Change::Renew(_)
            | Change::Emit(_)
            | Change::Command(_)
            | Change::Answer(_) => {}
        }
    }

    fn count(&mut self, room: &str, user: &str, more: i32) {
        let room = self.sockets.get_mut(room);
        if let Some(sockets) = room.and_then(|room| room.get_mut(user)) {
            *sockets = sockets.saturating_add_signed(more);
        }
    }
}

/// Who a socket belongs to, as `wit/rooms.wit` has it: the text `id` of its data (JSON), or its own id.
pub(crate) fn user<'a>(socket: &'a str, data: &'a str) -> Cow<'a, str> {
    #[derive(Deserialize)]
    struct Data<'a> {
        #[serde(borrow)]
        id: Cow<'a, str>,
    }
    // serde would also read the first element of an array.
    let is_object = data.trim_start().starts_with('{');
    let data = is_object.then(|| serde_json::from_str::<Data<'a>>(data).ok());
    match data.flatten() {
        Some(Data { id }) if !id.is_empty() => id,
        _ => socket.into(),
    }
}

/// How many other sockets of this socket's user are in a room.
pub(crate) async fn other_sockets(context: &Context, socket: usize, room: &str) -> Result<u32> {
    let peer = &context.sockets[socket];
    let user = peer.user();
    let known = context.members.borrow().sockets_of(room, &user);
    let sockets = match known {
        Some(sockets) => sockets,
        None => {
            ask(context, peer, room).await?;
            let members = context.members.borrow();
            members.sockets_of(room, &user).unwrap_or(0)
        }
    };
    let is_in = peer.rooms.borrow().iter().any(|known| known == room);
    Ok(sockets.saturating_sub(is_in.into()))
}

/// Asks the database how many sockets a user has in a room. Whoever asks about one room of a socket that
/// goes will ask about its other rooms, and about the other sockets that go with this batch: all of
/// that is one question.
async fn ask(context: &Context, peer: &Peer, room: &str) -> Result<()> {
    let mut wanted = HashSet::from([(room.to_owned(), peer.user())]);
    let all_rooms = |peer: &Peer, wanted: &mut HashSet<_>| {
        let rooms = peer.rooms.borrow();
        wanted.extend(rooms.iter().map(|room| (room.clone(), peer.user())));
    };
    if peer.rooms.borrow().iter().any(|known| known == room) {
        all_rooms(peer, &mut wanted);
    }
    while wanted.len() < ASKED_AT_ONCE
        && let Some(leaving) = context.next_leaving()
    {
        all_rooms(leaving, &mut wanted);
    }
    let places: Vec<Place> = wanted
        .into_iter()
        .map(|(room, user)| Place { room, user })
        .collect();
    let store = context.current().await?;
    let sockets = store.sockets_of(places.clone()).await;
    let sockets = sockets.map_err(|error| context.failed(error))?;
    let mut members = context.members.borrow_mut();
    for (place, sockets) in places.into_iter().zip(sockets) {
        members.learn_sockets(place, sockets);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::user;

    #[test]
    fn a_socket_belongs_to_the_user_that_its_data_name() {
        assert_eq!(user("s", r#" {"name":"Ada","id":"ad\u0061"}"#), "ada");
        for data in [
            "null",
            r#""ada""#,
            r#"["ada"]"#,
            r#"{"id":7}"#,
            r#"{"id":""}"#,
            "{}",
        ] {
            assert_eq!(user("s", data), "s", "{data}");
        }
    }
}
