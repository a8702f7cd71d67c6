//! The seam to other relays: a faster copy of what the app tells them anyway, and the few messages that are not in
//! any log. There is no bus by default. One is `crates/bus-nats`; what it brings it hands to
//! [`crate::Relay::hear`] and the functions beside it.

use parlour_protocol::relay::{Command, Contest};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Commands for the sockets of all relays in one namespace, in the order of its log.
#[derive(Debug)]
pub struct Segment<'a> {
    /// Which part of the namespace's log they are. None: they are volatile, and in no log.
    pub extent: Option<Extent>,
    pub commands: Vec<Command<'a>>,
}

/// A part of a namespace's log: everything after an offset up to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    pub previous: u64,
    pub head: u64,
}

/// No function may block, or call a relay: it hands over and returns. What cannot be handed over is dropped. The
/// others find what they miss of a log in the app's database.
pub trait Bus: Send + Sync + 'static {
    /// Takes commands for every other relay, to be given to [`crate::Relay::hear`] there. Neither their order nor
    /// that each of them arrives matters.
    fn publish(&self, namespace: &str, segment: &Segment<'_>);

    /// Asks the relay that a contest names whether its client answers: [`crate::Relay::answer_contest`]. The answer
    /// comes as a report with this number.
    fn contest(&self, namespace: &str, number: u64, contest: &Contest<'_>);

    /// Takes a report for one relay, by its name, to be given to [`crate::Relay::hear_report`] there.
    fn report(&self, namespace: &str, to: &str, number: u64, report: &Report);

    /// Whether other relays can be expected to hear, and be heard, at this moment.
    fn is_connected(&self) -> bool;

    /// Whether a relay of this name was heard not long ago.
    fn hears(&self, relay: &str) -> bool;
}

/// What a relay tells one that had it ask something of its clients.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Report {
    /// Acknowledgements, each as in an `acks` event.
    #[serde(with = "replies")]
    Replies(Vec<String>),
    /// Sockets, by their ids, that do not acknowledge any more.
    Missing(Vec<String>),
    /// Whether the client that has a session answers: the reply to a contest.
    Owner(bool),
}

/// Replies are JSON already.
mod replies {
    use super::RawValue;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, ser::Error};

    pub fn serialize<S: Serializer>(replies: &[String], serializer: S) -> Result<S::Ok, S::Error> {
        let raw = |reply: &String| serde_json::from_str::<&RawValue>(reply).map(ToOwned::to_owned);
        let raw: Result<Vec<_>, _> = replies.iter().map(raw).collect();
        raw.map_err(S::Error::custom)?.serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(reader: D) -> Result<Vec<String>, D::Error> {
        let raw: Vec<Box<RawValue>> = Vec::deserialize(reader)?;
        Ok(raw.into_iter().map(|reply| reply.get().into()).collect())
    }
}
