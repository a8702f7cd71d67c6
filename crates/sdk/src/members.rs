//! Who is in the rooms that were asked for in this batch. Kept up with what the batch records, so
//! that a crowd that comes or goes at once does not ask the database for each of it again.

use std::{collections::HashMap, rc::Rc};

use crate::{
    interface::{Change, Member, Session},
    peer::Peer,
};

/// A socket and its public data, as JSON.
#[derive(Clone)]
pub(crate) struct Known {
    pub id: Rc<str>,
    pub data: Rc<str>,
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
    rooms: HashMap<String, Vec<Known>>,
}

impl Members {
    pub fn of(&self, room: &str) -> Option<&Vec<Known>> {
        self.rooms.get(room)
    }

    /// Keeps what the database said, all changes so far included.
    pub fn learn(&mut self, room: String, members: Vec<Known>) {
        self.rooms.insert(room, members);
    }

    /// What is known is no longer certain.
    pub fn forget(&mut self) {
        self.rooms.clear();
    }

    /// A socket is in its rooms again.
    pub fn come_back(&mut self, session: &Session) {
        for room in &session.rooms {
            if let Some(members) = self.rooms.get_mut(room)
                && !members.iter().any(|member| *member.id == *session.socket)
            {
                let (id, data) = (session.socket.as_str(), session.data.as_str());
                let (id, data) = (Rc::from(id), Rc::from(data));
                members.push(Known { id, data });
            }
        }
    }

    /// Follows a change of this socket's.
    pub fn follow(&mut self, change: &Change, peer: &Peer) {
        match change {
            Change::Join(to) => {
                if let Some(members) = self.rooms.get_mut(&to.room)
                    && !members.iter().any(|member| *member.id == *to.socket)
                {
                    let (id, data) = (Rc::from(to.socket.as_str()), Rc::from(peer.data()));
                    members.push(Known { id, data });
                }
            }
            Change::Leave(from) => {
                if let Some(members) = self.rooms.get_mut(&from.room) {
                    members.retain(|member| *member.id != *from.socket);
                }
            }
            Change::Disconnect(gone) => {
                for members in self.rooms.values_mut() {
                    members.retain(|member| *member.id != *gone.socket);
                }
            }
            Change::Move(_) => self.forget(),
            Change::Update(new) => {
                let members = self.rooms.values_mut().flatten();
                for member in members.filter(|member| *member.id == *new.socket) {
                    member.data = Rc::from(new.data.as_str());
                }
            }
            Change::Connect(_) | Change::Renew(_) | Change::Emit(_) | Change::Answer(_) => {}
        }
    }
}
