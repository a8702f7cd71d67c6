//! Whether a client is still there, and still welcome: it is asked by a ping of its own when somebody else wants
//! its session, and loses its sockets when their tokens end.

use std::sync::Arc;
use tokio::sync::oneshot;

use super::{Connection, Membership};
use crate::core::config::{EXPIRY_LOOK, OWNER_WAIT, TAKE_OVER};
use crate::core::timers::Purpose;
use crate::core::{Core, unix_millis};

impl Connection {
    /// Whether the client answers a ping in time.
    pub async fn answers(self: &Arc<Self>, core: &Core) -> bool {
        let patience = OWNER_WAIT.min(core.config.ping_timeout);
        let (sender, receiver) = oneshot::channel();
        {
            let mut inner = self.lock();
            if !inner.open {
                return false;
            }
            inner.asking.push(sender);
            self.ping_now(core, &mut inner, patience + TAKE_OVER);
        }
        matches!(tokio::time::timeout(patience, receiver).await, Ok(Ok(())))
    }

    /// A token of this connection ends then. There is one timer for all of them: the first.
    pub fn expect_expiry(&self, core: &Core, at: u64) {
        let mut inner = self.lock();
        if inner.expires.is_some_and(|earlier| earlier <= at) {
            return;
        }
        inner.expires = Some(at);
        inner.expiry_turn = inner.expiry_turn.wrapping_add(1);
        let look = EXPIRY_LOOK.as_millis() as u64;
        let after = at.saturating_sub(unix_millis()).min(look);
        let due = core.timers.now() + after;
        self.set_timer_at(core, due, Purpose::Expiry, inner.expiry_turn);
    }

    /// The timer for that has run out: who may have to go now. None if another timer counts.
    pub fn expired(&self, turn: u8) -> Option<Vec<Membership>> {
        let mut inner = self.lock();
        if !inner.open || inner.expiry_turn != turn {
            return None;
        }
        inner.expires = None;
        Some(inner.memberships.clone())
    }
}
