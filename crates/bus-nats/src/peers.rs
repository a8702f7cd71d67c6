//! The other relays, as far as they are heard: who is there, and who has gone without a word or begun a new life.
//! It keeps names and times; it speaks to nobody.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A relay says that it is there this often.
pub const PRESENCE_EVERY: Duration = Duration::from_secs(1);

/// Who was not heard for this long may have committed something that it did not tell.
pub const SILENCE: Duration = Duration::from_secs(5);

/// Who was not heard for this long is not asked any more.
const FORGET: Duration = Duration::from_secs(60);

#[derive(Default)]
pub struct Peers(Mutex<HashMap<Box<str>, Peer>>);

struct Peer {
    epoch: u64,
    heard: Instant,
    is_silent: bool,
}

impl Peers {
    /// A message has come. True if its relay may have something that it did not tell: it was not heard before, was
    /// silent, or has begun a new life.
    pub fn heard(&self, relay: &str, epoch: u64, now: Instant) -> bool {
        let mut known = self.lock();
        match known.get_mut(relay) {
            Some(peer) => {
                let is_other = peer.epoch != epoch || peer.is_silent;
                (peer.epoch, peer.heard, peer.is_silent) = (epoch, now, false);
                is_other
            }
            None => {
                let peer = Peer {
                    epoch,
                    heard: now,
                    is_silent: false,
                };
                known.insert(relay.into(), peer);
                true
            }
        }
    }

    /// True if somebody has become silent.
    pub fn look(&self, now: Instant) -> bool {
        let mut known = self.lock();
        known.retain(|_, peer| now - peer.heard <= FORGET);
        let mut is_any_silent = false;
        for peer in known.values_mut() {
            let is_silent = now - peer.heard > SILENCE;
            is_any_silent |= is_silent && !peer.is_silent;
            peer.is_silent = is_silent;
        }
        is_any_silent
    }

    /// Whether a relay was heard not long ago.
    pub fn knows(&self, relay: &str) -> bool {
        self.lock().contains_key(relay)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Box<str>, Peer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_new_was_silent_or_begins_anew_may_have_left_something_unsaid() {
        let (peers, start) = (Peers::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(peers.heard("a", 1, at(0)));
        assert!(!peers.heard("a", 1, at(1)));
        assert!(peers.heard("a", 2, at(2)));
        assert!(!peers.look(at(6)));
        assert!(peers.look(at(8)), "silent for six seconds");
        assert!(!peers.look(at(9)), "that is known");
        assert!(peers.knows("a") && !peers.knows("b"));
        assert!(peers.heard("a", 2, at(10)));
        assert!(!peers.look(at(11)));
        peers.look(at(80));
        assert!(!peers.knows("a"));
    }
}
