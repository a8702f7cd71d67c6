//! Whether a client is read on: the one answer of whoever takes what it has sent, from the namespace's queue to the
//! reader of its socket.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow<P> {
    /// Go on reading.
    Continue,
    /// Read nothing more until then; what was received already is kept.
    Pause(P),
    /// Read nothing more. Who says so knows why, and sees to the rest.
    Stop,
}
