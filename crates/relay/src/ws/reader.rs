//! Messages out of a client's bytes. Works in the caller's buffer and keeps bytes of its own only
//! while a frame or a fragmented message is incomplete.

use super::{Header, Opcode, code, read_header, unmask};

/// What happens to a client's messages.
pub trait Handler {
    fn text(&mut self, text: &str) -> Step;
    fn binary(&mut self, data: &[u8]) -> Step;
    /// A ping of WebSocket's own, to be answered with a pong.
    fn ping(&mut self, data: &[u8]) -> Step;
}

/// What comes after a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Go on reading.
    Continue,
    /// Read nothing more for now; what was received already is kept.
    Pause,
    /// Read nothing more. The handler knows why.
    Stop,
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
    fn check(&mut self) -> Step {
        if !self.text {
            return Step::Continue;
        }
        match std::str::from_utf8(&self.data[self.checked..]) {
            Ok(_) => self.checked = self.data.len(),
            Err(error) if error.error_len().is_none() => self.checked += error.valid_up_to(),
            Err(_) => return Step::Violation(code::INVALID_TEXT),
        }
        Step::Continue
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
    pub fn feed(
        &mut self,
        received: &mut [u8],
        max_payload: usize,
        handler: &mut impl Handler,
    ) -> Step {
        let step = self.feed_all(received, max_payload, handler);
        self.due = step == Step::Pause && !self.rest.is_empty();
        step
    }

    fn feed_all(
        &mut self,
        received: &mut [u8],
        max_payload: usize,
        handler: &mut impl Handler,
    ) -> Step {
        if self.rest.is_empty() {
            let (used, step) = self.frames(received, max_payload, handler);
            self.keep(&received[used..], max_payload);
            return step;
        }
        let mut all = std::mem::take(&mut self.rest);
        all.extend_from_slice(received);
        let (used, step) = self.frames(&mut all, max_payload, handler);
        if used == 0 {
            self.rest = all;
        } else {
            self.keep(&all[used..], max_payload);
        }
        step
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
    fn frames(
        &mut self,
        bytes: &mut [u8],
        max_payload: usize,
        handler: &mut impl Handler,
    ) -> (usize, Step) {
        let mut used = 0;
        loop {
            let header = match read_header(&bytes[used..], max_payload) {
                Ok(Some(header)) => header,
                Ok(None) => return (used, Step::Continue),
                Err(code) => return (used, Step::Violation(code)),
            };
            let start = used + header.size;
            let Some(payload) = bytes.get_mut(start..start + header.payload) else {
                return (used, Step::Continue);
            };
            unmask(payload, header.mask);
            used = start + header.payload;
            match self.frame(&header, payload, max_payload, handler) {
                Step::Continue => {}
                step => return (used, step),
            }
        }
    }

    fn frame(
        &mut self,
        header: &Header,
        payload: &[u8],
        max_payload: usize,
        handler: &mut impl Handler,
    ) -> Step {
        match (header.opcode, &mut self.fragments) {
            (Opcode::Ping, _) => handler.ping(payload),
            (Opcode::Pong, _) => Step::Continue,
            (Opcode::Close, _) => close(payload),
            (Opcode::Text, None) if header.last => text(payload, handler),
            (Opcode::Binary, None) if header.last => handler.binary(payload),
            (Opcode::Text | Opcode::Binary, None) => {
                let text = header.opcode == Opcode::Text;
                let mut fragments = Box::new(Fragments {
                    text,
                    data: payload.to_vec(),
                    checked: 0,
                });
                let step = fragments.check();
                self.fragments = Some(fragments);
                step
            }
            (Opcode::Continuation, Some(fragments)) => {
                if fragments.data.len() + payload.len() > max_payload {
                    return Step::Violation(code::TOO_BIG);
                }
                fragments.data.extend_from_slice(payload);
                match fragments.check() {
                    Step::Continue if header.last => {}
                    step => return step,
                }
                match self.fragments.take() {
                    Some(whole) if whole.text => text(&whole.data, handler),
                    Some(whole) => handler.binary(&whole.data),
                    None => Step::Continue,
                }
            }
            (Opcode::Text | Opcode::Binary, Some(_)) | (Opcode::Continuation, None) => {
                Step::Violation(code::PROTOCOL_ERROR)
            }
        }
    }
}

fn text(payload: &[u8], handler: &mut impl Handler) -> Step {
    match std::str::from_utf8(payload) {
        Ok(text) => handler.text(text),
        Err(_) => Step::Violation(code::INVALID_TEXT),
    }
}

fn close(payload: &[u8]) -> Step {
    let Some((code, reason)) = payload.split_first_chunk::<2>() else {
        let empty = payload.is_empty();
        return if empty {
            Step::Closed(code::NO_STATUS)
        } else {
            Step::Violation(code::PROTOCOL_ERROR)
        };
    };
    match u16::from_be_bytes(*code) {
        1000..=1003 | 1007..=1014 | 3000..=4999 if std::str::from_utf8(reason).is_err() => {
            Step::Violation(code::INVALID_TEXT)
        }
        code @ (1000..=1003 | 1007..=1014 | 3000..=4999) => Step::Closed(code),
        _ => Step::Violation(code::PROTOCOL_ERROR),
    }
}
