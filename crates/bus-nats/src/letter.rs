//! What relays write to each other: JSON, with the relay protocol's own commands.

use std::borrow::Cow;

use parlour_protocol::relay::Command;
use parlour_relay::Report;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::peers::name;

/// `{"from", "sequence", …}`, and what it is about, the fields of a [`Content`]; or `{"from", "sequence", "told"}`,
/// which says that its sender is there, or leaves.
#[derive(Debug, Deserialize)]
pub struct Letter<'a> {
    /// The relay's name, `@`, and when its life began: milliseconds since 1970.
    #[serde(borrow)]
    pub from: Cow<'a, str>,
    /// The number of the letter among all of this relay that bring something, from 0 on and without a gap;
    /// of one that does not, the number that the next one will have.
    pub sequence: u64,
    #[serde(borrow, default)]
    pub source: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub to: Option<Cow<'a, str>>,
    #[serde(default)]
    pub ask: Option<u64>,
    #[serde(borrow, default)]
    pub command: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub report: Option<&'a RawValue>,
    #[serde(default)]
    pub told: u64,
    #[serde(default)]
    pub leaves: bool,
}

/// What a letter says, as it is written before the letter has its number. At least one of these is there.
#[derive(Default, Serialize)]
pub struct Content<'a> {
    /// The source of an emission, if it is not the relay's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<&'a str>,
    /// For which life of which relay a report is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<&'a str>,
    /// The number of what asks for acknowledgements, and of reports of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ask: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<&'a Command<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report: Option<&'a Report>,
    /// Up to which offset its sender has said everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub told: Option<u64>,
    /// There will be no more: everything was said.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub leaves: bool,
}

/// What a letter brings.
#[derive(Debug)]
pub enum Brought<'a> {
    Command(Command<'a>),
    /// With its number.
    Ask(u64, Command<'a>),
    /// For whom, with the number of what was asked.
    Report(&'a str, u64, Report),
}

impl<'a> Letter<'a> {
    pub fn read(payload: &'a [u8]) -> serde_json::Result<Letter<'a>> {
        serde_json::from_slice(payload)
    }

    /// None: it says only that its sender is there.
    pub fn brought(&'a self) -> serde_json::Result<Option<Brought<'a>>> {
        let command = self.command.map(|json| serde_json::from_str(json.get()));
        let report = self.report.map(|json| serde_json::from_str(json.get()));
        Ok(Some(match (command, report, self.ask) {
            (None, None, _) => return Ok(None),
            (Some(command), _, None) => Brought::Command(command?),
            (Some(command), _, Some(ask)) => Brought::Ask(ask, command?),
            (None, Some(report), ask) => {
                let to = self.to.as_deref().unwrap_or_default();
                Brought::Report(to, ask.unwrap_or_default(), report?)
            }
        }))
    }

    /// The name of the relay that it is from.
    pub fn relay(&self) -> &str {
        name(&self.from)
    }

    pub fn source(&self) -> &str {
        self.source.as_deref().unwrap_or(self.relay())
    }

    /// That this relay is there.
    pub fn presence(from: &str, sequence: u64, told: u64, leaves: bool) -> Vec<u8> {
        let content = Content {
            told: Some(told),
            leaves,
            ..Content::default()
        };
        let content = serde_json::to_vec(&content).unwrap_or_default();
        Letter::write(from, sequence, &content)
    }

    /// A letter with a [`Content`] that is JSON already. A relay's name needs no escapes.
    pub fn write(from: &str, sequence: u64, content: &[u8]) -> Vec<u8> {
        let head = format!(r#"{{"from":"{from}","sequence":{sequence},"#);
        let fields = content.strip_prefix(b"{").unwrap_or(content);
        [head.as_bytes(), fields].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(content: &Content<'_>) -> Vec<u8> {
        Letter::write("host-3000@17", 9, &serde_json::to_vec(content).unwrap())
    }

    #[test]
    fn a_command_comes_as_it_was_sent() {
        let json = r#"{"emit":{"rooms":["r"],"data":["a",{"b":[1.50,"ä"]}],"offset":7}}"#;
        let command: Command<'_> = serde_json::from_str(json).unwrap();
        let content = Content {
            command: Some(&command),
            ..Content::default()
        };
        let payload = written(&content);
        let letter = Letter::read(&payload).unwrap();
        assert_eq!((&*letter.from, letter.sequence), ("host-3000@17", 9));
        assert_eq!(letter.source(), "host-3000");
        let Ok(Some(Brought::Command(Command::Emit(emit)))) = letter.brought() else {
            panic!("{letter:?}");
        };
        assert_eq!(emit.data.get(), r#"["a",{"b":[1.50,"ä"]}]"#);
        assert_eq!(
            (emit.offset, emit.rooms.as_slice()),
            (Some(7), &["r".into()][..])
        );
        let payload = written(&Content {
            source: Some("a/\"b\""),
            ask: Some(3),
            ..content
        });
        let letter = Letter::read(&payload).unwrap();
        assert_eq!(letter.source(), "a/\"b\"");
        assert!(matches!(letter.brought(), Ok(Some(Brought::Ask(3, _)))));
    }

    #[test]
    fn a_report_comes_as_it_was_sent() {
        let asked = Report::Asked(vec!["x".into()]);
        let reply = serde_json::value::to_raw_value(&[1.5]).unwrap();
        for report in [asked, Report::Replies(vec![reply]), Report::Over] {
            let payload = written(&Content {
                to: Some("a@1"),
                ask: Some(3),
                report: Some(&report),
                ..Content::default()
            });
            let letter = Letter::read(&payload).unwrap();
            let Ok(Some(Brought::Report("a@1", 3, read))) = letter.brought() else {
                panic!("{letter:?}");
            };
            assert_eq!(format!("{read:?}"), format!("{report:?}"));
        }
    }

    #[test]
    fn presence_has_no_command() {
        let payload = Letter::presence("a@1", 3, 17, false);
        assert_eq!(payload, br#"{"from":"a@1","sequence":3,"told":17}"#);
        assert!(Letter::read(&payload).unwrap().brought().unwrap().is_none());
        let payload = Letter::presence("a@1", 3, 17, true);
        assert!(Letter::read(&payload).unwrap().leaves);
    }

    #[test]
    fn what_is_no_letter_is_an_error() {
        for payload in ["", "x", "[]", "{}", r#"{"from":"a@1"}"#] {
            assert!(Letter::read(payload.as_bytes()).is_err(), "{payload}");
        }
        for unknown in [
            r#"{"command":{"dance":{}}}"#,
            r#"{"report":{"x":1},"to":"a@1"}"#,
        ] {
            let unknown = Letter::write("a@1", 0, unknown.as_bytes());
            assert!(Letter::read(&unknown).unwrap().brought().is_err());
        }
    }
}
