//! What a batch emits and whom it moves: the commands and changes that come of it, and their offsets
//! once the database has given them.

use std::time::Duration;

use parlour_protocol::relay::{self, Command};
use parlour_protocol::socket::is_reserved;
use serde_json::value::RawValue;

use super::{Commands, Context};
use crate::{
    args::Rendered,
    asked::Asked,
    error::{Error, Result},
    interface::{self, Change, Direction, Emission, Movement},
};

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

/// The commands that come of an emission: to be corrected if it is a repetition, completed by its offset
/// if it is not.
pub(super) struct Link {
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

impl Context {
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
        let command = Command::Emit(Box::new(relay::Emit {
            rooms: target.rooms.iter().map(Into::into).collect(),
            except: target.except.iter().map(Into::into).collect(),
            data: &packet.json,
            attachments: packet.attachments.iter().map(Into::into).collect(),
            offset: None,
            namespace: target.namespace.as_ref().map(Into::into),
            volatile: target.volatile,
            local: target.local,
            ack: target.ack.as_ref().map(Asked::request),
        }));
        let emit = self.record.borrow().commands.len();
        self.command(&command)?;
        let ack = match &once {
            Some(OnceAcked {
                ack: Some(id),
                socket,
                answer,
                ..
            }) => {
                self.ack_rendered(*socket, *id, answer);
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
        self.command(&Command::Sockets(Box::new(relay::Sockets {
            rooms: rooms.iter().map(Into::into).collect(),
            except: except.iter().map(Into::into).collect(),
            join,
            leave,
            disconnect: None,
        })))?;
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

    /// Hands changes to the database, and completes the commands of what they emit.
    pub(super) async fn apply(
        &self,
        changes: Vec<(Change, Option<Link>)>,
    ) -> Result<(), interface::Error> {
        if changes.is_empty() {
            return Ok(());
        }
        let (changes, links): (Vec<_>, Vec<_>) = changes.into_iter().unzip();
        let applied = self.store().apply(changes).await?;
        let mut record = self.record.borrow_mut();
        let mut repetitions = applied.repetitions.into_iter().peekable();
        let mut offset = applied.first;
        for (index, link) in links.iter().enumerate() {
            let Some(link) = link else { continue };
            match repetitions.next_if(|repetition| repetition.index as usize == index) {
                Some(repetition) => {
                    record.commands.take_back(link.emit);
                    if let Some(place) = &link.ack {
                        self.repeat(&mut record.commands, place, repetition.ack);
                    }
                }
                None => {
                    if link.offset {
                        record.commands.set_offset(link.emit, offset);
                    }
                    offset += 1;
                }
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

/// The JSON, without a copy.
fn text(json: Box<RawValue>) -> String {
    Box::<str>::from(json).into()
}
