//! An event of any name, and why a socket is gone.

use std::{fmt, ops::Deref};

use serde::Serialize;

use crate::binary::Raw;

/// An event of any name, as `use_packet` and `on_any` see it.
#[derive(Debug, Clone)]
pub struct Packet {
    pub event: String,
    pub args: Vec<Raw>,
}

/// Why a socket is gone: one of Socket.IO's reasons, such as `transport close`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Reason(pub(crate) String);

impl Deref for Reason {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
