//! Whom an emission is for, and what else is to be known before it is recorded.

use std::time::Duration;

use crate::{args::Rendered, asked::Asked};

/// Whom an emission is for.
#[derive(Clone, Default)]
pub(crate) struct Target {
    /// Another namespace than the batch's.
    pub namespace: Option<String>,
    pub rooms: Vec<String>,
    pub except: Vec<String>,
    /// The only room is a socket's own.
    pub direct: bool,
    pub volatile: bool,
    pub local: bool,
    pub id: Option<String>,
    pub timeout: Option<Duration>,
    pub ack: Option<Asked>,
}

/// An emission that happens once, and the ack that goes with it.
pub(crate) struct OnceAcked {
    pub sender: String,
    pub socket: usize,
    /// The id the client wants acknowledged, if any.
    pub ack: Option<u64>,
    pub answer: Rendered,
}
