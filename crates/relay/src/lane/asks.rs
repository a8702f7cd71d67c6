//! Acknowledgements that the app asked of clients: who has answered, who is still to, and what the
//! app is told once that is settled. It keeps no time and sends nothing.
//!
//! Other relays ask theirs. Each says whom it asks, then, when that is settled, what came of it.

use std::collections::{HashMap, HashSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parlour_protocol::relay::AckRequest;
use rustc_hash::{FxBuildHasher, FxHashMap, FxHashSet};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::bus::Report;
use crate::config::MAX_REPORT_BYTES;
use crate::hub::{Slot, Socket};
use crate::ledger::{Charge, Hold};
use crate::sid::Sid;

/// One emit that asked for acknowledgements.
pub type AskId = u64;

#[derive(Default)]
pub struct Asks {
    last: AskId,
    open: HashMap<AskId, Ask, FxBuildHasher>,
}

/// Who wants to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asker {
    /// The app. What its event says up to the replies, as JSON.
    App(String),
    /// Another relay: what it calls itself, and its number for the ask.
    Relay(Box<str>, AskId),
}

struct Ask {
    asker: Asker,
    /// Who has been asked and has neither answered nor left.
    waiting: FxHashMap<Slot, Sid>,
    /// Other relays that are not done, and whom they wait for.
    elsewhere: HashMap<Box<str>, FxHashSet<Sid>>,
    /// Each is JSON.
    replies: Vec<String>,
    /// What those of this relay's clients are counted as.
    charges: Vec<Charge>,
    missing: Vec<Sid>,
}

/// What comes of an ask for which nobody is waited any more.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// An event for the app, as JSON.
    App(String),
    /// For another relay: what it calls itself, its number for the ask, and the replies.
    Relay(Box<str>, AskId, Vec<String>),
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

impl Asker {
    pub fn app(request: &AckRequest<'_>) -> Asker {
        let handler = serde_json::Value::from(&*request.handler);
        let mut head = format!(r#"{{"acks":{{"handler":{handler},"#);
        if let Some(context) = request.context {
            head.extend(["\"context\":", context.get(), ","]);
        }
        Asker::App(head)
    }
}

impl Asks {
    /// `others`: the other relays that are asked as well.
    pub fn open(&mut self, asker: Asker, others: Vec<Box<str>>) -> AskId {
        let elsewhere = others.into_iter().map(|relay| (relay, HashSet::default()));
        self.last += 1;
        let ask = Ask {
            asker,
            waiting: HashMap::default(),
            elsewhere: elsewhere.collect(),
            replies: Vec::new(),
            charges: Vec::new(),
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

    /// Who is asked here.
    pub fn asked(&self, ask: AskId) -> Vec<String> {
        let waiting = self
            .open
            .get(&ask)
            .into_iter()
            .flat_map(|ask| ask.waiting.values());
        waiting.map(Sid::to_string).collect()
    }

    /// An acknowledgement. Gives what comes of the ask, if it was the last one.
    pub fn reply(
        &mut self,
        socket: &mut Socket,
        id: u64,
        data: &str,
        attachments: &[Vec<u8>],
    ) -> Option<Outcome> {
        let ask = socket.expected.as_mut()?.take(id)?;
        let open = self.open.get_mut(&ask)?;
        open.waiting.remove(&socket.place.slot)?;
        let reply = reply(socket.id, data, attachments);
        let account = socket.connection.account();
        open.charges.push(account.charge(Hold::Kept, reply.len()));
        open.replies.push(reply);
        self.settled(ask)
    }

    /// Another relay tells what its clients do. Gives what comes of the ask, if it was the last one.
    pub fn report(&mut self, ask: AskId, relay: &str, report: &Report) -> Option<Outcome> {
        #[derive(Deserialize)]
        struct Reply<'a> {
            socket: &'a str,
        }
        let open = self.open.get_mut(&ask)?;
        match report {
            Report::Asked(ids) => {
                let ids = ids.iter().filter_map(|id| Sid::parse(id));
                open.elsewhere.entry(relay.into()).or_default().extend(ids);
            }
            Report::Replies(replies) => {
                let waiting = open.elsewhere.get_mut(relay)?;
                for reply in replies {
                    let of = serde_json::from_str::<Reply<'_>>(reply.get()).ok();
                    let id = of.and_then(|reply| Sid::parse(reply.socket));
                    if id.is_some_and(|id| waiting.remove(&id)) {
                        open.replies.push(reply.get().into());
                    }
                }
            }
            Report::Over => open.missing.extend(open.elsewhere.remove(relay)?),
            Report::Owner(_) => return None,
        }
        self.settled(ask)
    }

    /// A relay is gone. Gives what comes of all asks that waited for it alone.
    pub fn relay_is_gone(&mut self, relay: &str) -> Vec<Outcome> {
        let asks: Vec<AskId> = self.open.keys().copied().collect();
        let over = |ask| self.report(ask, relay, &Report::Over);
        asks.into_iter().filter_map(over).collect()
    }

    /// A socket leaves. Gives what comes of all asks that waited for it alone.
    pub fn left(&mut self, socket: &mut Socket) -> Vec<Outcome> {
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

    /// The time is over for those who are here. Gives who has not answered and need not any more.
    pub fn end_here(&mut self, ask: AskId) -> Vec<Slot> {
        let Some(open) = self.open.get_mut(&ask) else {
            return Vec::new();
        };
        let late = open.waiting.keys().copied().collect();
        open.missing.extend(open.waiting.drain().map(|(_, id)| id));
        late
    }

    /// And for the other relays to tell of theirs.
    pub fn end_elsewhere(&mut self, ask: AskId) {
        if let Some(open) = self.open.get_mut(&ask) {
            open.missing
                .extend(open.elsewhere.drain().flat_map(|(_, ids)| ids));
        }
    }

    pub fn is_open(&self, ask: AskId) -> bool {
        self.open.contains_key(&ask)
    }

    /// What comes of an ask for which nobody is waited any more.
    pub fn settled(&mut self, ask: AskId) -> Option<Outcome> {
        let open = self.open.get(&ask)?;
        if !open.waiting.is_empty() || !open.elsewhere.is_empty() {
            return None;
        }
        Some(self.open.remove(&ask)?.outcome())
    }
}

/// Forgets that a socket was asked.
pub fn forget(socket: &mut Socket, ask: AskId) {
    if let Some(expected) = &mut socket.expected {
        expected.open.retain(|(_, other)| *other != ask);
    }
}

/// Replies in as many reports as they need to be of a bearable size.
pub fn reports(replies: Vec<String>) -> Vec<Report> {
    let mut reports = Vec::new();
    let (mut chunk, mut bytes) = (Vec::new(), 0);
    for reply in replies {
        if bytes + reply.len() > MAX_REPORT_BYTES && !chunk.is_empty() {
            reports.push(Report::Replies(std::mem::take(&mut chunk)));
            bytes = 0;
        }
        bytes += reply.len();
        chunk.extend(RawValue::from_string(reply));
    }
    if !chunk.is_empty() {
        reports.push(Report::Replies(chunk));
    }
    reports.push(Report::Over);
    reports
}

fn reply(socket: Sid, data: &str, attachments: &[Vec<u8>]) -> String {
    let mut reply = String::with_capacity(64 + data.len());
    reply.extend([r#"{"socket":""#, socket.as_str(), r#"","data":"#, data]);
    for (index, attachment) in attachments.iter().enumerate() {
        let before = if index == 0 {
            ",\"attachments\":[\""
        } else {
            ",\""
        };
        reply.push_str(before);
        STANDARD.encode_string(attachment, &mut reply);
        reply.push('"');
    }
    reply.push_str(if attachments.is_empty() { "}" } else { "]}" });
    reply
}

impl Ask {
    fn outcome(self) -> Outcome {
        let mut event = match self.asker {
            Asker::App(head) => head,
            Asker::Relay(relay, ask) => return Outcome::Relay(relay, ask, self.replies),
        };
        event.push_str("\"replies\":[");
        event.push_str(&self.replies.join(","));
        event.push_str("],\"missing\":[");
        for (index, id) in self.missing.iter().enumerate() {
            let before = if index == 0 { "\"" } else { ",\"" };
            event.extend([before, id.as_str(), "\""]);
        }
        event.push_str("]}}");
        Outcome::App(event)
    }
}
