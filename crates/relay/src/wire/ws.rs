//! WebSocket framing for the server's side (RFC 6455), without extensions: headers, masks, and
//! messages out of frames. It does no I/O and keeps no buffer while no frame is incomplete.

mod reader;

pub use reader::{End, Handler, Reader};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

/// Close codes (RFC 6455, section 7.4.1).
pub mod code {
    pub const PROTOCOL_ERROR: u16 = 1002;
    /// Stands for a close frame without a code.
    pub const NO_STATUS: u16 = 1005;
    pub const INVALID_TEXT: u16 = 1007;
    pub const POLICY_VIOLATION: u16 = 1008;
    pub const TOO_BIG: u16 = 1009;
    pub const TRY_AGAIN_LATER: u16 = 1013;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opcode {
    Continuation = 0,
    Text = 1,
    Binary = 2,
    Close = 8,
    Ping = 9,
    Pong = 10,
}

/// The most bytes a control frame carries.
const MAX_CONTROL_PAYLOAD: usize = 125;

/// What a client's frame begins with.
#[derive(Debug, PartialEq, Eq)]
struct Header {
    last: bool,
    opcode: Opcode,
    mask: [u8; 4],
    /// Bytes of the header itself.
    size: usize,
    payload: usize,
}

/// Reads a client's frame header. `Ok(None)`: it is not all there yet. `Err` is a close code.
fn read_header(bytes: &[u8], max_payload: usize) -> Result<Option<Header>, u16> {
    let &[first, second, ..] = bytes else {
        return Ok(None);
    };
    let opcode = match first & 0x0f {
        0 => Opcode::Continuation,
        1 => Opcode::Text,
        2 => Opcode::Binary,
        8 => Opcode::Close,
        9 => Opcode::Ping,
        10 => Opcode::Pong,
        _ => return Err(code::PROTOCOL_ERROR),
    };
    let last = first & 0x80 != 0;
    let (reserved_bits, masked) = (first & 0x70, second & 0x80 != 0);
    let control = matches!(opcode, Opcode::Close | Opcode::Ping | Opcode::Pong);
    let short = usize::from(second & 0x7f);
    if reserved_bits != 0 || !masked || control && (!last || short > MAX_CONTROL_PAYLOAD) {
        return Err(code::PROTOCOL_ERROR);
    }
    let (payload, at) = match short {
        126 => match bytes.get(2..4) {
            Some(length) => (u64::from(u16::from_be_bytes([length[0], length[1]])), 4),
            None => return Ok(None),
        },
        127 => match bytes.get(2..10) {
            Some(length) => (u64::from_be_bytes(length.try_into().expect("8 bytes")), 10),
            None => return Ok(None),
        },
        short => (short as u64, 2),
    };
    if payload > max_payload as u64 && !control {
        return Err(code::TOO_BIG);
    }
    let Some(mask) = bytes.get(at..at + 4) else {
        return Ok(None);
    };
    let mask = mask.try_into().expect("4 bytes");
    Ok(Some(Header {
        last,
        opcode,
        mask,
        size: at + 4,
        payload: payload as usize,
    }))
}

/// Applies a client's mask, eight bytes at a time.
fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = payload.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}

/// Appends the header of an unmasked, unfragmented frame.
pub fn write_header(out: &mut Vec<u8>, opcode: Opcode, payload: usize) {
    out.push(0x80 | opcode as u8);
    match payload {
        0..=125 => out.push(payload as u8),
        126..=0xffff => {
            out.push(126);
            out.extend_from_slice(&(payload as u16).to_be_bytes());
        }
        _ => {
            out.push(127);
            out.extend_from_slice(&(payload as u64).to_be_bytes());
        }
    }
}

/// Appends a text frame whose text comes in parts.
pub fn write_text(out: &mut Vec<u8>, parts: &[&str]) {
    write_header(out, Opcode::Text, parts.iter().map(|part| part.len()).sum());
    for part in parts {
        out.extend_from_slice(part.as_bytes());
    }
}

pub fn write_frame(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8]) {
    write_header(out, opcode, payload.len());
    out.extend_from_slice(payload);
}

/// Appends a close frame.
pub fn write_close(out: &mut Vec<u8>, code: u16) {
    if code == code::NO_STATUS {
        write_frame(out, Opcode::Close, &[]);
    } else {
        write_frame(out, Opcode::Close, &code.to_be_bytes());
    }
}

/// The value of `sec-websocket-accept` for a client's `sec-websocket-key`.
pub fn accept_key(key: &[u8]) -> String {
    let mut hash = Sha1::new();
    hash.update(key);
    hash.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    STANDARD.encode(hash.finalize())
}

#[cfg(test)]
mod tests;
