//! The callback of an event, as a value.

use crate::{
    args::{ToArgs, render},
    error::Result,
    socket::Socket,
};

/// Answers the event, if its sender asked for an answer. Dropped unused, there is none.
pub struct Ack {
    pub(crate) socket: Socket,
    pub(crate) id: Option<u64>,
}

impl Ack {
    /// Whether the sender waits for an answer.
    pub fn is_wanted(&self) -> bool {
        self.id.is_some()
    }

    /// Answers; does nothing if no answer is wanted.
    pub fn send(self, args: impl ToArgs) -> Result<()> {
        match self.id {
            Some(id) => self
                .socket
                .context
                .ack(self.socket.index, id, &render(None, &args)?),
            None => Ok(()),
        }
    }
}
