//! Header values as text: each byte is the character of its number, as in Node.js and in browsers' `fetch`. So every
//! value is text, and every such text is the value again. UTF-8 in a header comes as the characters of its bytes.

use std::borrow::Cow;

/// A header's value as text.
pub fn decode(value: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(value) {
        Ok(text) if value.is_ascii() => Cow::Borrowed(text),
        _ => value.iter().copied().map(char::from).collect(),
    }
}

/// The value that [`decode`] made this text of. None if it has a character that is no byte.
pub fn encode(text: &str) -> Option<Cow<'_, [u8]>> {
    if text.is_ascii() {
        return Some(Cow::Borrowed(text.as_bytes()));
    }
    let bytes = text.chars().map(u8::try_from);
    bytes.collect::<Result<Vec<u8>, _>>().ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_text_and_comes_back() {
        let all: Vec<u8> = (0..=255).collect();
        for value in [&all[..], b"plain", b"", b"caf\xe9", "caf\u{e9}".as_bytes()] {
            assert_eq!(encode(&decode(value)).unwrap(), value);
        }
        assert_eq!(decode(b"caf\xe9"), "caf\u{e9}");
        assert_eq!(decode("\u{e9}".as_bytes()), "\u{c3}\u{a9}");
        assert_eq!(encode("\u{20ac}"), None);
    }
}
