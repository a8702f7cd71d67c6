//! The sockets of one namespace and the index of its rooms: who is where, as dense numbers. It sends
//! nothing and asks nobody.

use std::collections::HashMap;
use std::sync::Arc;

use parlour_protocol::socket::AckId;
use rustc_hash::FxBuildHasher;
use slab::Slab;

use super::expected::Expected;
use super::text::Text;
use crate::connection::{Connection, Place, Slot};
use crate::core::config::MAX_ODD_ACKS;
use crate::core::ledger::{Account, Charge, Hold};
use crate::core::pace::Pace;
use crate::core::sid::Sid;

type RoomIndex = u32;

/// A Socket.IO socket: one client in one namespace. What a broadcast looks at comes first and is close
/// together: with many receivers, how fast it is depends on how much memory it touches.
#[repr(C)]
pub struct Socket {
    /// Which emit last reached or excluded it.
    seen: u32,
    /// For which run of commands the socket last got something, and in which outgoing entry.
    pub outgoing: (u32, u32),
    /// Its connection was seen to be a WebSocket.
    websocket: bool,
    /// Its client can come back to its session: it got a `pid`, and reads offsets.
    pub has_session: bool,
    pub phase: Phase,
    /// When its client's token ends.
    pub expires: Expires,
    pub connection: Arc<Connection>,
    pub place: Place,
    pub id: Sid,
    /// What the app last gave: JSON.
    state: Option<Box<str>>,
    /// In the order of joining.
    rooms: Vec<Seat>,
    /// What their names take as JSON.
    rooms_bytes: usize,
    /// How many events it sends.
    pub pace: Pace,
    /// How often it was slowed for that without a pause.
    pub slowed: u32,
    pub odd_acks: Option<Box<OddAcks>>,
    /// What the app wants it to acknowledge.
    pub expected: Option<Box<Expected>>,
    pub mentioned: Mention,
}

/// In which batch a socket was last mentioned, as which of the batch's sockets, and what it has in there.
#[derive(Debug, Clone, Copy, Default)]
pub struct Mention {
    pub serial: u32,
    pub index: u32,
    pub share: Share,
}

/// What a socket has in a batch.
#[derive(Debug, Clone, Copy, Default)]
pub struct Share {
    pub events: u32,
    /// Of their payloads.
    pub bytes: u32,
}

impl Socket {
    /// Bytes that its rooms' names take in a description.
    pub fn rooms_bytes(&self) -> usize {
        self.rooms_bytes
    }

    /// Whether the app was asked to let it in, and has not answered.
    pub fn is_unanswered(&self) -> bool {
        matches!(&self.phase, Phase::Connecting(entering) if !entering.contested)
    }

    pub fn state(&self) -> Option<&str> {
        self.state.as_deref()
    }

    pub fn set_state(&mut self, state: Option<Box<str>>) {
        let bytes = |state: &Option<Box<str>>| state.as_ref().map_or(0, |state| state.len());
        let account = self.connection.account();
        account.change(Hold::Kept, bytes(&self.state), bytes(&state));
        self.state = state;
    }

    /// Whether its client has a WebSocket: once it has, it does not poll again.
    pub fn is_websocket(&mut self) -> bool {
        self.websocket = self.websocket || self.connection.is_websocket();
        self.websocket
    }
}

/// When a client's token ends: milliseconds since 1970.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Expires(u64);

impl Expires {
    /// It does not, but it has been renewed: it can be again.
    const NEVER: u64 = u64::MAX;

    /// What `accept` says; without an end, the client has no token that we know of.
    pub fn accepted(at: Option<u64>) -> Expires {
        Expires(at.map_or(0, |at| at.max(1)))
    }

    pub fn renewed(at: Option<u64>) -> Expires {
        Expires(at.map_or(Self::NEVER, |at| at.max(1)))
    }

    /// Whether there is a token that can be renewed.
    pub fn is_renewable(self) -> bool {
        self.0 != 0
    }

    pub fn at(self) -> Option<u64> {
        (self.0 != 0 && self.0 != Self::NEVER).then_some(self.0)
    }
}

/// Acknowledgement ids beyond JavaScript's exact numbers, with the numbers that stand in for them.
#[derive(Default)]
pub struct OddAcks(Vec<(u64, AckId)>);

impl OddAcks {
    pub fn remember(&mut self, stand_in: u64, id: AckId) {
        if self.0.len() == MAX_ODD_ACKS {
            self.0.remove(0);
        }
        self.0.push((stand_in, id));
    }

    pub fn take(&mut self, stand_in: u64) -> Option<AckId> {
        let at = self.0.iter().position(|(other, _)| *other == stand_in)?;
        Some(self.0.remove(at).1)
    }
}

pub enum Phase {
    /// The app was asked. In a box: a broadcast walks over many sockets, so they are kept small.
    Connecting(Box<Entering>),
    /// In the namespace.
    In,
    /// Its `disconnect` event is under way; only the record remains.
    Left,
}

/// What is kept of a socket while the app is asked.
#[derive(Default)]
pub struct Entering {
    /// Its events that came too early.
    held: Vec<Box<str>>,
    charge: Option<Charge>,
    /// Why the client left meanwhile.
    pub left: Option<&'static str>,
    /// The app has answered that it wants a session which somebody has, or which has gone, and will be asked again.
    pub contested: bool,
}

impl Entering {
    pub fn hold(&mut self, account: &Arc<Account>, event: Box<str>) {
        let charge = self
            .charge
            .get_or_insert_with(|| account.charge(Hold::Passing, 0));
        charge.grow(event.len() + HELD_BYTES);
        self.held.push(event);
    }

    pub fn held(&self) -> &[Box<str>] {
        &self.held
    }

    pub fn drop_held(&mut self) {
        (self.held, self.charge) = (Vec::new(), None);
    }
}

/// What a held event is counted for besides its JSON.
const HELD_BYTES: usize = 32;

/// What a client is counted for each of its sockets, and for each of its rooms besides the room's name.
const SOCKET_BYTES: usize = 512;
const SEAT_BYTES: usize = 128;

struct Seat {
    room: RoomIndex,
    /// Where the socket is in the room's members.
    position: u32,
}

struct Room {
    name: Arc<str>,
    /// The name as JSON.
    quoted: Box<str>,
    members: Vec<Slot>,
}

#[derive(Default)]
pub struct Registry {
    sockets: Slab<Socket>,
    by_id: HashMap<Sid, Slot, FxBuildHasher>,
    rooms: Slab<Room>,
    by_name: HashMap<Arc<str>, RoomIndex>,
    emit: u32,
    /// How many sockets there ever were.
    stamps: u32,
}

impl Registry {
    pub fn is_empty(&self) -> bool {
        self.sockets.is_empty()
    }

    /// How many sockets there are, with those that enter or leave.
    pub fn sockets(&self) -> usize {
        self.sockets.len()
    }

    /// How many rooms have members.
    pub fn rooms(&self) -> usize {
        self.rooms.len()
    }

    /// A socket that asks to enter.
    pub fn insert(&mut self, id: Sid, connection: Arc<Connection>) -> Place {
        self.stamps = self.stamps.wrapping_add(1);
        let place = Place {
            slot: self.sockets.vacant_key() as Slot,
            stamp: self.stamps,
        };
        connection.account().add(Hold::Kept, SOCKET_BYTES);
        self.sockets.insert(Socket {
            seen: 0,
            outgoing: (0, 0),
            websocket: false,
            has_session: false,
            expires: Expires::default(),
            connection,
            place,
            id,
            phase: Phase::Connecting(Box::default()),
            state: None,
            rooms: Vec::new(),
            rooms_bytes: 0,
            pace: Pace::default(),
            slowed: 0,
            odd_acks: None,
            expected: None,
            mentioned: Mention::default(),
        });
        self.by_id.insert(id, place.slot);
        place
    }

    /// Forgets a socket and its memberships.
    pub fn remove(&mut self, slot: Slot) -> Option<Socket> {
        self.sockets.get(slot as usize)?;
        self.leave_all(slot);
        let socket = self.sockets.try_remove(slot as usize)?;
        let state = socket.state.as_ref().map_or(0, |state| state.len());
        let account = socket.connection.account();
        account.sub(Hold::Kept, SOCKET_BYTES + state);
        self.unindex(socket.id, slot);
        Some(socket)
    }

    /// Gives a socket another id, which is its own from now on. If a socket had that id before, its slot:
    /// it keeps its rooms and its record, but it is found by that id no more.
    pub fn rename(&mut self, slot: Slot, id: Sid) -> Option<Slot> {
        let socket = self.sockets.get_mut(slot as usize)?;
        let before = std::mem::replace(&mut socket.id, id);
        self.unindex(before, slot);
        self.by_id.insert(id, slot)
    }

    /// Of two sockets with one id the index has the younger.
    fn unindex(&mut self, id: Sid, slot: Slot) {
        if self.by_id.get(&id) == Some(&slot) {
            self.by_id.remove(&id);
        }
    }

    pub fn get(&mut self, slot: Slot) -> Option<&mut Socket> {
        self.sockets.get_mut(slot as usize)
    }

    /// The socket that got this place, if it is still there.
    pub fn at(&mut self, place: Place) -> Option<&mut Socket> {
        self.get(place.slot).filter(|socket| socket.place == place)
    }

    /// Whether the socket is in the namespace.
    pub fn is_in(&self, slot: Slot) -> bool {
        let socket = self.sockets.get(slot as usize);
        socket.is_some_and(|socket| matches!(socket.phase, Phase::In))
    }

    /// The connections of all sockets in the namespace.
    pub fn connections(&self) -> Vec<Arc<Connection>> {
        let sockets = self.sockets.iter().map(|(_, socket)| socket);
        let sockets = sockets.filter(|socket| matches!(socket.phase, Phase::In));
        sockets.map(|socket| socket.connection.clone()).collect()
    }

    pub fn find(&self, id: &str) -> Option<Slot> {
        self.by_id.get(&Sid::parse(id)?).copied()
    }

    /// What the client of the socket with this id is counted by.
    pub fn account_of(&self, id: &str) -> Option<Arc<Account>> {
        let socket = self.sockets.get(self.find(id)? as usize)?;
        Some(socket.connection.account().clone())
    }

    /// Whether a socket is in the namespace, or leaves it.
    pub fn has_members(&self) -> bool {
        let mut sockets = self.sockets.iter();
        sockets.any(|(_, socket)| !matches!(socket.phase, Phase::Connecting(_)))
    }

    pub fn join(&mut self, slot: Slot, name: &str) {
        let Some(socket) = self.sockets.get_mut(slot as usize) else {
            return;
        };
        // A socket is always in its own room, which is not in the index.
        if name == socket.id.as_str() {
            return;
        }
        let room = match self.by_name.get(name) {
            Some(room) => *room,
            None => {
                let name: Arc<str> = name.into();
                let quoted = serde_json::to_string(&*name)
                    .expect("a string is JSON")
                    .into();
                let room = self.rooms.insert(Room {
                    name: name.clone(),
                    quoted,
                    members: Vec::new(),
                }) as RoomIndex;
                self.by_name.insert(name, room);
                room
            }
        };
        if socket.rooms.iter().any(|seat| seat.room == room) {
            return;
        }
        let Room {
            members, quoted, ..
        } = &mut self.rooms[room as usize];
        socket.rooms_bytes += quoted.len() + 1;
        let account = socket.connection.account();
        account.add(Hold::Kept, SEAT_BYTES + quoted.len());
        if socket.rooms.capacity() == 0 {
            socket.rooms.reserve_exact(1);
        }
        socket.rooms.push(Seat {
            room,
            position: members.len() as u32,
        });
        members.push(slot);
    }

    pub fn leave(&mut self, slot: Slot, name: &str) {
        let Some(room) = self.by_name.get(name).copied() else {
            return;
        };
        let Some(socket) = self.sockets.get_mut(slot as usize) else {
            return;
        };
        let Some(seat) = socket.rooms.iter().position(|seat| seat.room == room) else {
            return;
        };
        let seat = socket.rooms.remove(seat);
        let name = self.rooms[room as usize].quoted.len();
        socket.rooms_bytes -= name + 1;
        let account = socket.connection.account();
        account.sub(Hold::Kept, SEAT_BYTES + name);
        self.vacate(seat);
    }

    pub fn leave_all(&mut self, slot: Slot) {
        let Some(socket) = self.sockets.get_mut(slot as usize) else {
            return;
        };
        let rooms = std::mem::take(&mut socket.rooms);
        // Each name was counted with a comma.
        let bytes = socket.rooms_bytes - rooms.len() + rooms.len() * SEAT_BYTES;
        socket.rooms_bytes = 0;
        let account = socket.connection.account();
        account.sub(Hold::Kept, bytes);
        for seat in rooms {
            self.vacate(seat);
        }
    }

    /// Takes a member out of a room: the last member moves to its position. An empty room is gone.
    fn vacate(&mut self, seat: Seat) {
        let room = &mut self.rooms[seat.room as usize];
        room.members.swap_remove(seat.position as usize);
        if let Some(moved) = room.members.get(seat.position as usize) {
            let seats = &mut self.sockets[*moved as usize].rooms;
            if let Some(moved) = seats.iter_mut().find(|other| other.room == seat.room) {
                moved.position = seat.position;
            }
        } else if room.members.is_empty() {
            let room = self.rooms.remove(seat.room as usize);
            self.by_name.remove(&room.name);
        }
    }

    /// Appends the socket's rooms as JSON strings, separated by commas.
    pub fn write_rooms(&self, slot: Slot, out: &mut Text) {
        for (index, seat) in self.sockets[slot as usize].rooms.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            out.extend([comma, &self.rooms[seat.room as usize].quoted]);
        }
    }

    pub fn is_in_rooms(&self, slot: Slot) -> bool {
        self.sockets
            .get(slot as usize)
            .is_some_and(|socket| !socket.rooms.is_empty())
    }

    /// Calls `each` once for every socket in any of `rooms` (in the namespace, if there are none) and
    /// in none of `except`.
    pub fn reach<R: AsRef<str>>(
        &mut self,
        rooms: &[R],
        except: &[R],
        mut each: impl FnMut(Slot, &mut Socket),
    ) {
        self.emit = self.emit.wrapping_add(1);
        let emit = self.emit;
        let Registry {
            sockets,
            by_id,
            rooms: index,
            by_name,
            ..
        } = self;
        let slots = |name: &str| {
            let own = Sid::parse(name).and_then(|id| by_id.get(&id).copied());
            let members = by_name
                .get(name)
                .map_or(&[][..], |room| &index[*room as usize].members);
            own.into_iter().chain(members.iter().copied())
        };
        for slot in except.iter().flat_map(|name| slots(name.as_ref())) {
            sockets[slot as usize].seen = emit;
        }
        let mut visit = |slot: Slot, socket: &mut Socket| {
            if socket.seen != emit && matches!(socket.phase, Phase::In) {
                socket.seen = emit;
                each(slot, socket);
            }
        };
        if rooms.is_empty() {
            sockets
                .iter_mut()
                .for_each(|(slot, socket)| visit(slot as Slot, socket));
        }
        for slot in rooms.iter().flat_map(|name| slots(name.as_ref())) {
            visit(slot, &mut sockets[slot as usize]);
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
