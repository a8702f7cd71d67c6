//! Messages out of a client's bytes. Works in the caller's buffer and keeps bytes of its own only
//! while a frame or a fragmented message is incomplete.

use super::{Header, Opcode, code, read_header, unmask};
use crate::wire::flow::Flow;

/// What happens to a client's messages.
pub trait Handler {
    /// Until when the client is not read, if it is not.
    type Until;

    fn text(&mut self, text: &str) -> Flow<Self::Until>;
    fn binary(&mut self, data: &[u8]) -> Flow<Self::Until>;
    /// A ping of WebSocket's own, to be answered with a pong.
    fn ping(&mut self, data: &[u8]) -> Flow<Self::Until>;
}

/// Why a WebSocket ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The client broke the WebSocket protocol, or a limit; it gets this close code.
    Violation(u16),
    /// The client closes, with this code.
    Closed(u16),
}

#[derive(Default)]
pub struct Reader {
    /// Received and not handled yet: the beginning of a frame, or what came while reading pauses.
    rest: Vec<u8>,
    /// What was kept may have whole frames.
    due: bool,
    /// The fragments of a message so far.
    fragments: Option<Box<Fragments>>,
}

struct Fragments {
    text: bool,
    data: Vec<u8>,
    /// How many bytes of a text are known to be UTF-8.
    checked: usize,
}

impl Fragments {
    /// Refuses a text with the fragment that spoils it, not with its last one. A character may be cut.
    fn check(&mut self) -> Result<(), End> {
        if !self.text {
            return Ok(());
        }
        match std::str::from_utf8(&self.data[self.checked..]) {
            Ok(_) => self.checked = self.data.len(),
            Err(error) if error.error_len().is_none() => self.checked += error.valid_up_to(),
            Err(_) => return Err(End::Violation(code::INVALID_TEXT)),
        }
        Ok(())
    }
}

impl Reader {
    pub fn new(received: &[u8]) -> Reader {
        Reader {
            rest: received.to_vec(),
            due: !received.is_empty(),
            fragments: None,
        }
    }

    /// Whether there is something to handle without reading more.
    pub fn is_due(&self) -> bool {
        self.due
    }

    /// Bytes that wait for more to come.
    pub fn kept(&self) -> usize {
        let fragments = self.fragments.as_ref();
        self.rest.len() + fragments.map_or(0, |fragments| fragments.data.len())
    }

    /// Handles what is complete. `received` may be empty: then what was kept is looked at again.
    pub fn feed<H: Handler>(
        &mut self,
        received: &mut [u8],
        max_payload: usize,
        handler: &mut H,
    ) -> Result<Flow<H::Until>, End> {
        let flow = self.feed_all(received, max_payload, handler);
        self.due = matches!(flow, Ok(Flow::Pause(_))) && !self.rest.is_empty();
        flow
    }

    fn feed_all<H: Handler>(
        &mut self,
        received: &mut [u8],
        max_payload: usize,
        handler: &mut H,
    ) -> Result<Flow<H::Until>, End> {
        if self.rest.is_empty() {
            let (used, flow) = self.frames(received, max_payload, handler);
            self.keep(&received[used..], max_payload);
            return flow;
        }
        let mut all = std::mem::take(&mut self.rest);
        all.extend_from_slice(received);
        let (used, flow) = self.frames(&mut all, max_payload, handler);
        if used == 0 {
            self.rest = all;
        } else {
            self.keep(&all[used..], max_payload);
        }
        flow
    }

    /// Copies the beginning of a frame, with room for all of it.
    fn keep(&mut self, rest: &[u8], max_payload: usize) {
        if rest.is_empty() {
            return;
        }
        let whole = match read_header(rest, max_payload) {
            Ok(Some(header)) => header.size + header.payload,
            _ => rest.len(),
        };
        self.rest = Vec::with_capacity(whole.max(rest.len()));
        self.rest.extend_from_slice(rest);
    }

    /// Handles the frames that are complete in `bytes`, and says how many bytes they had.
    fn frames<H: Handler>(
        &mut self,
        bytes: &mut [u8],
        max_payload: usize,
        handler: &mut H,
    ) -> (usize, Result<Flow<H::Until>, End>) {
        let mut used = 0;
        loop {
            let header = match read_header(&bytes[used..], max_payload) {
                Ok(Some(header)) => header,
                Ok(None) => return (used, Ok(Flow::Continue)),
                Err(code) => return (used, Err(End::Violation(code))),
            };
            let start = used + header.size;
            let Some(payload) = bytes.get_mut(start..start + header.payload) else {
                return (used, Ok(Flow::Continue));
            };
            unmask(payload, header.mask);
            used = start + header.payload;
            match self.frame(&header, payload, max_payload, handler) {
                Ok(Flow::Continue) => {}
                flow => return (used, flow),
            }
        }
    }

    fn frame<H: Handler>(
        &mut self,
        header: &Header,
        payload: &[u8],
        max_payload: usize,
        handler: &mut H,
    ) -> Result<Flow<H::Until>, End> {
        Ok(match (header.opcode, &mut self.fragments) {
            (Opcode::Ping, _) => handler.ping(payload),
            (Opcode::Pong, _) => Flow::Continue,
            (Opcode::Close, _) => return Err(close(payload)),
            (Opcode::Text, None) if header.last => text(payload, handler)?,
            (Opcode::Binary, None) if header.last => handler.binary(payload),
            (Opcode::Text | Opcode::Binary, None) => {
                let text = header.opcode == Opcode::Text;
                let mut fragments = Box::new(Fragments {
                    text,
                    data: payload.to_vec(),
                    checked: 0,
                });
                fragments.check()?;
                self.fragments = Some(fragments);
                Flow::Continue
            }
            (Opcode::Continuation, Some(fragments)) => {
                if fragments.data.len() + payload.len() > max_payload {
                    return Err(End::Violation(code::TOO_BIG));
                }
                fragments.data.extend_from_slice(payload);
                fragments.check()?;
                match self.fragments.take_if(|_| header.last) {
                    Some(whole) if whole.text => text(&whole.data, handler)?,
                    Some(whole) => handler.binary(&whole.data),
                    None => Flow::Continue,
                }
            }
            (Opcode::Text | Opcode::Binary, Some(_)) | (Opcode::Continuation, None) => {
                return Err(End::Violation(code::PROTOCOL_ERROR));
            }
        })
    }
}

fn text<H: Handler>(payload: &[u8], handler: &mut H) -> Result<Flow<H::Until>, End> {
    match std::str::from_utf8(payload) {
        Ok(text) => Ok(handler.text(text)),
        Err(_) => Err(End::Violation(code::INVALID_TEXT)),
    }
}

fn close(payload: &[u8]) -> End {
    let Some((code, reason)) = payload.split_first_chunk::<2>() else {
        let empty = payload.is_empty();
        return if empty {
            End::Closed(code::NO_STATUS)
        } else {
            End::Violation(code::PROTOCOL_ERROR)
        };
    };
    match u16::from_be_bytes(*code) {
        1000..=1003 | 1007..=1014 | 3000..=4999 if std::str::from_utf8(reason).is_err() => {
            End::Violation(code::INVALID_TEXT)
        }
        code @ (1000..=1003 | 1007..=1014 | 3000..=4999) => End::Closed(code),
        _ => End::Violation(code::PROTOCOL_ERROR),
    }
}
