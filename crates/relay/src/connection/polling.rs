//! HTTP long-polling as a transport: one payload that grows until a request comes for it. It answers
//! no HTTP request itself.

use std::sync::Arc;

use parlour_protocol::engine;
use tokio::sync::oneshot;

use super::{Connection, How, Transport, close};
use crate::message::Message;
use crate::reason;
use crate::shared::Shared;

pub(super) const CLOSE: &str = "1";
pub(super) const NOOP: &str = "6";

#[derive(Default)]
pub struct Polling {
    /// Packets for the next poll.
    pub(super) payload: String,
    /// The poll that waits for packets.
    pub(super) poll: Option<oneshot::Sender<String>>,
    /// A request with the client's packets is being read.
    posting: bool,
    /// The session is closed, and the next poll will be told.
    pub(super) closing: bool,
}

/// What a poll gets.
pub enum PollAnswer {
    Now(String),
    Wait(oneshot::Receiver<String>),
    /// The session was closed and now the client knows: it can be forgotten.
    Last(String),
    /// Another poll waits already.
    Overlap,
    /// This session does not poll, or not any more.
    No,
}

impl Polling {
    pub(super) fn push(&mut self, message: &Message<'_>) {
        message.write_payload(&mut self.payload);
    }

    pub(super) fn push_packet(&mut self, packet: &str) {
        engine::push_packet(&mut self.payload, &[packet]);
    }

    pub(super) fn is_polled(&self) -> bool {
        self.poll.is_some()
    }

    /// Bytes that wait for the next poll.
    pub(super) fn waiting(&self) -> usize {
        self.payload.len()
    }

    /// Answers the waiting poll, if there is one and something to say.
    pub(super) fn release(&mut self) {
        if self.payload.is_empty() {
            return;
        }
        if let Some(poll) = self.poll.take()
            && let Err(unsent) = poll.send(std::mem::take(&mut self.payload))
        {
            // That client is about to be found gone.
            self.payload = unsent;
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
            if !polling.payload.is_empty() {
                return PollAnswer::Now(std::mem::take(&mut polling.payload));
            }
            polling.push_packet(CLOSE);
            return PollAnswer::Last(std::mem::take(&mut polling.payload));
        }
        if !inner.open {
            return PollAnswer::No;
        }
        if polling.is_polled() {
            return PollAnswer::Overlap;
        }
        if !polling.payload.is_empty() {
            return PollAnswer::Now(std::mem::take(&mut polling.payload));
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
