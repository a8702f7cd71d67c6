//! What commands do beyond their namespace, and what is asked of a namespace from outside its batches. Nothing is
//! locked here but by what is called.

use std::sync::Arc;
use std::time::Duration;

use parlour_protocol::relay::{Command, Contest, Emit};

use crate::core::bus::Report;
use crate::core::config::{OWNER_WAIT, REPORT_WAIT};
use crate::namespace::{AckRequestId, Effect, Namespace, Outgoing};
use crate::session::{close_invalid, close_kicked, close_over_limit};
use crate::shared::Shared;

/// Does what must be done after messages were sent, in order.
pub fn perform(shared: &Arc<Shared>, namespace: &Arc<Namespace>, outgoing: &mut Outgoing) {
    for effect in outgoing.effects.drain(..) {
        match effect {
            Effect::Overflow(connection) => close_over_limit(shared, &connection),
            Effect::Kick(connection) => close_kicked(shared, &connection),
            Effect::InvalidState(connection) => close_invalid(shared, &connection),
            Effect::AwaitAcks(ack_request, timeout) => {
                // Where there is no bus, the log is asked for reports.
                let wait = REPORT_WAIT + 2 * shared.ask_every().unwrap_or_default();
                tokio::spawn(end_in_time(namespace.clone(), ack_request, timeout, wait));
            }
            Effect::Contest {
                again,
                owner,
                relay,
            } => {
                let charge = namespace.charge(again.connect.place, again.bytes());
                let (shared, namespace) = (shared.clone(), namespace.clone());
                tokio::spawn(async move {
                    let answers = if relay == shared.config.relay {
                        answers(&shared, &namespace, &owner).await
                    } else {
                        answers_elsewhere(&shared, &namespace, owner, relay).await
                    };
                    namespace.enter_again(again, answers);
                    drop(charge);
                });
            }
        }
    }
}

/// Ends the wait for acknowledgements when its time is over.
async fn end_in_time(
    namespace: Arc<Namespace>,
    ack_request: AckRequestId,
    timeout: Duration,
    wait: Duration,
) {
    tokio::time::sleep(timeout).await;
    if namespace.end_acks(ack_request) {
        tokio::time::sleep(wait).await;
        namespace.end_acks_elsewhere(ack_request);
    }
}

/// Emits what is in no log, before all that waits. Returns for how many sockets of this relay it was.
pub fn publish(shared: &Arc<Shared>, namespace: &str, emit: &Emit<'_>) -> usize {
    let Some(namespace) = shared.namespaces.find(namespace) else {
        return 0;
    };
    let mut outgoing = Outgoing::default();
    let receivers = namespace.publish(emit, &mut outgoing);
    perform(shared, &namespace, &mut outgoing);
    receivers
}

/// The same for what another relay, or another namespace's batch, tells.
pub fn emit_volatile(shared: &Arc<Shared>, namespace: &Arc<Namespace>, commands: &[Command<'_>]) {
    let mut outgoing = Outgoing::default();
    namespace.emit_volatile(commands, &mut outgoing);
    perform(shared, namespace, &mut outgoing);
}

/// Another relay wants to know whether a client of this one is there.
pub fn answer_contest(
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
        let answers = match shared.namespaces.find(&namespace) {
            Some(namespace) => answers(&shared, &namespace, &owner).await,
            None => false,
        };
        shared.report(&namespace, &from, number, &Report::Owner(answers));
    });
}

/// Whether a socket of this relay is there, and its client answers a ping.
async fn answers(shared: &Shared, namespace: &Namespace, id: &str) -> bool {
    match namespace.connection(id) {
        Some(connection) => connection.answers(shared).await,
        None => false,
    }
}

/// The same of another relay's. One that cannot be asked, or does not tell, has no client that answers.
async fn answers_elsewhere(
    shared: &Shared,
    namespace: &Namespace,
    owner: String,
    relay: String,
) -> bool {
    let Some(bus) = shared.bus.as_ref().filter(|bus| bus.hears(&relay)) else {
        return false;
    };
    let contest = Contest {
        socket: "".into(),
        owner: owner.into(),
        relay: relay.into(),
    };
    let (number, told) = shared.contests.open();
    bus.contest(namespace.name(), number, &contest);
    let answers = tokio::time::timeout(OWNER_WAIT + REPORT_WAIT, told).await;
    shared.contests.close(number);
    matches!(answers, Ok(Ok(true)))
}
