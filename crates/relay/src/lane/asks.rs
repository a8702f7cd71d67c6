//! Acknowledgements that the app asked of clients: who has answered, who is still to, and what the
//! app is told once that is settled. It keeps no time and sends nothing.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parlour_protocol::relay::AckRequest;
use rustc_hash::{FxBuildHasher, FxHashMap};

use crate::hub::{Slot, Socket};
use crate::sid::Sid;

/// One emit that asked for acknowledgements.
pub type AskId = u64;

#[derive(Default)]
pub struct Asks {
    last: AskId,
    open: HashMap<AskId, Ask, FxBuildHasher>,
}

struct Ask {
    /// The event as JSON, up to its replies.
    head: String,
    /// Who has been asked and has neither answered nor left.
    waiting: FxHashMap<Slot, Sid>,
    /// JSON, separated by commas.
    replies: String,
    missing: Vec<Sid>,
}

/// What one socket was asked: the ids of packets it has yet to acknowledge.
#[derive(Default)]
pub struct Expected {
    next: u64,
    open: Vec<(u64, AskId)>,
}

impl Expected {
    fn take(&mut self, id: u64) -> Option<AskId> {
        let at = self.open.iter().position(|(other, _)| *other == id)?;
        Some(self.open.swap_remove(at).1)
    }
}

impl Asks {
    pub fn open(&mut self, request: &AckRequest<'_>) -> AskId {
        let handler = serde_json::Value::from(&*request.handler);
        let mut head = format!(r#"{{"acks":{{"handler":{handler},"#);
        if let Some(context) = request.context {
            head.extend(["\"context\":", context.get(), ","]);
        }
        self.last += 1;
        let ask = Ask {
            head,
            waiting: HashMap::default(),
            replies: String::new(),
            missing: Vec::new(),
        };
        self.open.insert(self.last, ask);
        self.last
    }

    /// Gives the id that the packet for this socket carries.
    pub fn expect(&mut self, ask: AskId, socket: &mut Socket) -> u64 {
        if let Some(ask) = self.open.get_mut(&ask) {
            ask.waiting.insert(socket.place.slot, socket.id);
        }
        let expected = socket.expected.get_or_insert_default();
        let id = expected.next;
        expected.next += 1;
        expected.open.push((id, ask));
        id
    }

    /// An acknowledgement. Gives the event for the app, if it was the last one.
    pub fn reply(
        &mut self,
        socket: &mut Socket,
        id: u64,
        data: &str,
        attachments: &[Vec<u8>],
    ) -> Option<String> {
        let ask = socket.expected.as_mut()?.take(id)?;
        let open = self.open.get_mut(&ask)?;
        open.waiting.remove(&socket.place.slot)?;
        open.write_reply(socket.id, data, attachments);
        self.settled(ask)
    }

    /// A socket leaves. Gives the events of all that waited for it alone.
    pub fn left(&mut self, socket: &mut Socket) -> Vec<String> {
        let Some(expected) = socket.expected.take() else {
            return Vec::new();
        };
        let mut settled = Vec::new();
        for (_, ask) in expected.open {
            if let Some(open) = self.open.get_mut(&ask) {
                open.missing.extend(open.waiting.remove(&socket.place.slot));
                settled.extend(self.settled(ask));
            }
        }
        settled
    }

    /// The time is over. Gives the event, and who has not answered and need not any more.
    pub fn end(&mut self, ask: AskId) -> Option<(String, Vec<Slot>)> {
        let open = self.open.get_mut(&ask)?;
        let late = open.waiting.keys().copied().collect();
        open.missing.extend(open.waiting.drain().map(|(_, id)| id));
        Some((self.settled(ask)?, late))
    }

    /// The event of an ask for which nobody is waited any more.
    pub fn settled(&mut self, ask: AskId) -> Option<String> {
        if !self.open.get(&ask)?.waiting.is_empty() {
            return None;
        }
        Some(self.open.remove(&ask)?.event())
    }
}

/// Forgets that a socket was asked.
pub fn forget(socket: &mut Socket, ask: AskId) {
    if let Some(expected) = &mut socket.expected {
        expected.open.retain(|(_, other)| *other != ask);
    }
}

impl Ask {
    fn write_reply(&mut self, socket: Sid, data: &str, attachments: &[Vec<u8>]) {
        if !self.replies.is_empty() {
            self.replies.push(',');
        }
        let parts = [r#"{"socket":""#, socket.as_str(), r#"","data":"#, data];
        self.replies.extend(parts);
        for (index, attachment) in attachments.iter().enumerate() {
            let before = if index == 0 {
                ",\"attachments\":[\""
            } else {
                ",\""
            };
            self.replies.push_str(before);
            STANDARD.encode_string(attachment, &mut self.replies);
            self.replies.push('"');
        }
        self.replies
            .push_str(if attachments.is_empty() { "}" } else { "]}" });
    }

    fn event(self) -> String {
        let mut event = self.head;
        event.extend(["\"replies\":[", &self.replies, "],\"missing\":["]);
        for (index, id) in self.missing.iter().enumerate() {
            let before = if index == 0 { "\"" } else { ",\"" };
            event.extend([before, id.as_str(), "\""]);
        }
        event.push_str("]}}");
        event
    }
}
