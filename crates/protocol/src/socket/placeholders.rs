//! Checks the placeholders of a binary packet, `{"_placeholder":true,"num":n}`, in JSON that is
//! known to be valid. It walks the text once, without recursion, because depth is the client's choice.

use std::collections::HashSet;

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
    /// The key whose value comes next, and how it is written.
    key: Key,
    quoted_key: &'a str,
    /// Keys whose value has an illegal placeholder. It counts unless this is a placeholder itself, which
    /// becomes an attachment with all that is in it.
    illegal: HashSet<String>,
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
                let illegal = match closed.placeholder {
                    true => !is_index(closed.num, attachments),
                    false => !closed.illegal.is_empty(),
                };
                match open.last_mut() {
                    Some(outer) if illegal => {
                        outer.illegal.insert(key(outer.quoted_key));
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
                take_literal(&mut open, &json[start..at]);
            }
        }
    }
    Placeholders::Legal
}

fn is_index(num: Option<f64>, attachments: usize) -> bool {
    num.is_some_and(|num| num >= 0.0 && num.fract() == 0.0 && num < attachments as f64)
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

/// The key that is written so; of an array's items, nothing.
fn key(quoted: &str) -> String {
    serde_json::from_str(quoted).unwrap_or_default()
}

fn take_string<'a>(open: &mut [Open<'a>], quoted: &'a str) {
    let Some(inner) = open.last_mut() else { return };
    if !inner.at_key {
        forget_value(open);
        return;
    }
    inner.at_key = false;
    inner.quoted_key = quoted;
    inner.key = match key(quoted).as_str() {
        "_placeholder" => Key::Placeholder,
        "num" => Key::Num,
        _ => Key::Other,
    };
}

fn take_literal(open: &mut [Open<'_>], literal: &str) {
    forget_value(open);
    let Some(inner) = open.last_mut() else { return };
    match inner.key {
        Key::Placeholder => inner.placeholder = literal == "true",
        Key::Num => inner.num = literal.parse().ok(),
        Key::Other => {}
    }
}

/// A value of another shape follows the key: of two equal keys, the last one counts.
fn forget_value(open: &mut [Open<'_>]) {
    let Some(inner) = open.last_mut() else { return };
    if inner.object && !inner.illegal.is_empty() {
        inner.illegal.remove(&key(inner.quoted_key));
    }
    match inner.key {
        Key::Placeholder => inner.placeholder = false,
        Key::Num => inner.num = None,
        Key::Other => {}
    }
}
