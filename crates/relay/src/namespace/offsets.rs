//! What an event's packet ends with, so that its client can recover its session: its offset in the namespace's log.

use std::borrow::Cow;

/// One more argument that is no string. See [`tail`].
const NO_OFFSET: &str = ",0]";

/// What an event ends with instead of its bracket, for clients that have a session; nothing, if it stays as it is.
///
/// A client takes the last argument of any event that is not to be acknowledged for its offset, if
/// that is a string (the bare name of an event without arguments, too), and gives the last one back
/// when it recovers. So an event that is in the log has its offset there, and one that is not must not
/// end with a string: nobody could tell what such a client has seen. That one gets a zero, which is
/// no string and leaves alone what the client remembers.
pub fn tail(data: &str, offset: Option<u64>) -> Cow<'static, str> {
    match offset {
        Some(offset) => format!(",\"{offset}\"]").into(),
        None if ends_with_string(data) => NO_OFFSET.into(),
        None => "".into(),
    }
}

/// Whether a valid JSON array's last element is a string.
fn ends_with_string(array: &str) -> bool {
    array
        .strip_suffix(']')
        .is_some_and(|elements| elements.trim_ascii_end().ends_with('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_ends_with_its_offset_and_never_with_another_string() {
        assert_eq!(tail(r#"["a"]"#, Some(17)), r#","17"]"#);
        assert_eq!(tail(r#"["a","b" ]"#, None), ",0]");
        assert_eq!(tail(r#"["a"]"#, None), ",0]");
        for data in [r#"["a",1]"#, r#"["a",["b"]]"#, r#"["a",{"b":"c"}]"#] {
            assert_eq!(tail(data, None), "");
        }
    }
}
