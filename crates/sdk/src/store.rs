//! The database as a batch sees it: the interface `parlour:rooms`, behind a trait so that the logic
//! of batches runs in native tests.

use std::pin::Pin;

use crate::interface::{Applied, Change, Entry, Error, Member, Position, Room, Transaction};

pub(crate) type Step<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + 'a>>;

/// One open transaction. See `wit/rooms.wit`.
pub(crate) trait Store {
    fn apply(&self, changes: Vec<Change>) -> Step<'_, Applied>;
    fn members(&self, room: String) -> Step<'_, Vec<Member>>;
    fn rooms(&self, event: String) -> Step<'_, Vec<Room>>;
    fn history(
        &self,
        room: String,
        event: String,
        until: Position,
        limit: u32,
    ) -> Step<'_, Option<Vec<Entry>>>;
    fn last_offset(&self) -> Step<'_, u64>;
    fn savepoint(&self) -> Step<'_, ()>;
    fn rollback(&self) -> Step<'_, ()>;
    fn commit(&self, response: Vec<u8>) -> Step<'_, ()>;
}

impl Store for Transaction {
    fn apply(&self, changes: Vec<Change>) -> Step<'_, Applied> {
        Box::pin(self.apply(changes))
    }

    fn members(&self, room: String) -> Step<'_, Vec<Member>> {
        Box::pin(self.members(room))
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
    ) -> Step<'_, Option<Vec<Entry>>> {
        Box::pin(self.history(room, event, until, limit))
    }

    fn last_offset(&self) -> Step<'_, u64> {
        Box::pin(self.last_offset())
    }

    fn savepoint(&self) -> Step<'_, ()> {
        Box::pin(self.savepoint())
    }

    fn rollback(&self) -> Step<'_, ()> {
        Box::pin(self.rollback())
    }

    fn commit(&self, response: Vec<u8>) -> Step<'_, ()> {
        Box::pin(self.commit(response))
    }
}
