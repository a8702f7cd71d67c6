//! For tests: a [`Store`] in memory, which does what `wit/rooms.wit` says and no more.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
};

use crate::{
    interface::{
        Applied, Change, Claim, Command, Departure, Direction, Emission, Entry, Error, Extent,
        Located, Member, Movement, Newcomer, Owner, Page, Place, Position, Recovery, Repetition,
        Room, Session, Stored, Whom,
    },
    peer::user,
    store::{Step, Store},
};

#[derive(Clone, Default)]
pub(crate) struct Memory {
    pub tables: Rc<RefCell<Tables>>,
    saved: Rc<RefCell<Option<Tables>>>,
    pub committed: Rc<RefCell<Option<String>>>,
    /// Makes the next read fail.
    pub broken: Rc<RefCell<bool>>,
    /// The head of the log when the batch took the lock.
    previous: Rc<Cell<Option<u64>>>,
}

#[derive(Clone, Default)]
pub(crate) struct Tables {
    pub sockets: BTreeMap<String, String>,
    /// (room, socket)
    pub members: Vec<(String, String)>,
    /// Commands are emissions of the event "" here.
    pub log: Vec<Emission>,
    /// Sockets that another relay has, which is called `relay-2`. If there are any, it is alive.
    pub elsewhere: Vec<String>,
    /// How sockets are connected, and from which offset on.
    pub connected: BTreeMap<String, (Newcomer, u64)>,
    /// By their secrets; with their rooms.
    pub sessions: BTreeMap<String, (Newcomer, u64, Vec<String>)>,
    pub answers: BTreeMap<(String, String, String), String>,
    /// How many lists of changes came.
    pub applies: usize,
    /// How often it was asked how many sockets users have.
    pub asked: usize,
}

impl Tables {
    fn apply(&mut self, changes: Vec<Change>) -> Applied {
        self.applies += 1;
        let mut repetitions = Vec::new();
        let mut stored = Vec::new();
        for (index, change) in (0..).zip(changes) {
            match change {
                Change::Connect(new) => {
                    self.sockets.insert(new.socket.clone(), new.data.clone());
                    let since = self.log.len() as u64;
                    self.connected.insert(new.socket.clone(), (new, since));
                }
                Change::Update(p) => {
                    self.sockets.insert(p.socket, p.data);
                }
                Change::Renew(renewal) => {
                    if let Some((known, _)) = self.connected.get_mut(&renewal.socket) {
                        known.private = renewal.private;
                        known.expires = renewal.expires;
                    }
                }
                Change::Disconnect(gone) => {
                    let mut rooms = Vec::new();
                    self.members.retain(|(room, member)| {
                        let stays = *member != gone.socket;
                        if !stays {
                            rooms.push(room.clone());
                        }
                        stays
                    });
                    let data = self.sockets.remove(&gone.socket);
                    let known = self.connected.remove(&gone.socket);
                    if let Some((mut new, since)) = known.filter(|_| gone.resumable)
                        && let Some(pid) = new.pid.clone()
                    {
                        new.data = data.unwrap_or_default();
                        self.sessions.insert(pid, (new, since, rooms));
                    }
                }
                Change::Move(movement) if movement.namespace.is_some() => {}
                Change::Move(movement) => self.move_sockets(&movement),
                Change::Answer(answer) => {
                    let key = (answer.sender, answer.event, answer.id);
                    self.answers.entry(key).or_insert(answer.ack);
                }
                Change::Join(m) => self.members.push((m.room, m.socket)),
                Change::Leave(m) => {
                    self.members
                        .retain(|(room, socket)| (room, socket) != (&m.room, &m.socket));
                }
                Change::Emit(emission) if emission.transient && self.is_alone() => {}
                Change::Emit(emission) => match self.first_ack(&emission) {
                    Some(ack) => repetitions.push(Repetition { index, ack }),
                    None => stored.push(self.store(index, emission, Vec::new())),
                },
                Change::Command(command) => {
                    if let Some(sockets) = self.is_for_others(&command) {
                        stored.push(self.store(index, logged(command), sockets));
                    }
                }
            }
        }
        Applied {
            stored,
            repetitions,
        }
    }

    fn is_alone(&self) -> bool {
        self.elsewhere.is_empty()
    }

    /// Which sockets a command names that is stored.
    fn is_for_others(&self, command: &Command) -> Option<Vec<Located>> {
        if self.is_alone() && command.namespace.is_none() {
            return None;
        }
        let has = |socket: &String| self.elsewhere.contains(socket);
        match &command.whom {
            Whom::Everyone => Some(Vec::new()),
            Whom::Sockets(target) => {
                let sockets = self.meant(&target.rooms, &target.except).into_iter();
                let located = |socket| Located {
                    relay: if has(&socket) { "relay-2" } else { "relay-1" }.into(),
                    socket,
                };
                Some(sockets.map(located).collect())
            }
        }
    }

    fn store(&mut self, index: u32, emission: Emission, sockets: Vec<Located>) -> Stored {
        let previous = self.head(emission.namespace.as_deref());
        self.log.push(emission);
        let offset = self.log.len() as u64;
        Stored {
            index,
            offset,
            previous,
            sockets,
        }
    }

    /// The last offset of a namespace: the batches', if none is named.
    fn head(&self, namespace: Option<&str>) -> u64 {
        let is_in = |emission: &Emission| emission.namespace.as_deref() == namespace;
        let place = self.log.iter().rposition(is_in);
        place.map_or(0, |place| place as u64 + 1)
    }

    fn meant(&self, rooms: &[String], except: &[String]) -> Vec<String> {
        let is_in = |socket: &str, names: &[String]| {
            names.iter().any(|name| {
                name == socket || self.members.contains(&(name.clone(), socket.to_owned()))
            })
        };
        let sockets = self.sockets.keys().filter(|socket| {
            let meant = rooms.is_empty() || is_in(socket, rooms);
            meant && !is_in(socket, except)
        });
        sockets.cloned().collect()
    }

    fn move_sockets(&mut self, movement: &Movement) {
        let sockets = self.meant(&movement.rooms, &movement.except);
        let moved: Vec<(String, String)> = sockets
            .iter()
            .flat_map(|socket| {
                let place = |room: &String| (room.clone(), socket.clone());
                movement.places.iter().map(place)
            })
            .collect();
        self.members.retain(|member| !moved.contains(member));
        if movement.direction == Direction::Into {
            self.members.extend(moved);
        }
    }

    fn recover(&mut self, claim: &Claim, connection: String, after: u64, page: usize) -> Recovery {
        let mut connected = self.connected.values();
        let owner = connected.find(|(new, _)| new.pid.as_ref() == Some(&claim.pid));
        if let Some((owner, _)) = owner {
            let socket = owner.socket.clone();
            if !claim.from_connected {
                let relay = "relay-1".into();
                return Recovery::Contested(Owner { socket, relay });
            }
            let resumable = true;
            self.apply(vec![Change::Disconnect(Departure { socket, resumable })]);
        }
        let taken = self.resume(claim, connection, after, page);
        taken.map_or(Recovery::None, Recovery::Taken)
    }

    fn resume(
        &mut self,
        claim: &Claim,
        connection: String,
        after: u64,
        page: usize,
    ) -> Option<Session> {
        let (mut new, since, rooms) = self.sessions.get(&claim.pid)?.clone();
        let start = claim.seen.unwrap_or(0).max(since).max(after);
        let log = (1..).zip(&self.log).filter(|(offset, _)| *offset > start);
        let log = log.filter(|(_, e)| !e.event.is_empty());
        let log = log.filter(|(_, e)| {
            let mut meant = rooms.iter().chain([&new.socket]);
            e.rooms.is_empty() || meant.any(|room| e.rooms.contains(room))
        });
        let mut missed: Vec<Entry> = log.map(|(offset, e)| e.entry(offset)).collect();
        let mut given = 0;
        let in_page = |entry: &&Entry| {
            let earlier = given;
            given += entry.data.len();
            earlier < page
        };
        let in_page = missed.iter().take_while(in_page).count();
        let socket = new.socket.clone();
        let (data, private, expires) = (new.data.clone(), new.private.clone(), new.expires);
        if in_page < missed.len() {
            missed.truncate(in_page);
            return Some(Session {
                socket,
                data,
                private,
                had_left: true,
                rooms,
                offset: missed.last().map_or(start, |entry| entry.offset),
                missed,
                expires,
                has_more: true,
            });
        }
        self.sessions.remove(&claim.pid);
        new.connection = connection;
        self.sockets.insert(socket.clone(), data.clone());
        let memberships = rooms.iter().map(|room| (room.clone(), socket.clone()));
        self.members.extend(memberships);
        self.connected.insert(socket.clone(), (new, since));
        Some(Session {
            socket,
            data,
            private,
            had_left: true,
            rooms,
            missed,
            offset: self.head(None),
            expires,
            has_more: false,
        })
    }

    /// The users in a room, each with its sockets there.
    fn users_in(&self, room: &str) -> BTreeMap<String, Vec<String>> {
        let mut users: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (_, socket) in self.members.iter().filter(|(name, _)| name == room) {
            let user = user(socket, &self.sockets[socket]).into_owned();
            users.entry(user).or_default().push(socket.clone());
        }
        users
    }

    fn first_ack(&self, emission: &Emission) -> Option<String> {
        let once = emission.once.as_ref()?;
        let key = |it: &Emission| (it.id.clone(), it.event.clone(), it.rooms.clone());
        let known = self.log.iter().filter(|known| key(known) == key(emission));
        let mut known = known.filter_map(|known| known.once.as_ref());
        known
            .find(|known| known.sender == once.sender)
            .map(|known| known.ack.clone())
    }
}

impl Emission {
    fn entry(&self, offset: u64) -> Entry {
        Entry {
            offset,
            data: self.data.clone(),
            attachments: self.attachments.clone(),
        }
    }
}

fn logged(command: Command) -> Emission {
    Emission {
        namespace: command.namespace,
        rooms: Vec::new(),
        except: Vec::new(),
        event: String::new(),
        data: command.json,
        attachments: Vec::new(),
        id: None,
        once: None,
        transient: true,
    }
}

impl Memory {
    /// The batch has the lock from now on.
    fn lock(&self) {
        if self.previous.get().is_none() {
            self.previous.set(Some(self.tables.borrow().head(None)));
        }
    }

    fn read<T: 'static>(&self, read: impl FnOnce(&Tables) -> T) -> Step<'_, T> {
        self.lock();
        let result = match *self.broken.borrow() {
            true => Err(Error::Unavailable("the disk is on fire".into())),
            false => Ok(read(&self.tables.borrow())),
        };
        Box::pin(async move { result })
    }
}

impl Store for Memory {
    fn apply(&self, changes: Vec<Change>) -> Step<'_, Applied> {
        self.lock();
        let applied = self.tables.borrow_mut().apply(changes);
        Box::pin(async move { Ok(applied) })
    }

    fn is_alone(&self, lock: bool) -> Step<'_, bool> {
        if lock {
            self.lock();
        }
        let is_alone = self.tables.borrow().is_alone();
        Box::pin(async move { Ok(is_alone) })
    }

    fn members(&self, _: Option<String>, room: Option<String>) -> Step<'_, Vec<Member>> {
        self.read(|tables| {
            let is_in = |socket: &String| match &room {
                Some(room) => {
                    room == socket || tables.members.contains(&(room.clone(), socket.clone()))
                }
                None => true,
            };
            let sockets = tables.sockets.iter().filter(|(socket, _)| is_in(socket));
            let member = |(socket, data): (&String, &String)| Member {
                socket: socket.clone(),
                data: data.clone(),
            };
            sockets.map(member).collect()
        })
    }

    fn page(&self, room: String, after: Option<String>, limit: u32) -> Step<'_, Page> {
        self.read(|tables| {
            let users = tables.users_in(&room);
            let after = after.unwrap_or_default();
            let wanted = users.iter().filter(|(user, _)| **user > after);
            let member = |(_, sockets): (&String, &Vec<String>)| Member {
                data: tables.sockets[&sockets[0]].clone(),
                socket: sockets[0].clone(),
            };
            Page {
                count: users.len() as u32,
                members: wanted.take(limit as usize).map(member).collect(),
            }
        })
    }

    fn sockets_of(&self, places: Vec<Place>) -> Step<'_, Vec<u32>> {
        self.tables.borrow_mut().asked += 1;
        self.read(|tables| {
            let sockets = |place: &Place| {
                let users = tables.users_in(&place.room);
                users.get(&place.user).map_or(0, |own| own.len() as u32)
            };
            places.iter().map(sockets).collect()
        })
    }

    fn rooms_of(&self, _: Option<String>, socket: String) -> Step<'_, Vec<String>> {
        self.read(|tables| {
            let own = tables
                .members
                .iter()
                .filter(|(_, member)| *member == socket);
            own.map(|(room, _)| room.clone()).collect()
        })
    }

    fn connected(&self, sockets: Vec<(String, String)>) -> Step<'_, Vec<bool>> {
        self.read(|tables| {
            let is_connected = |(socket, connection): &(String, String)| {
                let known = tables.connected.get(socket);
                known.is_some_and(|(new, _)| new.connection == *connection)
            };
            sockets.iter().map(is_connected).collect()
        })
    }

    fn recover(
        &self,
        claim: Claim,
        connection: String,
        after: u64,
        page: u32,
    ) -> Step<'_, Recovery> {
        let mut tables = self.tables.borrow_mut();
        let recovery = tables.recover(&claim, connection, after, page as usize);
        Box::pin(async move { Ok(recovery) })
    }

    fn answer(&self, sender: String, event: String, id: String) -> Step<'_, Option<String>> {
        self.read(|tables| tables.answers.get(&(sender, event, id)).cloned())
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
    ) -> Step<'_, Vec<Entry>> {
        self.read(|tables| {
            let log = (1..).zip(&tables.log);
            let log = log.filter(|(_, e)| e.rooms == [room.clone()] && e.event == event);
            log.map(|(offset, e)| e.entry(offset)).collect()
        })
    }

    fn offsets_of(&self, room: String, event: String, id: String) -> Step<'_, Vec<u64>> {
        self.read(|tables| {
            let log = (1..).zip(&tables.log);
            let log = log.filter(|(_, e)| e.rooms == [room.clone()] && e.event == event);
            let named = log.filter(|(_, e)| e.id.as_ref() == Some(&id));
            named.map(|(offset, _)| offset).take(2).collect()
        })
    }

    fn extent(&self) -> Step<'_, Extent> {
        self.lock();
        let previous = self.previous.get().unwrap_or_default();
        self.read(move |tables| Extent {
            previous,
            head: tables.head(None),
        })
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

    fn commit(&self, response: String) -> Step<'_, ()> {
        self.committed.replace(Some(response));
        self.previous.set(None);
        Box::pin(async { Ok(()) })
    }
}
