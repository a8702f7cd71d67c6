//! What commands do beyond their namespace. It is done when their messages are sent and nothing is locked.

use std::sync::Arc;
use std::time::Duration;

use super::batch::ConnectAgain;
use super::expected::AckRequestId;
use crate::connection::Connection;

pub enum Effect {
    /// Its client makes the relay keep more than it may.
    Overflow(Arc<Connection>),
    /// The app wants all of the connection gone.
    Kick(Arc<Connection>),
    /// Its client sent events to a namespace that it was then refused.
    InvalidState(Arc<Connection>),
    /// Acknowledgements are waited for, this long.
    AwaitAcks(AckRequestId, Duration),
    /// Whoever has a session is asked whether it is there, because somebody else wants that session.
    Contest {
        /// The `connect` event of who wants it.
        again: ConnectAgain,
        owner: String,
        /// The owner's.
        relay: String,
    },
}
