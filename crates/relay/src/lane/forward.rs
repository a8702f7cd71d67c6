//! What an answer has for sockets that are not this namespace's, or not this relay's.

use std::sync::Arc;

use parlour_protocol::relay::{Command, Emit, Response};

use super::Lane;
use super::log;
use crate::bus::{Extent, Segment};
use crate::config::MAX_SEGMENT_BYTES;
use crate::shared::Shared;

impl Lane {
    /// Gives the other relays a copy of what the batch has added to the namespace's log, and what is volatile.
    pub(super) fn forward(&self, shared: &Shared, response: &Response<'_>) {
        if shared.bus.is_none() {
            return;
        }
        let is_for_others = |command: &&Command<'_>| match command {
            Command::Emit(emit) if self.is_elsewhere(emit) => false,
            Command::Emit(emit) if emit.offset.is_none() => is_volatile(emit),
            command => command.offset().is_some(),
        };
        let (mut start, mut bytes, mut commands) = (response.previous, 0, Vec::new());
        let publish = |start: Option<u64>, head: Option<u64>, commands| {
            let extent = start.zip(head).filter(|(start, head)| start < head);
            let extent = extent.map(|(previous, head)| Extent { previous, head });
            shared.publish_on_bus(&self.namespace, &Segment { extent, commands });
        };
        for command in response.commands.iter().filter(is_for_others) {
            bytes += size(command);
            commands.push(with_asker(command, &shared.config.relay));
            if bytes > MAX_SEGMENT_BYTES && command.offset().is_some() {
                publish(start, command.offset(), std::mem::take(&mut commands));
                (start, bytes) = (command.offset(), 0);
            }
        }
        if !commands.is_empty() {
            publish(start, response.head, commands);
        }
    }

    /// Emits to other namespaces, here and at the other relays.
    pub(super) fn forward_elsewhere(&self, shared: &Arc<Shared>, commands: &[Command<'_>]) {
        for command in commands {
            let Command::Emit(emit) = command else {
                continue;
            };
            let Some(namespace) = emit
                .namespace
                .as_deref()
                .filter(|_| self.is_elsewhere(emit))
            else {
                continue;
            };
            if emit.ack.is_some() {
                let of = self.namespace();
                tracing::error!(
                    of,
                    namespace,
                    "the app asks for acknowledgements in another namespace"
                );
                continue;
            }
            let extent = emit.previous.zip(emit.offset);
            let extent = extent.map(|(previous, head)| Extent { previous, head });
            if let Some(lane) = shared.lane(namespace) {
                match extent {
                    Some(extent) => lane.hear(shared, extent, std::slice::from_ref(command)),
                    None => lane.emit_volatile(shared, std::slice::from_ref(command)),
                }
            }
            if !emit.local {
                let commands = vec![command.clone()];
                shared.publish_on_bus(namespace, &Segment { extent, commands });
            }
        }
    }

    fn is_elsewhere(&self, emit: &Emit<'_>) -> bool {
        let namespace = emit.namespace.as_deref();
        namespace.is_some_and(|namespace| namespace != self.namespace())
    }

    /// A part of the log has come by the bus, or from another namespace's batch.
    pub fn hear(&self, shared: &Shared, extent: Extent, commands: &[Command<'_>]) {
        let Ok(json) = serde_json::to_string(commands) else {
            return;
        };
        self.hear_json(shared, extent, &json);
    }

    /// The same; the commands are a JSON array.
    pub fn hear_json(&self, shared: &Shared, extent: Extent, commands: &str) {
        let mut state = self.lock();
        if state.is_deaf() {
            return;
        }
        state
            .log
            .arrived(log::Segment::new(extent, commands, shared));
        drop(state);
        self.arrived.notify_one();
    }

    /// The log is known to reach up to here.
    pub fn hear_of(&self, head: u64) {
        self.lock().log.heard_of(head);
        self.arrived.notify_one();
    }

    /// Something may be missing: the app is asked soon.
    pub fn suspect(&self) {
        self.lock().log.suspect();
        self.arrived.notify_one();
    }

    /// How far this relay has delivered the log, unless other relays were told before.
    pub fn untold(&self) -> Option<u64> {
        self.lock().log.untold()
    }
}

/// Whether other relays get it though it is in no log.
fn is_volatile(emit: &Emit<'_>) -> bool {
    !emit.local && emit.ack.is_none()
}

/// The command as other relays get it: they must know whom to report to.
fn with_asker<'c>(command: &Command<'c>, relay: &str) -> Command<'c> {
    let mut command = command.clone();
    if let Command::Emit(emit) = &mut command
        && emit.ack.is_some()
    {
        emit.asker = Some(relay.to_owned().into());
    }
    command
}

/// Bytes that a command has as JSON, about.
fn size(command: &Command<'_>) -> usize {
    const ROOM: usize = 64;
    match command {
        Command::Emit(emit) => {
            let attachments: usize = emit.attachments.iter().map(|it| it.len()).sum();
            let asked = emit.asked.as_ref().map_or(0, Vec::len);
            let rooms = emit.rooms.len() + emit.except.len() + asked;
            emit.data.get().len() + attachments + ROOM * (rooms + 1)
        }
        Command::State(state) => state.state.get().len() + ROOM,
        _ => ROOM,
    }
}
