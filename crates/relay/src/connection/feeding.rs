//! Clients that come back to their sessions and are given what they have missed. How much of that they have not
//! read yet is bounded: the next ones are given theirs only when it is less. It sends nothing.

use std::sync::{Arc, Mutex, PoisonError};

use crate::connection::Connection;

/// Those who may not have read everything yet.
pub struct Feeding {
    fed: Mutex<Vec<Arc<Connection>>>,
    max_bytes: usize,
}

impl Feeding {
    /// `max_bytes`: see [`Config::max_recovery_bytes`](crate::Config::max_recovery_bytes).
    pub fn new(max_bytes: usize) -> Feeding {
        Feeding {
            fed: Mutex::default(),
            max_bytes,
        }
    }

    /// A client is given what it has missed.
    pub fn add(&self, connection: &Arc<Connection>) {
        let mut fed = self.fed.lock().unwrap_or_else(PoisonError::into_inner);
        // A client is given one page after the other.
        if fed.last().is_none_or(|last| !Arc::ptr_eq(last, connection)) {
            fed.push(connection.clone());
        }
    }

    /// Whether further clients can be given theirs.
    pub fn may_go_on(&self) -> bool {
        self.forget_those_who_have_read() < self.max_bytes
    }

    /// Returns how many bytes wait for the others.
    pub fn forget_those_who_have_read(&self) -> usize {
        let mut fed = self.fed.lock().unwrap_or_else(PoisonError::into_inner);
        let mut waiting = 0;
        fed.retain(|connection| {
            let bytes = connection.waiting_bytes();
            waiting += bytes;
            bytes > 0
        });
        waiting
    }
}
