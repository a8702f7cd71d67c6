//! What the handlers of a batch have recorded: commands for the relay and changes for the database,
//! in order. It can take back what one event recorded, and nothing leaves it before the commit.

use std::{cell::RefCell, fmt::Write, time::Duration};

use parlour_protocol::relay::{self, Command};
use parlour_protocol::socket::is_reserved;
use serde_json::value::RawValue;

use crate::{
    args::Rendered,
    asked::Asked,
    error::{Error, Result, unwritable},
    interface::{self, Change, Claim, Direction, Emission, Movement, Policy, Session},
    members::Members,
    peer::Peer,
    store::Store,
};

/// Which namespace the batch is for, and how long it keeps things.
#[derive(Clone)]
pub(crate) struct Scope {
    pub namespace: String,
    pub policy: Policy,
}

pub(crate) struct Context {
    pub scope: Scope,
    pub sockets: Vec<Peer>,
    pub members: RefCell<Members>,
    store: Box<dyn Store>,
    record: RefCell<Record>,
    /// The database failed: the whole batch does.
    fault: RefCell<Option<interface::Error>>,
}

#[derive(Default)]
struct Record {
    /// As JSON. None: taken back because it repeats an earlier emission.
    commands: Vec<Option<String>>,
    /// Not applied yet.
    changes: Vec<(Change, Option<Link>)>,
    /// How sockets were before the current event changed them.
    undo: Vec<(usize, Was)>,
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

enum Was {
    Rooms(Vec<String>),
    Data(Option<Box<RawValue>>),
}

/// The commands that come of an emission: to be corrected if it is a repetition, completed by its offset
/// if it is not.
struct Link {
    emit: usize,
    /// Its receivers may want to know the offset.
    offset: bool,
    ack: Option<AckPlace>,
}

struct AckPlace {
    command: usize,
    socket: usize,
    id: u64,
}

/// Whom an emission is for.
#[derive(Clone, Default)]
pub(crate) struct Target {
    /// Another namespace than the batch's.
    pub namespace: Option<String>,
    pub rooms: Vec<String>,
    pub except: Vec<String>,
    /// The only room is a socket's own.
    pub direct: bool,
    pub volatile: bool,
    pub local: bool,
    pub id: Option<String>,
    pub timeout: Option<Duration>,
    pub ack: Option<Asked>,
}

/// An emission that happens once, and the ack that goes with it.
pub(crate) struct OnceAcked {
    pub sender: String,
    pub socket: usize,
    /// The id the client wants acknowledged, if any.
    pub ack: Option<u64>,
    pub answer: Rendered,
}

impl Context {
    pub fn new(scope: Scope, sockets: Vec<Peer>, store: Box<dyn Store>) -> Self {
        let (members, record, fault) = Default::default();
        Self {
            scope,
            sockets,
            members,
            store,
            record,
            fault,
        }
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
            for (socket, was) in std::mem::take(&mut record.undo).into_iter().rev() {
                let peer = &self.sockets[socket];
                match was {
                    Was::Rooms(rooms) => drop(peer.rooms.replace(rooms)),
                    Was::Data(data) => peer.state().borrow_mut().data = data,
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

    /// The database's failure, if a handler met one.
    pub fn take_fault(&self) -> Option<interface::Error> {
        self.fault.take()
    }

    pub fn command(&self, command: &Command<'_>) -> Result<()> {
        let json = serde_json::to_string(command).map_err(unwritable)?;
        self.record.borrow_mut().commands.push(Some(json));
        Ok(())
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
        let json = serde_json::to_string(command).map_err(unwritable)?;
        let mut record = self.record.borrow_mut();
        let first = record.mark.commands;
        record.commands[first] = Some(json);
        Ok(())
    }

    /// Keeps the place for [`command_first`](Self::command_first).
    pub fn reserve_first(&self) {
        self.record.borrow_mut().commands.push(None);
    }

    pub fn ack(&self, socket: usize, id: u64, answer: &Rendered) -> Result<()> {
        let socket = self.sockets[socket].id();
        let attachments = answer.attachments.iter().map(Into::into).collect();
        let data = &answer.json;
        self.command(&Command::Ack(relay::Ack {
            socket: socket.into(),
            id,
            data,
            attachments,
        }))
    }

    /// Records an emission, and stores it if somebody could want to read it again.
    pub fn emit(
        &self,
        target: Target,
        event: &str,
        packet: Rendered,
        once: Option<OnceAcked>,
    ) -> Result<()> {
        if is_reserved(event) {
            let message = format!("`{event}` cannot be emitted: Socket.IO reserves the name");
            return Err(Error::internal(message));
        }
        let command = Command::Emit(relay::Emit {
            rooms: target.rooms.iter().map(Into::into).collect(),
            except: target.except.iter().map(Into::into).collect(),
            data: &packet.json,
            attachments: packet.attachments.iter().map(Into::into).collect(),
            offset: None,
            namespace: target.namespace.as_ref().map(Into::into),
            volatile: target.volatile,
            local: target.local,
            ack: target.ack.as_ref().map(Asked::request),
        });
        let emit = self.record.borrow().commands.len();
        self.command(&command)?;
        let ack = match &once {
            Some(OnceAcked {
                ack: Some(id),
                socket,
                answer,
                ..
            }) => {
                self.ack(*socket, *id, answer)?;
                Some(AckPlace {
                    command: emit + 1,
                    socket: *socket,
                    id: *id,
                })
            }
            _ => None,
        };
        if !self.is_stored(&target) {
            return Ok(());
        }
        let offset = self.is_recovering() || target.namespace.is_some();
        let emission = Emission {
            namespace: target.namespace,
            rooms: target.rooms,
            except: target.except,
            event: event.to_owned(),
            data: text(packet.json),
            attachments: packet.attachments,
            id: target.id,
            once: once.map(|once| interface::Once {
                sender: once.sender,
                ack: text(once.answer.json),
            }),
        };
        let link = Link { emit, offset, ack };
        let change = (Change::Emit(emission), Some(link));
        self.record.borrow_mut().changes.push(change);
        Ok(())
    }

    /// Whether an emission can be wanted later: by the history of its room, by a session that is
    /// recovered, or to know that it is a repetition.
    fn is_stored(&self, target: &Target) -> bool {
        if target.volatile || target.local || target.ack.is_some() {
            return false;
        }
        let is_history = target.rooms.len() == 1 && !target.direct;
        is_history || target.id.is_some() || self.is_recovering() || target.namespace.is_some()
    }

    /// Whether sessions of this namespace can be recovered.
    pub fn is_recovering(&self) -> bool {
        self.scope.policy.recovery > 0
    }

    /// Makes sockets enter or leave rooms, those of the batch at once.
    pub fn move_sockets(
        &self,
        target: Target,
        direction: Direction,
        places: Vec<String>,
    ) -> Result<()> {
        let Target { rooms, except, .. } = target;
        for (index, peer) in self.sockets.iter().enumerate() {
            if !peer.is_reached(&rooms, &except) {
                continue;
            }
            let mut now = peer.rooms.borrow().clone();
            now.retain(|room| !places.contains(room));
            if direction == Direction::Into {
                let others = places.iter().filter(|room| **room != *peer.id());
                now.extend(others.cloned());
            }
            self.set_rooms(index, now);
        }
        let names = || places.iter().map(Into::into).collect();
        let (join, leave) = match direction {
            Direction::Into => (names(), Vec::new()),
            Direction::OutOf => (Vec::new(), names()),
        };
        self.command(&Command::Sockets(relay::Sockets {
            rooms: rooms.iter().map(Into::into).collect(),
            except: except.iter().map(Into::into).collect(),
            join,
            leave,
            disconnect: None,
        }))?;
        self.members.borrow_mut().forget();
        let movement = Change::Move(Movement {
            rooms,
            except,
            direction,
            places,
        });
        self.record.borrow_mut().changes.push((movement, None));
        Ok(())
    }

    /// Notes the answer of an event that happens once.
    pub fn keep_answer(&self, answer: interface::Answer) {
        let change = (Change::Answer(answer), None);
        self.record.borrow_mut().changes.push(change);
    }

    /// Takes a session up, if that can be. Undone with the event.
    pub async fn recover(
        &self,
        claim: Claim,
        connection: &str,
    ) -> Result<Option<Session>, interface::Error> {
        self.flush().await?;
        let saved = std::mem::replace(&mut self.record.borrow_mut().mark.saved, true);
        if !saved {
            self.store.savepoint().await?;
        }
        let session = self.store.recover(claim, connection.to_owned()).await?;
        if let Some(session) = &session {
            self.members.borrow_mut().come_back(session);
        }
        Ok(session)
    }

    /// Makes the database look at the batch, though it changes nothing.
    pub async fn touch(&self) -> Result<(), interface::Error> {
        self.store.apply(Vec::new()).await?;
        Ok(())
    }

    /// Which of these sockets are still connected as they were.
    pub async fn connected(
        &self,
        sockets: Vec<(String, String)>,
    ) -> Result<Vec<bool>, interface::Error> {
        self.store.connected(sockets).await
    }

    /// Changes a socket's rooms, remembering how they were.
    pub fn set_rooms(&self, socket: usize, rooms: Vec<String>) {
        let before = self.sockets[socket].rooms.replace(rooms);
        self.record
            .borrow_mut()
            .undo
            .push((socket, Was::Rooms(before)));
    }

    /// Changes a socket's public data, remembering how it was.
    pub fn set_data(&self, socket: usize, data: Box<RawValue>) {
        let before = self.sockets[socket].state().borrow_mut().data.replace(data);
        self.record
            .borrow_mut()
            .undo
            .push((socket, Was::Data(before)));
    }

    /// The database, knowing all that was recorded so far.
    pub async fn current(&self) -> Result<&dyn Store> {
        match self.flush().await {
            Ok(()) => Ok(&*self.store),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// Notes that the database failed, and with it the batch.
    pub fn failed(&self, error: interface::Error) -> Error {
        let text = Error::internal("the database failed");
        self.fault.borrow_mut().get_or_insert(error);
        text
    }

    /// Applies what is recorded and commits; gives the response.
    pub async fn finish(&self) -> Result<Vec<u8>, interface::Error> {
        let changes = std::mem::take(&mut self.record.borrow_mut().changes);
        self.apply(changes).await?;
        let response = self.response();
        self.store.commit(response.clone()).await?;
        Ok(response)
    }

    async fn flush(&self) -> Result<(), interface::Error> {
        let (earlier, own, saved) = {
            let mut record = self.record.borrow_mut();
            let mut earlier = std::mem::take(&mut record.changes);
            let own = earlier.split_off(record.mark.changes);
            record.mark.changes = 0;
            let saved = record.mark.saved;
            record.mark.saved |= !own.is_empty();
            (earlier, own, saved)
        };
        self.apply(earlier).await?;
        if !own.is_empty() && !saved {
            self.store.savepoint().await?;
        }
        self.apply(own).await
    }

    async fn apply(&self, changes: Vec<(Change, Option<Link>)>) -> Result<(), interface::Error> {
        if changes.is_empty() {
            return Ok(());
        }
        let (changes, links): (Vec<_>, Vec<_>) = changes.into_iter().unzip();
        let applied = self.store.apply(changes).await?;
        let mut record = self.record.borrow_mut();
        let mut repetitions = applied.repetitions.into_iter().peekable();
        let mut offset = applied.first;
        for (index, link) in links.iter().enumerate() {
            let Some(link) = link else { continue };
            match repetitions.next_if(|repetition| repetition.index as usize == index) {
                Some(repetition) => {
                    record.commands[link.emit] = None;
                    if let Some(place) = &link.ack {
                        record.commands[place.command] = self.first_ack(place, repetition.ack);
                    }
                }
                None => {
                    if let Some(command) = record.commands[link.emit].as_mut()
                        && link.offset
                    {
                        set_offset(command, offset);
                    }
                    offset += 1;
                }
            }
        }
        Ok(())
    }

    /// The ack a repetition gets: the stored one.
    fn first_ack(&self, place: &AckPlace, ack: String) -> Option<String> {
        let data = RawValue::from_string(ack).ok()?;
        let command = Command::Ack(relay::Ack {
            socket: self.sockets[place.socket].id().into(),
            id: place.id,
            data: &data,
            attachments: Vec::new(),
        });
        serde_json::to_string(&command).ok()
    }

    fn response(&self) -> Vec<u8> {
        let record = self.record.borrow();
        let commands = record.commands.iter().flatten();
        let length: usize = commands.clone().map(|command| command.len() + 1).sum();
        let mut response = Vec::with_capacity(length + 16);
        response.extend_from_slice(b"{\"commands\":[");
        for (place, command) in commands.enumerate() {
            if place > 0 {
                response.push(b',');
            }
            response.extend_from_slice(command.as_bytes());
        }
        response.extend_from_slice(b"]}");
        response
    }
}

/// Adds the offset to an `emit` command, which is JSON.
fn set_offset(command: &mut String, offset: u64) {
    command.truncate(command.len() - "}}".len());
    let _ = write!(command, ",\"offset\":{offset}}}}}");
}

/// The JSON, without a copy.
fn text(json: Box<RawValue>) -> String {
    Box::<str>::from(json).into()
}
