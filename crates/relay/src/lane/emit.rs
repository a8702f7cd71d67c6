//! Events and acknowledgements on their way to clients: who gets one, with what around its JSON.

use std::borrow::Cow;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use parlour_protocol::relay::{Ack, AckRequest, Command, Emit, MAX_ACK_TIMEOUT};
use parlour_protocol::socket::{Head, Kind};

use super::apply::{Afterwards, Run};
use super::asks::{AskId, Asker};
use super::outgoing::{Broadcast, Outgoing};
use super::{Lane, State};
use crate::bus::Report;
use crate::config::{MAX_REPORTED_IDS, REPORT_WAIT};
use crate::hub::{Hub, Phase};
use crate::message::Message;
use crate::shared::Shared;

impl Lane {
    /// Emits to the namespace's sockets from outside a batch, before all that waits. Returns how many there were.
    pub fn publish(&self, shared: &Arc<Shared>, source: &str, emit: &Emit<'_>) -> usize {
        let mut outgoing = Outgoing::default();
        let mut state = self.lock();
        outgoing.begin(&mut state.runs);
        state.offsets.set_others(Some(0));
        let receivers = self.emit(shared, &mut state, emit, source, &mut outgoing);
        drop(state);
        outgoing.flush(shared);
        receivers
    }

    /// Sends an event to those it is for; returns how many they are. One that came back and was given it
    /// then, as it was on its way, is left out.
    pub(super) fn emit(
        &self,
        shared: &Shared,
        state: &mut State,
        emit: &Emit<'_>,
        source: &str,
        outgoing: &mut Outgoing,
    ) -> usize {
        let head = self.event_head(emit.attachments.len());
        let State { hub, offsets, .. } = state;
        let tail = offsets.tail(emit, source);
        let message = Message {
            head: &head,
            data: emit.data.get(),
            tail: "",
            attachments: &emit.attachments,
        };
        let mut broadcast = Broadcast::new(message.ending(&tail));
        let offset = emit.offset.filter(|_| !emit.volatile);
        let mut receivers = 0;
        hub.reach(&emit.rooms, &emit.except, |_, socket| {
            if offset.is_some_and(|offset| offset <= socket.floor) {
                return;
            }
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

    /// Sends an event that each receiver has to acknowledge, here and, if the app asks, at other relays.
    pub(super) fn emit_with_ack(
        &self,
        state: &mut State,
        emit: &Emit<'_>,
        request: &AckRequest<'_>,
        command: &Command<'_>,
        run: &mut Run<'_, '_>,
    ) {
        let is_elsewhere = match &emit.rooms[..] {
            // A socket is in one place.
            [room] => state.hub.find(room).is_none(),
            _ => true,
        };
        let others = match is_elsewhere && !emit.local {
            true => run.shared.commits.present(),
            false => Vec::new(),
        };
        let is_alone = others.is_empty();
        let ask = state.asks.open(Asker::app(request), others);
        if !is_alone {
            run.shared.ask(&self.namespace, ask, command);
        }
        self.send_with_ack(state, ask, emit, run);
        self.wait_for(state, ask, request, run);
    }

    /// The same for another relay, which is told whom that asks.
    pub(super) fn emit_for_relay(
        &self,
        state: &mut State,
        emit: &Emit<'_>,
        request: &AckRequest<'_>,
        (relay, number): (&str, AskId),
        run: &mut Run<'_, '_>,
    ) {
        let asker = Asker::Relay(relay.into(), number);
        let ask = state.asks.open(asker, Vec::new());
        self.send_with_ack(state, ask, emit, run);
        for ids in state.asks.asked(ask).chunks(MAX_REPORTED_IDS) {
            let asked = Report::Asked(ids.to_vec());
            run.shared.report(&self.namespace, relay, number, &asked);
        }
        self.wait_for(state, ask, request, run);
    }

    /// Each receiver gets an id of its own.
    fn send_with_ack(&self, state: &mut State, ask: AskId, emit: &Emit<'_>, run: &mut Run<'_, '_>) {
        let State { hub, asks, .. } = state;
        let event = self.event_head(emit.attachments.len());
        let mut head = String::new();
        hub.reach(&emit.rooms, &emit.except, |_, socket| {
            if emit.volatile && !socket.connection.is_writable() {
                run.shared.metrics.volatile_drops.add(1);
                return;
            }
            let id = asks.expect(ask, socket);
            head.clear();
            let _ = write!(head, "{event}{id}");
            let message = Message {
                head: &head,
                data: emit.data.get(),
                tail: "",
                attachments: &emit.attachments,
            };
            run.outgoing.send(socket, &message);
        });
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
