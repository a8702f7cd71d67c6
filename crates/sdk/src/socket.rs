//! A socket as a handler sees it, and the namespace it is in.

use std::{borrow::Cow, rc::Rc};

use parlour_protocol::relay::{self, Command};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::value::{RawValue, to_raw_value};

use crate::{
    args::{ToArgs, render},
    binary::Raw,
    context::{Context, Target},
    emit::BroadcastOperator,
    error::{Error, Result, unwritable},
    interface::{Change, Membership, Position, Presence, Room},
};

/// One client in this namespace. A cheap handle, good for the current batch.
#[derive(Clone)]
pub struct Socket {
    pub(crate) context: Rc<Context>,
    pub(crate) index: usize,
    pub(crate) handshake: Option<Rc<Handshake>>,
}

/// The HTTP request a client opened its connection with, and what it said to this namespace.
#[derive(Debug, Clone)]
pub struct Handshake {
    /// Path and query.
    pub url: String,
    /// In the order received, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The peer's IP address.
    pub address: String,
    /// Whether the client came over TLS.
    pub secure: bool,
    /// Milliseconds since 1970.
    pub time: u64,
    auth: Option<Box<RawValue>>,
}

fn owned((name, value): &(Cow<'_, str>, Cow<'_, str>)) -> (String, String) {
    (name.to_string(), value.to_string())
}

impl Handshake {
    pub(crate) fn new(handshake: &relay::Handshake<'_>, auth: Option<&RawValue>) -> Self {
        Self {
            url: handshake.url.to_string(),
            headers: handshake.headers.iter().map(owned).collect(),
            address: handshake.address.to_string(),
            secure: handshake.secure,
            time: handshake.time,
            auth: auth.map(RawValue::to_owned),
        }
    }

    /// The client's `auth` object; none if it sent none.
    pub fn auth<T: DeserializeOwned>(&self) -> Result<Option<T>, serde_json::Error> {
        let auth = self.auth.as_ref();
        auth.map(|auth| serde_json::from_str(auth.get()))
            .transpose()
    }

    /// The first header of that name (in lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }
}

impl Socket {
    /// Socket.IO's session id, also the name of the room this socket is alone in.
    pub fn id(&self) -> &str {
        &self.peer().id
    }

    /// The connection below: the same in every namespace the client is in.
    pub fn connection(&self) -> &str {
        &self.peer().connection
    }

    /// Only in `on_connect`: put what is needed later into [`set_data`](Self::set_data).
    pub fn handshake(&self) -> Option<&Handshake> {
        self.handshake.as_deref()
    }

    /// What the namespace's middleware said of this client; none if it said nothing.
    pub fn claims<T: DeserializeOwned>(&self) -> Result<Option<T>> {
        let state = self.peer().state().borrow();
        let claims = state.claims.as_ref().map_or("null", |claims| claims.get());
        serde_json::from_str(claims)
            .map_err(|error| Error::internal(format!("the claims are not as expected: {error}")))
    }

    /// The data last set; none if there is none.
    pub fn data<T: DeserializeOwned>(&self) -> Result<Option<T>> {
        let state = self.peer().state().borrow();
        let data = state.data.as_ref().map_or("null", |data| data.get());
        serde_json::from_str(data)
            .map_err(|error| Error::internal(format!("the data are not as expected: {error}")))
    }

    /// Sets the socket's data, which everybody who fetches the sockets of a room sees. Every event
    /// of this socket carries them: keep them small.
    pub fn set_data(&self, data: impl Serialize) -> Result<()> {
        let data = to_raw_value(&data).map_err(unwritable)?;
        self.context.set_data(self.index, data);
        let presence = Presence {
            socket: self.id().to_owned(),
            data: self.peer().data(),
        };
        self.context.change(self.index, Change::Update(presence));
        // While connecting, the state goes with the answer to that.
        match self.peer().to_relay().filter(|_| self.handshake.is_none()) {
            Some(state) => {
                let socket = self.id().into();
                self.context.command(&Command::State(relay::State {
                    socket,
                    state: &state,
                }))
            }
            None => Ok(()),
        }
    }

    /// The rooms it is in, without its own. Still known in `on_disconnecting`.
    pub fn rooms(&self) -> Vec<String> {
        self.peer().rooms.borrow().clone()
    }

    /// Whether it is in a room.
    pub fn is_in(&self, room: &str) -> bool {
        self.peer().rooms.borrow().iter().any(|known| known == room)
    }

    /// Enters a room; nothing happens if it is there.
    pub fn join(&self, room: impl Into<String>) -> Result<()> {
        let room = room.into();
        if self.is_in(&room) || room == self.id() {
            return Ok(());
        }
        let mut rooms = self.rooms();
        rooms.push(room.clone());
        self.context.set_rooms(self.index, rooms);
        self.context
            .change(self.index, Change::Join(self.membership(&room)));
        self.context.command(&Command::Join(self.one_room(&room)))
    }

    /// Leaves a room; nothing happens if it is not there.
    pub fn leave(&self, room: &str) -> Result<()> {
        if !self.is_in(room) {
            return Ok(());
        }
        let mut rooms = self.rooms();
        rooms.retain(|known| known != room);
        self.context.set_rooms(self.index, rooms);
        self.context
            .change(self.index, Change::Leave(self.membership(room)));
        self.context.command(&Command::Leave(self.one_room(room)))
    }

    /// Emits to this socket.
    pub fn emit(&self, event: &str, args: impl ToArgs) -> Result<()> {
        let target = Target {
            rooms: vec![self.id().to_owned()],
            ..Target::default()
        };
        self.context
            .emit(target, event, render(Some(event), &args)?, None)
    }

    /// To everyone in a room but this socket.
    pub fn to(&self, room: impl Into<String>) -> BroadcastOperator {
        self.broadcast().to(room)
    }

    /// The same as [`to`](Self::to).
    pub fn in_(&self, room: impl Into<String>) -> BroadcastOperator {
        self.to(room)
    }

    /// To everyone but this socket and those in a room.
    pub fn except(&self, room: impl Into<String>) -> BroadcastOperator {
        self.broadcast().except(room)
    }

    /// To everyone in the namespace but this socket.
    pub fn broadcast(&self) -> BroadcastOperator {
        self.nsp().everyone().except(self.id())
    }

    /// To this socket, if it can be sent at once.
    pub fn volatile(&self) -> BroadcastOperator {
        self.nsp().to(self.id()).volatile()
    }

    /// Ends the socket, or with `close` its whole connection.
    pub fn disconnect(&self, close: bool) -> Result<()> {
        let socket = self.id().into();
        self.context
            .command(&Command::Disconnect(relay::Kick { socket, close }))
    }

    /// The namespace it is in.
    pub fn nsp(&self) -> Nsp {
        Nsp {
            context: self.context.clone(),
        }
    }

    pub(crate) fn peer(&self) -> &crate::peer::Peer {
        &self.context.sockets[self.index]
    }

    fn membership(&self, room: &str) -> Membership {
        Membership {
            socket: self.id().to_owned(),
            room: room.to_owned(),
        }
    }

    fn one_room<'a>(&'a self, room: &'a str) -> relay::Rooms<'a> {
        relay::Rooms {
            socket: self.id().into(),
            rooms: vec![room.into()],
        }
    }
}

/// The namespace a handler runs in: Socket.IO's `socket.nsp`, or `io`.
///
/// What it reads includes all that earlier events of the batch, and this one so far, have changed.
#[derive(Clone)]
pub struct Nsp {
    pub(crate) context: Rc<Context>,
}

/// A stored event.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its place among all that was stored.
    pub offset: u64,
    data: String,
    attachments: Vec<String>,
}

impl Entry {
    /// The event's first argument, as it was emitted; none if it had none.
    pub fn argument(&self) -> Option<Raw> {
        let (_, json) = serde_json::from_str::<First>(&self.data).ok()?;
        Some(Raw::new(json, self.attachments.clone()))
    }
}

type First = (serde::de::IgnoredAny, Box<RawValue>);

impl Nsp {
    /// To everyone in the namespace.
    pub fn emit(&self, event: &str, args: impl ToArgs) -> Result<()> {
        self.everyone().emit(event, args)
    }

    /// To everyone in a room.
    pub fn to(&self, room: impl Into<String>) -> BroadcastOperator {
        self.everyone().to(room)
    }

    /// The same as [`to`](Self::to).
    pub fn in_(&self, room: impl Into<String>) -> BroadcastOperator {
        self.to(room)
    }

    /// To everyone who is not in a room.
    pub fn except(&self, room: impl Into<String>) -> BroadcastOperator {
        self.everyone().except(room)
    }

    /// To everyone who can be sent it at once; not stored.
    pub fn volatile(&self) -> BroadcastOperator {
        self.everyone().volatile()
    }

    /// The stored events of that name in a room, oldest first, at most `limit` (1 000). None if the
    /// position names an emission that is not in this room. Emissions to several rooms at once are
    /// in the history of none.
    pub async fn history(
        &self,
        room: &str,
        event: &str,
        until: Position,
        limit: u32,
    ) -> Result<Option<Vec<Entry>>> {
        let store = self.context.current().await?;
        let page = store
            .history(room.to_owned(), event.to_owned(), until, limit)
            .await;
        let page = page.map_err(|error| self.context.failed(error))?;
        Ok(page.map(|entries| {
            let entry = |entry: crate::interface::Entry| Entry {
                offset: entry.offset,
                data: entry.data,
                attachments: entry.attachments,
            };
            entries.into_iter().map(entry).collect()
        }))
    }

    /// All rooms that have members or stored events of that name.
    pub async fn rooms(&self, event: &str) -> Result<Vec<Room>> {
        let store = self.context.current().await?;
        let rooms = store.rooms(event.to_owned()).await;
        rooms.map_err(|error| self.context.failed(error))
    }

    /// The offset that everything stored so far is at or below.
    pub async fn last_offset(&self) -> Result<u64> {
        let store = self.context.current().await?;
        store
            .last_offset()
            .await
            .map_err(|error| self.context.failed(error))
    }

    pub(crate) fn everyone(&self) -> BroadcastOperator {
        BroadcastOperator {
            context: self.context.clone(),
            target: Target::default(),
        }
    }
}
