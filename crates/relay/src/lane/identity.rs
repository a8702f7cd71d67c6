//! Whose a socket is, as far as a relay knows: when its client's token ends, which event renews it, and
//! whether a client that has a session is still there when another one wants it.

use std::sync::Arc;

use parlour_protocol::relay::{Contest, Renewed};
use serde_json::value::RawValue;

use super::apply::Run;
use super::enter::connecting;
use super::outgoing::Outgoing;
use super::{Lane, State};
use crate::bus::Report;
use crate::config::{OWNER_WAIT, REPORT_WAIT};
use crate::hub::{Expires, Phase, Place, Socket};
use crate::ledger::Hold;
use crate::message::Message;
use crate::reason;
use crate::shared::{Shared, unix_millis};

/// The event by which a client renews its token.
const AUTH: &str = "auth";

/// If this event of the socket renews its token: its first argument, where that is an object. Only sockets that
/// have a token which ends have such an event; for all others `auth` is a name as any.
pub(super) fn renewal<'d>(
    socket: &Socket,
    data: &'d str,
    attachments: &[Vec<u8>],
) -> Option<Option<&'d str>> {
    if !socket.expires.is_renewable() || !attachments.is_empty() || !data.contains(AUTH) {
        return None;
    }
    let array: Vec<&RawValue> = serde_json::from_str(data).ok()?;
    let name: String = serde_json::from_str(array.first()?.get()).ok()?;
    let argument = array.get(1).map(|argument| argument.get());
    (name == AUTH).then(|| argument.filter(|argument| argument.starts_with('{')))
}

impl Lane {
    /// The app lets the socket stay until another time.
    pub(super) fn renewed(&self, state: &mut State, renewed: &Renewed<'_>, run: &Run<'_, '_>) {
        let slot = state.hub.find(&renewed.socket);
        if let Some(socket) = slot.and_then(|slot| state.hub.get(slot)) {
            socket.expires = Expires::renewed(renewed.expires);
            run.shared.expect_expiry(&socket.connection, socket.expires);
        }
    }

    /// Disconnects the socket if its token has ended; else gives when that will be, if ever.
    pub fn expire(&self, shared: &Arc<Shared>, place: Place) -> Option<Expires> {
        self.run(shared, &mut Outgoing::default(), |state, run| {
            let expires = state.hub.at(place)?.expires;
            if expires.at()? > unix_millis() {
                return Some(expires);
            }
            let socket = self.take_out(state, place.slot, reason::TOKEN_EXPIRED, run)?;
            run.outgoing
                .send(socket, &Message::text(&self.disconnect_packet));
            self.work.notify_one();
            None
        })
    }

    /// The app does not decide about a `connect` event before whoever has the session was asked.
    pub(super) fn note_contest<'c>(
        &self,
        state: &mut State,
        contest: &'c Contest<'c>,
        run: &mut Run<'_, 'c>,
    ) {
        let slot = connecting(state, &contest.socket);
        let Some(socket) = slot.and_then(|slot| state.hub.get(slot)) else {
            return;
        };
        if let Phase::Connecting(entering) = &mut socket.phase {
            entering.contested = true;
            run.contests.push((socket.place, contest));
        }
    }

    /// Asks, and then the app once more.
    pub(super) fn contest(
        &self,
        shared: &Arc<Shared>,
        place: Place,
        event: Box<str>,
        contest: &Contest<'_>,
    ) {
        let lane = shared.with_lane(&self.namespace, Arc::clone);
        let charge = self.lock().hub.at(place).map(|socket| {
            let account = socket.connection.account();
            account.charge(Hold::Passing, event.len())
        });
        let shared = shared.clone();
        let (owner, relay) = (contest.owner.to_string(), contest.relay.to_string());
        tokio::spawn(async move {
            let answers = if relay == shared.config.relay {
                lane.answers(&shared, &owner).await
            } else {
                lane.answers_elsewhere(&shared, owner, relay).await
            };
            lane.enter_again(place, &event, answers);
            drop(charge);
        });
    }

    /// Whether a socket of this relay is there, and its client answers a ping.
    pub async fn answers(&self, shared: &Shared, id: &str) -> bool {
        let connection = {
            let mut state = self.lock();
            let slot = state.hub.find(id);
            let socket = slot.and_then(|slot| state.hub.get(slot));
            let socket = socket.filter(|socket| matches!(socket.phase, Phase::In));
            socket.map(|socket| socket.connection.clone())
        };
        match connection {
            Some(connection) => connection.answers(shared).await,
            None => false,
        }
    }

    /// The same of another relay's. One that cannot be asked, or does not tell, has no client that answers.
    async fn answers_elsewhere(&self, shared: &Shared, owner: String, relay: String) -> bool {
        let Some(bus) = shared.bus.as_ref().filter(|bus| bus.hears(&relay)) else {
            return false;
        };
        let contest = Contest {
            socket: "".into(),
            owner: owner.into(),
            relay: relay.into(),
        };
        let (number, told) = shared.contests.open();
        bus.contest(&self.namespace, number, &contest);
        let answers = tokio::time::timeout(OWNER_WAIT + REPORT_WAIT, told).await;
        shared.contests.close(number);
        matches!(answers, Ok(Ok(true)))
    }

    /// The app is asked once more about a client that wants a session, unless that has gone.
    fn enter_again(&self, place: Place, event: &str, answers: bool) {
        let mut state = self.lock();
        let State {
            hub, recoveries, ..
        } = &mut *state;
        let Some(socket) = hub.at(place) else { return };
        let Phase::Connecting(entering) = &mut socket.phase else {
            return;
        };
        if entering.left.is_some() {
            // The app has nothing of it.
            hub.remove(place.slot);
            return;
        }
        entering.contested = false;
        recoveries.push_connect_after_contest(socket, event, answers);
        drop(state);
        self.work.notify_one();
    }
}

/// Another relay wants to know whether a client of this one is there.
pub fn answer(
    shared: &Arc<Shared>,
    namespace: &str,
    from: &str,
    number: u64,
    contest: &Contest<'_>,
) {
    if *contest.relay != *shared.config.relay {
        return;
    }
    let (shared, namespace) = (shared.clone(), namespace.to_owned());
    let (from, owner) = (from.to_owned(), contest.owner.to_string());
    tokio::spawn(async move {
        let answers = match shared.lane(&namespace) {
            Some(lane) => lane.answers(&shared, &owner).await,
            None => false,
        };
        shared.report(&namespace, &from, number, &Report::Owner(answers));
    });
}
