//! HTTP long-polling as a transport: one payload that grows until a request comes for it. It answers
//! no HTTP request itself.

use std::sync::Arc;

use parlour_protocol::engine;
use tokio::sync::oneshot;

use crate::core::ledger::{Account, Charge, Hold};
use crate::wire::message::Message;

pub(super) const CLOSE: &str = "1";
pub(super) const NOOP: &str = "6";

pub struct Polling {
    /// For the next poll.
    waiting: Packets,
    /// The poll that waits for packets.
    pub(super) poll: Option<oneshot::Sender<Packets>>,
    /// A request with the client's packets is being read.
    posting: bool,
    /// The session is closed, and the next poll will be told.
    pub(super) closing: bool,
}

/// A payload. It is in its client's account until it has been sent.
#[derive(Debug)]
pub struct Packets {
    text: String,
    charge: Charge,
}

impl Packets {
    pub fn new(account: &Arc<Account>, text: String) -> Packets {
        let charge = account.charge(Hold::Passing, text.len());
        Packets { text, charge }
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    fn write(&mut self, write: impl FnOnce(&mut String)) {
        let before = self.text.len();
        write(&mut self.text);
        self.charge.grow(self.text.len() - before);
    }
}

impl AsRef<[u8]> for Packets {
    fn as_ref(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

/// What a poll gets.
pub enum PollAnswer {
    Now(Packets),
    Wait(oneshot::Receiver<Packets>),
    /// The session was closed and now the client knows: it can be forgotten.
    Last(Packets),
    /// Another poll waits already.
    Overlap,
    /// This session does not poll, or not any more.
    No,
}

impl Polling {
    pub(super) fn new(account: &Arc<Account>) -> Polling {
        Polling {
            waiting: Packets::new(account, String::new()),
            poll: None,
            posting: false,
            closing: false,
        }
    }

    pub(super) fn push(&mut self, message: &Message<'_>) {
        self.waiting.write(|out| message.write_payload(out));
    }

    pub(super) fn push_packet(&mut self, packet: &str) {
        self.waiting
            .write(|out| engine::push_packet(out, &[packet]));
    }

    /// Takes what waits for the next poll.
    pub(super) fn take(&mut self) -> Packets {
        let nothing = Packets::new(self.waiting.charge.account(), String::new());
        std::mem::replace(&mut self.waiting, nothing)
    }

    pub(super) fn is_polled(&self) -> bool {
        self.poll.is_some()
    }

    /// Whether nothing waits for the next poll.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.text.is_empty()
    }

    /// Bytes that the next poll will get.
    pub fn waiting_bytes(&self) -> usize {
        self.waiting.text.len()
    }

    /// Answers the waiting poll, if there is one and something to say.
    pub(super) fn release(&mut self) {
        if self.is_empty() {
            return;
        }
        if let Some(poll) = self.poll.take()
            && let Err(unsent) = poll.send(self.take())
        {
            // That client is about to be found gone.
            self.waiting = unsent;
        }
    }

    /// A poll has come. `is_open`: the session is not closed.
    pub(super) fn poll(&mut self, is_open: bool) -> PollAnswer {
        if self.closing {
            if !self.is_empty() {
                return PollAnswer::Now(self.take());
            }
            self.push_packet(CLOSE);
            return PollAnswer::Last(self.take());
        }
        if !is_open {
            return PollAnswer::No;
        }
        if self.is_polled() {
            return PollAnswer::Overlap;
        }
        if !self.is_empty() {
            return PollAnswer::Now(self.take());
        }
        let (sender, receiver) = oneshot::channel();
        self.poll = Some(sender);
        PollAnswer::Wait(receiver)
    }

    /// A request with packets has come. False: another one is being read.
    pub(super) fn begin_post(&mut self) -> bool {
        !std::mem::replace(&mut self.posting, true)
    }

    pub(super) fn end_post(&mut self) {
        self.posting = false;
    }
}
