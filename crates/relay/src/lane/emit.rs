//! Events and acknowledgements on their way to clients: who gets one, with what around its JSON.

use std::borrow::Cow;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use parlour_protocol::relay::{Ack, AckRequest, Command, Emit, MAX_ACK_TIMEOUT};
use parlour_protocol::socket::{Head, Kind};
use rustc_hash::FxHashSet;

use super::apply::{Afterwards, Run};
use super::asks::{AskId, Asker};
use super::offsets;
use super::outgoing::{Broadcast, Outgoing};
use super::{Lane, State};
use crate::config::REPORT_WAIT;
use crate::hub::{Hub, Phase, Slot};
use crate::message::Message;
use crate::shared::Shared;
use crate::sid::Sid;

impl Lane {
    /// Emits what is in no log, from outside a batch, before all that waits. Returns for how many sockets it was.
    pub fn publish(&self, shared: &Arc<Shared>, emit: &Emit<'_>) -> usize {
        let mut outgoing = Outgoing::default();
        let mut state = self.lock();
        outgoing.begin(&mut state.runs);
        let receivers = self.emit(shared, &mut state, emit, &mut outgoing);
        drop(state);
        outgoing.flush(shared);
        receivers
    }

    /// The same for what another relay tells.
    pub fn emit_volatile(&self, shared: &Arc<Shared>, commands: &[Command<'_>]) {
        for command in commands {
            match command {
                Command::Emit(emit) if emit.ack.is_none() => drop(self.publish(shared, emit)),
                _ => tracing::warn!(
                    namespace = &*self.namespace,
                    "the bus brought a command that has no place in the log"
                ),
            }
        }
    }

    /// Sends an event to those it is for; returns how many they are.
    pub(super) fn emit(
        &self,
        shared: &Shared,
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
        let mut broadcast = Broadcast::new(message.ending(&tail));
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

    /// An event's packet up to its JSON.
    pub(super) fn event_head(&self, attachments: usize) -> Cow<'_, str> {
        if attachments == 0 {
            return Cow::Borrowed(&self.event_head);
        }
        let head = Head {
            kind: Kind::Event,
            attachments,
            namespace: &self.namespace,
            id: None,
        };
        head.to_string().into()
    }

    /// Sends an event that each receiver has to acknowledge. Where the log says who is asked, it also says by which
    /// relay; else this is the only one.
    pub(super) fn emit_with_ack(
        &self,
        state: &mut State,
        emit: &Emit<'_>,
        request: &AckRequest<'_>,
        run: &mut Run<'_, '_>,
    ) {
        let own = &*run.shared.config.relay;
        let is_own = emit.asker.as_deref().is_none_or(|asker| asker == own);
        let (mut here, mut missing, mut elsewhere) = (Vec::new(), Vec::new(), FxHashSet::default());
        match &emit.asked {
            None => state
                .hub
                .reach(&emit.rooms, &emit.except, |slot, _| here.push(slot)),
            Some(asked) => {
                for (socket, relay) in asked {
                    let id = Sid::parse(socket);
                    if **relay == *own {
                        let slot = state.hub.find(socket).filter(|slot| state.hub.is_in(*slot));
                        match slot {
                            Some(slot) => here.push(slot),
                            None => missing.extend(id),
                        }
                    } else if is_own {
                        elsewhere.extend(id);
                    }
                }
            }
        }
        let asker = match &emit.asker {
            Some(asker) if !is_own => Asker::Relay((&**asker).into()),
            _ => Asker::app(request),
        };
        if !is_own && here.is_empty() && missing.is_empty() {
            return;
        }
        let ask = state.asks.open(emit.offset, asker, elsewhere, missing);
        for slot in here {
            self.ask_one(state, slot, ask, emit, run);
        }
        self.wait_for(state, ask, request, run);
    }

    /// Each receiver gets an id of its own.
    fn ask_one(
        &self,
        state: &mut State,
        slot: Slot,
        ask: AskId,
        emit: &Emit<'_>,
        run: &mut Run<'_, '_>,
    ) {
        let State { hub, asks, .. } = state;
        let Some(socket) = hub.get(slot) else { return };
        if emit.volatile && !socket.connection.is_writable() {
            run.shared.metrics.volatile_drops.add(1);
            return;
        }
        let id = asks.expect(ask, socket);
        let mut head = self.event_head(emit.attachments.len()).into_owned();
        let _ = write!(head, "{id}");
        let message = Message {
            head: &head,
            data: emit.data.get(),
            tail: "",
            attachments: &emit.attachments,
        };
        run.outgoing.send(socket, &message);
    }

    fn wait_for(
        &self,
        state: &mut State,
        ask: AskId,
        request: &AckRequest<'_>,
        run: &mut Run<'_, '_>,
    ) {
        if let Some(outcome) = state.asks.settled(ask) {
            self.conclude(run.shared, &mut state.queue, outcome);
            self.work.notify_one();
            return;
        }
        let timeout = Duration::from_millis(request.timeout.min(MAX_ACK_TIMEOUT));
        run.afterwards(Afterwards::Ask(ask, timeout));
    }

    /// Ends an ask when its time is over.
    pub(super) fn time(&self, shared: &Arc<Shared>, ask: AskId, timeout: Duration) {
        let lane = shared.with_lane(&self.namespace, Arc::clone);
        let shared = shared.clone();
        tokio::spawn(async move {
            tokio::time::sleep(timeout).await;
            if lane.end_ask(&shared, ask) {
                tokio::time::sleep(REPORT_WAIT).await;
                lane.end_ask_elsewhere(&shared, ask);
            }
        });
    }

    pub(super) fn ack(&self, hub: &mut Hub, ack: &Ack<'_>, outgoing: &mut Outgoing) {
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
            tail: "",
            attachments: &ack.attachments,
        };
        outgoing.send(socket, &message);
    }
}
