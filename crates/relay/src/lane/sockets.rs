//! What the app does to sockets that are in the namespace: it moves them between rooms, gives them
//! state, disconnects them.

use std::borrow::Cow;

use parlour_protocol::relay::Sockets;

use super::apply::{Afterwards, Run};
use super::{Lane, State};
use crate::hub::{Phase, Slot};
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
        let State {
            hub, queue, asks, ..
        } = state;
        let Some(socket) = hub.get(slot) else { return };
        if !matches!(socket.phase, Phase::In) {
            return;
        }
        run.outgoing
            .send(socket, &Message::text(&self.disconnect_packet));
        socket.connection.lock().leave(self, socket.place);
        let reason = reason::SERVER_NAMESPACE_DISCONNECT;
        self.disconnect(run.shared, queue, asks, socket, reason);
        if close {
            run.afterwards(Afterwards::Kick(socket.connection.clone()));
        }
    }
}
