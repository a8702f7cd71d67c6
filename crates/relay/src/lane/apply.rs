//! Carries out the app's commands, in order: changes the hub, gathers what must be sent, and sends it
//! when the lane is no longer locked.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use parlour_protocol::relay::{
    Accept, Ack, AckRequest, Command, Emit, Kick, MAX_ACK_TIMEOUT, Refuse,
};
use parlour_protocol::socket::{self, AckId, Head, Kind};

use super::asks::AskId;
use super::batch::Batch;
use super::outgoing::{Broadcast, Outgoing};
use super::{Lane, State, Verdict};
use crate::client;
use crate::connection::{Connection, close_kicked};
use crate::hub::{Hub, Phase, Slot};
use crate::message::Message;
use crate::reason;
use crate::shared::Shared;

/// What must wait until the messages are sent and the lane is not locked.
enum Afterwards {
    Kick(Arc<Connection>),
    /// It sent events to a namespace that it was then refused.
    InvalidState(Arc<Connection>),
    /// Acknowledgements are waited for, this long.
    Ask(AskId, Duration),
}

/// What clients hear of events that the app cannot handle.
pub const INTERNAL: &str = "internal";

impl Lane {
    /// Carries out the answer to `batch`.
    pub(super) fn apply(
        &self,
        shared: &Arc<Shared>,
        batch: &Batch,
        commands: &[Command<'_>],
        outgoing: &mut Outgoing,
    ) {
        let mut afterwards = Vec::new();
        let mut state = self.lock();
        outgoing.begin(&mut state.runs);
        for command in commands {
            self.command(shared, &mut state, command, outgoing, &mut afterwards);
        }
        self.settle(&mut state, batch, outgoing, &mut afterwards);
        drop(state);
        shared.metrics.commands.add(commands.len());
        outgoing.flush(shared);
        for after in afterwards {
            match after {
                Afterwards::Kick(connection) => close_kicked(shared, &connection),
                Afterwards::InvalidState(connection) => client::invalid_state(shared, &connection),
                Afterwards::Ask(ask, timeout) => self.time(shared, ask, timeout),
            }
        }
    }

    fn command(
        &self,
        shared: &Arc<Shared>,
        state: &mut State,
        command: &Command<'_>,
        outgoing: &mut Outgoing,
        afterwards: &mut Vec<Afterwards>,
    ) {
        match command {
            Command::Admit(admit) => state.decide(&admit.connection, Verdict::Admitted),
            Command::Reject(reject) => {
                let message = reject.message.to_string();
                state.decide(
                    &reject.connection,
                    Verdict::Rejected {
                        code: reject.code,
                        message,
                    },
                );
            }
            Command::Accept(accept) => self.accept(shared, state, accept, outgoing),
            Command::Refuse(refuse) => self.refuse(state, refuse, outgoing, afterwards),
            Command::Ack(ack) => self.ack(&mut state.hub, ack, outgoing),
            Command::Emit(emit) => match &emit.ack {
                None => {
                    self.emit(shared, state, emit, outgoing);
                    shared.forward(&self.namespace, emit);
                }
                Some(request) => {
                    afterwards.extend(self.emit_with_ack(shared, state, emit, request, outgoing));
                }
            },
            Command::Join(rooms) => {
                if let Some(slot) = state.hub.find(&rooms.socket) {
                    rooms
                        .rooms
                        .iter()
                        .for_each(|room| state.hub.join(slot, room));
                }
            }
            Command::Leave(rooms) => {
                if let Some(slot) = state.hub.find(&rooms.socket) {
                    rooms
                        .rooms
                        .iter()
                        .for_each(|room| state.hub.leave(slot, room));
                }
            }
            Command::State(new) => {
                let slot = state.hub.find(&new.socket);
                if let Some(socket) = slot.and_then(|slot| state.hub.get(slot)) {
                    socket.state = Some(new.state.get().into());
                }
            }
            Command::Disconnect(kick) => self.kick(shared, state, kick, outgoing, afterwards),
        }
    }

    fn accept(
        &self,
        shared: &Shared,
        state: &mut State,
        accept: &Accept<'_>,
        outgoing: &mut Outgoing,
    ) {
        let State { hub, queue, .. } = state;
        let Some(slot) = hub.find(&accept.socket) else {
            return;
        };
        let Some(socket) = hub.get(slot) else { return };
        let Phase::Connecting { held, left } = &mut socket.phase else {
            return;
        };
        let (held, left) = (std::mem::take(held), left.take());
        socket.state = accept.state.map(|state| state.get().into());
        if let Some(reason) = left {
            // The client did not wait for it; the app has to know.
            socket.phase = Phase::Left;
            queue.push_disconnect(slot, socket, reason);
            self.log_disconnect(socket, reason);
            return;
        }
        socket.phase = Phase::In;
        shared.metrics.sockets.up();
        let connection = socket.connection.id.shown();
        tracing::info!(namespace = &*self.namespace, socket = %socket.id, connection, "socket connected");
        socket.connection.lock().joined = true;
        let packet = socket::connect(&self.namespace, &accept.socket, accept.pid.as_deref());
        outgoing.send(socket, &Message::text(&packet));
        for event in held {
            queue.push_held(slot, socket, &event);
        }
    }

    fn refuse(
        &self,
        state: &mut State,
        refuse: &Refuse<'_>,
        outgoing: &mut Outgoing,
        afterwards: &mut Vec<Afterwards>,
    ) {
        let Some(slot) = state.hub.find(&refuse.socket) else {
            return;
        };
        let Some(socket) = state.hub.get(slot) else {
            return;
        };
        let Phase::Connecting { held, .. } = &socket.phase else {
            return;
        };
        if !held.is_empty() {
            afterwards.push(Afterwards::InvalidState(socket.connection.clone()));
        }
        let packet = socket::connect_error(&self.namespace, &refuse.message, refuse.data);
        outgoing.send(socket, &Message::text(&packet));
        socket
            .connection
            .lock()
            .memberships
            .retain(|member| member.socket != socket.id);
        state.hub.remove(slot);
    }

    fn ack(&self, hub: &mut Hub, ack: &Ack<'_>, outgoing: &mut Outgoing) {
        let Some(socket) = hub.find(&ack.socket).and_then(|slot| hub.get(slot)) else {
            return;
        };
        if !matches!(socket.phase, Phase::In) {
            return;
        }
        let odd = socket.odd_acks.as_mut().and_then(|odd| odd.take(ack.id));
        let attachments = ack.attachments.len();
        let head = Head {
            kind: Kind::Ack,
            attachments,
            namespace: &self.namespace,
            id: odd,
        };
        let mut text = String::with_capacity(32);
        let _ = write!(text, "{head}");
        if odd.is_none() {
            text.push_str(itoa::Buffer::new().format(ack.id));
        }
        let message = Message {
            head: &text,
            data: ack.data.get(),
            attachments: &ack.attachments,
        };
        outgoing.send(socket, &message);
    }

    /// Sends an event to those it is for; returns how many they are.
    pub(super) fn emit(
        &self,
        shared: &Shared,
        state: &mut State,
        emit: &Emit<'_>,
        outgoing: &mut Outgoing,
    ) -> usize {
        let binary = (!emit.attachments.is_empty()).then(|| {
            let attachments = emit.attachments.len();
            let id: Option<AckId> = None;
            Head {
                kind: Kind::Event,
                attachments,
                namespace: &self.namespace,
                id,
            }
            .to_string()
        });
        let head = binary.as_deref().unwrap_or(&self.event_head);
        let message = Message {
            head,
            data: emit.data.get(),
            attachments: &emit.attachments,
        };
        let mut broadcast = Broadcast::new(message);
        let mut receivers = 0;
        state.hub.reach(&emit.rooms, &emit.except, |_, socket| {
            receivers += 1;
            if emit.volatile && !socket.connection.is_writable() {
                shared.metrics.volatile_drops.add(1);
            } else {
                outgoing.send_broadcast(socket, &mut broadcast);
            }
        });
        receivers
    }

    /// Sends an event that each receiver has to acknowledge; each gets an id of its own.
    fn emit_with_ack(
        &self,
        shared: &Shared,
        state: &mut State,
        emit: &Emit<'_>,
        request: &AckRequest<'_>,
        outgoing: &mut Outgoing,
    ) -> Option<Afterwards> {
        let State {
            hub, queue, asks, ..
        } = state;
        let ask = asks.open(request);
        let mut head = String::new();
        hub.reach(&emit.rooms, &emit.except, |slot, socket| {
            if emit.volatile && !socket.connection.is_writable() {
                shared.metrics.volatile_drops.add(1);
                return;
            }
            let id = asks.expect(ask, slot, socket);
            head.clear();
            let event = Head {
                kind: Kind::Event,
                attachments: emit.attachments.len(),
                namespace: &self.namespace,
                id: None,
            };
            let _ = write!(head, "{event}{id}");
            let message = Message {
                head: &head,
                data: emit.data.get(),
                attachments: &emit.attachments,
            };
            outgoing.send(socket, &message);
        });
        if let Some(event) = asks.settled(ask) {
            queue.push_acks(&event);
            self.work.notify_one();
            return None;
        }
        let timeout = Duration::from_millis(request.timeout.min(MAX_ACK_TIMEOUT));
        Some(Afterwards::Ask(ask, timeout))
    }

    /// Ends an ask when its time is over.
    fn time(&self, shared: &Arc<Shared>, ask: AskId, timeout: Duration) {
        let lane = shared.with_lane(&self.namespace, Arc::clone);
        tokio::spawn(async move {
            tokio::time::sleep(timeout).await;
            lane.end_ask(ask);
        });
    }

    fn kick(
        &self,
        shared: &Shared,
        state: &mut State,
        kick: &Kick<'_>,
        outgoing: &mut Outgoing,
        afterwards: &mut Vec<Afterwards>,
    ) {
        let State {
            hub, queue, asks, ..
        } = state;
        let Some(slot) = hub.find(&kick.socket) else {
            return;
        };
        let Some(socket) = hub.get(slot) else { return };
        if !matches!(socket.phase, Phase::In) {
            return;
        }
        outgoing.send(socket, &Message::text(&self.disconnect_packet));
        socket
            .connection
            .lock()
            .memberships
            .retain(|member| member.socket != socket.id);
        self.disconnect(
            shared,
            queue,
            asks,
            slot,
            socket,
            reason::SERVER_NAMESPACE_DISCONNECT,
        );
        if kick.close {
            afterwards.push(Afterwards::Kick(socket.connection.clone()));
        }
    }

    /// What an answered batch leaves: sockets that are gone are forgotten, and who was not answered is
    /// refused rather than left to wait.
    fn settle(
        &self,
        state: &mut State,
        batch: &Batch,
        outgoing: &mut Outgoing,
        afterwards: &mut Vec<Afterwards>,
    ) {
        for slot in &batch.leaving {
            state.hub.remove(*slot);
        }
        for (slot, id) in &batch.connecting {
            let unanswered = |hub: &mut Hub| {
                hub.same(*slot, *id)
                    .is_some_and(|socket| matches!(socket.phase, Phase::Connecting { .. }))
            };
            if unanswered(&mut state.hub) {
                tracing::error!(namespace = &*self.namespace, socket = %id, "the app did not answer a connect event");
                self.refuse_internal(state, *slot, outgoing, afterwards);
            }
        }
        for connection in &batch.opening {
            if state.waiting.contains_key(connection) {
                tracing::error!(
                    connection = connection.shown(),
                    "the app did not answer an open event"
                );
                state.decide(connection.as_str(), Verdict::internal());
            }
        }
    }

    fn refuse_internal(
        &self,
        state: &mut State,
        slot: Slot,
        outgoing: &mut Outgoing,
        afterwards: &mut Vec<Afterwards>,
    ) {
        let Some(socket) = state.hub.get(slot) else {
            return;
        };
        let id = socket.id;
        let refuse = Refuse {
            socket: id.as_str().into(),
            message: INTERNAL.into(),
            data: None,
        };
        self.refuse(state, &refuse, outgoing, afterwards);
    }
}

impl State {
    /// Lets a client's handshake go on. It may have gone away meanwhile.
    fn decide(&mut self, connection: &str, verdict: Verdict) {
        let waiting = crate::sid::Sid::parse(connection).and_then(|id| self.waiting.remove(&id));
        if let Some(waiting) = waiting {
            let _ = waiting.send(verdict);
        }
    }
}

impl Verdict {
    /// The app failed at this handshake.
    pub(super) fn internal() -> Verdict {
        Verdict::Rejected {
            code: 3,
            message: "Bad request".into(),
        }
    }
}
