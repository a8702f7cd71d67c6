//! Who is in the rooms that were asked for in this batch. Kept up with what the batch records, so
//! that a crowd that comes or goes at once does not ask the database for each of it again.

use std::{collections::HashMap, rc::Rc};

use crate::{emit::RemoteSocket, interface::Change, peer::Peer};

#[derive(Default)]
pub(crate) struct Members {
    rooms: HashMap<String, Vec<RemoteSocket>>,
}

impl Members {
    pub fn of(&self, room: &str) -> Option<&Vec<RemoteSocket>> {
        self.rooms.get(room)
    }

    /// Keeps what the database said, all changes so far included.
    pub fn learn(&mut self, room: String, members: Vec<RemoteSocket>) {
        self.rooms.insert(room, members);
    }

    /// What is known is no longer certain.
    pub fn forget(&mut self) {
        self.rooms.clear();
    }

    /// Follows a change of this socket's.
    pub fn follow(&mut self, change: &Change, peer: &Peer) {
        match change {
            Change::Join(to) => {
                if let Some(members) = self.rooms.get_mut(&to.room)
                    && !members.iter().any(|member| *member.id == *to.socket)
                {
                    let (id, data) = (Rc::from(to.socket.as_str()), Rc::from(peer.data()));
                    members.push(RemoteSocket { id, data });
                }
            }
            Change::Leave(from) => {
                if let Some(members) = self.rooms.get_mut(&from.room) {
                    members.retain(|member| *member.id != *from.socket);
                }
            }
            Change::Disconnect(socket) => {
                for members in self.rooms.values_mut() {
                    members.retain(|member| *member.id != **socket);
                }
            }
            Change::Update(new) => {
                let members = self.rooms.values_mut().flatten();
                for member in members.filter(|member| *member.id == *new.socket) {
                    member.data = Rc::from(new.data.as_str());
                }
            }
            Change::Connect(_) | Change::Emit(_) => {}
        }
    }
}
