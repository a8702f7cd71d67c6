//! The other relays, as far as their letters tell: who is there, and whether all that each has said has come.
//! It keeps count and time; it speaks to nobody.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// A relay says that it is there this often.
pub const PRESENCE_EVERY: Duration = Duration::from_secs(1);

/// Who was not heard for this long may have said something that did not come.
pub const SILENCE: Duration = Duration::from_secs(5);

/// Who was not heard for this long is not waited for: clients are given what it may not have said.
pub const FORGET: Duration = Duration::from_secs(60);

/// Until it was not heard for this long, it may still say something: it can be cut off from the broker, and
/// not from the app. After that the app has given it up as well.
pub const GIVE_UP: Duration = Duration::from_secs(3 * 60 * 60);

#[derive(Default)]
pub struct Peers {
    known: HashMap<Box<str>, Peer>,
    /// Names of those who are not waited for, and when they were heard last.
    absent: HashMap<Box<str>, Instant>,
}

struct Peer {
    /// The number that its next command has.
    next: u64,
    /// When it was heard last, or the broker was back; in the second case it was not heard since.
    heard: Instant,
    is_silent: bool,
}

/// What a letter tells beside what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    InOrder,
    /// So many commands before it have not come, or nobody knows how many.
    Missed(u64),
    /// It is one that we did not know, as we have only begun to listen. It had said so many before.
    New(u64),
    /// It was counted already.
    Old,
}

impl Peers {
    /// A letter has come. `is_command`: its number is its own and not that of the next. `knew_all`: who is
    /// unknown was not there before, as we have listened all the time.
    pub fn heard(
        &mut self,
        from: &str,
        sequence: u64,
        is_command: bool,
        knew_all: bool,
        now: Instant,
    ) -> Heard {
        let next = sequence + u64::from(is_command);
        let Some(peer) = self.known.get_mut(from) else {
            let was_absent = self.absent.remove(name(from)).is_some();
            let heard = match self.forget_earlier_life(from) || was_absent {
                true => Heard::Missed(sequence),
                false if sequence == 0 => Heard::InOrder,
                false if knew_all => Heard::Missed(sequence),
                false => Heard::New(sequence),
            };
            let peer = Peer {
                next,
                heard: now,
                is_silent: false,
            };
            self.known.insert(from.into(), peer);
            return heard;
        };
        peer.heard = now;
        peer.is_silent = false;
        if sequence < peer.next && is_command {
            return Heard::Old;
        }
        let missed = sequence.saturating_sub(peer.next);
        peer.next = peer.next.max(next);
        if missed > 0 {
            Heard::Missed(missed)
        } else {
            Heard::InOrder
        }
    }

    /// A relay that has begun anew will not say any more what it had to say before. Whether there was one.
    fn forget_earlier_life(&mut self, from: &str) -> bool {
        let name = name(from);
        let before = self.known.len();
        self.known.retain(|other, _| self::name(other) != name);
        self.known.len() < before
    }

    /// It has said everything.
    pub fn left(&mut self, from: &str) {
        self.known.remove(from);
    }

    /// The broker is back: who is still there will be heard.
    pub fn await_all(&mut self, now: Instant) {
        for peer in self.known.values_mut() {
            peer.heard = now;
            peer.is_silent = true;
        }
    }

    /// Whether somebody may have said something that did not come.
    pub fn is_any_silent(&self, now: Instant) -> bool {
        self.known
            .values()
            .any(|peer| peer.is_silent || now - peer.heard > SILENCE)
    }

    /// Those who were silent for too long are not waited for any more. Gives their names.
    pub fn forget_silent(&mut self, now: Instant) -> Vec<Box<str>> {
        let silent = self.known.extract_if(|_, peer| now - peer.heard > FORGET);
        let silent: Vec<(Box<str>, Instant)> = silent
            .map(|(from, peer)| (name(&from).into(), peer.heard))
            .collect();
        self.absent.extend(silent.iter().cloned());
        silent.into_iter().map(|(name, _)| name).collect()
    }

    /// The names of those who will not come back.
    pub fn give_up(&mut self, now: Instant) -> Vec<Box<str>> {
        let gone = self.absent.extract_if(|_, heard| now - *heard > GIVE_UP);
        gone.map(|(name, _)| name).collect()
    }

    pub fn count(&self) -> usize {
        self.known.len()
    }
}

/// The name of a relay, without when its life began.
pub fn name(from: &str) -> &str {
    from.rsplit_once('@').map_or(from, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peers() -> (Peers, Instant) {
        let (mut peers, now) = (Peers::default(), Instant::now());
        assert_eq!(peers.heard("a@1", 7, false, false, now), Heard::New(7));
        (peers, now)
    }

    #[test]
    fn a_gap_is_noticed_by_the_next_command_or_the_next_sign_of_life() {
        let (mut peers, now) = peers();
        let mut heard = |sequence, is_command| peers.heard("a@1", sequence, is_command, true, now);
        assert_eq!(heard(7, true), Heard::InOrder);
        assert_eq!(heard(8, true), Heard::InOrder);
        assert_eq!(heard(9, false), Heard::InOrder);
        assert_eq!(heard(11, true), Heard::Missed(2));
        assert_eq!(heard(10, true), Heard::Old);
        assert_eq!(heard(13, false), Heard::Missed(1));
        assert_eq!(heard(13, false), Heard::InOrder);
    }

    #[test]
    fn who_is_new_has_said_nothing_or_we_have_missed_it() {
        let (mut peers, now) = peers();
        assert_eq!(peers.heard("b@1", 0, true, true, now), Heard::InOrder);
        assert_eq!(peers.heard("b@1", 1, true, true, now), Heard::InOrder);
        assert_eq!(peers.heard("c@1", 4, false, true, now), Heard::Missed(4));
        assert_eq!(peers.count(), 3);
    }

    #[test]
    fn who_begins_anew_without_goodbye_has_left_something_unsaid() {
        let (mut peers, now) = peers();
        assert_eq!(peers.heard("a@2", 0, false, true, now), Heard::Missed(0));
        peers.left("a@2");
        assert_eq!(peers.heard("a@3", 0, false, true, now), Heard::InOrder);
        assert_eq!(peers.count(), 1);
    }

    #[test]
    fn who_is_silent_is_waited_for_and_then_forgotten() {
        let (mut peers, now) = peers();
        assert!(!peers.is_any_silent(now + SILENCE));
        let late = now + SILENCE + PRESENCE_EVERY;
        assert!(peers.is_any_silent(late) && peers.forget_silent(late).is_empty());
        peers.await_all(late);
        assert!(peers.is_any_silent(late));
        assert_eq!(peers.heard("a@1", 7, false, true, late), Heard::InOrder);
        assert!(!peers.is_any_silent(late));
        let gone = late + FORGET + PRESENCE_EVERY;
        assert_eq!(peers.forget_silent(gone), ["a".into()]);
        assert!(!peers.is_any_silent(gone));
        assert!(peers.forget_silent(gone).is_empty() && peers.give_up(gone).is_empty());
        let late = late + GIVE_UP + PRESENCE_EVERY;
        assert_eq!(peers.give_up(late), ["a".into()]);
        assert!(peers.give_up(late).is_empty());
    }

    #[test]
    fn who_comes_back_after_it_was_not_waited_for_may_have_said_something_meanwhile() {
        let (mut peers, now) = peers();
        let later = now + FORGET + PRESENCE_EVERY;
        assert_eq!(peers.forget_silent(later).len(), 1);
        assert_eq!(peers.heard("a@2", 0, false, true, later), Heard::Missed(0));
        assert!(peers.give_up(later + GIVE_UP + FORGET).is_empty());
    }
}
