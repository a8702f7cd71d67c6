//! What an answer has for sockets that are not this namespace's, or not this relay's.

use std::sync::Arc;

use parlour_protocol::relay::{Command, Emit, Response};

use super::effects::emit_volatile;
use crate::core::bus::{Extent, Segment};
use crate::core::config::MAX_SEGMENT_BYTES;
use crate::namespace::Namespace;
use crate::shared::Shared;

/// Gives the other relays a copy of what the batch has added to the namespace's log, and what is volatile.
pub fn forward(shared: &Shared, namespace: &Namespace, response: &Response<'_>) {
    if shared.bus.is_none() {
        return;
    }
    let is_for_others = |command: &&Command<'_>| match command {
        command if elsewhere(namespace, command).is_some() => false,
        Command::Emit(emit) if emit.offset.is_none() => is_volatile(emit),
        command => command.offset().is_some(),
    };
    let (mut start, mut bytes, mut commands) = (response.previous, 0, Vec::new());
    let publish = |start: Option<u64>, head: Option<u64>, commands| {
        let extent = start.zip(head).filter(|(start, head)| start < head);
        let extent = extent.map(|(previous, head)| Extent { previous, head });
        shared.publish_on_bus(namespace.name(), &Segment { extent, commands });
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

/// Hands over what is for the sockets of other namespaces, here and at the other relays.
pub fn forward_elsewhere(shared: &Arc<Shared>, from: &Namespace, commands: &[Command<'_>]) {
    for command in commands {
        let Some(namespace) = elsewhere(from, command) else {
            continue;
        };
        let extent = command.previous().zip(command.offset());
        let extent = extent.map(|(previous, head)| Extent { previous, head });
        let is_local = match command {
            Command::Emit(emit) if emit.ack.is_none() => emit.local,
            Command::Sockets(_) if extent.is_some() => false,
            _ => {
                let of = from.name();
                tracing::error!(of, namespace, ?command, "cannot be for another namespace");
                continue;
            }
        };
        if let Some(other) = shared.namespaces.find(namespace) {
            let commands = std::slice::from_ref(command);
            match extent {
                Some(extent) => {
                    if let Ok(json) = serde_json::to_string(commands) {
                        other.hear(extent, &json);
                    }
                }
                None => emit_volatile(shared, &other, commands),
            }
        }
        if shared.bus.is_some() && !is_local {
            let commands = vec![command.clone()];
            shared.publish_on_bus(namespace, &Segment { extent, commands });
        }
    }
}

/// The other namespace that a command is for.
fn elsewhere<'c>(from: &Namespace, command: &'c Command<'_>) -> Option<&'c str> {
    command.namespace().filter(|it| *it != from.name())
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
