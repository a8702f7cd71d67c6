//! What the app does to sockets that are in the namespace: it moves them between rooms, gives them
//! state, disconnects them.

use std::borrow::Cow;

use parlour_protocol::relay::Sockets;

use super::apply::{Afterwards, Run};
use super::{Lane, State};
use crate::hub::{Phase, Slot, Socket};
use crate::message::Message;
use crate::reason;

impl State {
    pub(super) fn join(&mut self, slot: Slot, rooms: &[Cow<'_, str>]) {
        rooms.iter().for_each(|room| self.hub.join(slot, room));
    }

    pub(super) fn leave(&mut self, slot: Slot, rooms: &[Cow<'_, str>]) {
        rooms.iter().for_each(|room| self.hub.leave(slot, room));
    }
}

impl Lane {
    /// The same for many.
    pub(super) fn each(&self, state: &mut State, sockets: &Sockets<'_>, run: &mut Run<'_, '_>) {
        let mut reached = std::mem::take(&mut run.outgoing.reached);
        reached.clear();
        state.hub.reach(&sockets.rooms, &sockets.except, |slot, _| {
            reached.push(slot)
        });
        for slot in &reached {
            state.join(*slot, &sockets.join);
            state.leave(*slot, &sockets.leave);
            if let Some(close) = sockets.disconnect {
                self.kick(state, *slot, close, run);
            }
        }
        run.outgoing.reached = reached;
    }

    /// Disconnects a socket, and with `close` all of its connection.
    pub(super) fn kick(&self, state: &mut State, slot: Slot, close: bool, run: &mut Run<'_, '_>) {
        let reason = reason::SERVER_NAMESPACE_DISCONNECT;
        let Some(socket) = self.take_out(state, slot, reason, run) else {
            return;
        };
        run.outgoing
            .send(socket, &Message::text(&self.disconnect_packet));
        if close {
            run.afterwards(Afterwards::Kick(socket.connection.clone()));
        }
    }

    /// Ends a socket that is in the namespace: its connection has it no more, and the app hears
    /// that it left. The client hears nothing yet.
    pub(super) fn take_out<'s>(
        &self,
        state: &'s mut State,
        slot: Slot,
        reason: &'static str,
        run: &Run<'_, '_>,
    ) -> Option<&'s mut Socket> {
        let State {
            hub, queue, asks, ..
        } = state;
        let socket = hub.get(slot)?;
        if !matches!(socket.phase, Phase::In) {
            return None;
        }
        socket.connection.lock().leave(self, socket.place);
        self.disconnect(run.shared, queue, asks, socket, reason);
        Some(socket)
    }
}
