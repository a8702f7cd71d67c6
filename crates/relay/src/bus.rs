//! The seam to other relays: what one relay is told about sockets must reach those on the others. There
//! is no bus by default. One is `crates/bus-nats`. It hands what comes from elsewhere to
//! [`crate::Relay::carry_out`], says how far others have told ([`crate::Relay::heard`]), and when something
//! may be missing ([`crate::Relay::doubt`]).

use parlour_protocol::relay::Command;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

pub trait Bus: Send + Sync + 'static {
    /// Takes a command for the sockets of every other relay: an `emit`, `sockets`, or a `join`, `leave`,
    /// `state` or `disconnect` for a socket that is not here. An `emit` that is `local` stays here. `namespace`
    /// is where it is for, whatever an `emit` says itself; `source`, whose batches it comes from: see
    /// [`parlour_protocol::relay::source`].
    ///
    /// Called once for each, and one at a time for the commands that the app gives a namespace in its own
    /// batches: in their order, which the bus should keep, as it should keep that of one relay's commands
    /// on their way. There is no order between two relays, nor between a namespace's own commands and
    /// what is emitted to it from another namespace or by `POST /publish`; those may come at the same
    /// time.
    ///
    /// The namespace is locked meanwhile. So this must not block, and must not call a relay: it hands over
    /// and returns.
    fn publish(&self, namespace: &str, source: &str, command: &Command<'_>);

    /// The same for an `emit` that asks for acknowledgements, and for a `contest`. Every other relay gives it to
    /// [`crate::Relay::ask`], and brings back what that reports, with this number.
    fn ask(&self, namespace: &str, ask: u64, command: &Command<'_>);

    /// Takes a report for the relay that asked, to be given to [`crate::Relay::hear_report`] there. `to`: what
    /// [`crate::Relay::ask`] was told that it calls itself.
    fn report(&self, namespace: &str, to: &str, ask: u64, report: &Report);
}

/// What a relay tells one that had it ask for acknowledgements. First whom it asks, if anybody; when that is
/// settled the replies; then that it is over.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Report {
    /// Sockets' ids.
    Asked(Vec<String>),
    /// As in an `acks` event.
    Replies(Vec<Box<RawValue>>),
    /// Who has not replied does not any more.
    Over,
    /// Whether the client that has a session answers: the reply to a `contest`.
    Owner(bool),
}
