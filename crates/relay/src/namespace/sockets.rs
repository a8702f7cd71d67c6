//! What the app does to sockets that are in the namespace: it moves them between rooms, gives them
//! state, disconnects them.

use std::borrow::Cow;

use parlour_protocol::relay::Sockets;

use super::batch::Queue;
use super::context::Context;
use super::effect::Effect;
use super::pending_acks::PendingAcks;
use super::registry::{Phase, Socket};
use super::state::{Namespace, State};
use crate::connection::Slot;
use crate::core::reason;
use crate::wire::message::Message;

impl State {
    pub(super) fn join(&mut self, slot: Slot, rooms: &[Cow<'_, str>]) {
        rooms.iter().for_each(|room| self.registry.join(slot, room));
    }

    pub(super) fn leave(&mut self, slot: Slot, rooms: &[Cow<'_, str>]) {
        rooms
            .iter()
            .for_each(|room| self.registry.leave(slot, room));
    }
}

impl Namespace {
    /// The same for many.
    pub(super) fn each(
        &self,
        state: &mut State,
        sockets: &Sockets<'_>,
        context: &mut Context<'_, '_>,
    ) {
        let mut reached = std::mem::take(&mut context.outgoing.reached);
        reached.clear();
        state
            .registry
            .reach(&sockets.rooms, &sockets.except, |slot, _| {
                reached.push(slot)
            });
        for slot in &reached {
            state.join(*slot, &sockets.join);
            state.leave(*slot, &sockets.leave);
            if let Some(close) = sockets.disconnect {
                self.kick(state, *slot, close, context);
            }
        }
        context.outgoing.reached = reached;
    }

    /// Disconnects a socket, and with `close` all of its connection.
    pub(super) fn kick(
        &self,
        state: &mut State,
        slot: Slot,
        close: bool,
        context: &mut Context<'_, '_>,
    ) {
        let reason = reason::SERVER_NAMESPACE_DISCONNECT;
        let Some(socket) = self.take_out(state, slot, reason) else {
            return;
        };
        context
            .outgoing
            .send(socket, &Message::text(&self.disconnect_packet));
        if close {
            let effect = Effect::Kick(socket.connection.clone());
            context.outgoing.effects.push(effect);
        }
    }

    /// Ends a socket that is in the namespace: its connection has it no more, and the app hears
    /// that it left. The client hears nothing yet.
    pub(super) fn take_out<'s>(
        &self,
        state: &'s mut State,
        slot: Slot,
        reason: &'static str,
    ) -> Option<&'s mut Socket> {
        let State {
            registry,
            queue,
            pending_acks,
            ..
        } = state;
        let socket = registry.get(slot)?;
        if !matches!(socket.phase, Phase::In) {
            return None;
        }
        socket.connection.lock().leave(self, socket.place);
        self.disconnect(queue, pending_acks, socket, reason);
        Some(socket)
    }

    /// A socket that is in the namespace leaves it: the app hears of that, and who waited for its acknowledgement.
    pub(super) fn disconnect(
        &self,
        queue: &mut Queue,
        pending_acks: &mut PendingAcks,
        socket: &mut Socket,
        reason: &'static str,
    ) {
        socket.phase = Phase::Left;
        for outcome in pending_acks.left(socket) {
            self.conclude(queue, outcome);
        }
        queue.push_disconnect(socket, reason);
        self.core.metrics.sockets.down();
        self.log_disconnect(socket, reason);
    }

    pub(super) fn log_disconnect(&self, socket: &Socket, reason: &str) {
        let connection = socket.connection.id.shown();
        tracing::info!(namespace = &*self.name, socket = %socket.id, connection, reason, "socket disconnected");
    }
}
