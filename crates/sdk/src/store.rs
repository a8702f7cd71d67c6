//! The database as a batch sees it: the interface `parlour:rooms`, behind a trait so that the logic
//! of batches runs in native tests.

use std::pin::Pin;

use crate::interface::{
    Applied, Change, Claim, Entry, Error, Extent, Member, Page, Place, Position, Recovery, Room,
    Transaction,
};

pub(crate) type Step<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + 'a>>;

/// One open transaction. See `wit/rooms.wit`.
pub(crate) trait Store {
    fn apply(&self, changes: Vec<Change>) -> Step<'_, Applied>;
    fn is_alone(&self, lock: bool) -> Step<'_, bool>;
    fn members(&self, namespace: Option<String>, room: Option<String>) -> Step<'_, Vec<Member>>;
    fn page(&self, room: String, after: Option<String>, limit: u32) -> Step<'_, Page>;
    fn sockets_of(&self, places: Vec<Place>) -> Step<'_, Vec<u32>>;
    fn rooms_of(&self, namespace: Option<String>, socket: String) -> Step<'_, Vec<String>>;
    fn connected(&self, sockets: Vec<(String, String)>) -> Step<'_, Vec<bool>>;
    fn recover(
        &self,
        claim: Claim,
        connection: String,
        after: u64,
        page: u32,
    ) -> Step<'_, Recovery>;
    fn answer(&self, sender: String, event: String, id: String) -> Step<'_, Option<String>>;
    fn rooms(&self, event: String) -> Step<'_, Vec<Room>>;
    fn history(
        &self,
        room: String,
        event: String,
        until: Position,
        limit: u32,
    ) -> Step<'_, Vec<Entry>>;
    fn offsets_of(&self, room: String, event: String, id: String) -> Step<'_, Vec<u64>>;
    fn extent(&self) -> Step<'_, Extent>;
    fn savepoint(&self) -> Step<'_, ()>;
    fn rollback(&self) -> Step<'_, ()>;
    fn commit(&self, response: String) -> Step<'_, ()>;
}

impl Store for Transaction {
    fn apply(&self, changes: Vec<Change>) -> Step<'_, Applied> {
        Box::pin(self.apply(changes))
    }

    fn is_alone(&self, lock: bool) -> Step<'_, bool> {
        Box::pin(self.is_alone(lock))
    }

    fn members(&self, namespace: Option<String>, room: Option<String>) -> Step<'_, Vec<Member>> {
        Box::pin(self.members(namespace, room))
    }

    fn page(&self, room: String, after: Option<String>, limit: u32) -> Step<'_, Page> {
        Box::pin(self.page(room, after, limit))
    }

    fn sockets_of(&self, places: Vec<Place>) -> Step<'_, Vec<u32>> {
        Box::pin(self.sockets_of(places))
    }

    fn rooms_of(&self, namespace: Option<String>, socket: String) -> Step<'_, Vec<String>> {
        Box::pin(self.rooms_of(namespace, socket))
    }

    fn connected(&self, sockets: Vec<(String, String)>) -> Step<'_, Vec<bool>> {
        Box::pin(self.connected(sockets))
    }

    fn recover(
        &self,
        claim: Claim,
        connection: String,
        after: u64,
        page: u32,
    ) -> Step<'_, Recovery> {
        Box::pin(self.recover(claim, connection, after, page))
    }

    fn answer(&self, sender: String, event: String, id: String) -> Step<'_, Option<String>> {
        Box::pin(self.answer(sender, event, id))
    }

    fn rooms(&self, event: String) -> Step<'_, Vec<Room>> {
        Box::pin(self.rooms(event))
    }

    fn history(
        &self,
        room: String,
        event: String,
        until: Position,
        limit: u32,
    ) -> Step<'_, Vec<Entry>> {
        Box::pin(self.history(room, event, until, limit))
    }

    fn offsets_of(&self, room: String, event: String, id: String) -> Step<'_, Vec<u64>> {
        Box::pin(self.offsets_of(room, event, id))
    }

    fn extent(&self) -> Step<'_, Extent> {
        Box::pin(self.extent())
    }

    fn savepoint(&self) -> Step<'_, ()> {
        Box::pin(self.savepoint())
    }

    fn rollback(&self) -> Step<'_, ()> {
        Box::pin(self.rollback())
    }

    fn commit(&self, response: String) -> Step<'_, ()> {
        Box::pin(self.commit(response))
    }
}
