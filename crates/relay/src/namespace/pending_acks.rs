//! Acknowledgements that the app asked of clients: who has answered, who is still to, and what the
//! app is told once that is settled. It keeps no time and sends nothing.
//!
//! Other relays ask theirs, as the log says who is asked, and report when that is settled.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parlour_protocol::relay::AckRequest;
use rustc_hash::{FxBuildHasher, FxHashMap, FxHashSet};
use serde::Deserialize;

use super::expected::AckRequestId;
use super::registry::Socket;
use crate::connection::Slot;
use crate::core::bus::Report;
use crate::core::config::{MAX_REPORT_BYTES, MAX_REPORTED_IDS};
use crate::core::ledger::{Charge, Hold};
use crate::core::sid::Sid;

/// The numbers of those that are in no log begin here.
const UNLOGGED: AckRequestId = 1 << 63;

#[derive(Default)]
pub struct PendingAcks {
    unlogged: u64,
    open: HashMap<AckRequestId, Pending, FxBuildHasher>,
}

/// Who wants to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Requester {
    /// The app. What its event says up to the replies, as JSON.
    App(String),
    /// Another relay, by its name.
    Relay(Box<str>),
}

struct Pending {
    requester: Requester,
    /// Who has been asked and has neither answered nor left.
    waiting: FxHashMap<Slot, Sid>,
    /// The same of other relays' sockets.
    elsewhere: FxHashSet<Sid>,
    /// Each is JSON.
    replies: Vec<String>,
    /// What those of this relay's clients are counted as.
    charges: Vec<Charge>,
    missing: Vec<Sid>,
}

/// What comes of a request for which nobody is waited any more.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// An event for the app, as JSON.
    App(String),
    /// For another relay, by its name: the request, the replies, and who does not reply.
    Relay(Box<str>, AckRequestId, Vec<String>, Vec<String>),
}

impl Requester {
    pub fn app(request: &AckRequest<'_>) -> Requester {
        let handler = serde_json::Value::from(&*request.handler);
        let mut head = format!(r#"{{"acks":{{"handler":{handler},"#);
        if let Some(context) = request.context {
            head.extend(["\"context\":", context.get(), ","]);
        }
        Requester::App(head)
    }
}

impl PendingAcks {
    /// `id`: the offset of what asks, if it has one. `elsewhere`: who is asked by other relays. `missing`: who is
    /// asked and not there.
    pub fn open(
        &mut self,
        id: Option<AckRequestId>,
        requester: Requester,
        elsewhere: FxHashSet<Sid>,
        missing: Vec<Sid>,
    ) -> AckRequestId {
        self.unlogged += 1;
        let id = id.unwrap_or(UNLOGGED + self.unlogged);
        let ack_request = Pending {
            requester,
            waiting: HashMap::default(),
            elsewhere,
            replies: Vec::new(),
            charges: Vec::new(),
            missing,
        };
        self.open.insert(id, ack_request);
        id
    }

    /// Gives the id that the packet for this socket carries.
    pub fn expect(&mut self, ack_request: AckRequestId, socket: &mut Socket) -> u64 {
        if let Some(ack_request) = self.open.get_mut(&ack_request) {
            ack_request.waiting.insert(socket.place.slot, socket.id);
        }
        socket.expected.get_or_insert_default().push(ack_request)
    }

    /// An acknowledgement. Gives what comes of the request, if it was the last one.
    pub fn reply(
        &mut self,
        socket: &mut Socket,
        id: u64,
        data: &str,
        attachments: &[Vec<u8>],
    ) -> Option<Outcome> {
        let ack_request = socket.expected.as_mut()?.take(id)?;
        let open = self.open.get_mut(&ack_request)?;
        open.waiting.remove(&socket.place.slot)?;
        let reply = reply(socket.id, data, attachments);
        let account = socket.connection.account();
        open.charges.push(account.charge(Hold::Kept, reply.len()));
        open.replies.push(reply);
        self.settled(ack_request)
    }

    /// Another relay tells what its clients do. Gives what comes of the request, if it was the last one.
    pub fn report(&mut self, ack_request: AckRequestId, report: &Report) -> Option<Outcome> {
        #[derive(Deserialize)]
        struct Reply<'a> {
            socket: &'a str,
        }
        let open = self.open.get_mut(&ack_request)?;
        match report {
            Report::Replies(replies) => {
                for reply in replies {
                    let of = serde_json::from_str::<Reply<'_>>(reply).ok();
                    let id = of.and_then(|reply| Sid::parse(reply.socket));
                    if id.is_some_and(|id| open.elsewhere.remove(&id)) {
                        open.replies.push(reply.clone());
                    }
                }
            }
            Report::Missing(ids) => {
                let ids = ids.iter().filter_map(|id| Sid::parse(id));
                let missing = ids.filter(|id| open.elsewhere.remove(id));
                open.missing.extend(missing);
            }
            Report::Owner(_) => return None,
        }
        self.settled(ack_request)
    }

    /// A socket leaves. Gives what comes of all requests that waited for it alone.
    pub fn left(&mut self, socket: &mut Socket) -> Vec<Outcome> {
        let Some(expected) = socket.expected.take() else {
            return Vec::new();
        };
        let mut settled = Vec::new();
        for ack_request in expected.into_requests() {
            if let Some(open) = self.open.get_mut(&ack_request) {
                open.missing.extend(open.waiting.remove(&socket.place.slot));
                settled.extend(self.settled(ack_request));
            }
        }
        settled
    }

    /// The time is over for those who are here. Gives who has not answered and need not any more.
    pub fn end_here(&mut self, ack_request: AckRequestId) -> Vec<Slot> {
        let Some(open) = self.open.get_mut(&ack_request) else {
            return Vec::new();
        };
        let late = open.waiting.keys().copied().collect();
        open.missing.extend(open.waiting.drain().map(|(_, id)| id));
        late
    }

    /// And for the other relays to tell of theirs.
    pub fn end_elsewhere(&mut self, ack_request: AckRequestId) {
        if let Some(open) = self.open.get_mut(&ack_request) {
            open.missing.extend(open.elsewhere.drain());
        }
    }

    pub fn is_open(&self, ack_request: AckRequestId) -> bool {
        self.open.contains_key(&ack_request)
    }

    /// What comes of a request for which nobody is waited any more.
    pub fn settled(&mut self, ack_request: AckRequestId) -> Option<Outcome> {
        let open = self.open.get(&ack_request)?;
        if !open.waiting.is_empty() || !open.elsewhere.is_empty() {
            return None;
        }
        Some(self.open.remove(&ack_request)?.outcome(ack_request))
    }
}

/// What another relay is told, in as many reports as are needed to keep each of a bearable size.
pub fn reports(replies: Vec<String>, missing: &[String]) -> Vec<Report> {
    let mut reports = Vec::new();
    let (mut chunk, mut bytes) = (Vec::new(), 0);
    for reply in replies {
        if bytes + reply.len() > MAX_REPORT_BYTES && !chunk.is_empty() {
            reports.push(Report::Replies(std::mem::take(&mut chunk)));
            bytes = 0;
        }
        bytes += reply.len();
        chunk.push(reply);
    }
    if !chunk.is_empty() {
        reports.push(Report::Replies(chunk));
    }
    let missing = missing.chunks(MAX_REPORTED_IDS);
    reports.extend(missing.map(|ids| Report::Missing(ids.to_vec())));
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

impl Pending {
    fn outcome(self, id: AckRequestId) -> Outcome {
        let mut event = match self.requester {
            Requester::App(head) => head,
            Requester::Relay(relay) => {
                let missing = self.missing.iter().map(Sid::to_string).collect();
                return Outcome::Relay(relay, id, self.replies, missing);
            }
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
