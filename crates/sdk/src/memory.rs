//! For tests: a [`Store`] in memory, which does what `wit/rooms.wit` says and no more.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use crate::{
    interface::{Applied, Change, Emission, Entry, Error, Member, Position, Repetition, Room},
    store::{Step, Store},
};

#[derive(Clone, Default)]
pub(crate) struct Memory {
    pub tables: Rc<RefCell<Tables>>,
    saved: Rc<RefCell<Option<Tables>>>,
    pub committed: Rc<RefCell<Option<Vec<u8>>>>,
    /// Makes the next read fail.
    pub broken: Rc<RefCell<bool>>,
}

#[derive(Clone, Default)]
pub(crate) struct Tables {
    pub sockets: BTreeMap<String, String>,
    /// (room, socket)
    pub members: Vec<(String, String)>,
    pub log: Vec<Emission>,
    /// How many lists of changes came.
    pub applies: usize,
}

impl Tables {
    fn apply(&mut self, changes: Vec<Change>) -> Applied {
        self.applies += 1;
        let mut repetitions = Vec::new();
        let first = self.log.len() as u64 + 1;
        for (index, change) in (0..).zip(changes) {
            match change {
                Change::Connect(p) | Change::Update(p) => {
                    self.sockets.insert(p.socket, p.data);
                }
                Change::Disconnect(socket) => {
                    self.sockets.remove(&socket);
                    self.members.retain(|(_, member)| *member != socket);
                }
                Change::Join(m) => self.members.push((m.room, m.socket)),
                Change::Leave(m) => {
                    self.members
                        .retain(|(room, socket)| (room, socket) != (&m.room, &m.socket));
                }
                Change::Emit(emission) => match self.first_ack(&emission) {
                    Some(ack) => repetitions.push(Repetition { index, ack }),
                    None => self.log.push(emission),
                },
            }
        }
        Applied { first, repetitions }
    }

    fn first_ack(&self, emission: &Emission) -> Option<String> {
        let once = emission.once.as_ref()?;
        let known = self.log.iter().filter(|known| known.id == emission.id);
        let mut known = known.filter_map(|known| known.once.as_ref());
        known
            .find(|known| known.sender == once.sender)
            .map(|known| known.ack.clone())
    }
}

impl Memory {
    fn read<T: 'static>(&self, read: impl FnOnce(&Tables) -> T) -> Step<'_, T> {
        let result = match *self.broken.borrow() {
            true => Err(Error::Storage("the disk is on fire".into())),
            false => Ok(read(&self.tables.borrow())),
        };
        Box::pin(async move { result })
    }
}

impl Store for Memory {
    fn apply(&self, changes: Vec<Change>) -> Step<'_, Applied> {
        let applied = self.tables.borrow_mut().apply(changes);
        Box::pin(async move { Ok(applied) })
    }

    fn members(&self, room: String) -> Step<'_, Vec<Member>> {
        self.read(|tables| {
            let members = tables.members.iter().filter(|(known, _)| *known == room);
            let member = |(_, socket): &(String, String)| Member {
                socket: socket.clone(),
                data: tables.sockets[socket].clone(),
            };
            members.map(member).collect()
        })
    }

    fn rooms(&self, _event: String) -> Step<'_, Vec<Room>> {
        self.read(|_| Vec::new())
    }

    fn history(
        &self,
        room: String,
        event: String,
        _until: Position,
        _limit: u32,
    ) -> Step<'_, Option<Vec<Entry>>> {
        self.read(|tables| {
            let log = (1..).zip(&tables.log);
            let log = log.filter(|(_, e)| e.rooms == [room.clone()] && e.event == event);
            let entry = |(offset, e): (u64, &Emission)| Entry {
                offset,
                data: e.data.clone(),
                attachments: e.attachments.clone(),
            };
            Some(log.map(entry).collect())
        })
    }

    fn last_offset(&self) -> Step<'_, u64> {
        self.read(|tables| tables.log.len() as u64)
    }

    fn savepoint(&self) -> Step<'_, ()> {
        self.saved.replace(Some(self.tables.borrow().clone()));
        Box::pin(async { Ok(()) })
    }

    fn rollback(&self) -> Step<'_, ()> {
        let saved = self.saved.take().expect("a rollback has a savepoint");
        self.tables.replace(saved);
        Box::pin(async { Ok(()) })
    }

    fn commit(&self, response: Vec<u8>) -> Step<'_, ()> {
        self.committed.replace(Some(response));
        Box::pin(async { Ok(()) })
    }
}
