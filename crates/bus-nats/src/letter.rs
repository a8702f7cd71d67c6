//! What relays write to each other: JSON, with the relay protocol's own commands.

use std::borrow::Cow;

use parlour_protocol::relay::Command;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// `{"from", "sequence", "command"}`; without a command it says that its sender is there, or leaves.
#[derive(Debug, Serialize, Deserialize)]
pub struct Letter<'a> {
    /// The relay's name, `@`, and when its life began: milliseconds since 1970.
    #[serde(borrow)]
    pub from: Cow<'a, str>,
    /// The number of the command among all that this relay has for others, from 0 on and without a gap;
    /// without a command, the number that the next one will have.
    pub sequence: u64,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub command: Option<&'a RawValue>,
    /// There will be no more: everything was said.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub leaves: bool,
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

    /// That this relay is there.
    pub fn presence(from: &str, sequence: u64, leaves: bool) -> Vec<u8> {
        let letter = Letter {
            from: from.into(),
            sequence,
            command: None,
            leaves,
        };
        serde_json::to_vec(&letter).unwrap_or_default()
    }

    /// A letter with a command that is JSON already. A relay's name needs no escapes.
    pub fn write(from: &str, sequence: u64, command: &[u8]) -> Vec<u8> {
        let head = format!(r#"{{"from":"{from}","sequence":{sequence},"command":"#);
        [head.as_bytes(), command, b"}"].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_comes_as_it_was_sent() {
        let json = r#"{"emit":{"rooms":["r"],"data":["a",{"b":[1.50,"ä"]}],"offset":7}}"#;
        let payload = Letter::write("host-3000@17", 9, json.as_bytes());
        let letter = Letter::read(&payload).unwrap();
        assert_eq!((&*letter.from, letter.sequence), ("host-3000@17", 9));
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
        let payload = Letter::presence("a@1", 3, false);
        assert_eq!(payload, br#"{"from":"a@1","sequence":3}"#);
        assert!(Letter::read(&payload).unwrap().command().unwrap().is_none());
        let payload = Letter::presence("a@1", 3, true);
        assert!(Letter::read(&payload).unwrap().leaves);
    }

    #[test]
    fn what_is_no_letter_is_an_error() {
        for payload in ["", "x", "[]", "{}", r#"{"from":"a@1"}"#] {
            assert!(Letter::read(payload.as_bytes()).is_err(), "{payload}");
        }
        let unknown = Letter::write("a@1", 0, br#"{"dance":{}}"#);
        assert!(Letter::read(&unknown).unwrap().command().is_err());
    }
}
