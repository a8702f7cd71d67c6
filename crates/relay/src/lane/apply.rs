//! Carries out the app's commands, in order: changes the hub, gathers what must be sent, and sends it
//! when the lane is no longer locked.

use std::sync::Arc;
use std::time::Duration;

use parlour_protocol::relay::{self, Command, Contest, Emit, Response};
use serde_json::value::RawValue;

use super::asks::{AskId, Asker};
use super::batch::Batch;
use super::outgoing::Outgoing;
use super::{Arrival, Carried, Lane, State, Verdict};
use crate::client;
use crate::commits::UnderWay;
use crate::config::MAX_CARRIED_BYTES;
use crate::connection::{Connection, close_kicked};
use crate::hub::{Place, Slot};
use crate::shared::Shared;
use crate::sid::Sid;

/// What clients hear of events that the app cannot handle.
pub const INTERNAL: &str = "internal";

/// One time that commands are carried out.
pub(super) struct Run<'r, 'c> {
    pub shared: &'r Arc<Shared>,
    pub outgoing: &'r mut Outgoing,
    afterwards: Vec<Afterwards<'c>>,
    /// Who wants a session that somebody has.
    pub contests: Vec<(Place, &'c Contest<'c>)>,
    /// Sockets that connect and are given what they have missed in pages, with what their `connect` event is to
    /// have when it comes again.
    pub paged: Vec<(Slot, &'c RawValue)>,
    /// The commands came over the bus, or from another lane: they do not go to the bus.
    from_bus: bool,
}

/// What must wait until the messages are sent and the lane is not locked.
pub(super) enum Afterwards<'c> {
    Kick(Arc<Connection>),
    /// It sent events to a namespace that it was then refused.
    InvalidState(Arc<Connection>),
    /// Acknowledgements are waited for, this long.
    Ask(AskId, Duration),
    /// Whoever has a session is asked whether it is there, because somebody else wants that session.
    Contest {
        place: Place,
        /// The `connect` event of who wants it.
        event: Box<str>,
        contest: &'c Contest<'c>,
    },
    /// An event for another namespace's sockets.
    Elsewhere {
        namespace: &'c str,
        command: &'c Command<'c>,
    },
}

impl<'c> Run<'_, 'c> {
    pub fn afterwards(&mut self, what: Afterwards<'c>) {
        self.afterwards.push(what);
    }

    /// For the sockets of other relays.
    fn forward(&self, namespace: &str, command: &Command<'_>) {
        if !self.from_bus {
            let source = &self.shared.config.relay;
            self.shared.forward(namespace, source, command);
        }
    }
}

impl Lane {
    /// Carries out the app's answer to `batch`, which has committed it, or the first part of it. The rest is the
    /// next batch.
    pub(super) fn apply(
        &self,
        shared: &Arc<Shared>,
        batch: Batch,
        response: &Response<'_>,
        outgoing: &mut Outgoing,
    ) {
        shared.metrics.batches.add(1);
        shared.commits.answered();
        let batch = match response.done {
            Some(done) if done < batch.count => {
                let (first, mut rest) = batch.split_at(done);
                rest.note_progress(&response.progress);
                self.lock().put_back_rest(rest, done);
                first
            }
            _ => batch,
        };
        self.carry_out_all(shared, &batch, &response.commands, outgoing);
    }

    /// Carries out the commands that answer `batch`.
    pub(super) fn carry_out_all(
        &self,
        shared: &Arc<Shared>,
        batch: &Batch,
        commands: &[Command<'_>],
        outgoing: &mut Outgoing,
    ) {
        shared.metrics.commands.add(commands.len());
        self.run(shared, outgoing, false, |state, run| {
            // What has come from elsewhere meanwhile is sent after this.
            let others = match state.carried.arrivals.is_empty() {
                true => shared.commits.certain(state.under_way),
                false => Some(0),
            };
            state.offsets.set_others(others);
            // Those who leave with this batch receive nothing of it. In a room that many leave at once, each
            // event that says so would pass over all of them.
            for slot in &batch.leaving {
                state.hub.leave_all(*slot);
            }
            for command in commands {
                self.command(state, command, run);
            }
            self.settle(state, batch, run);
        });
    }

    /// Carries out what the app told another relay, or emitted from another namespace: at once, or after the
    /// answer that is waited for. That may be of earlier, and make sockets receive it. `of`: the batch that it
    /// comes of, if that is under way here. `asker`: the relay that wants to know what comes of it. False: too
    /// much is waiting for the answer.
    pub fn carry_out(
        &self,
        shared: &Arc<Shared>,
        source: &str,
        of: Option<UnderWay>,
        asker: Option<Asker>,
        command: &Command<'_>,
    ) -> bool {
        self.run(shared, &mut Outgoing::default(), true, |state, run| {
            if state.in_flight {
                return state.carried.keep(source, asker, command);
            }
            state.offsets.set_others(shared.commits.certain(of));
            self.carry(state, source, asker.as_ref(), command, run);
            true
        })
    }

    /// Carries out what came from elsewhere while a batch was under way. It is over then.
    pub(super) fn catch_up(&self, shared: &Arc<Shared>, outgoing: &mut Outgoing) {
        loop {
            let carried = {
                let mut state = self.lock();
                let carried = std::mem::take(&mut state.carried);
                state.in_flight = !carried.arrivals.is_empty();
                // One of what waits together says nothing of the rest.
                state.offsets.set_others(Some(0));
                carried.arrivals
            };
            if carried.is_empty() {
                return;
            }
            let commands: Vec<Option<Command<'_>>> = carried.iter().map(Arrival::command).collect();
            self.run(shared, outgoing, true, |state, run| {
                for (arrival, command) in carried.iter().zip(&commands) {
                    match (arrival, command) {
                        (Arrival::Command { source, asker, .. }, Some(command)) => {
                            self.carry(state, source, asker.as_ref(), command, run);
                        }
                        (Arrival::Command { .. }, None) => {}
                        (Arrival::Doubt(doubt), _) => state.offsets.doubt(*doubt),
                    }
                }
            });
        }
    }

    fn carry<'c>(
        &self,
        state: &mut State,
        source: &str,
        asker: Option<&Asker>,
        command: &'c Command<'c>,
        run: &mut Run<'_, 'c>,
    ) {
        match command {
            Command::Emit(emit) => match (&emit.ack, asker) {
                (None, None) => {
                    self.emit(run.shared, state, emit, source, run.outgoing);
                }
                (Some(request), Some(Asker::Relay(relay, ask))) => {
                    self.emit_for_relay(state, emit, request, (relay, *ask), run);
                }
                _ => tracing::warn!(
                    namespace = &*self.namespace,
                    "the bus brought an event that asks for acknowledgements, and not for whom"
                ),
            },
            Command::Sockets(_)
            | Command::Join(_)
            | Command::Leave(_)
            | Command::State(_)
            | Command::Disconnect(_) => self.command(state, command, run),
            _ => tracing::warn!(
                namespace = &*self.namespace,
                ?command,
                "the bus brought a command that is for one relay only"
            ),
        }
        if !state.queue.is_empty() {
            self.work.notify_one();
        }
    }

    /// Does what `act` does while the lane is locked, then what must wait.
    pub(super) fn run<'c, T>(
        &self,
        shared: &Arc<Shared>,
        outgoing: &mut Outgoing,
        from_bus: bool,
        act: impl FnOnce(&mut State, &mut Run<'_, 'c>) -> T,
    ) -> T {
        let mut run = Run {
            shared,
            outgoing,
            afterwards: Vec::new(),
            contests: Vec::new(),
            paged: Vec::new(),
            from_bus,
        };
        let mut state = self.lock();
        run.outgoing.begin(&mut state.runs);
        let done = act(&mut state, &mut run);
        shared.commits.note(state.offsets.highest());
        let batch = state.under_way;
        drop(state);
        run.outgoing.flush(shared);
        for after in run.afterwards {
            match after {
                Afterwards::Kick(connection) => close_kicked(shared, &connection),
                Afterwards::InvalidState(connection) => client::invalid_state(shared, &connection),
                Afterwards::Ask(ask, timeout) => self.time(shared, ask, timeout),
                Afterwards::Contest {
                    place,
                    event,
                    contest,
                } => self.contest(shared, place, event, contest),
                Afterwards::Elsewhere { namespace, command } => {
                    let source = relay::source(&shared.config.relay, &self.namespace, namespace);
                    shared.emit_elsewhere(namespace, &source, batch, command);
                }
            }
        }
        done
    }

    fn command<'c>(&self, state: &mut State, command: &'c Command<'c>, run: &mut Run<'_, 'c>) {
        match command {
            Command::Admit(admit) => state.decide(&admit.connection, Verdict::Admitted),
            Command::Reject(reject) => {
                let message = reject.message.to_string();
                let code = reject.code;
                state.decide(&reject.connection, Verdict::Rejected { code, message });
            }
            Command::Accept(accept) => self.accept(state, accept, run),
            Command::Refuse(refuse) => self.refuse(state, refuse, run),
            Command::Contest(contest) => self.note_contest(state, contest, run),
            Command::Renew(renewed) => self.renewed(state, renewed, run),
            Command::Page(page) => self.page(state, page, run),
            Command::Ack(ack) => self.ack(&mut state.hub, ack, run.outgoing),
            Command::Emit(emit) => self.emit_anywhere(state, emit, command, run),
            Command::Sockets(sockets) => {
                self.each(state, sockets, run);
                run.forward(&self.namespace, command);
            }
            Command::Join(rooms) => {
                if let Some(slot) = self.find(state, &rooms.socket, command, run) {
                    state.join(slot, &rooms.rooms);
                }
            }
            Command::Leave(rooms) => {
                if let Some(slot) = self.find(state, &rooms.socket, command, run) {
                    state.leave(slot, &rooms.rooms);
                }
            }
            Command::State(new) => {
                let slot = self.find(state, &new.socket, command, run);
                if let Some(socket) = slot.and_then(|slot| state.hub.get(slot)) {
                    socket.set_state(Some(new.state.get().into()));
                }
            }
            Command::Disconnect(kick) => {
                if let Some(slot) = self.find(state, &kick.socket, command, run) {
                    self.kick(state, slot, kick.close, run);
                }
            }
        }
    }

    /// The socket that a command names. If it is not here, another relay may have it.
    fn find(
        &self,
        state: &State,
        id: &str,
        command: &Command<'_>,
        run: &Run<'_, '_>,
    ) -> Option<Slot> {
        let slot = state.hub.find(id);
        if slot.is_none() {
            run.forward(&self.namespace, command);
        }
        slot
    }

    fn emit_anywhere<'c>(
        &self,
        state: &mut State,
        emit: &'c Emit<'c>,
        command: &'c Command<'c>,
        run: &mut Run<'_, 'c>,
    ) {
        let elsewhere = emit
            .namespace
            .as_deref()
            .filter(|it| *it != self.namespace());
        match (elsewhere, &emit.ack) {
            (None, None) => {
                let source = &run.shared.config.relay;
                self.emit(run.shared, state, emit, source, run.outgoing);
                if !emit.local {
                    run.forward(&self.namespace, command);
                }
            }
            (None, Some(request)) => self.emit_with_ack(state, emit, request, command, run),
            (Some(namespace), None) => run.afterwards(Afterwards::Elsewhere { namespace, command }),
            (Some(other), Some(_)) => {
                let namespace = self.namespace();
                tracing::error!(
                    namespace,
                    other,
                    "the app asks for acknowledgements in another namespace"
                );
            }
        }
    }

    /// What an answered batch leaves: sockets that are gone are forgotten, and who was not answered is
    /// refused rather than left to wait.
    fn settle<'c>(&self, state: &mut State, batch: &Batch, run: &mut Run<'_, 'c>) {
        for slot in &batch.leaving {
            state.hub.remove(*slot);
        }
        for (place, contest) in std::mem::take(&mut run.contests) {
            if let Some(event) = batch.connect_event(place) {
                run.afterwards(Afterwards::Contest {
                    place,
                    event,
                    contest,
                });
            }
        }
        self.connect_again(state, batch, run);
        for place in &batch.connecting {
            let unanswered = state
                .hub
                .at(*place)
                .filter(|socket| socket.is_unanswered())
                .filter(|socket| run.paged.iter().all(|(slot, _)| *slot != socket.place.slot));
            if let Some(socket) = unanswered {
                tracing::error!(namespace = &*self.namespace, socket = %socket.id, "the app did not answer a connect event");
                self.refuse_internal(state, place.slot, run);
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
}

impl Carried {
    fn keep(&mut self, source: &str, asker: Option<Asker>, command: &Command<'_>) -> bool {
        let Ok(json) = serde_json::to_string(command) else {
            return false;
        };
        if self.bytes + json.len() > MAX_CARRIED_BYTES {
            return false;
        }
        self.bytes += json.len();
        let source = source.into();
        self.arrivals.push(Arrival::Command {
            json,
            source,
            asker,
        });
        true
    }
}

impl Arrival {
    fn command(&self) -> Option<Command<'_>> {
        match self {
            Arrival::Command { json, .. } => serde_json::from_str(json).ok(),
            Arrival::Doubt(_) => None,
        }
    }
}

impl State {
    /// Lets a client's handshake go on. It may have gone away meanwhile.
    fn decide(&mut self, connection: &str, verdict: Verdict) {
        let waiting = Sid::parse(connection).and_then(|id| self.waiting.remove(&id));
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
