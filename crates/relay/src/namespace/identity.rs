//! Whose a socket is, as far as a relay knows: when its client's token ends, and what is needed to find out whether
//! a client that has a session is still there when another one wants it.

use std::sync::Arc;

use parlour_protocol::relay::{Anew, Contest, Renewed};

use super::batch::ConnectAgain;
use super::context::Context;
use super::enter::connecting;
use super::registry::{Expires, Phase, Socket};
use super::state::{Namespace, State};
use crate::connection::{Connection, Place};
use crate::core::ledger::{Charge, Hold};

impl Namespace {
    /// The app lets the socket stay until another time.
    pub(super) fn renewed(&self, state: &mut State, renewed: &Renewed<'_>) {
        let slot = state.registry.find(&renewed.socket);
        if let Some(socket) = slot.and_then(|slot| state.registry.get(slot)) {
            socket.expires = Expires::renewed(renewed.expires);
            self.expect_expiry(socket);
        }
    }

    /// Its client has a timer for the end of the token.
    pub(super) fn expect_expiry(&self, socket: &Socket) {
        if let Some(at) = socket.expires.at() {
            socket.connection.expect_expiry(&self.core, at);
        }
    }

    /// The app does not decide about a `connect` event before whoever has the session was asked.
    pub(super) fn note_contest<'c>(
        &self,
        state: &mut State,
        contest: &'c Contest<'c>,
        context: &mut Context<'_, 'c>,
    ) {
        let slot = connecting(state, &contest.socket);
        let Some(socket) = slot.and_then(|slot| state.registry.get(slot)) else {
            return;
        };
        if let Phase::Connecting(entering) = &mut socket.phase {
            entering.contested = true;
            context.contests.push((socket.place, contest));
        }
    }

    /// The app cannot give a client its session, and nobody has judged the client: it is asked about once more, as
    /// one that has none.
    pub(super) fn note_anew(
        &self,
        state: &mut State,
        anew: &Anew<'_>,
        context: &mut Context<'_, '_>,
    ) {
        let slot = connecting(state, &anew.socket);
        let Some(socket) = slot.and_then(|slot| state.registry.get(slot)) else {
            return;
        };
        if let Phase::Connecting(entering) = &mut socket.phase {
            entering.contested = true;
            context.anew.push(socket.place);
        }
    }

    /// What is kept for who wants a session while somebody else is asked: so many bytes.
    pub fn charge(&self, place: Place, bytes: usize) -> Option<Charge> {
        let mut state = self.lock();
        let account = state.registry.at(place)?.connection.account().clone();
        Some(account.charge(Hold::Passing, bytes))
    }

    /// The connection of a socket of this relay that is in the namespace.
    pub fn connection(&self, id: &str) -> Option<Arc<Connection>> {
        let mut state = self.lock();
        let slot = state.registry.find(id)?;
        let socket = state.registry.get(slot)?;
        matches!(socket.phase, Phase::In).then(|| socket.connection.clone())
    }

    /// The app is asked once more about a client that wants a session, unless that has gone.
    pub fn enter_again(&self, again: ConnectAgain, answers: bool) {
        self.lock().enter_again(again, answers);
        self.work.notify_one();
    }
}

impl State {
    pub(super) fn enter_again(&mut self, mut again: ConnectAgain, answers: bool) {
        let place = again.connect.place;
        let State {
            registry,
            recoveries,
            ..
        } = self;
        let Some(socket) = registry.at(place) else {
            return;
        };
        let Phase::Connecting(entering) = &mut socket.phase else {
            return;
        };
        if entering.left.is_some() {
            // The app has nothing of it.
            registry.remove(place.slot);
            return;
        }
        entering.contested = false;
        again.connect.owner_answers = Some(answers);
        recoveries.push_connect_again(socket, again);
    }
}
