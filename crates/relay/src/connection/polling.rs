//! HTTP long-polling as a transport: one payload that grows until a request comes for it. It answers
//! no HTTP request itself.

use std::sync::Arc;

use parlour_protocol::engine;
use tokio::sync::oneshot;

use super::{Connection, How, Transport, close};
use crate::ledger::{Account, Charge, Hold};
use crate::message::Message;
use crate::reason;
use crate::shared::Shared;

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
}

impl Connection {
    /// A poll has come.
    pub fn poll(&self) -> PollAnswer {
        let inner = &mut *self.lock();
        let Transport::Polling(polling) = &mut inner.transport else {
            return PollAnswer::No;
        };
        if polling.closing {
            if !polling.is_empty() {
                return PollAnswer::Now(polling.take());
            }
            polling.push_packet(CLOSE);
            return PollAnswer::Last(polling.take());
        }
        if !inner.open {
            return PollAnswer::No;
        }
        if polling.is_polled() {
            return PollAnswer::Overlap;
        }
        if !polling.is_empty() {
            return PollAnswer::Now(polling.take());
        }
        let (sender, receiver) = oneshot::channel();
        polling.poll = Some(sender);
        PollAnswer::Wait(receiver)
    }

    /// A request with packets has come. False: another one is being read.
    pub fn begin_post(&self) -> bool {
        match &mut self.lock().transport {
            Transport::Polling(polling) => !std::mem::replace(&mut polling.posting, true),
            _ => true,
        }
    }

    pub fn end_post(&self) {
        if let Transport::Polling(polling) = &mut self.lock().transport {
            polling.posting = false;
        }
    }
}

/// Closes the session if the client takes back its request before it was answered.
pub struct PollGuard {
    shared: Arc<Shared>,
    connection: Option<Arc<Connection>>,
}

impl PollGuard {
    pub fn new(shared: Arc<Shared>, connection: Arc<Connection>) -> PollGuard {
        PollGuard {
            shared,
            connection: Some(connection),
        }
    }

    pub fn answered(mut self) {
        self.connection = None;
    }
}

impl Drop for PollGuard {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            close(
                &self.shared,
                &connection,
                reason::TRANSPORT_ERROR,
                How::Abort,
            );
        }
    }
}
