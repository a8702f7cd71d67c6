//! The end of a connection: its transport says goodbye. It happens once.

use std::sync::Arc;

use super::polling::{CLOSE, NOOP};
use super::{Connection, Membership, Transport};
use crate::core::Core;
use crate::core::config::{LINGER, POLLING_CLOSE_WAIT};
use crate::core::timers::Purpose;
use crate::wire::outbox::Outbox;
use crate::wire::ws::{self, code};

/// How the transport ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// The server wants it: the client is told even if it has to be waited for.
    Orderly,
    /// Something is wrong: the client is told if it can be told now.
    Abort,
    /// As `Abort`, with this WebSocket close code.
    Code(u16),
    /// The client has said so, in an Engine.IO packet.
    Said,
    /// There is no transport any more.
    Gone,
}

/// What a connection that was closed leaves to be done.
pub struct Closed {
    /// Where it was, and is to be taken out.
    pub memberships: Vec<Membership>,
    /// Its transport has ended, too.
    pub is_gone: bool,
}

impl Connection {
    /// Ends the transport, and gives what is to be done then. None if that has happened before.
    pub fn close(self: &Arc<Self>, core: &Core, how: How) -> Option<Closed> {
        let inner = &mut *self.lock();
        if !inner.open {
            return None;
        }
        inner.receiving = None;
        inner.asking.clear();
        let is_gone = match &mut inner.transport {
            Transport::Polling(polling) => {
                // What waits comes first and by itself, as engine.io has it: socket.io-client would take what it
                // gets together with the end for something that it has after it, and not count its offset.
                let can_tell = polling.is_polled() && polling.is_empty();
                polling.closing = how == How::Orderly && !can_tell;
                if polling.closing {
                    polling.release();
                    self.set_timer(core, POLLING_CLOSE_WAIT, Purpose::Linger);
                } else {
                    polling.push_packet(if how == How::Said { NOOP } else { CLOSE });
                    polling.release();
                }
                !polling.closing
            }
            _ => {
                if how != How::Gone {
                    let code = if let How::Code(code) = how {
                        code
                    } else {
                        code::NO_STATUS
                    };
                    let mut outbox = Outbox::default();
                    outbox.write(|out| ws::write_close(out, code));
                    self.transmit(inner, &mut outbox);
                    self.finish(inner);
                    self.set_timer(core, LINGER, Purpose::Linger);
                }
                // Its reader forgets it, once it has found the transport closed.
                false
            }
        };
        inner.open = false;
        Some(Closed {
            memberships: std::mem::take(&mut inner.memberships),
            is_gone,
        })
    }
}
