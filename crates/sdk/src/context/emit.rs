//! What a batch emits and whom it moves: the commands and changes that come of it.

use parlour_protocol::relay::{self, Command};
use parlour_protocol::socket::is_reserved;
use serde_json::value::RawValue;

use super::{
    Context,
    link::{AckPlace, Kind, Link},
};
use crate::{
    args::Rendered,
    asked::Asked,
    error::{Error, Result, unwritable},
    interface::{self, Change, Direction, Emission, Movement, Whom},
    target::{OnceAcked, Target},
};

impl Context {
    /// Records a command that all relays must carry out at the same place of the log. It is for sockets of another
    /// namespace, if one is named.
    pub fn command_for_all(&self, command: &Command<'_>, namespace: Option<String>) -> Result<()> {
        self.command(command)?;
        if namespace.is_none() && self.is_surely_alone() {
            return Ok(());
        }
        let mut record = self.record.borrow_mut();
        let link = Link {
            command: record.commands.len() - 1,
            kind: kind(namespace.as_deref()),
            ack: None,
        };
        let change = Change::Command(interface::Command {
            namespace,
            json: record.commands.last().to_owned(),
            whom: Whom::Everyone,
        });
        record.changes.push((change, Some(link)));
        Ok(())
    }

    /// Records an emission, and stores it if somebody could want to read it again, or other relays have to emit it.
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
            previous: None,
            volatile: target.volatile,
            local: target.local,
            ack: target.ack.as_ref().map(Asked::request),
            asked: None,
            asker: None,
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
        let transient = !self.is_stored(&target);
        if target.volatile || target.local || transient && self.is_surely_alone() {
            return Ok(());
        }
        if let Some(asked) = &target.ack {
            let json = asked_of_others(asked, &packet)?;
            let Target { rooms, except, .. } = target;
            let whom = Whom::Sockets(interface::Target { rooms, except });
            let kind = Kind::Asked;
            let link = Link {
                command: emit,
                kind,
                ack,
            };
            let change = Change::Command(interface::Command {
                namespace: None,
                json,
                whom,
            });
            self.record.borrow_mut().changes.push((change, Some(link)));
            return Ok(());
        }
        let kind = kind(target.namespace.as_deref());
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
            transient,
        };
        let link = Link {
            command: emit,
            kind,
            ack,
        };
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

    /// Makes sockets enter or leave rooms, and those of the batch at once.
    pub fn move_sockets(
        &self,
        target: Target,
        direction: Direction,
        places: Vec<String>,
    ) -> Result<()> {
        let Target {
            namespace,
            rooms,
            except,
            ..
        } = target;
        for (index, peer) in self.sockets.iter().enumerate() {
            if namespace.is_some() || !peer.is_reached(&rooms, &except) {
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
        let command = Command::Sockets(Box::new(relay::Sockets {
            rooms: rooms.iter().map(Into::into).collect(),
            except: except.iter().map(Into::into).collect(),
            join,
            leave,
            disconnect: None,
            offset: None,
            namespace: namespace.as_ref().map(Into::into),
            previous: None,
        }));
        self.command_for_all(&command, namespace.clone())?;
        self.members.borrow_mut().forget();
        let movement = Change::Move(Movement {
            namespace,
            rooms,
            except,
            direction,
            places,
        });
        self.record.borrow_mut().changes.push((movement, None));
        Ok(())
    }
}

/// What must be known of what goes into the log of this namespace, or of the batch's.
fn kind(namespace: Option<&str>) -> Kind {
    match namespace {
        Some(_) => Kind::Elsewhere,
        None => Kind::Own,
    }
}

/// An emission that asks for acknowledgements, as other relays get it: they are told who is asked, and what comes of it
/// they tell the relay that asks, which knows whom it is for.
fn asked_of_others(asked: &Asked, packet: &Rendered) -> Result<String> {
    let command = Command::Emit(Box::new(relay::Emit {
        rooms: Vec::new(),
        except: Vec::new(),
        data: &packet.json,
        attachments: packet.attachments.iter().map(Into::into).collect(),
        offset: None,
        namespace: None,
        previous: None,
        volatile: false,
        local: false,
        ack: Some(relay::AckRequest {
            handler: "".into(),
            context: None,
            ..asked.request()
        }),
        asked: None,
        asker: None,
    }));
    serde_json::to_string(&command).map_err(unwritable)
}

/// The JSON, without a copy.
fn text(json: Box<RawValue>) -> String {
    Box::<str>::from(json).into()
}
