//! Carries out the app's commands, in order: changes the hub, gathers what must be sent, and sends it
//! when the lane is no longer locked.

use std::sync::Arc;
use std::time::Duration;

use parlour_protocol::relay::{Command, Contest, Emit, Response};
use serde_json::value::RawValue;

use super::asks::AskId;
use super::batch::Batch;
use super::outgoing::Outgoing;
use super::{Lane, State, Verdict};
use crate::client;
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
}

impl<'c> Run<'_, 'c> {
    pub fn afterwards(&mut self, what: Afterwards<'c>) {
        self.afterwards.push(what);
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
        let batch = match response.done {
            Some(done) if done < batch.count => {
                let (first, mut rest) = batch.split_at(done);
                rest.note_progress(&response.progress);
                self.lock().put_back_rest(rest, done);
                first
            }
            _ => batch,
        };
        self.carry_out_all(shared, &batch, &response.commands, response.head, outgoing);
        self.forward_elsewhere(shared, &response.commands);
    }

    /// Carries out the commands that answer `batch`. `head`: up to where the log was delivered then.
    pub(super) fn carry_out_all(
        &self,
        shared: &Arc<Shared>,
        batch: &Batch,
        commands: &[Command<'_>],
        head: Option<u64>,
        outgoing: &mut Outgoing,
    ) {
        shared.metrics.commands.add(commands.len());
        self.run(shared, outgoing, |state, run| {
            // Those who leave with this batch receive nothing of it. In a room that many leave at once, each
            // event that says so would pass over all of them.
            for slot in &batch.leaving {
                state.hub.leave_all(*slot);
            }
            for command in commands {
                self.command(state, command, run);
            }
            self.settle(state, batch, run);
            if let Some(head) = head {
                state.log.advance(head);
                state.log.is_at(head);
            }
        });
    }

    /// Delivers what is next in line of the log, as far as `limit`. True if everything up to there was delivered.
    /// No batch may be in flight, unless `limit` is the head of the log before it.
    pub(super) fn deliver_log(
        &self,
        shared: &Arc<Shared>,
        outgoing: &mut Outgoing,
        limit: Option<u64>,
    ) -> bool {
        loop {
            let next = {
                let mut state = self.lock();
                match state.log.next(limit) {
                    Some(next) => next,
                    None => return limit.is_none_or(|limit| state.log.delivered() >= Some(limit)),
                }
            };
            let commands: Vec<Command<'_>> = match serde_json::from_str(&next.commands) {
                Ok(commands) => commands,
                Err(error) => {
                    tracing::error!(namespace = self.namespace(), %error, "cannot read a part of the log");
                    self.lock().log.undo(&next);
                    continue;
                }
            };
            self.run(shared, outgoing, |state, run| {
                for command in next.select(&commands) {
                    self.command_of_log(state, command, run);
                }
            });
        }
    }

    /// What stands in the log is for the sockets of all relays.
    fn command_of_log<'c>(
        &self,
        state: &mut State,
        command: &'c Command<'c>,
        run: &mut Run<'_, 'c>,
    ) {
        match command {
            Command::Emit(_)
            | Command::Sockets(_)
            | Command::Join(_)
            | Command::Leave(_)
            | Command::State(_)
            | Command::Disconnect(_) => self.command(state, command, run),
            _ => tracing::warn!(
                namespace = &*self.namespace,
                ?command,
                "the log has a command that is for one relay only"
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
        act: impl FnOnce(&mut State, &mut Run<'_, 'c>) -> T,
    ) -> T {
        let mut run = Run {
            shared,
            outgoing,
            afterwards: Vec::new(),
            contests: Vec::new(),
            paged: Vec::new(),
        };
        let mut state = self.lock();
        run.outgoing.begin(&mut state.runs);
        let done = act(&mut state, &mut run);
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
            Command::Emit(emit) => self.emit_here(state, emit, run),
            Command::Sockets(sockets) => self.each(state, sockets, run),
            Command::Join(rooms) => {
                if let Some(slot) = state.hub.find(&rooms.socket) {
                    state.join(slot, &rooms.rooms);
                }
            }
            Command::Leave(rooms) => {
                if let Some(slot) = state.hub.find(&rooms.socket) {
                    state.leave(slot, &rooms.rooms);
                }
            }
            Command::State(new) => {
                let slot = state.hub.find(&new.socket);
                if let Some(socket) = slot.and_then(|slot| state.hub.get(slot)) {
                    socket.set_state(Some(new.state.get().into()));
                }
            }
            Command::Disconnect(kick) => {
                if let Some(slot) = state.hub.find(&kick.socket) {
                    self.kick(state, slot, kick.close, run);
                }
            }
        }
    }

    /// Emits to this namespace's sockets, unless it is for another's.
    fn emit_here(&self, state: &mut State, emit: &Emit<'_>, run: &mut Run<'_, '_>) {
        let is_here = emit
            .namespace
            .as_deref()
            .is_none_or(|it| it == self.namespace());
        match &emit.ack {
            _ if !is_here => {}
            Some(request) => self.emit_with_ack(state, emit, request, run),
            None => {
                self.emit(run.shared, state, emit, run.outgoing);
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
