//! Emissions that have their offsets but are not in the log yet: they go there with the batch's
//! response, in one statement, unless somebody wants to read before.

use serde_json::{Value as Json, json};
use spin_sdk::sqlite::Value;

use crate::{
    database::{list, number},
    interface::{Emission, Error},
    plan::Plan,
};

/// The lists of [`FINISH`](crate::sql::FINISH).
pub struct Pending {
    plain: Value,
    complete: Value,
    counts: Value,
    first: u64,
}

/// Room, event, data, id.
type Plain<'a> = (Option<&'a str>, &'a str, &'a str, Option<&'a str>);

/// The same; then target, attachments, sender, ack, brief, namespace.
type Complete<'a> = (
    Option<&'a str>,
    &'a str,
    &'a str,
    Option<&'a str>,
    Option<String>,
    Option<String>,
    Option<&'a str>,
    Option<&'a str>,
    Option<Brief>,
    Option<&'a str>,
);

/// Whether an emission is in no room's history.
#[derive(Clone, Copy, serde::Serialize)]
#[serde(untagged)]
enum Brief {
    Yes(u8),
    /// If its room is a socket's own: the database knows.
    Perhaps(char),
}

/// Characters of a socket's id.
const SOCKET_ID_LENGTH: usize = 20;

impl Pending {
    /// Nothing to store.
    pub fn none() -> Self {
        let empty = || Value::Text("[]".into());
        Self {
            plain: empty(),
            complete: empty(),
            counts: empty(),
            first: 0,
        }
    }

    /// The emissions of a plan, the first of which has the offset `first`.
    pub fn of(plan: &Plan, first: u64) -> Result<Self, Error> {
        let emissions = || plan.emissions.iter().map(|(_, emission)| emission);
        let mut pending = Self {
            counts: list(&plan.tally())?,
            first,
            ..Self::none()
        };
        // Each column read out of JSON costs half a microsecond a row, and most rows need but four.
        if emissions().all(is_plain) {
            pending.plain = list(&emissions().map(plain).collect::<Vec<_>>())?;
        } else {
            pending.complete = list(&emissions().map(complete).collect::<Vec<_>>())?;
        }
        Ok(pending)
    }

    /// plain, complete, counts, first
    pub fn into_values(self) -> [Value; 4] {
        [self.plain, self.complete, self.counts, number(self.first)]
    }
}

fn is_plain(emission: &Emission) -> bool {
    brief(emission).is_none()
        && emission.namespace.is_none()
        && emission.except.is_empty()
        && emission.attachments.is_empty()
        && emission.once.is_none()
}

fn brief(emission: &Emission) -> Option<Brief> {
    match emission.rooms.as_slice() {
        [room] => (room.len() == SOCKET_ID_LENGTH).then_some(Brief::Perhaps('?')),
        _ => Some(Brief::Yes(1)),
    }
}

fn plain(emission: &Emission) -> Plain<'_> {
    let room = match emission.rooms.as_slice() {
        [room] => Some(room.as_str()),
        _ => None,
    };
    (
        room,
        &emission.event,
        &emission.data,
        emission.id.as_deref(),
    )
}

fn complete(emission: &Emission) -> Complete<'_> {
    let (room, event, data, id) = plain(emission);
    let except = &emission.except;
    let target = match emission.rooms.as_slice() {
        [] | [_] if except.is_empty() => None,
        [] | [_] => Some(json!({ "except": except })),
        rooms => Some(json!({ "rooms": rooms, "except": except })),
    };
    let attachments = match emission.attachments.as_slice() {
        [] => None,
        list => Some(json!(list).to_string()),
    };
    let once = emission.once.as_ref().filter(|_| id.is_some());
    (
        room,
        event,
        data,
        id,
        target.as_ref().map(Json::to_string),
        attachments,
        once.map(|once| once.sender.as_str()),
        once.map(|once| once.ack.as_str()),
        brief(emission),
        emission.namespace.as_deref(),
    )
}
