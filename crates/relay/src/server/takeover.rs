//! The socket under an HTTP connection, for whoever has answered 101 on it. hyper has upgrades of its own, but for
//! HTTP/1.1 only; nginx, where it is not told otherwise, speaks HTTP/1.0 to the relay and passes upgrades on all the
//! same.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::wire::stream::Stream;

/// The raw socket, and what the client sent already.
pub type Raw = (Stream, Bytes);

/// Who takes over the socket of an HTTP connection once that has ended.
#[derive(Clone, Default)]
pub struct Takeover(Arc<Mutex<Option<oneshot::Sender<Raw>>>>);

impl Takeover {
    /// The answer is 101: its receiver gets the socket when the answer was written. Nobody does if that fails.
    pub fn begin(&self) -> oneshot::Receiver<Raw> {
        let (sender, receiver) = oneshot::channel();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
        receiver
    }

    /// Who waits for the socket.
    pub fn heir(&self) -> Option<oneshot::Sender<Raw>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
