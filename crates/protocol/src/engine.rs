//! Engine.IO v4: its packets as text, and the payloads of HTTP long-polling. Text in, text out; it
//! knows no transport, no timer and no Socket.IO.

use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Serialize;

/// The protocol's revision: the query parameter `EIO`.
pub const REVISION: &str = "4";

/// Between the packets of a polling payload: the record separator.
pub const SEPARATOR: char = '\x1e';

/// Node's `Buffer.from(text, "base64")` takes padding or leaves it.
const LENIENT_BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The content of the handshake's `open` packet. Times are in milliseconds, `max_payload` in bytes.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Open<'a> {
    pub sid: &'a str,
    pub upgrades: &'a [&'a str],
    pub ping_interval: u64,
    pub ping_timeout: u64,
    pub max_payload: usize,
}

impl Open<'_> {
    /// The whole packet: `0{…}`.
    pub fn packet(&self) -> String {
        let json = serde_json::to_string(self).expect("strings and numbers are JSON");
        format!("0{json}")
    }
}

/// One packet. Text is borrowed from what was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet<'a> {
    Open,
    Close,
    Ping(&'a str),
    Pong(&'a str),
    Message(&'a str),
    /// A message that is not text: a binary WebSocket message, or `b` and base64 in a payload.
    Binary(Cow<'a, [u8]>),
    Upgrade,
    Noop,
}

/// Not an Engine.IO packet. The session ends with `parse error`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an Engine.IO packet: it begins with none of 0 to 6 and b")]
pub struct Malformed;

/// Reads one packet from a text message.
pub fn decode(text: &str) -> Result<Packet<'_>, Malformed> {
    let mut chars = text.chars();
    let kind = chars.next().ok_or(Malformed)?;
    let rest = chars.as_str();
    Ok(match kind {
        '0' => Packet::Open,
        '1' => Packet::Close,
        '2' => Packet::Ping(rest),
        '3' => Packet::Pong(rest),
        '4' => Packet::Message(rest),
        '5' => Packet::Upgrade,
        '6' => Packet::Noop,
        'b' => Packet::Binary(Cow::Owned(decode_base64(rest))),
        _ => return Err(Malformed),
    })
}

/// Reads the packets of a polling payload, one after the other. After the first malformed one a
/// reader should stop, as the reference does.
pub fn decode_payload(payload: &str) -> impl Iterator<Item = Result<Packet<'_>, Malformed>> {
    payload.split(SEPARATOR).map(decode)
}

/// Appends a packet that is text already to a payload.
pub fn push_packet(payload: &mut String, packet: &[&str]) {
    if !payload.is_empty() {
        payload.push(SEPARATOR);
    }
    for part in packet {
        payload.push_str(part);
    }
}

/// As Node does: what is no base64 is skipped, and everything after the padding.
fn decode_base64(text: &str) -> Vec<u8> {
    if let Ok(bytes) = LENIENT_BASE64.decode(text) {
        return bytes;
    }
    let mut clean: Vec<u8> = text
        .bytes()
        .take_while(|byte| *byte != b'=')
        .filter_map(|byte| match byte {
            b'-' => Some(b'+'),
            b'_' => Some(b'/'),
            b'+' | b'/' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => Some(byte),
            _ => None,
        })
        .collect();
    if clean.len() % 4 == 1 {
        clean.pop();
    }
    LENIENT_BASE64.decode(&clean).unwrap_or_default()
}

#[cfg(test)]
mod tests;
