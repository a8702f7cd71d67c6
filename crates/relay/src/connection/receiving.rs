//! A binary packet whose attachments are still to come.

use std::time::Duration;

use parlour_listener::Patience;
use parlour_protocol::socket::Reassembler;

use crate::core::config::ATTACHMENTS_WAIT;
use crate::core::ledger::Charge;

pub struct Receiving {
    pub reassembler: Reassembler,
    charge: Charge,
    /// Milliseconds of the relay's clock: when the last part came, or was seen to be coming.
    progress: u64,
    /// How much the client had moved then.
    moved: u64,
}

impl Receiving {
    /// The packet has come, when its client had moved so much.
    pub fn new(reassembler: Reassembler, charge: Charge, moved: u64, now: u64) -> Receiving {
        Receiving {
            reassembler,
            charge,
            progress: now,
            moved,
        }
    }

    /// An attachment of so many bytes has come, and was not the last.
    pub fn goes_on(&mut self, bytes: usize, moved: u64, now: u64) {
        self.charge.grow(bytes);
        (self.progress, self.moved) = (now, moved);
    }

    /// Whether the next attachment has not come for long, and is not coming either.
    pub(super) fn has_stalled(&mut self, moved: u64, now: u64) -> bool {
        let time = Duration::from_millis(now.saturating_sub(self.progress));
        if time <= ATTACHMENTS_WAIT {
            return false;
        }
        let is_coming = Patience::is_enough(moved - self.moved, time);
        if is_coming {
            (self.progress, self.moved) = (now, moved);
        }
        !is_coming
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::ledger::{Hold, Ledger};
    use parlour_protocol::socket;

    #[test]
    fn an_attachment_that_comes_slowly_is_waited_for_and_one_that_trickles_is_not() {
        let packet = socket::decode("51-[\"x\",{\"_placeholder\":true,\"num\":0}]").unwrap();
        let charge = Ledger::new(1 << 20, 1 << 20)
            .account()
            .charge(Hold::Kept, 1);
        let mut receiving = Receiving {
            reassembler: Reassembler::new(&packet),
            charge,
            progress: 1000,
            moved: 500,
        };
        let wait = ATTACHMENTS_WAIT.as_millis() as u64;
        assert!(!receiving.has_stalled(500, 1000 + wait));
        // 40 s, at 2 KiB a second.
        assert!(!receiving.has_stalled(500 + 80 * 1024, 41_000));
        assert!(!receiving.has_stalled(500 + 80 * 1024, 41_000 + wait));
        assert!(receiving.has_stalled(500 + 81 * 1024, 41_001 + wait));
    }
}
