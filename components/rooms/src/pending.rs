//! Entries that have their offsets but are not in the log yet: they go there with the batch's
//! response, in one statement, unless somebody wants to read before.

use std::collections::{BTreeMap, HashMap};

use parlour_sqlite::Value;
use serde_json::{Value as Json, json};

use crate::{
    database::{list, number},
    interface::{Emission, Error},
    plan::Entry,
};

/// What comes next into the log, of whatever namespaces, without a gap from the offset `first` on.
#[derive(Default)]
pub struct Pending {
    pub first: u64,
    pub entries: Vec<Entry>,
}

/// Room, event, data, id.
type Plain<'a> = (Option<&'a str>, &'a str, &'a str, Option<&'a str>);

/// The same; then target, attachments, sender, ack, ephemeral, namespace.
type Complete<'a> = (
    Option<&'a str>,
    &'a str,
    &'a str,
    Option<&'a str>,
    Option<String>,
    Option<String>,
    Option<&'a str>,
    Option<&'a str>,
    Option<Ephemeral>,
    Option<&'a str>,
);

/// What the log's column `ephemeral` says of an entry that is in no room's history; it is NULL of others.
#[derive(Clone, Copy, serde::Serialize)]
#[serde(untagged)]
enum Ephemeral {
    /// An emission, or a command.
    Yes(u8),
    /// If its room is a socket's own: the database knows.
    Perhaps(char),
}

/// An emission that is kept for sessions and for relays.
const EMISSION: Ephemeral = Ephemeral::Yes(1);

/// `ephemeral` of a command, which is kept for relays alone.
pub const COMMAND: u8 = 2;

/// Characters of a socket's id.
const SOCKET_ID_LENGTH: usize = 20;

impl Pending {
    /// The lists of [`FINISH`](crate::sql::FINISH): plain, complete, counts, heads; then first. `namespace` and `relay`
    /// are the batch's.
    pub fn values(&self, namespace: &str, relay: &str) -> Result<[Value; 5], Error> {
        let empty = || Value::Text("[]".into());
        let first = number(self.first);
        if self.entries.is_empty() {
            return Ok([empty(), empty(), empty(), empty(), first]);
        }
        let (counts, heads) = (list(&self.counts())?, list(&self.heads(namespace))?);
        // Each column read out of JSON costs half a microsecond a row, and most rows need but four.
        let plain: Option<Vec<_>> = self.entries.iter().map(plain).collect();
        Ok(match plain {
            Some(rows) => [list(&rows)?, empty(), counts, heads, first],
            None => {
                let rows = self.entries.iter().map(|entry| complete(entry, relay));
                let rows = list(&rows.collect::<Vec<_>>())?;
                [empty(), rows, counts, heads, first]
            }
        })
    }

    /// How many emissions of each event go to the history of each room, and in which other namespace:
    /// (room, event, number, namespace).
    fn counts(&self) -> Vec<(&str, &str, u32, Option<&str>)> {
        let mut counts: HashMap<(&str, &str, Option<&str>), u32> = HashMap::new();
        for entry in &self.entries {
            if let Entry::Emission(emission) = entry
                && let [room] = emission.rooms.as_slice()
                && !emission.transient
            {
                let event = emission.event.as_str();
                *counts.entry((room, event, entry.elsewhere())).or_default() += 1;
            }
        }
        let row = |((room, event, namespace), number)| (room, event, number, namespace);
        counts.into_iter().map(row).collect()
    }

    /// The last offset of each namespace.
    fn heads<'a>(&'a self, own: &'a str) -> Vec<(&'a str, u64)> {
        let offsets = (self.first..).zip(&self.entries);
        let heads: BTreeMap<&str, u64> = offsets
            .map(|(offset, entry)| (entry.elsewhere().unwrap_or(own), offset))
            .collect();
        heads.into_iter().collect()
    }
}

/// None if it needs more than these columns.
fn plain(entry: &Entry) -> Option<Plain<'_>> {
    match entry {
        Entry::Emission(emission) if is_plain(emission) => Some(columns(emission)),
        _ => None,
    }
}

fn is_plain(emission: &Emission) -> bool {
    ephemeral(emission).is_none()
        && emission.namespace.is_none()
        && emission.except.is_empty()
        && emission.attachments.is_empty()
        && emission.once.is_none()
}

fn ephemeral(emission: &Emission) -> Option<Ephemeral> {
    match emission.rooms.as_slice() {
        _ if emission.transient => Some(EMISSION),
        [room] => (room.len() == SOCKET_ID_LENGTH).then_some(Ephemeral::Perhaps('?')),
        _ => Some(EMISSION),
    }
}

fn columns(emission: &Emission) -> Plain<'_> {
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

fn complete<'a>(entry: &'a Entry, relay: &'a str) -> Complete<'a> {
    let command = |json: &'a str, target| {
        let (sender, ephemeral) = (Some(relay), Some(Ephemeral::Yes(COMMAND)));
        let namespace = entry.elsewhere();
        (
            None, "", json, None, target, None, sender, None, ephemeral, namespace,
        )
    };
    let emission = match entry {
        Entry::Emission(emission) => emission,
        Entry::Command(json, _) => return command(json, None),
        Entry::Addressed(json, sockets) => {
            let pairs = sockets.iter().map(|it| json!([it.socket, it.relay]));
            let target = Json::from_iter(pairs).to_string();
            return command(json, Some(target));
        }
    };
    let (room, event, data, id) = columns(emission);
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
        ephemeral(emission),
        emission.namespace.as_deref(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn emission(room: &str, namespace: Option<&str>, transient: bool) -> Entry {
        Entry::Emission(Emission {
            namespace: namespace.map(str::to_owned),
            rooms: vec![room.into()],
            except: vec![],
            event: "message".into(),
            data: "[\"message\"]".into(),
            attachments: vec![],
            id: None,
            once: None,
            transient,
        })
    }

    fn texts(values: &[Value; 5]) -> [&str; 4] {
        [0, 1, 2, 3].map(|place: usize| match &values[place] {
            Value::Text(text) => text.as_str(),
            other => panic!("{other:?} is no text"),
        })
    }

    #[test]
    fn what_is_plain_is_stored_as_such_and_each_namespace_has_its_head() {
        let entries = vec![emission("r", None, false), emission("r", None, false)];
        let values = Pending { first: 7, entries }.values("/", "r1").unwrap();
        let row = r#"["r","message","[\"message\"]",null]"#;
        assert_eq!(
            texts(&values),
            [
                &*format!("[{row},{row}]"),
                "[]",
                r#"[["r","message",2,null]]"#,
                r#"[["/",8]]"#
            ]
        );
        let entries = vec![
            emission("r", Some("/b"), false),
            Entry::Command("{}".into(), None),
            emission("s", None, true),
            Entry::Command("{}".into(), Some("/b".into())),
        ];
        let values = Pending { first: 7, entries }.values("/", "r1").unwrap();
        let [plain, complete, counts, heads] = texts(&values);
        assert_eq!((plain, heads), ("[]", r#"[["/",9],["/b",10]]"#));
        assert!(complete.contains(r#"[null,"","{}",null,null,null,"r1",null,2,null]"#));
        assert!(complete.contains(r#"[null,"","{}",null,null,null,"r1",null,2,"/b"]"#));
        // What is transient is in no history, and no command is.
        assert_eq!(counts, r#"[["r","message",1,"/b"]]"#);
    }
}
