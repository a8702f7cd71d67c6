//! WebSocket frames as a client writes and reads them (RFC 6455, section 5). Only bytes: no sockets,
//! and only what servers of Socket.IO send, so no fragments and no extensions.

use anyhow::{Result, bail};

const FINAL: u8 = 0x80;
const MASKED: u8 = 0x80;
const LENGTH_16: u8 = 126;
const LENGTH_64: u8 = 127;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opcode {
    Text = 1,
    Binary = 2,
    Close = 8,
    Ping = 9,
    Pong = 10,
}

/// Appends one masked frame. The mask is zero: a server must still apply it, and the generator is
/// spared the work.
pub fn write(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8]) {
    out.push(FINAL | opcode as u8);
    match payload.len() {
        short @ 0..=125 => out.push(MASKED | short as u8),
        medium @ 126..=0xffff => {
            out.push(MASKED | LENGTH_16);
            out.extend_from_slice(&(medium as u16).to_be_bytes());
        }
        long => {
            out.push(MASKED | LENGTH_64);
            out.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(payload);
}

/// One frame from a server and how many bytes it took.
#[derive(Debug)]
pub struct Frame<'a> {
    pub opcode: Opcode,
    pub payload: &'a [u8],
    pub taken: usize,
}

/// The frame at the beginning of `bytes`; `None` while it is incomplete.
pub fn read(bytes: &[u8]) -> Result<Option<Frame<'_>>> {
    let [first, second, rest @ ..] = bytes else {
        return Ok(None);
    };
    let (length, extended) = match *second {
        LENGTH_16 => match rest.first_chunk::<2>() {
            Some(length) => (u16::from_be_bytes(*length) as usize, 2),
            None => return Ok(None),
        },
        LENGTH_64 => match rest.first_chunk::<8>() {
            Some(length) => (u64::from_be_bytes(*length) as usize, 8),
            None => return Ok(None),
        },
        short if short < LENGTH_16 => (short as usize, 0),
        _ => bail!("the server sent a masked frame"),
    };
    let opcode = match *first {
        0x81 => Opcode::Text,
        0x82 => Opcode::Binary,
        0x88 => Opcode::Close,
        0x89 => Opcode::Ping,
        0x8a => Opcode::Pong,
        other => bail!("the server sent a frame that begins with {other:#04x}"),
    };
    let taken = 2 + extended + length;
    Ok(rest.get(extended..extended + length).map(|payload| Frame {
        opcode,
        payload,
        taken,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_frame_is_read_whole_or_not_at_all() {
        for length in [0, 5, 125, 126, 70_000] {
            let payload = vec![b'x'; length];
            let mut masked = Vec::new();
            write(&mut masked, Opcode::Text, &payload);
            // What a server sends is the same without the mask bit and the mask.
            let header = masked.len() - length - 4;
            let mut bytes = masked[..header].to_vec();
            bytes[1] &= !MASKED;
            bytes.extend_from_slice(&payload);

            for cut in [1, header, bytes.len() - 1] {
                if cut < bytes.len() {
                    assert!(read(&bytes[..cut]).unwrap().is_none(), "cut at {cut}");
                }
            }
            bytes.push(0x81);
            let frame = read(&bytes).unwrap().unwrap();
            assert_eq!(frame.opcode, Opcode::Text);
            assert_eq!(frame.payload, payload);
            assert_eq!(frame.taken, bytes.len() - 1);
        }
    }

    #[test]
    fn masked_and_fragmented_frames_are_errors() {
        assert!(read(&[0x81, 0x81, 0, 0, 0, 0, b'x']).is_err());
        assert!(read(&[0x01, 0x01, b'x']).is_err());
    }
}
