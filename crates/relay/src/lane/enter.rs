//! Who is let into the namespace and who is not: the app's answers to `connect` events. A client that
//! takes up an earlier session takes its socket's id and rooms from whoever had them.

use parlour_protocol::relay::{Accept, Missed, Page, Recovered, Refuse};
use parlour_protocol::socket;
use serde_json::value::RawValue;

use super::apply::{Afterwards, INTERNAL, Run};
use super::batch::Batch;
use super::{Lane, State, offsets};
use crate::hub::{Expires, Phase, Slot, Socket};
use crate::message::Message;
use crate::reason;
use crate::sid::Sid;

impl Lane {
    pub(super) fn accept(&self, state: &mut State, accept: &Accept<'_>, run: &mut Run<'_, '_>) {
        let Some(slot) = connecting(state, &accept.socket) else {
            return;
        };
        if accept.pid.is_some() {
            state.has_sessions = true;
        }
        if let Some(recovered) = &accept.recovered
            && !self.take_up(state, slot, recovered, run)
        {
            return self.refuse_internal(state, slot, run);
        }
        let State { hub, queue, .. } = state;
        let Some(socket) = hub.get(slot) else { return };
        let Phase::Connecting(entering) = std::mem::replace(&mut socket.phase, Phase::In) else {
            return;
        };
        socket.set_state(accept.state.map(|state| state.get().into()));
        if let Some(reason) = entering.left {
            // The client did not wait for it; the app has to know.
            socket.phase = Phase::Left;
            queue.push_disconnect(socket, reason);
            self.log_disconnect(socket, reason);
            return;
        }
        run.shared.metrics.sockets.up();
        self.has_metrics(run.shared);
        let connection = socket.connection.id.shown();
        let recovered = accept.recovered.as_deref();
        tracing::info!(
            namespace = &*self.namespace,
            socket = %socket.id,
            connection,
            recovered = recovered.is_some(),
            "socket connected"
        );
        socket.connection.lock().joined = true;
        socket.expires = Expires::accepted(accept.expires);
        run.shared.expect_expiry(&socket.connection, socket.expires);
        if let Some(recovered) = recovered {
            self.send_missed(socket, &recovered.missed, run);
        }
        let packet = socket::connect(&self.namespace, socket.id.as_str(), accept.pid.as_deref());
        run.outgoing.send(socket, &Message::text(&packet));
        for event in entering.held() {
            queue.push_held(socket, event);
        }
    }

    /// A client that has missed much gets some of it, before it is let in.
    pub(super) fn page<'c>(&self, state: &mut State, page: &'c Page<'c>, run: &mut Run<'_, 'c>) {
        let Some(slot) = connecting(state, &page.socket) else {
            return;
        };
        if let Some(socket) = state.hub.get(slot) {
            self.send_missed(socket, &page.missed, run);
            run.paged.push((slot, page.progress));
        }
    }

    /// Those who got a page ask for the next one. The app has changed nothing for them yet: who has gone
    /// meanwhile is forgotten.
    pub(super) fn connect_again(&self, state: &mut State, batch: &Batch, run: &Run<'_, '_>) {
        if run.paged.is_empty() {
            return;
        }
        let State {
            hub, recoveries, ..
        } = state;
        for (slot, progress) in &run.paged {
            let Some(socket) = hub.get(*slot) else {
                continue;
            };
            match &socket.phase {
                Phase::Connecting(entering) if entering.left.is_some() => drop(hub.remove(*slot)),
                Phase::Connecting(_) => match batch.connect_event(socket.place) {
                    Some(event) => recoveries.push_connect_for_more(socket, &event, progress),
                    None => {
                        tracing::error!(socket = %socket.id, "the app pages a socket that did not ask to enter")
                    }
                },
                Phase::In | Phase::Left => {}
            }
        }
    }

    /// Sends a client what it has missed.
    fn send_missed(&self, socket: &mut Socket, missed: &[Missed<'_>], run: &mut Run<'_, '_>) {
        if !missed.is_empty() {
            run.shared.feeding.add(&socket.connection);
        }
        for missed in missed {
            let message = Message {
                head: &self.event_head(missed.attachments.len()),
                data: missed.data.get(),
                tail: "",
                attachments: &missed.attachments,
            };
            let tail = offsets::tail(missed.data.get(), Some(missed.offset));
            run.outgoing.send(socket, &message.ending(&tail));
        }
    }

    /// Gives a socket that connects the id and the rooms of an earlier one. False: there is no such id.
    fn take_up(
        &self,
        state: &mut State,
        slot: Slot,
        recovered: &Recovered<'_>,
        run: &Run<'_, '_>,
    ) -> bool {
        let Some(id) = Sid::parse(&recovered.id) else {
            tracing::error!(
                namespace = &*self.namespace,
                id = &*recovered.id,
                "the app recovers a session whose id is none"
            );
            return false;
        };
        if let Some(before) = state.hub.rename(slot, id) {
            self.give_way(state, before, run);
        }
        for room in &recovered.rooms {
            state.hub.join(slot, room);
        }
        true
    }

    /// The session of a socket whose client is not known to be gone was taken up by another connection.
    /// The app hears that it left, as it will of one that had left already; its client hears nothing.
    fn give_way(&self, state: &mut State, slot: Slot, run: &Run<'_, '_>) {
        self.take_out(state, slot, reason::TRANSPORT_CLOSE, run);
    }

    pub(super) fn refuse(&self, state: &mut State, refuse: &Refuse<'_>, run: &mut Run<'_, '_>) {
        if let Some(slot) = connecting(state, &refuse.socket) {
            self.refuse_slot(state, slot, &refuse.message, refuse.data, run);
        }
    }

    /// The app has made a mistake.
    pub(super) fn refuse_internal(&self, state: &mut State, slot: Slot, run: &mut Run<'_, '_>) {
        self.refuse_slot(state, slot, INTERNAL, None, run);
    }

    fn refuse_slot(
        &self,
        state: &mut State,
        slot: Slot,
        message: &str,
        data: Option<&RawValue>,
        run: &mut Run<'_, '_>,
    ) {
        let Some(socket) = state.hub.get(slot) else {
            return;
        };
        let Phase::Connecting(entering) = &socket.phase else {
            return;
        };
        if !entering.held().is_empty() {
            run.afterwards(Afterwards::InvalidState(socket.connection.clone()));
        }
        let packet = socket::connect_error(&self.namespace, message, data);
        run.outgoing.send(socket, &Message::text(&packet));
        socket.connection.lock().leave(self, socket.place);
        state.hub.remove(slot);
    }
}

/// The socket of this id, if it waits for the app's answer.
pub(super) fn connecting(state: &mut State, id: &str) -> Option<Slot> {
    let slot = state.hub.find(id)?;
    let socket = state.hub.get(slot)?;
    matches!(socket.phase, Phase::Connecting(_)).then_some(slot)
}
