//! Up to which offset nothing can come any more, from any source: not from a batch that is under way here,
//! and not from another relay. It knows no event and no socket.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::config::EARLIER_LIFE;

/// Offsets are given in the order of commits. So what a batch emits has a higher one than all that were known
/// when it left, and it is enough to remember that.
pub struct Commits(Mutex<Inner>);

struct Inner {
    /// When this life of the relay began.
    born: Instant,
    /// The highest that is known to be given.
    highest: u64,
    /// What was the highest when a batch left that is under way; how many there are.
    under_way: BTreeMap<u64, usize>,
    /// This life of the relay was answered: nothing comes any more of what an earlier one has asked.
    is_answered: bool,
    /// Other relays, by their names.
    others: HashMap<Box<str>, Other>,
    /// Nothing is certain beyond this: others' emissions may be missing.
    doubt: Option<u64>,
}

struct Other {
    /// What it has said of itself.
    told: u64,
    /// It was heard not long ago.
    is_present: bool,
}

/// A batch that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnderWay(u64);

impl Commits {
    pub fn new(now: Instant) -> Commits {
        Commits(Mutex::new(Inner {
            born: now,
            highest: 0,
            under_way: BTreeMap::new(),
            is_answered: false,
            others: HashMap::new(),
            doubt: None,
        }))
    }

    pub fn begin(&self) -> UnderWay {
        let mut inner = self.lock();
        let highest = inner.highest;
        *inner.under_way.entry(highest).or_default() += 1;
        UnderWay(highest)
    }

    /// It is answered, and everything that it emitted was sent and handed to the bus.
    pub fn end(&self, batch: UnderWay) {
        let mut inner = self.lock();
        if let Some(count) = inner.under_way.get_mut(&batch.0) {
            *count -= 1;
            if *count == 0 {
                inner.under_way.remove(&batch.0);
            }
        }
    }

    /// The app has answered this life of the relay.
    pub fn answered(&self) {
        self.lock().is_answered = true;
    }

    /// An offset that was given.
    pub fn note(&self, offset: u64) {
        let mut inner = self.lock();
        inner.highest = inner.highest.max(offset);
    }

    /// Everything up to here has come, but for what comes of `own`, a batch that is under way. None: nothing
    /// else is expected at all.
    pub fn certain(&self, own: Option<UnderWay>) -> Option<u64> {
        self.lock().certain(own)
    }

    /// What this relay says of itself: it has nothing to tell the others up to here that it has not handed to
    /// the bus.
    pub fn told(&self) -> u64 {
        let inner = self.lock();
        match inner.is_answered || inner.born.elapsed() > EARLIER_LIFE {
            true => inner.next_own(None).unwrap_or(inner.highest),
            false => 0,
        }
    }

    /// What another relay says of itself. That it is there counts, whatever it says.
    pub fn heard(&self, relay: &str, told: u64) {
        let mut inner = self.lock();
        match inner.others.get_mut(relay) {
            Some(other) => {
                other.told = told.max(other.told);
                other.is_present = true;
            }
            None => {
                let other = Other {
                    told,
                    is_present: true,
                };
                inner.others.insert(relay.into(), other);
            }
        }
    }

    /// It was not heard for long. It may have more to say some day.
    pub fn lost(&self, relay: &str) {
        if let Some(other) = self.lock().others.get_mut(relay) {
            other.is_present = false;
        }
    }

    /// It has no more to say.
    pub fn left(&self, relay: &str) {
        self.lock().others.remove(relay);
    }

    pub fn present(&self) -> Vec<Box<str>> {
        let inner = self.lock();
        let present = inner.others.iter().filter(|(_, other)| other.is_present);
        present.map(|(relay, _)| relay.clone()).collect()
    }

    pub fn doubt(&self) {
        let mut inner = self.lock();
        if inner.doubt.is_none() {
            inner.doubt = Some(inner.certain(None).unwrap_or(inner.highest));
        }
    }

    /// Those who are here have everything up to an offset, whoever has told it.
    pub fn trust(&self, offset: u64) {
        let mut inner = self.lock();
        inner.doubt = None;
        for other in inner.others.values_mut() {
            other.told = offset.max(other.told);
        }
    }

    pub fn highest(&self) -> u64 {
        self.lock().highest
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn certain(&self, own: Option<UnderWay>) -> Option<u64> {
        let others = self.others.values().map(|other| other.told).min();
        [self.next_own(own), others, self.doubt]
            .into_iter()
            .flatten()
            .min()
    }

    fn next_own(&self, but: Option<UnderWay>) -> Option<u64> {
        let mut rest = self.under_way.iter();
        rest.find(|(mark, count)| **count > 1 || but != Some(UnderWay(**mark)))
            .map(|(mark, _)| *mark)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_under_way_can_bring_all_that_was_not_given_when_it_left() {
        let commits = Commits::new(Instant::now());
        assert_eq!(commits.certain(None), None);
        commits.note(7);
        let first = commits.begin();
        let second = commits.begin();
        commits.note(9);
        commits.note(8);
        let third = commits.begin();
        assert_eq!(commits.certain(Some(first)), Some(7));
        commits.end(first);
        assert_eq!(commits.certain(Some(second)), Some(9));
        assert_eq!(commits.certain(Some(third)), Some(7));
        assert_eq!(commits.certain(None), Some(7));
        commits.end(second);
        assert_eq!(commits.certain(Some(third)), None);
    }

    #[test]
    fn others_are_waited_for_as_far_as_they_have_told() {
        let commits = Commits::new(Instant::now());
        commits.note(20);
        commits.heard("a", 0);
        assert_eq!(commits.certain(None), Some(0));
        commits.heard("a", 12);
        commits.heard("b", 15);
        commits.heard("a", 11);
        assert_eq!(commits.certain(None), Some(12));
        commits.lost("a");
        assert_eq!(commits.present(), ["b".into()]);
        assert_eq!(commits.certain(None), Some(12));
        commits.left("a");
        assert_eq!(commits.certain(None), Some(15));
    }

    #[test]
    fn in_doubt_nothing_more_becomes_certain() {
        let commits = Commits::new(Instant::now());
        commits.note(20);
        commits.heard("a", 12);
        commits.doubt();
        commits.heard("a", 17);
        commits.heard("b", 5);
        commits.doubt();
        assert_eq!(commits.certain(None), Some(5));
        commits.left("b");
        assert_eq!(commits.certain(None), Some(12));
        commits.trust(15);
        assert_eq!(commits.certain(None), Some(17));
        commits.doubt();
        commits.trust(19);
        assert_eq!(commits.certain(None), Some(19));
        commits.left("a");
        assert_eq!(commits.certain(None), None);
        commits.doubt();
        commits.note(40);
        assert_eq!(commits.certain(None), Some(20));
    }

    #[test]
    fn a_relay_tells_nothing_of_itself_before_the_app_has_answered_it() {
        let commits = Commits::new(Instant::now());
        commits.note(20);
        let batch = commits.begin();
        commits.note(25);
        assert_eq!(commits.told(), 0);
        let next = commits.begin();
        commits.answered();
        assert_eq!(commits.told(), 20);
        commits.end(batch);
        assert_eq!(commits.told(), 25);
        commits.note(30);
        assert_eq!(commits.told(), 25);
        commits.end(next);
        assert_eq!(commits.told(), 30);
    }
}
