//! Walks over JSON that is known to be valid, without recursion: how deep it is, its sender decides.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::de::{self, Deserializer as _, Visitor};

use super::MAX_DEPTH;

/// The first two bytes of half a surrogate pair are these, the second one from here on (WTF-8).
const SURROGATE: (u8, u8) = (0xed, 0xa0);

/// U+FFFD, which has as many bytes.
const REPLACEMENT: [u8; 3] = [0xef, 0xbf, 0xbd];

/// The index of the first byte from `at` on that is no white space.
pub fn skip_space(bytes: &[u8], mut at: usize) -> usize {
    while matches!(bytes.get(at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
        at += 1;
    }
    at
}

/// The index after the string whose opening quote is at `at`.
pub fn string_end(bytes: &[u8], mut at: usize) -> usize {
    at += 1;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// The index after the number, `true`, `false` or `null` at `at`.
pub fn literal_end(bytes: &[u8], mut at: usize) -> usize {
    while at < bytes.len()
        && !matches!(
            bytes[at],
            b',' | b':' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r'
        )
    {
        at += 1;
    }
    at
}

/// The index after the value that begins at `at`.
pub fn value_end(bytes: &[u8], mut at: usize) -> usize {
    let mut depth = 0_usize;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => at = string_end(bytes, at),
            b'{' | b'[' => {
                depth += 1;
                at += 1;
                continue;
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                at += 1;
            }
            b',' | b':' | b' ' | b'\t' | b'\n' | b'\r' => {
                at += 1;
                continue;
            }
            _ => at = literal_end(bytes, at),
        }
        if depth == 0 {
            return at;
        }
    }
    bytes.len()
}

/// What a quoted string says, as UTF-8; half a surrogate pair is in it as three bytes that are no UTF-8.
fn wtf8(quoted: &str) -> Cow<'_, [u8]> {
    struct Bytes;

    impl<'de> Visitor<'de> for Bytes {
        type Value = Cow<'de, [u8]>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a string")
        }

        fn visit_borrowed_bytes<E: de::Error>(self, bytes: &'de [u8]) -> Result<Self::Value, E> {
            Ok(Cow::Borrowed(bytes))
        }

        fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
            Ok(Cow::Owned(bytes.to_vec()))
        }
    }

    let mut reader = serde_json::Deserializer::from_str(quoted);
    reader.deserialize_bytes(Bytes).unwrap_or_default()
}

/// Tells apart what JavaScript tells apart: the key of an object, as it is written. Two keys are the same if these
/// bytes are.
pub fn key(quoted: &str) -> Cow<'_, [u8]> {
    wtf8(quoted)
}

/// What a quoted string says. What is half of a surrogate pair is no character, so U+FFFD stands for it.
pub fn unquoted(quoted: &str) -> Cow<'_, str> {
    match wtf8(quoted) {
        Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
        Cow::Owned(bytes) => String::from_utf8(replace_surrogates(bytes))
            .unwrap_or_default()
            .into(),
    }
}

fn replace_surrogates(mut bytes: Vec<u8>) -> Vec<u8> {
    let mut at = 0;
    while let Some(found) = bytes[at..].iter().position(|byte| *byte == SURROGATE.0) {
        at += found;
        if bytes.get(at + 1).is_some_and(|byte| *byte >= SURROGATE.1) {
            bytes[at..at + 3].copy_from_slice(&REPLACEMENT);
        }
        at += 3;
    }
    bytes
}

/// What a walk over a whole text finds.
#[derive(Default)]
pub struct Overview {
    /// Where keys begin whose value a later one of the same object replaces. Rising.
    pub overridden: Vec<usize>,
    /// How many arrays and objects are in each other.
    depth: usize,
    has_half_pairs: bool,
}

/// Where the keys of an object are. An array has none.
type Keys<'a> = Option<HashMap<Cow<'a, [u8]>, usize>>;

pub fn overview(json: &str) -> Overview {
    let bytes = json.as_bytes();
    let mut found = Overview::default();
    // For each array or object that is open, also whether a string would be a key.
    let mut open: Vec<(Keys<'_>, bool)> = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let start = at;
        at += 1;
        match bytes[start] {
            b'{' | b'[' => {
                let is_object = bytes[start] == b'{';
                open.push((is_object.then(HashMap::new), is_object));
                found.depth = found.depth.max(open.len());
            }
            b'}' | b']' => drop(open.pop()),
            b',' => {
                if let Some((keys, at_key)) = open.last_mut() {
                    *at_key = keys.is_some();
                }
            }
            b'"' => {
                at = string_end(bytes, start);
                let quoted = &json[start..at];
                found.has_half_pairs |= quoted.contains('\\') && has_half_pairs(quoted);
                if let Some((Some(keys), at_key @ true)) = open.last_mut() {
                    *at_key = false;
                    found.overridden.extend(keys.insert(key(quoted), start));
                }
            }
            _ => {}
        }
    }
    found.overridden.sort_unstable();
    found
}

fn has_half_pairs(quoted: &str) -> bool {
    std::str::from_utf8(&wtf8(quoted)).is_err()
}

/// Whether everybody who reads JSON reads the same in this: every string is made of whole characters, no key is there
/// twice, and it is not deeper than [`MAX_DEPTH`].
pub fn is_canonical(json: &str) -> bool {
    let found = overview(json);
    found.overridden.is_empty() && !found.has_half_pairs && found.depth <= MAX_DEPTH
}
