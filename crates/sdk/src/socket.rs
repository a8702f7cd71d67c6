//! A socket as a handler sees it.

use std::{rc::Rc, time::Duration};

use parlour_protocol::relay::{self, Command};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::value::to_raw_value;

use crate::{
    args::ToArgs,
    claims::Claims,
    context::Context,
    decode::{canonical, decode_text},
    emit::BroadcastOperator,
    error::{Error, Result, unwritable},
    handshake::Handshake,
    interface::{Change, Membership, Presence},
    nsp::Nsp,
    peer::Peer,
    rooms::{RoomNames, list},
    target::Target,
};

/// One client in this namespace. A cheap handle, good for the current batch.
#[derive(Clone)]
pub struct Socket {
    pub(crate) context: Rc<Context>,
    pub(crate) index: usize,
    pub(crate) handshake: Option<Rc<Handshake>>,
    pub(crate) recovered: Option<Recovered>,
}

/// What is to be known of a session that was resumed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Recovered {
    /// It was in no room meanwhile.
    pub had_left: bool,
}

impl Socket {
    pub(crate) fn new(context: &Rc<Context>, index: usize) -> Self {
        Self {
            context: context.clone(),
            index,
            handshake: None,
            recovered: None,
        }
    }

    /// Socket.IO's session id, also the name of the room this socket is alone in.
    pub fn id(&self) -> &str {
        self.peer().id()
    }

    /// The connection below: the same in every namespace the client is in.
    pub fn connection(&self) -> &str {
        &self.peer().connection
    }

    /// Only in `on_connect`: put what is needed later into [`set_data`](Self::set_data). Or everywhere, if a handler
    /// takes a [`Handshake`] or the namespace asked for it by [`keep_handshake`](crate::Namespace::keep_handshake).
    pub fn handshake(&self) -> Option<&Handshake> {
        match &self.handshake {
            Some(handshake) => Some(handshake),
            None => self.peer().kept_handshake(),
        }
    }

    /// In `on_connect`: whether this is a socket that was here before and lost its connection. Its id,
    /// its rooms and its data are what they were, and its client gets what it has missed.
    pub fn recovered(&self) -> bool {
        self.recovered.is_some()
    }

    /// In `on_connect`, of a recovered socket: whether it was in no room meanwhile, and others may know
    /// that. Not so if its new connection took over before anybody had noticed that the old one was
    /// gone. `on_disconnecting` has run for one that had left, unless its relay was killed.
    pub fn had_left(&self) -> bool {
        self.recovered.is_some_and(|recovered| recovered.had_left)
    }

    /// What the namespace's middleware said of this client. The error, which refuses the client or answers its
    /// event, has the code `unauthorized`: nothing was said of it, or not what `T` wants.
    pub fn claims<T: DeserializeOwned + 'static>(&self) -> Result<Claims<T>> {
        let unauthorized = |message: String| Error::new("unauthorized", message);
        match self.peer().claims() {
            Ok(Some(claims)) => Ok(Claims(claims)),
            Ok(None) => Err(unauthorized("Unauthorized".into())),
            Err(problem) => Err(unauthorized(format!(
                "Unauthorized: the claims are not as wanted: {problem}"
            ))),
        }
    }

    /// Whether the namespace's middleware said anything of this client.
    pub(crate) fn has_claims(&self) -> bool {
        self.peer().state().borrow().claims.is_some()
    }

    /// The data last set; none if there is none.
    pub fn data<T: DeserializeOwned>(&self) -> Result<Option<T>> {
        let state = self.peer().state().borrow();
        let data = state.data.as_ref().map_or("null", |data| data.get());
        decode_text(data)
            .map_err(|error| Error::internal(format!("the data are not as expected: {error}")))
    }

    /// Sets the socket's data, which everybody who fetches the sockets of a room sees. Every event
    /// of this socket carries them: keep them small.
    pub fn set_data(&self, data: impl Serialize) -> Result<()> {
        let data = to_raw_value(&data).map_err(unwritable)?;
        let data = canonical(data).map_err(|error| Error::bad_request(error.to_string()))?;
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
                    offset: None,
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

    /// How many other sockets of its user are in a room: of those with the same text `id` in their data. So
    /// a namespace knows whether somebody comes or goes, or only one of their windows.
    pub async fn other_sockets_in(&self, room: &str) -> Result<u32> {
        self.context.other_sockets(self.index, room).await
    }

    /// Enters a room, or several; nothing happens where it is already. The error is `too_many_rooms` if the
    /// relay's limit is reached (`--max-rooms-per-socket`); a handler that fails with it has entered none.
    pub fn join(&self, rooms: impl RoomNames) -> Result<()> {
        for room in list(rooms) {
            if self.is_in(&room) || room == self.id() {
                continue;
            }
            let mut now = self.rooms();
            if let Some(most) = self.context.scope.max_rooms
                && now.len() >= most
            {
                let message = format!("a socket may be in {most} rooms");
                return Err(Error::new("too_many_rooms", message));
            }
            now.push(room.clone());
            self.context.set_rooms(self.index, now);
            self.context
                .change(self.index, Change::Join(self.membership(&room)));
            self.context.command(&Command::Join(self.one_room(&room)))?;
        }
        Ok(())
    }

    /// Leaves a room, or several; nothing happens where it is not.
    pub fn leave(&self, rooms: impl RoomNames) -> Result<()> {
        for room in list(rooms) {
            if !self.is_in(&room) {
                continue;
            }
            let mut now = self.rooms();
            now.retain(|known| *known != room);
            self.context.set_rooms(self.index, now);
            self.context
                .change(self.index, Change::Leave(self.membership(&room)));
            self.context
                .command(&Command::Leave(self.one_room(&room)))?;
        }
        Ok(())
    }

    /// Emits to this socket.
    pub fn emit(&self, event: &str, args: impl ToArgs) -> Result<()> {
        self.alone().emit(event, args)
    }

    /// Emits `message` to this socket.
    pub fn send(&self, args: impl ToArgs) -> Result<()> {
        self.emit("message", args)
    }

    /// The same as [`send`](Self::send).
    pub fn write(&self, args: impl ToArgs) -> Result<()> {
        self.send(args)
    }

    /// To this socket, waiting so long for its answer.
    pub fn timeout(&self, timeout: Duration) -> BroadcastOperator {
        self.alone().timeout(timeout)
    }

    /// Emits to this socket and asks it to acknowledge:
    /// [`BroadcastOperator::emit_with_ack`].
    pub fn emit_with_ack(
        &self,
        event: &str,
        args: impl ToArgs,
        handler: &str,
        context: impl Serialize,
    ) -> Result<()> {
        self.alone().emit_with_ack(event, args, handler, context)
    }

    /// To everyone in a room, or several, but this socket.
    pub fn to(&self, rooms: impl RoomNames) -> BroadcastOperator {
        self.broadcast().to(rooms)
    }

    /// The same as [`to`](Self::to).
    pub fn in_(&self, rooms: impl RoomNames) -> BroadcastOperator {
        self.to(rooms)
    }

    /// To everyone but this socket and those in a room, or several.
    pub fn except(&self, rooms: impl RoomNames) -> BroadcastOperator {
        self.broadcast().except(rooms)
    }

    /// To everyone in the namespace but this socket.
    pub fn broadcast(&self) -> BroadcastOperator {
        self.nsp().everyone().except(self.id())
    }

    /// To this socket, if it can be sent at once.
    pub fn volatile(&self) -> BroadcastOperator {
        self.alone().volatile()
    }

    /// Accepted for Socket.IO's sake: nothing is compressed.
    pub fn compress(&self, _: bool) -> BroadcastOperator {
        self.alone()
    }

    /// To this socket alone.
    fn alone(&self) -> BroadcastOperator {
        let target = Target {
            rooms: vec![self.id().to_owned()],
            direct: true,
            ..Target::default()
        };
        BroadcastOperator::new(self.context.clone(), target)
    }

    /// Ends the socket, or with `close` its whole connection.
    pub fn disconnect(&self, close: bool) -> Result<()> {
        let (socket, offset) = (self.id().into(), None);
        self.context.command(&Command::Disconnect(relay::Kick {
            socket,
            close,
            offset,
        }))
    }

    /// The namespace it is in.
    pub fn nsp(&self) -> Nsp {
        Nsp {
            context: self.context.clone(),
        }
    }

    pub(crate) fn peer(&self) -> &Peer {
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
            offset: None,
        }
    }
}
