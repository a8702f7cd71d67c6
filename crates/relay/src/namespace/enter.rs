//! Who is let into the namespace and who is not: the app's answers to `connect` events. A client that
//! resumes an earlier session takes its socket's id and rooms from whoever had them.

use parlour_protocol::relay::{Accept, Missed, Page, Recovered, Refuse};
use parlour_protocol::socket;
use serde_json::value::RawValue;

use super::batch::Batch;
use super::context::Context;
use super::effect::Effect;
use super::offsets;
use super::registry::{Expires, Phase, Socket};
use super::state::{Namespace, State};
use crate::connection::Slot;
use crate::core::reason;
use crate::core::sid::Sid;
use crate::wire::message::Message;

/// What clients hear of events that the app cannot handle.
pub const INTERNAL: &str = "internal";

impl Namespace {
    pub(super) fn accept(
        &self,
        state: &mut State,
        accept: &Accept<'_>,
        context: &mut Context<'_, '_>,
    ) {
        let Some(slot) = connecting(state, &accept.socket) else {
            return;
        };
        if accept.pid.is_some() {
            state.has_sessions = true;
        }
        if let Some(recovered) = &accept.recovered
            && !self.resume(state, slot, recovered)
        {
            return self.refuse_internal(state, slot, context);
        }
        let State {
            registry, queue, ..
        } = state;
        let Some(socket) = registry.get(slot) else {
            return;
        };
        let Phase::Connecting(entering) = std::mem::replace(&mut socket.phase, Phase::In) else {
            return;
        };
        socket.set_state(accept.state.map(|state| state.get().into()));
        socket.has_session = accept.pid.is_some();
        if let Some(reason) = entering.left {
            // The client did not wait for it; the app has to know.
            socket.phase = Phase::Left;
            queue.push_disconnect(socket, reason);
            self.log_disconnect(socket, reason);
            return;
        }
        self.core.metrics.sockets.up();
        self.has_metrics();
        let connection = socket.connection.id.shown();
        let recovered = accept.recovered.as_deref();
        tracing::info!(
            namespace = &*self.name,
            socket = %socket.id,
            connection,
            recovered = recovered.is_some(),
            "socket connected"
        );
        let before = socket.connection.lock().entered(self, socket.place);
        socket.expires = Expires::accepted(accept.expires);
        self.expect_expiry(socket);
        if let Some(recovered) = recovered {
            self.send_missed(socket, &recovered.missed, context);
        }
        let packet = socket::connect(&self.name, socket.id.as_str(), accept.pid.as_deref());
        context.outgoing.send(socket, &Message::text(&packet));
        for event in entering.held() {
            queue.push_held(socket, event);
        }
        if let Some(before) = before {
            // The client has asked twice. It knows the socket that it was told of last, and no other.
            self.take_out(state, before.slot, reason::CLIENT_NAMESPACE_DISCONNECT);
        }
    }

    /// A client that has missed much gets some of it, before it is let in.
    pub(super) fn page<'c>(
        &self,
        state: &mut State,
        page: &'c Page<'c>,
        context: &mut Context<'_, 'c>,
    ) {
        let Some(slot) = connecting(state, &page.socket) else {
            return;
        };
        if let Some(socket) = state.registry.get(slot) {
            self.send_missed(socket, &page.missed, context);
            context.paged.push((slot, page.progress));
        }
    }

    /// Those who got a page ask for the next one. The app has changed nothing for them yet: who has gone
    /// meanwhile is forgotten.
    pub(super) fn connect_again(
        &self,
        state: &mut State,
        batch: &Batch,
        context: &Context<'_, '_>,
    ) {
        if context.paged.is_empty() {
            return;
        }
        let State {
            registry,
            recoveries,
            ..
        } = state;
        for (slot, progress) in &context.paged {
            let Some(socket) = registry.get(*slot) else {
                continue;
            };
            match &socket.phase {
                Phase::Connecting(entering) if entering.left.is_some() => {
                    drop(registry.remove(*slot))
                }
                Phase::Connecting(_) => match batch.connect_again(socket.place) {
                    Some(mut again) => {
                        again.connect.note_progress(progress);
                        recoveries.push_connect_again(socket, again);
                    }
                    None => {
                        tracing::error!(socket = %socket.id, "the app pages a socket that did not ack_request to enter")
                    }
                },
                Phase::In | Phase::Left => {}
            }
        }
    }

    /// Sends a client what it has missed.
    fn send_missed(
        &self,
        socket: &mut Socket,
        missed: &[Missed<'_>],
        context: &mut Context<'_, '_>,
    ) {
        if !missed.is_empty() {
            self.feeding.add(&socket.connection);
        }
        for missed in missed {
            let message = Message {
                head: &self.event_head(missed.attachments.len()),
                data: missed.data.get(),
                tail: "",
                attachments: &missed.attachments,
            };
            let tail = offsets::tail(missed.data.get(), Some(missed.offset));
            context.outgoing.send(socket, &message.ending(&tail));
        }
    }

    /// Gives a socket that connects the id and the rooms of an earlier one. False: there is no such id.
    fn resume(&self, state: &mut State, slot: Slot, recovered: &Recovered<'_>) -> bool {
        let Some(id) = Sid::parse(&recovered.id) else {
            tracing::error!(
                namespace = &*self.name,
                id = &*recovered.id,
                "the app recovers a session whose id is none"
            );
            return false;
        };
        if let Some(before) = state.registry.rename(slot, id) {
            // The session of a socket whose client is not known to be gone was resumed by another connection.
            // The app hears that it left, as it will of one that had left already; its client hears nothing.
            self.take_out(state, before, reason::TRANSPORT_CLOSE);
        }
        for room in &recovered.rooms {
            state.registry.join(slot, room);
        }
        true
    }

    pub(super) fn refuse(
        &self,
        state: &mut State,
        refuse: &Refuse<'_>,
        context: &mut Context<'_, '_>,
    ) {
        if let Some(slot) = connecting(state, &refuse.socket) {
            self.refuse_slot(state, slot, &refuse.message, refuse.data, context);
        }
    }

    /// The app has made a mistake.
    pub(super) fn refuse_internal(
        &self,
        state: &mut State,
        slot: Slot,
        context: &mut Context<'_, '_>,
    ) {
        self.refuse_slot(state, slot, INTERNAL, None, context);
    }

    fn refuse_slot(
        &self,
        state: &mut State,
        slot: Slot,
        message: &str,
        data: Option<&RawValue>,
        context: &mut Context<'_, '_>,
    ) {
        let Some(socket) = state.registry.get(slot) else {
            return;
        };
        let Phase::Connecting(entering) = &socket.phase else {
            return;
        };
        if !entering.held().is_empty() {
            let effect = Effect::InvalidState(socket.connection.clone());
            context.outgoing.effects.push(effect);
        }
        let packet = socket::connect_error(&self.name, message, data);
        context.outgoing.send(socket, &Message::text(&packet));
        socket.connection.lock().leave(self, socket.place);
        state.registry.remove(slot);
    }
}

/// The socket of this id, if it waits for the app's answer.
pub(super) fn connecting(state: &mut State, id: &str) -> Option<Slot> {
    let slot = state.registry.find(id)?;
    let socket = state.registry.get(slot)?;
    matches!(socket.phase, Phase::Connecting(_)).then_some(slot)
}
