//! Events and acknowledgements on their way to clients: who gets one, with what around its JSON.

use std::borrow::Cow;
use std::fmt::Write;

use parlour_protocol::relay::{Ack, Command, Emit};
use parlour_protocol::socket::{Head, Kind};

use super::offsets;
use super::outgoing::{Broadcast, Outgoing};
use super::registry::{Phase, Registry};
use super::state::{Namespace, State};
use crate::wire::message::Message;

impl Namespace {
    /// Emits what is in no log, from outside a batch, before all that waits. Returns for how many sockets it was.
    pub fn publish(&self, emit: &Emit<'_>, outgoing: &mut Outgoing) -> usize {
        let mut state = self.lock();
        outgoing.begin(&mut state.runs);
        let receivers = self.emit(&mut state, emit, outgoing);
        drop(state);
        outgoing.flush(&self.core);
        receivers
    }

    /// The same for what another relay tells.
    pub fn emit_volatile(&self, commands: &[Command<'_>], outgoing: &mut Outgoing) {
        for command in commands {
            match command {
                Command::Emit(emit) if emit.ack.is_none() => drop(self.publish(emit, outgoing)),
                _ => tracing::warn!(
                    namespace = &*self.name,
                    "the bus brought a command that has no place in the log"
                ),
            }
        }
    }

    /// Sends an event to those it is for; returns how many they are.
    pub(super) fn emit(
        &self,
        state: &mut State,
        emit: &Emit<'_>,
        outgoing: &mut Outgoing,
    ) -> usize {
        let head = self.event_head(emit.attachments.len());
        let tail = match state.has_sessions {
            true => offsets::tail(emit.data.get(), emit.offset),
            false => "".into(),
        };
        let message = Message {
            head: &head,
            data: emit.data.get(),
            tail: "",
            attachments: &emit.attachments,
        };
        // Clients that have no session take no argument for an offset: they get what was emitted. Each of the two texts is
        // written once, and only if somebody gets it.
        let mut plain = Broadcast::new(message);
        let mut with_tail = Broadcast::new(message.ending(&tail));
        let mut receivers = 0;
        state
            .registry
            .reach(&emit.rooms, &emit.except, |_, socket| {
                receivers += 1;
                if emit.volatile && !socket.connection.is_writable() {
                    self.core.metrics.volatile_drops.add(1);
                } else if socket.has_session && !tail.is_empty() {
                    outgoing.send_broadcast(socket, &mut with_tail);
                } else {
                    outgoing.send_broadcast(socket, &mut plain);
                }
            });
        receivers
    }

    /// An event's packet up to its JSON.
    pub(super) fn event_head(&self, attachments: usize) -> Cow<'_, str> {
        if attachments == 0 {
            return Cow::Borrowed(&self.event_head);
        }
        let head = Head {
            kind: Kind::Event,
            attachments,
            namespace: &self.name,
            id: None,
        };
        head.to_string().into()
    }

    pub(super) fn ack(&self, registry: &mut Registry, ack: &Ack<'_>, outgoing: &mut Outgoing) {
        let Some(socket) = registry
            .find(&ack.socket)
            .and_then(|slot| registry.get(slot))
        else {
            return;
        };
        // Who has left meanwhile hears it all the same, as with the reference, if it is still there: it may be in again
        // as another socket.
        if matches!(socket.phase, Phase::Connecting(_)) {
            return;
        }
        let odd = socket.odd_acks.as_mut().and_then(|odd| odd.take(ack.id));
        let attachments = ack.attachments.len();
        let head = Head {
            kind: Kind::Ack,
            attachments,
            namespace: &self.name,
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
            tail: "",
            attachments: &ack.attachments,
        };
        outgoing.send(socket, &message);
    }
}
