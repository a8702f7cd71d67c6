//! Carries out the app's commands, in order: changes the registry, gathers what must be sent, and sends it
//! when the namespace is no longer locked.

use parlour_protocol::relay::{Command, Emit, Response};

use super::batch::Batch;
use super::context::Context;
use super::effect::Effect;
use super::outgoing::Outgoing;
use super::state::{Decision, Namespace, State};
use crate::core::sid::Sid;

impl Namespace {
    /// Carries out the app's answer to `batch`, which has committed it, or the first part of it. The rest is
    /// sent again.
    pub fn apply(&self, batch: Batch, response: &Response<'_>, outgoing: &mut Outgoing) {
        self.core.metrics.batches.add(1);
        let batch = match response.done {
            Some(done) if done < batch.count() => {
                let has_passed = batch.has_passed();
                let (first, mut rest) = batch.split_at(done);
                rest.note_progress(&response.progress);
                self.lock().put_back_rest(rest, done, has_passed);
                first
            }
            _ => batch,
        };
        self.carry_out_all(&batch, &response.commands, response.head, outgoing);
    }

    /// Carries out the commands that answer `batch`. `head`: up to where the log was delivered then.
    pub fn carry_out_all(
        &self,
        batch: &Batch,
        commands: &[Command<'_>],
        head: Option<u64>,
        outgoing: &mut Outgoing,
    ) {
        self.core.metrics.commands.add(commands.len());
        self.carry_out(outgoing, |state, context| {
            // Those who leave with this batch receive nothing of it. In a room that many leave at once, each
            // event that says so would pass over all of them.
            for slot in batch.leaving() {
                state.registry.leave_all(slot);
            }
            for command in commands {
                self.command(state, command, context);
            }
            self.settle(state, batch, context);
            if let Some(head) = head {
                state.log.advance(head);
                state.log.is_at(head);
            }
        });
    }

    /// Delivers what is next in line of the log, as far as `limit`. False if nothing is. No batch may be in flight,
    /// unless `limit` is the head of the log before it.
    pub fn deliver_next(&self, outgoing: &mut Outgoing, limit: Option<u64>) -> bool {
        let Some(next) = self.lock().log.next(limit) else {
            return false;
        };
        let commands: Vec<Command<'_>> = match serde_json::from_str(&next.commands) {
            Ok(commands) => commands,
            Err(error) => {
                tracing::error!(namespace = self.name(), %error, "cannot read a part of the log");
                self.lock().log.undo(&next);
                return true;
            }
        };
        self.carry_out(outgoing, |state, context| {
            for command in next.select(&commands) {
                self.command_of_log(state, command, context);
            }
        });
        true
    }

    /// What stands in the log is for the sockets of all relays.
    fn command_of_log<'c>(
        &self,
        state: &mut State,
        command: &'c Command<'c>,
        context: &mut Context<'_, 'c>,
    ) {
        match command {
            Command::Emit(_)
            | Command::Sockets(_)
            | Command::Join(_)
            | Command::Leave(_)
            | Command::State(_)
            | Command::Disconnect(_)
            | Command::Report(_) => self.command(state, command, context),
            _ => tracing::warn!(
                namespace = &*self.name,
                ?command,
                "the log has a command that is for one relay only"
            ),
        }
        if !state.queue.is_empty() {
            self.work.notify_one();
        }
    }

    /// Does what `act` does while the namespace is locked, and sends what it gathers.
    fn carry_out<'c>(
        &self,
        outgoing: &mut Outgoing,
        act: impl FnOnce(&mut State, &mut Context<'_, 'c>),
    ) {
        let mut state = self.lock();
        outgoing.begin(&mut state.runs);
        act(&mut state, &mut Context::new(outgoing));
        drop(state);
        outgoing.flush(&self.core);
    }

    fn command<'c>(
        &self,
        state: &mut State,
        command: &'c Command<'c>,
        context: &mut Context<'_, 'c>,
    ) {
        match command {
            Command::Admit(admit) => state.decide(&admit.connection, Decision::Admitted),
            Command::Reject(reject) => {
                let message = reject.message.to_string();
                let code = reject.code;
                state.decide(&reject.connection, Decision::Rejected { code, message });
            }
            Command::Accept(accept) => self.accept(state, accept, context),
            Command::Refuse(refuse) => self.refuse(state, refuse, context),
            Command::Contest(contest) => self.note_contest(state, contest, context),
            Command::Anew(anew) => self.note_anew(state, anew, context),
            Command::Renew(renewed) => self.renewed(state, renewed),
            Command::Page(page) => self.page(state, page, context),
            Command::Ack(ack) => self.ack(&mut state.registry, ack, context.outgoing),
            command if command.namespace().is_some_and(|it| it != self.name()) => {}
            Command::Emit(emit) => self.emit_here(state, emit, context),
            Command::Sockets(sockets) => self.each(state, sockets, context),
            Command::Join(rooms) => {
                if let Some(slot) = state.registry.find(&rooms.socket) {
                    state.join(slot, &rooms.rooms);
                }
            }
            Command::Leave(rooms) => {
                if let Some(slot) = state.registry.find(&rooms.socket) {
                    state.leave(slot, &rooms.rooms);
                }
            }
            Command::State(new) => {
                let slot = state.registry.find(&new.socket);
                if let Some(socket) = slot.and_then(|slot| state.registry.get(slot)) {
                    socket.set_state(Some(new.state.get().into()));
                }
            }
            Command::Disconnect(kick) => {
                if let Some(slot) = state.registry.find(&kick.socket) {
                    self.kick(state, slot, kick.close, context);
                }
            }
            Command::Report(report) => self.read_report(state, report),
        }
    }

    fn emit_here(&self, state: &mut State, emit: &Emit<'_>, context: &mut Context<'_, '_>) {
        match &emit.ack {
            Some(request) => self.emit_with_ack(state, emit, request, context),
            None => {
                self.emit(state, emit, context.outgoing);
            }
        }
    }

    /// What an answered batch leaves: sockets that are gone are forgotten, and who was not answered is
    /// refused rather than left to wait.
    fn settle<'c>(&self, state: &mut State, batch: &Batch, context: &mut Context<'_, 'c>) {
        for slot in batch.leaving() {
            state.registry.remove(slot);
        }
        for (place, contest) in std::mem::take(&mut context.contests) {
            if let Some(again) = batch.connect_again(place) {
                context.outgoing.effects.push(Effect::Contest {
                    again,
                    owner: contest.owner.to_string(),
                    relay: contest.relay.to_string(),
                });
            }
        }
        self.connect_again(state, batch, context);
        for place in batch.connecting() {
            let unanswered = state
                .registry
                .at(place)
                .filter(|socket| socket.is_unanswered())
                .filter(|socket| {
                    context
                        .paged
                        .iter()
                        .all(|(slot, _)| *slot != socket.place.slot)
                });
            if let Some(socket) = unanswered {
                tracing::error!(namespace = &*self.name, socket = %socket.id, "the app did not answer a connect event");
                self.refuse_internal(state, place.slot, context);
            }
        }
        for place in std::mem::take(&mut context.anew) {
            if let Some(mut again) = batch.connect_again(place) {
                // Middleware judges it.
                again.connect.progress = None;
                state.enter_again(again, true);
            }
        }
        for connection in batch.opening() {
            if state.waiting.contains_key(&connection) {
                tracing::error!(
                    connection = connection.shown(),
                    "the app did not answer an open event"
                );
                state.decide(connection.as_str(), Decision::internal());
            }
        }
    }
}

impl State {
    /// Lets a client's handshake go on. It may have gone away meanwhile.
    fn decide(&mut self, connection: &str, decision: Decision) {
        let waiting = Sid::parse(connection).and_then(|id| self.waiting.remove(&id));
        if let Some(waiting) = waiting {
            let _ = waiting.send(decision);
        }
    }
}
