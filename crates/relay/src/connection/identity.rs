//! Whether a client is still there, and still welcome: it is asked by a ping of its own when somebody else wants
//! its session, and loses its sockets when their tokens end.

use std::sync::Arc;
use tokio::sync::oneshot;

use super::Connection;
use crate::config::{OWNER_WAIT, TAKE_OVER};
use crate::shared::Shared;

impl Connection {
    /// Whether the client answers a ping in time.
    pub async fn answers(self: &Arc<Self>, shared: &Shared) -> bool {
        let patience = OWNER_WAIT.min(shared.config.ping_timeout);
        let (sender, receiver) = oneshot::channel();
        {
            let mut inner = self.lock();
            if !inner.open {
                return false;
            }
            inner.asking.push(sender);
            self.ping_now(shared, &mut inner, patience + TAKE_OVER);
        }
        matches!(tokio::time::timeout(patience, receiver).await, Ok(Ok(())))
    }

    /// A token ends then. Gives the turn of the timer that is to be set, if none will come earlier.
    pub fn expect_expiry(&self, at: u64) -> Option<u8> {
        let mut inner = self.lock();
        if inner.expires.is_some_and(|earlier| earlier <= at) {
            return None;
        }
        inner.expires = Some(at);
        inner.expiry_turn = inner.expiry_turn.wrapping_add(1);
        Some(inner.expiry_turn)
    }
}

/// Ends the sockets whose time is over, and sets the timer for the others.
pub(super) fn expire(shared: &Arc<Shared>, connection: &Arc<Connection>, turn: u8) {
    let memberships = {
        let mut inner = connection.lock();
        if !inner.open || inner.expiry_turn != turn {
            return;
        }
        inner.expires = None;
        inner.memberships.clone()
    };
    let later = memberships
        .iter()
        .filter_map(|member| member.lane.expire(shared, member.place));
    if let Some(first) = later.min() {
        shared.expect_expiry(connection, first);
    }
}
