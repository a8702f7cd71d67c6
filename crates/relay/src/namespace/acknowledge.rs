//! Events that clients have to acknowledge: who is asked, how that ends, and who is told what came of it.

use std::fmt::Write;
use std::sync::MutexGuard;
use std::time::Duration;

use parlour_protocol::relay::{self, AckRequest, Emit, MAX_ACK_TIMEOUT};
use rustc_hash::FxHashSet;

use super::batch::Queue;
use super::context::Context;
use super::effect::Effect;
use super::expected::AckRequestId;
use super::pending_acks::{self, Outcome, Requester};
use super::state::{Namespace, State};
use crate::connection::Slot;
use crate::core::bus::Report;
use crate::core::ledger::Hold;
use crate::core::sid::Sid;
use crate::wire::message::Message;

impl Namespace {
    /// Sends an event that each receiver has to acknowledge. Where the log says who is asked, it also says by which
    /// relay; else this is the only one.
    pub(super) fn emit_with_ack(
        &self,
        state: &mut State,
        emit: &Emit<'_>,
        request: &AckRequest<'_>,
        context: &mut Context<'_, '_>,
    ) {
        let own = &*self.core.config.relay;
        let is_own = emit.asker.as_deref().is_none_or(|asker| asker == own);
        let (mut here, mut missing, mut elsewhere) = (Vec::new(), Vec::new(), FxHashSet::default());
        match &emit.asked {
            None => state
                .registry
                .reach(&emit.rooms, &emit.except, |slot, _| here.push(slot)),
            Some(asked) => {
                for (socket, relay) in asked {
                    let id = Sid::parse(socket);
                    if **relay == *own {
                        let slot = state
                            .registry
                            .find(socket)
                            .filter(|slot| state.registry.is_in(*slot));
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
        let requester = match &emit.asker {
            Some(asker) if !is_own => Requester::Relay((&**asker).into()),
            _ => Requester::app(request),
        };
        if !is_own && here.is_empty() && missing.is_empty() {
            return;
        }
        let ack_request = state
            .pending_acks
            .open(emit.offset, requester, elsewhere, missing);
        for slot in here {
            self.request_ack(state, slot, ack_request, emit, context);
        }
        self.wait_for(state, ack_request, request, context);
    }

    /// Each receiver gets an id of its own.
    fn request_ack(
        &self,
        state: &mut State,
        slot: Slot,
        ack_request: AckRequestId,
        emit: &Emit<'_>,
        context: &mut Context<'_, '_>,
    ) {
        let State {
            registry,
            pending_acks,
            ..
        } = state;
        let Some(socket) = registry.get(slot) else {
            return;
        };
        if emit.volatile && !socket.connection.is_writable() {
            self.core.metrics.volatile_drops.add(1);
            return;
        }
        let id = pending_acks.expect(ack_request, socket);
        let mut head = self.event_head(emit.attachments.len()).into_owned();
        let _ = write!(head, "{id}");
        let message = Message {
            head: &head,
            data: emit.data.get(),
            tail: "",
            attachments: &emit.attachments,
        };
        context.outgoing.send(socket, &message);
    }

    fn wait_for(
        &self,
        state: &mut State,
        ack_request: AckRequestId,
        request: &AckRequest<'_>,
        context: &mut Context<'_, '_>,
    ) {
        if let Some(outcome) = state.pending_acks.settled(ack_request) {
            self.conclude(&mut state.queue, outcome);
            self.work.notify_one();
            return;
        }
        let timeout = Duration::from_millis(request.timeout.min(MAX_ACK_TIMEOUT));
        context
            .outgoing
            .effects
            .push(Effect::AwaitAcks(ack_request, timeout));
    }

    /// The time to acknowledge is over. True if other relays can still tell of their clients.
    pub fn end_acks(&self, ack_request: AckRequestId) -> bool {
        let mut state = self.lock();
        let State {
            registry,
            pending_acks,
            ..
        } = &mut *state;
        for slot in pending_acks.end_here(ack_request) {
            let socket = registry.get(slot);
            if let Some(expected) = socket.and_then(|socket| socket.expected.as_mut()) {
                expected.forget(ack_request);
            }
        }
        self.settle_acks(state, ack_request)
    }

    /// They cannot any more.
    pub fn end_acks_elsewhere(&self, ack_request: AckRequestId) {
        let mut state = self.lock();
        state.pending_acks.end_elsewhere(ack_request);
        self.settle_acks(state, ack_request);
    }

    /// True if it is not settled.
    fn settle_acks(&self, mut state: MutexGuard<'_, State>, ack_request: AckRequestId) -> bool {
        let outcome = state.pending_acks.settled(ack_request);
        let is_open = state.pending_acks.is_open(ack_request);
        self.conclude_all(state, outcome);
        is_open
    }

    /// Another relay tells what its clients do with what they were asked.
    pub fn hear_report(&self, ack_request: AckRequestId, report: &Report) {
        let mut state = self.lock();
        let outcome = state.pending_acks.report(ack_request, report);
        self.conclude_all(state, outcome);
    }

    /// The same, out of the log.
    pub(super) fn read_report(&self, state: &mut State, report: &relay::Report<'_>) {
        if report.to != *self.core.config.relay {
            return;
        }
        let outcome = match serde_json::from_str(report.report.get()) {
            Ok(told) => state.pending_acks.report(report.number, &told),
            Err(error) => {
                tracing::error!(namespace = self.name(), %error, "cannot read what a relay reports");
                None
            }
        };
        if let Some(outcome) = outcome {
            self.conclude(&mut state.queue, outcome);
        }
    }

    fn conclude_all(
        &self,
        mut state: MutexGuard<'_, State>,
        outcomes: impl IntoIterator<Item = Outcome>,
    ) {
        for outcome in outcomes {
            self.conclude(&mut state.queue, outcome);
        }
        drop(state);
        self.work.notify_one();
    }

    /// Tells who has asked.
    pub(super) fn conclude(&self, queue: &mut Queue, outcome: Outcome) {
        match outcome {
            Outcome::App(event) => {
                let charge = self.core.common.charge(Hold::Passing, event.len());
                queue.push_acks(&event, charge);
            }
            Outcome::Relay(relay, ack_request, replies, missing) => {
                for report in pending_acks::reports(replies, &missing) {
                    if self.core.must_ask() {
                        // Only the log connects the two.
                        self.push_report(queue, &relay, ack_request, &report);
                    } else {
                        self.core.report(&self.name, &relay, ack_request, &report);
                    }
                }
            }
        }
    }

    fn push_report(&self, queue: &mut Queue, to: &str, number: AckRequestId, report: &Report) {
        let report = serde_json::value::to_raw_value(report).expect("its replies are JSON");
        let event = relay::Event::Report(relay::Report {
            to: to.into(),
            number,
            report: &report,
            offset: None,
        });
        let event = serde_json::to_string(&event).expect("it has nothing that is not JSON");
        let charge = self.core.common.charge(Hold::Passing, event.len());
        queue.push_acks(&event, charge);
    }
}
