//! The offsets that clients keep track of, to recover their sessions: what an event's packet ends with.
//! It stores no event and knows no socket.

use std::borrow::Cow;

use parlour_protocol::relay::{Emit, Missed};

/// One more argument that is no string. See [`Offsets::tail`].
const NO_OFFSET: &str = ",0]";

#[derive(Default)]
pub struct Offsets {
    /// A socket of this namespace got a `pid`: only such a client reads offsets.
    are_read: bool,
    /// The highest that was sent.
    highest: u64,
}

impl Offsets {
    /// From now on events have them.
    pub fn begin(&mut self) {
        self.are_read = true;
    }

    /// What an event's JSON array ends with instead of its bracket; nothing, if it stays as it is.
    ///
    /// A client takes the last argument of any event that is not to be acknowledged for its offset, if
    /// that is a string (the bare name of an event without arguments, too), and gives the last one back
    /// when it recovers. So an event that was stored has its offset there, and one that was not must not
    /// end with a string: nobody could tell what such a client has seen. That one gets a zero, which is
    /// no string and leaves alone what the client remembers.
    ///
    /// An emission can come after one with a higher offset, if it is of another namespace's batch or of
    /// another relay. It is sent with the highest: a client whose offset went back would get again what
    /// it has.
    pub fn tail(&mut self, emit: &Emit<'_>) -> Cow<'static, str> {
        if !self.are_read {
            return "".into();
        }
        match emit.offset.filter(|_| !emit.volatile) {
            Some(offset) => {
                self.highest = self.highest.max(offset);
                argument(self.highest).into()
            }
            None if ends_with_string(emit.data.get()) => NO_OFFSET.into(),
            None => "".into(),
        }
    }

    /// The same for an event that one client has missed: that client gets its events in their order.
    pub fn tail_of_missed(&mut self, missed: &Missed<'_>) -> String {
        self.highest = self.highest.max(missed.offset);
        argument(missed.offset)
    }
}

fn argument(offset: u64) -> String {
    format!(",\"{offset}\"]")
}

/// Whether a valid JSON array's last element is a string.
fn ends_with_string(array: &str) -> bool {
    array
        .strip_suffix(']')
        .is_some_and(|elements| elements.trim_ascii_end().ends_with('"'))
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;

    /// What a client gets of an event.
    fn sent(offsets: &mut Offsets, offset: Option<u64>, volatile: bool, data: &str) -> String {
        let raw = RawValue::from_string(data.into()).unwrap();
        let emit = Emit {
            rooms: vec![],
            except: vec![],
            data: &raw,
            attachments: vec![],
            offset,
            namespace: None,
            volatile,
            local: false,
            ack: None,
        };
        let tail = offsets.tail(&emit);
        match &*tail {
            "" => data.into(),
            tail => format!("{}{tail}", &data[..data.len() - 1]),
        }
    }

    #[test]
    fn an_offset_is_a_strings_last_argument_once_somebody_reads_it() {
        let mut offsets = Offsets::default();
        assert_eq!(sent(&mut offsets, Some(16), false, r#"["a"]"#), r#"["a"]"#);
        offsets.begin();
        let seventeen = sent(&mut offsets, Some(17), false, r#"["a",{"b":[]}]"#);
        assert_eq!(seventeen, r#"["a",{"b":[]},"17"]"#);
        let largest = sent(&mut offsets, Some(u64::MAX), false, r#"["a"]"#);
        assert_eq!(largest, r#"["a","18446744073709551615"]"#);
    }

    #[test]
    fn a_clients_offset_never_goes_back() {
        let mut offsets = Offsets::default();
        offsets.begin();
        for (offset, shown) in [(5, "5"), (9, "9"), (7, "9"), (10, "10")] {
            let data = sent(&mut offsets, Some(offset), false, "[1]");
            assert_eq!(data, format!("[1,\"{shown}\"]"));
        }
        // What one has missed has its own offset, lower or higher than what others got.
        let data = RawValue::from_string("[1]".into()).unwrap();
        for offset in [8, 12] {
            let missed = Missed {
                offset,
                data: &data,
                attachments: vec![],
            };
            assert_eq!(offsets.tail_of_missed(&missed), format!(",\"{offset}\"]"));
        }
        assert_eq!(sent(&mut offsets, Some(11), false, "[1]"), "[1,\"12\"]");
    }

    #[test]
    fn an_event_without_an_offset_does_not_end_with_a_string() {
        let mut offsets = Offsets::default();
        offsets.begin();
        for (data, shown) in [
            (r#"["a"]"#, r#"["a",0]"#),
            (r#"["a","b"]"#, r#"["a","b",0]"#),
            (r#"["a","b\"" ]"#, r#"["a","b\"" ,0]"#),
            (r#"["a",1]"#, r#"["a",1]"#),
            (r#"["a",{"b":"c"}]"#, r#"["a",{"b":"c"}]"#),
            (r#"["a",["b"]]"#, r#"["a",["b"]]"#),
        ] {
            assert_eq!(sent(&mut offsets, None, false, data), shown);
            // What may be dropped has no offset, whatever the app says.
            assert_eq!(sent(&mut offsets, Some(3), true, data), shown);
        }
    }
}
