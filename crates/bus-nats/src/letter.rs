//! What relays write to each other: JSON, with the relay protocol's own commands.

use std::borrow::Cow;

use parlour_protocol::relay::Command;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::peers::name;

/// `{"from", "sequence", "source"?, "command"}`; or `{"from", "sequence", "told"}`, which says that its sender is
/// there, or leaves.
#[derive(Debug, Serialize, Deserialize)]
pub struct Letter<'a> {
    /// The relay's name, `@`, and when its life began: milliseconds since 1970.
    #[serde(borrow)]
    pub from: Cow<'a, str>,
    /// The number of the command among all that this relay has for others, from 0 on and without a gap;
    /// without a command, the number that the next one will have.
    pub sequence: u64,
    /// The source of an emission, if it is not the relay's name.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Cow<'a, str>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub command: Option<&'a RawValue>,
    /// Up to which offset it has said everything.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub told: u64,
    /// There will be no more: everything was said.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub leaves: bool,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl<'a> Letter<'a> {
    pub fn read(payload: &'a [u8]) -> serde_json::Result<Letter<'a>> {
        serde_json::from_slice(payload)
    }

    pub fn command(&self) -> serde_json::Result<Option<Command<'a>>> {
        self.command
            .map(|command| serde_json::from_str(command.get()))
            .transpose()
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
        let letter = Letter {
            from: from.into(),
            sequence,
            source: None,
            command: None,
            told,
            leaves,
        };
        serde_json::to_vec(&letter).unwrap_or_default()
    }

    /// A letter with a command that is JSON already. A relay's name needs no escapes.
    pub fn write(from: &str, sequence: u64, source: Option<&str>, command: &[u8]) -> Vec<u8> {
        let mut letter = format!(r#"{{"from":"{from}","sequence":{sequence},"#).into_bytes();
        if let Some(source) = source {
            letter.extend_from_slice(b"\"source\":");
            letter.extend(serde_json::to_vec(source).unwrap_or_default());
            letter.push(b',');
        }
        letter.extend_from_slice(b"\"command\":");
        letter.extend_from_slice(command);
        letter.push(b'}');
        letter
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_comes_as_it_was_sent() {
        let json = r#"{"emit":{"rooms":["r"],"data":["a",{"b":[1.50,"ä"]}],"offset":7}}"#;
        let payload = Letter::write("host-3000@17", 9, None, json.as_bytes());
        let letter = Letter::read(&payload).unwrap();
        assert_eq!((&*letter.from, letter.sequence), ("host-3000@17", 9));
        assert_eq!(letter.source(), "host-3000");
        let elsewhere = Letter::write("a@1", 0, Some("a/\"b\""), json.as_bytes());
        assert_eq!(Letter::read(&elsewhere).unwrap().source(), "a/\"b\"");
        let Ok(Some(Command::Emit(emit))) = letter.command() else {
            panic!("{letter:?}");
        };
        assert_eq!(emit.data.get(), r#"["a",{"b":[1.50,"ä"]}]"#);
        assert_eq!(
            (emit.offset, emit.rooms.as_slice()),
            (Some(7), &["r".into()][..])
        );
    }

    #[test]
    fn presence_has_no_command() {
        let payload = Letter::presence("a@1", 3, 17, false);
        assert_eq!(payload, br#"{"from":"a@1","sequence":3,"told":17}"#);
        assert!(Letter::read(&payload).unwrap().command().unwrap().is_none());
        let payload = Letter::presence("a@1", 3, 17, true);
        assert!(Letter::read(&payload).unwrap().leaves);
    }

    #[test]
    fn what_is_no_letter_is_an_error() {
        for payload in ["", "x", "[]", "{}", r#"{"from":"a@1"}"#] {
            assert!(Letter::read(payload.as_bytes()).is_err(), "{payload}");
        }
        let unknown = Letter::write("a@1", 0, None, br#"{"dance":{}}"#);
        assert!(Letter::read(&unknown).unwrap().command().is_err());
    }
}
