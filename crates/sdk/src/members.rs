//! Who is in the rooms that were asked for in this batch. Kept up with what the batch records, so
//! that a crowd that comes or goes at once does not ask the database for each of it again.

use std::{
    collections::{BTreeMap, HashMap},
    rc::Rc,
};

use crate::{
    interface::{Change, Member, Place, Session},
    peer::{Peer, user},
};

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

    pub fn sockets_of(&self, room: &str, user: &str) -> Option<u32> {
        self.sockets.get(room)?.get(user).copied()
    }

    pub fn learn_sockets(&mut self, place: Place, sockets: u32) {
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
