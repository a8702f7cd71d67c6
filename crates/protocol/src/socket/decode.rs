//! Reads one text message, by the rules of the reference's `decodeString` and `isPayloadValid`.
//! It looks at the payload's outside only; what is in it is the handler's.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::ack::{is_js_space, js_number};
use super::{AckId, Kind, MAIN_NAMESPACE, MAX_ATTACHMENTS, Malformed, Packet};

/// Names that an event may not have, because they mean something to the client or to Node.js.
const RESERVED: [&str; 6] = [
    "connect",
    "connect_error",
    "disconnect",
    "disconnecting",
    "newListener",
    "removeListener",
];

/// Whether an event may not have this name.
pub fn is_reserved(event: &str) -> bool {
    RESERVED.contains(&event)
}

/// Reads a packet from the text of an Engine.IO message.
pub fn decode(text: &str) -> Result<Packet<'_>, Malformed> {
    let kind = kind(text)?;
    let rest = &text[1..];
    let (attachments, rest) = match kind {
        Kind::BinaryEvent | Kind::BinaryAck => attachments(rest)?,
        _ => (0, rest),
    };
    let (namespace, rest) = namespace(rest);
    let (id, rest) = id(rest);
    let data = if rest.is_empty() {
        None
    } else {
        Some(payload(kind, rest)?)
    };
    Ok(Packet {
        kind,
        namespace,
        id,
        data,
        attachments,
    })
}

fn kind(text: &str) -> Result<Kind, Malformed> {
    Ok(match text.as_bytes().first() {
        Some(b'0') => Kind::Connect,
        Some(b'1') => Kind::Disconnect,
        Some(b'2') => Kind::Event,
        Some(b'3') => Kind::Ack,
        Some(b'4') => Kind::ConnectError,
        Some(b'5') => Kind::BinaryEvent,
        Some(b'6') => Kind::BinaryAck,
        _ => return Err(Malformed::UnknownKind),
    })
}

fn attachments(rest: &str) -> Result<(usize, &str), Malformed> {
    let (count, rest) = rest.split_once('-').ok_or(Malformed::IllegalAttachments)?;
    let count = js_number(count);
    if count.fract() != 0.0 || count < 0.0 || !count.is_finite() {
        return Err(Malformed::IllegalAttachments);
    }
    if count > MAX_ATTACHMENTS as f64 {
        return Err(Malformed::TooManyAttachments);
    }
    Ok((count as usize, rest))
}

fn namespace(rest: &str) -> (&str, &str) {
    if rest.starts_with('/') {
        rest.split_once(',').unwrap_or((rest, ""))
    } else {
        (MAIN_NAMESPACE, rest)
    }
}

/// White space counts as a digit: in JavaScript, `" " == 0`.
fn id(rest: &str) -> (Option<AckId>, &str) {
    let end = rest
        .find(|character: char| !character.is_ascii_digit() && !is_js_space(character))
        .unwrap_or(rest.len());
    if end == 0 {
        return (None, rest);
    }
    (Some(AckId::parse(&rest[..end])), &rest[end..])
}

fn payload(kind: Kind, text: &str) -> Result<&RawValue, Malformed> {
    let data: &RawValue = serde_json::from_str(text).map_err(|_| Malformed::InvalidPayload)?;
    let first = data.get().as_bytes()[0];
    let valid = match kind {
        Kind::Connect => first == b'{',
        Kind::Disconnect => false,
        Kind::ConnectError => first == b'{' || first == b'"',
        Kind::Event | Kind::BinaryEvent => first == b'[' && has_event_name(data.get()),
        Kind::Ack | Kind::BinaryAck => first == b'[',
    };
    if valid {
        Ok(data)
    } else {
        Err(Malformed::InvalidPayload)
    }
}

/// Whether a valid JSON array begins with a number or with a string that is not reserved.
fn has_event_name(array: &str) -> bool {
    let first = array[1..].trim_ascii_start();
    match first.as_bytes()[0] {
        b'-' | b'0'..=b'9' => true,
        b'"' => !is_reserved(&first_string(first)),
        _ => false,
    }
}

/// The string that this valid JSON begins with.
fn first_string(json: &str) -> Cow<'_, str> {
    let inside = &json[1..];
    match inside.find(['"', '\\']) {
        Some(end) if inside.as_bytes()[end] == b'"' => Cow::Borrowed(&inside[..end]),
        // An escape in an event's name. A lone surrogate cannot be in a reserved one.
        _ => serde_json::Deserializer::from_str(json)
            .into_iter::<String>()
            .next()
            .and_then(Result::ok)
            .unwrap_or_default()
            .into(),
    }
}
