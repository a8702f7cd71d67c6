//! The namespace a handler runs in: what is for everyone, and what was said before.

use std::{rc::Rc, time::Duration};

use serde_json::value::RawValue;

use crate::{
    args::ToArgs,
    binary::Raw,
    context::Context,
    emit::{BroadcastOperator, Named},
    error::Result,
    interface::{Position, Room},
    remote::{self, Page, RemoteSocket},
    rooms::RoomNames,
    target::Target,
};

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
        let event: Vec<&RawValue> = serde_json::from_str(&self.data).ok()?;
        let json = event.get(1).copied()?;
        Some(Raw::new(json.to_owned(), self.attachments.clone()))
    }
}

impl Nsp {
    /// The namespace's name: of one that is configured by a pattern, the one that the client asked for.
    pub fn name(&self) -> &str {
        &self.context.scope.namespace
    }

    /// The sockets of another namespace, or of this one: `io.of("/admin")`. There its emissions are stored as its own
    /// are, and all that is done to its sockets comes in the order of that namespace's log. It is a namespace of the
    /// same application, on the same database.
    pub fn of(&self, namespace: &str) -> BroadcastOperator<Named> {
        let is_other = namespace != self.name();
        let target = Target {
            namespace: is_other.then(|| namespace.to_owned()),
            ..Target::default()
        };
        BroadcastOperator::new(self.context.clone(), target)
    }

    /// To everyone in the namespace.
    pub fn emit(&self, event: &str, args: impl ToArgs) -> Result<()> {
        self.everyone().emit(event, args)
    }

    /// Emits `message` to everyone in the namespace.
    pub fn send(&self, args: impl ToArgs) -> Result<()> {
        self.emit("message", args)
    }

    /// The same as [`send`](Self::send).
    pub fn write(&self, args: impl ToArgs) -> Result<()> {
        self.send(args)
    }

    /// To everyone in a room, or several.
    pub fn to(&self, rooms: impl RoomNames) -> BroadcastOperator {
        self.everyone().to(rooms)
    }

    /// The same as [`to`](Self::to).
    pub fn in_(&self, rooms: impl RoomNames) -> BroadcastOperator {
        self.to(rooms)
    }

    /// To everyone who is not in a room, or several.
    pub fn except(&self, rooms: impl RoomNames) -> BroadcastOperator {
        self.everyone().except(rooms)
    }

    /// To everyone who is connected to the relay that brought the event; not stored.
    pub fn local(&self) -> BroadcastOperator {
        self.everyone().local()
    }

    /// Accepted for Socket.IO's sake: nothing is compressed.
    pub fn compress(&self, _: bool) -> BroadcastOperator {
        self.everyone()
    }

    /// Every socket of the namespace, wherever it is connected.
    pub async fn fetch_sockets(&self) -> Result<Vec<RemoteSocket>> {
        self.everyone().fetch_sockets().await
    }

    /// Who is in a room, in pages of at most `limit` users (999): each once, however many sockets it has there.
    /// The user of a socket is the text `id` of its data; sockets without one are users of their own.
    /// What it costs does not depend on how many are in the room, as it does with
    /// [`fetch_sockets`](BroadcastOperator::fetch_sockets).
    pub async fn members(&self, room: &str, after: Option<&str>, limit: u32) -> Result<Page> {
        remote::page(&self.context, room, after, limit).await
    }

    /// Makes everyone enter a room, or several.
    pub fn sockets_join(&self, rooms: impl RoomNames) -> Result<()> {
        self.everyone().sockets_join(rooms)
    }

    /// Makes everyone leave a room, or several.
    pub fn sockets_leave(&self, rooms: impl RoomNames) -> Result<()> {
        self.everyone().sockets_leave(rooms)
    }

    /// Disconnects everyone, with `close` their whole connections.
    pub fn disconnect_sockets(&self, close: bool) -> Result<()> {
        self.everyone().disconnect_sockets(close)
    }

    /// What this sender's event was answered before.
    pub(crate) async fn answer(
        &self,
        sender: &str,
        event: &str,
        id: &str,
    ) -> Result<Option<String>> {
        let store = self.context.current().await?;
        let answer = store
            .answer(sender.to_owned(), event.to_owned(), id.to_owned())
            .await;
        answer.map_err(|error| self.context.failed(error))
    }

    /// To everyone in the namespace, waiting so long for the answers.
    pub fn timeout(&self, timeout: Duration) -> BroadcastOperator {
        self.everyone().timeout(timeout)
    }

    /// To everyone who can be sent it at once; not stored.
    pub fn volatile(&self) -> BroadcastOperator {
        self.everyone().volatile()
    }

    /// The stored events of that name in a room, oldest first, at most `limit` (1 000), fewer if those have
    /// more than 4 MiB. Emissions to several rooms at once are in the history of none.
    ///
    /// Page by [`Entry::offset`]: ids that senders have made up are their own, and several can have used one.
    pub async fn history(
        &self,
        room: &str,
        event: &str,
        until: Position,
        limit: u32,
    ) -> Result<Vec<Entry>> {
        let store = self.context.current().await?;
        let page = store
            .history(room.to_owned(), event.to_owned(), until, limit)
            .await;
        let page = page.map_err(|error| self.context.failed(error))?;
        let bytes = page.iter().map(|entry| entry.data.len()).sum();
        self.context.note_read(bytes);
        let entry = |entry: crate::interface::Entry| Entry {
            offset: entry.offset,
            data: entry.data,
            attachments: entry.attachments,
        };
        Ok(page.into_iter().map(entry).collect())
    }

    /// The offsets of the stored events of that name in a room that have this id (given by
    /// [`id`](BroadcastOperator::id) or `emit_once`): none, one, or the first two, for several senders can have used
    /// one id.
    pub async fn offsets_of(&self, room: &str, event: &str, id: &str) -> Result<Vec<u64>> {
        let store = self.context.current().await?;
        let offsets = store
            .offsets_of(room.to_owned(), event.to_owned(), id.to_owned())
            .await;
        offsets.map_err(|error| self.context.failed(error))
    }

    /// All rooms that have members or stored events of that name.
    pub async fn rooms(&self, event: &str) -> Result<Vec<Room>> {
        let store = self.context.current().await?;
        let rooms = store.rooms(event.to_owned()).await;
        rooms.map_err(|error| self.context.failed(error))
    }

    /// The offset that everything stored so far in the namespace is at or below.
    pub async fn last_offset(&self) -> Result<u64> {
        let store = self.context.current().await?;
        let extent = store.extent().await;
        let extent = extent.map_err(|error| self.context.failed(error))?;
        Ok(extent.head)
    }

    pub(crate) fn everyone(&self) -> BroadcastOperator {
        BroadcastOperator::new(self.context.clone(), Target::default())
    }
}
