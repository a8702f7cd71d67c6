//! Checks the placeholders of a binary packet, `{"_placeholder":true,"num":n}`, in JSON that is
//! known to be valid, and gives them other numbers. It walks the text once, without recursion, because depth is the
//! client's choice; and everything but the numbers stays as it is written.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;

use crate::json::key;

#[derive(Debug, PartialEq, Eq)]
pub enum Placeholders {
    Legal,
    /// A `num` that is not an integer from 0 to the number of attachments - 1.
    Illegal,
}

/// An array or object that is not closed yet.
#[derive(Default)]
struct Open<'a> {
    object: bool,
    placeholder: bool,
    num: Option<f64>,
    /// Where that is written.
    num_at: Range<usize>,
    /// The key whose value comes next, and how it is written.
    key: Key,
    quoted_key: &'a str,
    /// Keys whose value has an illegal placeholder. It counts unless this is a placeholder itself, which
    /// becomes an attachment with all that is in it.
    illegal: HashSet<Vec<u8>>,
    /// Whether a string would be a key.
    at_key: bool,
}

#[derive(Default, Clone, Copy, PartialEq)]
enum Key {
    #[default]
    Other,
    Placeholder,
    Num,
}

/// Whether every placeholder in `json` names one of `attachments`.
pub fn check(json: &str, attachments: usize) -> Placeholders {
    walk(json, attachments, |_, _| {})
}

/// The same JSON with other numbers in its placeholders. `renumber` is asked once for each attachment that they name.
pub fn renumber(
    json: &str,
    attachments: usize,
    mut renumber: impl FnMut(usize) -> usize,
) -> String {
    let mut found = BTreeMap::new();
    walk(json, attachments, |at, number| {
        found.insert(at.start, (at, number));
    });
    let mut numbers = vec![None; attachments];
    let mut out = String::with_capacity(json.len());
    let mut done = 0;
    for (at, number) in found.into_values() {
        let new = *numbers[number].get_or_insert_with(|| renumber(number));
        out.push_str(&json[done..at.start]);
        out.push_str(&new.to_string());
        done = at.end;
    }
    out.push_str(&json[done..]);
    out
}

/// Calls `found` for each placeholder that names an attachment: where its number is written, and which it is.
fn walk(
    json: &str,
    attachments: usize,
    mut found: impl FnMut(Range<usize>, usize),
) -> Placeholders {
    let bytes = json.as_bytes();
    let mut open: Vec<Open<'_>> = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let start = at;
        at += 1;
        match bytes[start] {
            b'{' | b'[' => {
                forget_value(&mut open);
                let object = bytes[start] == b'{';
                open.push(Open {
                    object,
                    at_key: object,
                    ..Open::default()
                });
            }
            b'}' | b']' => {
                let Some(closed) = open.pop() else { continue };
                let number = index(closed.num, attachments).filter(|_| closed.placeholder);
                if let Some(number) = number {
                    found(closed.num_at.clone(), number);
                }
                let illegal = match closed.placeholder {
                    true => number.is_none(),
                    false => !closed.illegal.is_empty(),
                };
                match open.last_mut() {
                    Some(outer) if illegal => {
                        outer.illegal.insert(key_of(outer));
                    }
                    None if illegal => return Placeholders::Illegal,
                    _ => {}
                }
            }
            b',' => {
                if let Some(inner) = open.last_mut() {
                    inner.at_key = inner.object;
                }
            }
            b'"' => {
                at = end_of_string(bytes, at);
                take_string(&mut open, &json[start..at]);
            }
            b':' | b' ' | b'\t' | b'\n' | b'\r' => {}
            _ => {
                while at < bytes.len()
                    && !matches!(bytes[at], b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r')
                {
                    at += 1;
                }
                take_literal(&mut open, json, start..at);
            }
        }
    }
    Placeholders::Legal
}

fn index(num: Option<f64>, attachments: usize) -> Option<usize> {
    let is_one = |num: &f64| *num >= 0.0 && num.fract() == 0.0 && *num < attachments as f64;
    num.filter(is_one).map(|num| num as usize)
}

/// The index after the closing quote.
fn end_of_string(bytes: &[u8], mut at: usize) -> usize {
    while at < bytes.len() {
        match bytes[at] {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// The key whose value comes next; of an array's items, nothing.
fn key_of(open: &Open<'_>) -> Vec<u8> {
    match open.quoted_key {
        "" => Vec::new(),
        quoted => key(quoted).into_owned(),
    }
}

fn take_string<'a>(open: &mut [Open<'a>], quoted: &'a str) {
    let Some(inner) = open.last_mut() else { return };
    if !inner.at_key {
        forget_value(open);
        return;
    }
    inner.at_key = false;
    inner.quoted_key = quoted;
    inner.key = match &*key(quoted) {
        b"_placeholder" => Key::Placeholder,
        b"num" => Key::Num,
        _ => Key::Other,
    };
}

fn take_literal(open: &mut [Open<'_>], json: &str, at: Range<usize>) {
    let literal = &json[at.clone()];
    forget_value(open);
    let Some(inner) = open.last_mut() else { return };
    match inner.key {
        Key::Placeholder => inner.placeholder = literal == "true",
        Key::Num => (inner.num, inner.num_at) = (literal.parse().ok(), at),
        Key::Other => {}
    }
}

/// A value of another shape follows the key: of two equal keys, the last one counts.
fn forget_value(open: &mut [Open<'_>]) {
    let Some(inner) = open.last_mut() else { return };
    if inner.object && !inner.illegal.is_empty() {
        let key = key_of(inner);
        inner.illegal.remove(&key);
    }
    match inner.key {
        Key::Placeholder => inner.placeholder = false,
        Key::Num => inner.num = None,
        Key::Other => {}
    }
}
