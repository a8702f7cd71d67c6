//! One Socket.IO packet on its way out, in the form each transport wants. The packet's JSON is copied,
//! never read.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parlour_protocol::engine;

use crate::wire::ws::{self, Opcode};

/// An Engine.IO message packet is text that begins with this.
const MESSAGE: &str = "4";

/// Base64 begins with this.
const BINARY: &str = "b";

/// What a WebSocket gets an attachment as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binary {
    /// A binary frame.
    Frames,
    /// Text, as by polling: its client has asked for that, with `b64` in its URL.
    Base64,
}

#[derive(Clone, Copy)]
pub struct Message<'a> {
    /// The Socket.IO packet up to its JSON.
    pub head: &'a str,
    pub data: &'a str,
    /// More of the JSON, after `data`.
    pub tail: &'a str,
    /// Base64.
    pub attachments: &'a [Cow<'a, str>],
}

impl<'a> Message<'a> {
    /// A packet without attachments, whole.
    pub fn text(packet: &'a str) -> Message<'a> {
        Message {
            head: packet,
            data: "",
            tail: "",
            attachments: &[],
        }
    }

    /// Ends its JSON with `tail` instead of its last byte, if that is anything.
    pub fn ending(mut self, tail: &'a str) -> Message<'a> {
        if !tail.is_empty() {
            self.data = &self.data[..self.data.len().saturating_sub(1)];
            self.tail = tail;
        }
        self
    }

    /// Appends WebSocket frames.
    pub fn write_frames(&self, out: &mut Vec<u8>, binary: Binary) {
        ws::write_text(out, &[MESSAGE, self.head, self.data, self.tail]);
        for attachment in self.attachments {
            if binary == Binary::Base64 {
                ws::write_text(out, &[BINARY, attachment]);
                continue;
            }
            let bytes = STANDARD
                .decode(attachment.as_bytes())
                .unwrap_or_else(|error| {
                    tracing::error!(%error, "the app sent an attachment that is not base64");
                    Vec::new()
                });
            ws::write_frame(out, Opcode::Binary, &bytes);
        }
    }

    /// Appends to a polling payload.
    pub fn write_payload(&self, out: &mut String) {
        engine::push_packet(out, &[MESSAGE, self.head, self.data, self.tail]);
        for attachment in self.attachments {
            engine::push_packet(out, &[BINARY, attachment]);
        }
    }
}
