//! What the handlers of a batch have recorded: commands for the relay and changes for the database,
//! in order. It can take back what one event recorded, and nothing leaves it before the commit.

mod ask;
mod commands;
mod emit;
mod link;

use std::{
    cell::{Cell, RefCell},
    vec,
};

use parlour_protocol::relay::{self, Command, RECOVERY_PAGE_BYTES};
use serde_json::value::RawValue;

use crate::{
    args::{Rendered, ToArgs, write_array},
    error::{Error, Result},
    interface::{self, Change, Claim, Policy, Recovery},
    log::Log,
    members::Members,
    peer::Peer,
    store::Store,
};
use commands::Commands;
pub(crate) use commands::Part;
use link::{AckPlace, Link, complete, is_for_others};

/// Which namespace the batch is for, and how long it keeps things.
#[derive(Clone)]
pub(crate) struct Scope {
    pub namespace: String,
    pub policy: Policy,
    /// How many rooms a socket may be in, if the relay says so.
    pub max_rooms: Option<usize>,
}

pub(crate) struct Context {
    pub scope: Scope,
    pub sockets: Vec<Peer>,
    members: RefCell<Members>,
    /// Sockets that go with this batch, and that nothing was asked about yet.
    leaving: RefCell<vec::IntoIter<usize>>,
    pub log: Log,
    /// Bytes that were read for the handlers.
    read: Cell<usize>,
    /// The database was used: the batch holds its write lock.
    is_locked: Cell<bool>,
    /// Whether no other relay is alive, once the batch holds the lock and has asked.
    alone: Cell<Option<bool>>,
    /// The relay is given a part of the log with the answer.
    is_replaying: Cell<bool>,
    store: Box<dyn Store>,
    record: RefCell<Record>,
    /// Where the answers of acks are written, one after the other.
    scratch: Cell<Vec<u8>>,
    /// The database failed: the whole batch does.
    fault: RefCell<Option<interface::Error>>,
}

/// Each with the command that is to be completed.
type Changes = Vec<(Change, Option<Link>)>;

#[derive(Default)]
struct Record {
    commands: Commands,
    /// Not applied yet.
    changes: Changes,
    /// How sockets were before the current event changed them.
    undo: Vec<(usize, Undo)>,
    mark: Mark,
}

/// Where the current event begins.
#[derive(Clone, Copy, Default)]
struct Mark {
    commands: usize,
    changes: usize,
    /// Changes of the current event are applied, after a savepoint.
    saved: bool,
}

/// What a socket had before.
enum Undo {
    Rooms(Vec<String>),
    Data(Option<Box<RawValue>>),
}

impl Context {
    pub fn new(scope: Scope, sockets: Vec<Peer>, store: Box<dyn Store>) -> Self {
        let (members, leaving, log, read, is_locked) = Default::default();
        let (record, scratch, fault) = Default::default();
        let (alone, is_replaying) = Default::default();
        Self {
            scope,
            sockets,
            members,
            leaving,
            log,
            read,
            is_locked,
            alone,
            is_replaying,
            store,
            record,
            scratch,
            fault,
        }
    }

    /// Says which sockets go with this batch.
    pub fn expect_leaving(&self, sockets: Vec<usize>) {
        self.leaving.replace(sockets.into_iter());
    }

    /// The next of them that is still there.
    fn next_leaving(&self) -> Option<&Peer> {
        let mut leaving = self.leaving.borrow_mut();
        let mut peers = leaving.by_ref().map(|index| &self.sockets[index]);
        peers.find(|peer| peer.is_in.get())
    }

    /// Everything recorded from here on belongs to the next event.
    pub fn begin_event(&self) {
        let mut record = self.record.borrow_mut();
        record.mark = Mark {
            commands: record.commands.len(),
            changes: record.changes.len(),
            saved: false,
        };
        record.undo.clear();
    }

    /// Takes back all that the current event recorded.
    pub async fn abandon_event(&self) -> Result<(), interface::Error> {
        let saved = {
            let mut record = self.record.borrow_mut();
            let mark = record.mark;
            record.commands.truncate(mark.commands);
            record.changes.truncate(mark.changes);
            record.mark.saved = false;
            for (socket, undo) in std::mem::take(&mut record.undo).into_iter().rev() {
                let peer = &self.sockets[socket];
                match undo {
                    Undo::Rooms(rooms) => drop(peer.rooms.replace(rooms)),
                    Undo::Data(data) => peer.state().borrow_mut().data = data,
                }
            }
            mark.saved
        };
        self.members.borrow_mut().forget();
        if saved {
            self.store.rollback().await
        } else {
            Ok(())
        }
    }

    /// Bytes of the answer so far.
    pub fn answer_bytes(&self) -> usize {
        self.record.borrow().commands.size()
    }

    /// Bytes of the answer so far, and of what was read for it.
    pub fn bytes(&self) -> usize {
        self.answer_bytes() + self.read.get()
    }

    /// Notes that so many bytes were read.
    pub fn note_read(&self, bytes: usize) {
        self.read.set(self.read.get() + bytes);
    }

    pub fn is_locked(&self) -> bool {
        self.is_locked.get()
    }

    /// Says that the relay asks for a part of the log.
    pub fn expect_replay(&self, wanted: bool) {
        self.is_replaying.set(wanted);
    }

    pub fn is_replaying(&self) -> bool {
        self.is_replaying.get()
    }

    /// Whether it is known that there is no other relay until the commit.
    fn is_surely_alone(&self) -> bool {
        self.alone.get() == Some(true)
    }

    /// The database, which is used from now on.
    fn store(&self) -> &dyn Store {
        self.is_locked.set(true);
        &*self.store
    }

    /// The database's failure, if a handler met one.
    pub fn take_fault(&self) -> Option<interface::Error> {
        self.fault.take()
    }

    pub fn command(&self, command: &Command<'_>) -> Result<()> {
        self.record.borrow_mut().commands.push(command)
    }

    /// Records a change of this socket's.
    pub fn change(&self, socket: usize, change: Change) {
        self.members
            .borrow_mut()
            .follow(&change, &self.sockets[socket]);
        self.record.borrow_mut().changes.push((change, None));
    }

    /// Puts a command before all others of the current event.
    pub fn command_first(&self, command: &Command<'_>) -> Result<()> {
        let mut record = self.record.borrow_mut();
        let first = record.mark.commands;
        record.commands.replace(first, command)
    }

    /// Adds the client's secret to the answer that the relay gets, not to the one that is stored.
    pub fn pid_of_first(&self, pid: &str) {
        let mut record = self.record.borrow_mut();
        let first = record.mark.commands;
        record.commands.set_pid(first, pid);
    }

    /// Keeps the place for [`command_first`](Self::command_first).
    pub fn reserve_first(&self) {
        self.record.borrow_mut().commands.reserve();
    }

    /// Answers a socket's packet.
    pub fn ack(&self, socket: usize, id: u64, args: &impl ToArgs) -> Result<()> {
        let mut data = self.scratch.take();
        data.clear();
        let attachments = write_array(&mut data, args)?;
        self.push_ack(socket, id, &data, &attachments);
        self.scratch.set(data);
        Ok(())
    }

    /// The same, with what was written already.
    pub fn ack_rendered(&self, socket: usize, id: u64, answer: &Rendered) {
        self.push_ack(
            socket,
            id,
            answer.json.get().as_bytes(),
            &answer.attachments,
        );
    }

    fn push_ack(&self, socket: usize, id: u64, data: &[u8], attachments: &[String]) {
        let socket = self.sockets[socket].id();
        let mut record = self.record.borrow_mut();
        record.commands.push_ack(socket, id, data, attachments);
    }

    /// Whether sessions of this namespace can be recovered.
    pub fn is_recovering(&self) -> bool {
        self.scope.policy.recovery > 0
    }

    /// Notes the answer of an event that happens once.
    pub fn keep_answer(&self, answer: interface::Answer) {
        let change = (Change::Answer(answer), None);
        self.record.borrow_mut().changes.push(change);
    }

    /// Resumes a session, if that can be. Undone with the event.
    pub async fn recover(
        &self,
        claim: Claim,
        connection: &str,
        after: u64,
    ) -> Result<Recovery, interface::Error> {
        self.flush().await?;
        let saved = std::mem::replace(&mut self.record.borrow_mut().mark.saved, true);
        if !saved {
            self.store().savepoint().await?;
        }
        let page = RECOVERY_PAGE_BYTES as u32;
        let recovery = self
            .store()
            .recover(claim, connection.to_owned(), after, page)
            .await?;
        if let Recovery::Taken(session) = &recovery
            && !session.has_more
        {
            self.members.borrow_mut().come_back(session);
        }
        Ok(recovery)
    }

    /// Makes the database look at the batch, though it changes nothing.
    pub async fn touch(&self) -> Result<(), interface::Error> {
        self.store().apply(Vec::new()).await?;
        Ok(())
    }

    /// Which of these sockets are still connected as they were.
    pub async fn connected(
        &self,
        sockets: Vec<(String, String)>,
    ) -> Result<Vec<bool>, interface::Error> {
        self.store().connected(sockets).await
    }

    /// Replaces what the middleware said of a socket. Its event must not fail after that.
    pub fn set_claims(&self, socket: usize, claims: Box<RawValue>) {
        self.sockets[socket].set_claims(claims);
    }

    /// Changes a socket's rooms, remembering how they were.
    pub fn set_rooms(&self, socket: usize, rooms: Vec<String>) {
        let before = self.sockets[socket].rooms.replace(rooms);
        self.record
            .borrow_mut()
            .undo
            .push((socket, Undo::Rooms(before)));
    }

    /// Changes a socket's public data, remembering how it was.
    pub fn set_data(&self, socket: usize, data: Box<RawValue>) {
        let before = self.sockets[socket].state().borrow_mut().data.replace(data);
        self.record
            .borrow_mut()
            .undo
            .push((socket, Undo::Data(before)));
    }

    /// The database, knowing all that was recorded so far.
    pub async fn current(&self) -> Result<&dyn Store> {
        match self.flush().await {
            Ok(()) => Ok(self.store()),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// Notes that the database failed, and with it the batch.
    pub fn failed(&self, error: interface::Error) -> Error {
        let text = Error::internal("the database failed");
        self.fault.borrow_mut().get_or_insert(error);
        text
    }

    /// Applies what is recorded; gives the response, which leaves when it is [committed](Self::commit), and what
    /// is stored of it, which has no secrets.
    pub async fn responses(
        &self,
        part: Option<&Part>,
    ) -> Result<(String, String), interface::Error> {
        let mut changes = std::mem::take(&mut self.record.borrow_mut().changes);
        let is_for_others = |(change, _): &(Change, _)| is_for_others(change);
        if self.is_locked() || !changes.iter().all(is_for_others) {
            self.keep_needed(&mut changes).await?;
        } else if !changes.is_empty() && self.store.is_alone(false).await? {
            // The database is not needed.
            changes.clear();
        }
        self.apply(changes).await?;
        let extent = match self.is_locked() {
            true => Some(self.store.extent().await?),
            false => None,
        };
        Ok(self.record.borrow().commands.responses(part, extent))
    }

    /// Drops what would be stored for other relays only, where there are none: then it costs nothing. Takes the lock
    /// if there is any.
    async fn keep_needed(&self, changes: &mut Changes) -> Result<(), interface::Error> {
        let is_for_others = |(change, _): &(Change, _)| is_for_others(change);
        if !changes.iter().any(is_for_others) {
            return Ok(());
        }
        if self.is_alone().await? {
            changes.retain(|change| !is_for_others(change));
        }
        Ok(())
    }

    /// Whether there is no other relay. Takes the lock.
    async fn is_alone(&self) -> Result<bool, interface::Error> {
        let alone = match self.alone.get() {
            Some(alone) => alone,
            None => self.store().is_alone(true).await?,
        };
        self.alone.set(Some(alone));
        Ok(alone)
    }

    pub async fn commit(&self, stored: String) -> Result<(), interface::Error> {
        self.store.commit(stored).await
    }

    async fn flush(&self) -> Result<(), interface::Error> {
        let (mut earlier, mut own) = {
            let mut record = self.record.borrow_mut();
            let mut earlier = std::mem::take(&mut record.changes);
            let own = earlier.split_off(record.mark.changes);
            record.mark.changes = 0;
            (earlier, own)
        };
        self.keep_needed(&mut earlier).await?;
        self.keep_needed(&mut own).await?;
        let saved = {
            let mut record = self.record.borrow_mut();
            let saved = record.mark.saved;
            record.mark.saved |= !own.is_empty();
            saved
        };
        self.apply(earlier).await?;
        if !own.is_empty() && !saved {
            self.store().savepoint().await?;
        }
        self.apply(own).await
    }
    /// Hands changes to the database, and completes the commands of what they emit.
    async fn apply(&self, changes: Changes) -> Result<(), interface::Error> {
        if changes.is_empty() {
            return Ok(());
        }
        let (changes, links): (Vec<_>, Vec<_>) = changes.into_iter().unzip();
        let applied = self.store().apply(changes).await?;
        // Clients read offsets where sessions are recovered, and relays where there are several. Writing them costs.
        let is_own_read =
            self.is_recovering() || applied.stored.is_empty() || !self.is_alone().await?;
        let mut record = self.record.borrow_mut();
        let mut repetitions = applied.repetitions.into_iter().peekable();
        let mut stored = applied.stored.into_iter().peekable();
        for (index, link) in links.iter().enumerate() {
            let Some(link) = link else { continue };
            if let Some(repetition) = repetitions.next_if(|it| it.index as usize == index) {
                record.commands.take_back(link.command);
                if let Some(place) = &link.ack {
                    self.repeat(&mut record.commands, place, repetition.ack);
                }
            } else if let Some(stored) = stored.next_if(|it| it.index as usize == index) {
                complete(&mut record.commands, link, stored, is_own_read);
            }
        }
        Ok(())
    }

    /// The ack a repetition gets: the stored one.
    fn repeat(&self, commands: &mut Commands, place: &AckPlace, ack: String) {
        let Ok(data) = RawValue::from_string(ack) else {
            return commands.take_back(place.command);
        };
        let command = Command::Ack(relay::Ack {
            socket: self.sockets[place.socket].id().into(),
            id: place.id,
            data: &data,
            attachments: Vec::new(),
        });
        let written = commands.replace(place.command, &command);
        written.expect("what was JSON before can be written");
    }
}
