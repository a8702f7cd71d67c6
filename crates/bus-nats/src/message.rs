//! What relays write to each other: JSON, with the relay protocol's own commands.

use std::borrow::Cow;
use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use parlour_protocol::relay::Contest;
use parlour_relay::{Extent, Report};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Which relay a message is from, and what it says.
#[derive(Debug)]
pub struct Message<'a> {
    /// The relay's name.
    pub relay: &'a str,
    /// When its life began: milliseconds since 1970.
    pub epoch: u64,
    pub content: Content<'a>,
}

#[derive(Debug)]
pub enum Content<'a> {
    /// Commands for the sockets of a namespace: a JSON array. Without an extent they are volatile.
    Commands(Option<Extent>, &'a RawValue),
    /// A question, with its number.
    Contest(u64, Box<Contest<'a>>),
    /// For a relay, by its name, with the number of what it has asked.
    Report(&'a str, u64, Report),
    /// The relay is there, and has delivered namespaces' logs up to these offsets.
    Presence(BTreeMap<Cow<'a, str>, u64>),
}

/// How messages are written: `{"from": "name@epoch", …}`, and the fields of one content.
#[derive(Default, Serialize, Deserialize)]
struct Wire<'a> {
    #[serde(borrow)]
    from: &'a str,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    previous: Option<u64>,
    /// Together with `previous`: the offset of the last command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    commands: Option<&'a RawValue>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    number: Option<u64>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    contest: Option<Box<Contest<'a>>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    to: Option<&'a str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    report: Option<Report>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    heads: Option<BTreeMap<Cow<'a, str>, u64>>,
}

impl<'a> Message<'a> {
    pub fn read(payload: &'a [u8]) -> Result<Message<'a>> {
        let wire: Wire<'a> = serde_json::from_slice(payload)?;
        let from = wire.from.rsplit_once('@');
        let from = from.and_then(|(name, epoch)| Some((name, epoch.parse().ok()?)));
        let (relay, epoch) =
            from.with_context(|| format!("`from` is no relay's name and epoch: {:?}", wire.from))?;
        let extent = wire.previous.zip(wire.offset);
        let content = match wire {
            Wire {
                commands: Some(commands),
                ..
            } => {
                let extent = extent.map(|(previous, head)| Extent { previous, head });
                Content::Commands(extent, commands)
            }
            Wire {
                number: Some(number),
                contest: Some(contest),
                ..
            } => Content::Contest(number, contest),
            Wire {
                number: Some(number),
                to: Some(to),
                report: Some(report),
                ..
            } => Content::Report(to, number, report),
            Wire {
                heads: Some(heads), ..
            } => Content::Presence(heads),
            _ => bail!("it says nothing that this version knows"),
        };
        Ok(Message {
            relay,
            epoch,
            content,
        })
    }

    pub fn write(&self) -> serde_json::Result<Vec<u8>> {
        let from = format!("{}@{}", self.relay, self.epoch);
        let mut wire = Wire {
            from: &from,
            ..Wire::default()
        };
        match &self.content {
            Content::Commands(extent, commands) => {
                wire.previous = extent.map(|extent| extent.previous);
                wire.offset = extent.map(|extent| extent.head);
                wire.commands = Some(commands);
            }
            Content::Contest(number, contest) => {
                (wire.number, wire.contest) = (Some(*number), Some(contest.clone()));
            }
            Content::Report(to, number, report) => {
                (wire.to, wire.number) = (Some(*to), Some(*number));
                wire.report = Some(report.clone());
            }
            Content::Presence(heads) => wire.heads = Some(heads.clone()),
        }
        serde_json::to_vec(&wire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> &RawValue {
        serde_json::from_str(json).unwrap()
    }

    /// Written and read again.
    fn carried(content: Content<'_>) -> String {
        let message = Message {
            relay: "host-3000",
            epoch: 17,
            content,
        };
        let payload = message.write().unwrap();
        let read = Message::read(&payload).unwrap();
        assert_eq!((read.relay, read.epoch), ("host-3000", 17));
        assert_eq!(
            format!("{:?}", read.content),
            format!("{:?}", message.content)
        );
        String::from_utf8(payload).unwrap()
    }

    #[test]
    fn a_message_is_read_as_it_was_written() {
        let commands = r#"[{"emit":{"rooms":["r"],"data":["a",{"b":[1.50,"ä"]}],"offset":9}}]"#;
        let extent = Some(Extent {
            previous: 7,
            head: 9,
        });
        assert_eq!(
            carried(Content::Commands(extent, raw(commands))),
            format!(r#"{{"from":"host-3000@17","previous":7,"offset":9,"commands":{commands}}}"#)
        );
        carried(Content::Commands(None, raw("[]")));
        let contest = Contest {
            socket: "".into(),
            owner: "o".into(),
            relay: "r".into(),
        };
        carried(Content::Contest(3, Box::new(contest)));
        let replies = vec![r#"{"socket":"s","data":[1]}"#.to_owned()];
        for report in [
            Report::Replies(replies),
            Report::Missing(vec!["s".into()]),
            Report::Owner(true),
        ] {
            carried(Content::Report("other", 3, report));
        }
        carried(Content::Presence(BTreeMap::from([("/\"ä".into(), 12)])));
        carried(Content::Presence(BTreeMap::new()));
    }

    #[test]
    fn anything_else_is_an_error() {
        for text in [
            "",
            "[]",
            r#"{"from":"a@1"}"#,
            r#"{"from":"a","heads":{}}"#,
            r#"{"from":"a@b","heads":{}}"#,
            r#"{"from":"a@1","report":{"owner":true}}"#,
            r#"{"heads":{}}"#,
        ] {
            assert!(Message::read(text.as_bytes()).is_err(), "{text}");
        }
    }
}
