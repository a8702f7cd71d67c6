//! What a relay that is one of several has sent in a namespace, so that what it may have missed of the
//! others' can be made up for: which offsets a client has is more than the last one says, if some before
//! that never came. Kept only where there is a bus. It sends nothing and knows no socket.

use std::collections::VecDeque;
use std::time::Instant;

use rustc_hash::FxHashMap;

use crate::config::{DOUBT_REACH, JOURNAL_KEPT, MAX_JOURNAL};

pub struct Journal {
    /// Tells this life of this relay from others, in what clients are given.
    label: Box<str>,
    /// The offsets that were sent, in the order of sending, and the number of the first of them.
    sent: VecDeque<u64>,
    first: u64,
    /// The number of each.
    numbers: FxHashMap<u64, u64>,
    /// Two moments, at least [`DOUBT_REACH`] from each other.
    earlier: Moment,
    later: Moment,
    doubt: Option<Doubt>,
    /// Doubts that are over, but clients still come back with what they were given then.
    past: Vec<(Doubt, Instant)>,
}

/// How far the sending had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Moment {
    time: Instant,
    /// The number of what was sent next.
    number: u64,
    /// The highest offset that had been sent.
    offset: u64,
}

#[derive(Debug, Clone, Copy)]
struct Doubt {
    /// Nothing is missing up to here.
    start: Moment,
    /// The number of what was sent next when it was noticed: offsets before that were given to clients as
    /// if there were no doubt.
    noticed: u64,
}

/// What a client has: everything up to an offset, and of what follows what this relay has sent up to a
/// number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seen {
    pub offset: u64,
    pub number: u64,
}

impl Journal {
    pub fn new(label: &str, now: Instant, highest: u64) -> Journal {
        let moment = Moment {
            time: now,
            number: 0,
            offset: highest,
        };
        Journal {
            label: label.into(),
            sent: VecDeque::new(),
            first: 0,
            numbers: FxHashMap::default(),
            earlier: moment,
            later: moment,
            doubt: None,
            past: Vec::new(),
        }
    }

    /// Something is sent. `highest` was sent before.
    pub fn push(&mut self, offset: u64, highest: u64, now: Instant) {
        if now - self.later.time >= DOUBT_REACH {
            self.earlier = self.later;
            self.later = Moment {
                time: now,
                number: self.next(),
                offset: highest,
            };
            self.prune(now);
        }
        if self.sent.len() == MAX_JOURNAL {
            self.forget_first();
        }
        self.numbers.insert(offset, self.next());
        self.sent.push_back(offset);
    }

    fn next(&self) -> u64 {
        self.first + self.sent.len() as u64
    }

    fn prune(&mut self, now: Instant) {
        self.past.retain(|(_, until)| now < *until);
        let needed = self.doubts().map(|doubt| doubt.start.number).min();
        let needed = needed.unwrap_or(u64::MAX).min(self.earlier.number);
        while self.first < needed {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        if let Some(offset) = self.sent.pop_front() {
            if self.numbers.get(&offset) == Some(&self.first) {
                self.numbers.remove(&offset);
            }
            self.first += 1;
        }
    }

    fn doubts(&self) -> impl Iterator<Item = Doubt> {
        let past = self.past.iter().map(|(doubt, _)| *doubt);
        self.doubt.into_iter().chain(past)
    }

    /// From now on, and since [`DOUBT_REACH`] ago, others' emissions may be missing.
    pub fn doubt(&mut self, now: Instant) {
        if self.doubt.is_some() {
            return;
        }
        let start = if now - self.later.time >= DOUBT_REACH {
            self.later
        } else {
            self.earlier
        };
        self.doubt = Some(Doubt {
            start,
            noticed: self.next(),
        });
    }

    /// Nothing is missing any more to those who are here.
    pub fn trust(&mut self, now: Instant) {
        if let Some(doubt) = self.doubt.take() {
            self.past.push((doubt, now + JOURNAL_KEPT));
        }
    }

    /// Whether somebody may still come back with something of a doubt.
    pub fn is_needed(&self, now: Instant) -> bool {
        self.doubt.is_some() || self.past.iter().any(|(_, until)| now < *until)
    }

    /// If there is doubt: up to which offset nothing is missing, and what clients are given beside it.
    pub fn doubtful(&self) -> Option<(u64, String)> {
        let doubt = self.doubt?;
        Some((
            doubt.start.offset,
            format!("!{}.{}", self.label, self.next()),
        ))
    }

    /// The same for one who has everything up to an offset and was sent nothing else.
    pub fn nothing_but(&self) -> Option<String> {
        self.doubt.map(|_| format!("!{}.0", self.label))
    }

    /// What a client has whose last event came with this offset, without doubt. None: just everything
    /// up to it.
    pub fn plain(&self, offset: u64) -> Option<Seen> {
        let number = *self.numbers.get(&offset)?;
        let doubt = self
            .doubts()
            .find(|doubt| (doubt.start.number..doubt.noticed).contains(&number))?;
        let offset = doubt.start.offset;
        let number = number + 1;
        (self.first <= doubt.start.number).then_some(Seen { offset, number })
    }

    /// What a client has that was given this in doubt. None: it was not by us, or too long ago.
    pub fn given(&self, label: &str, seen: Seen) -> Option<Seen> {
        let is_known = *label == *self.label
            && self.doubts().any(|Doubt { start, .. }| {
                self.first <= start.number
                    && start.number < seen.number
                    && start.offset <= seen.offset
            });
        is_known.then_some(seen)
    }

    /// Whether an event was among the first so many that were sent.
    pub fn was_sent(&self, offset: u64, number: u64) -> bool {
        self.numbers.get(&offset).is_some_and(|at| *at < number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journal() -> (Journal, Instant) {
        let now = Instant::now();
        (Journal::new("here", now, 0), now)
    }

    #[test]
    fn what_a_client_has_is_what_was_sure_and_what_was_sent_since() {
        let (mut journal, start) = journal();
        journal.push(1, 0, start);
        journal.push(2, 1, start + DOUBT_REACH);
        let now = start + 2 * DOUBT_REACH;
        journal.push(4, 2, now);
        assert_eq!(journal.doubtful(), None);
        assert_eq!(journal.plain(4), None);
        journal.doubt(now);
        journal.doubt(now);
        journal.push(6, 4, now);
        let (sure, given) = journal.doubtful().unwrap();
        assert_eq!((sure, &*given), (1, "!here.4"));
        let seen = Seen {
            offset: 1,
            number: 4,
        };
        assert_eq!(journal.given("here", seen), Some(seen));
        assert_eq!(journal.given("there", seen), None);
        // 3 and 5 were others'. A client that got no event since the doubt began has not seen 6.
        for (offset, sent) in [(2, true), (3, false), (4, true), (5, false), (6, true)] {
            assert_eq!(journal.was_sent(offset, 4), sent, "{offset}");
        }
        let seen = journal.plain(4).unwrap();
        assert_eq!((seen.offset, seen.number), (1, 3));
        assert!(!journal.was_sent(6, seen.number));
        // It has its offset from another relay, or from long ago.
        assert_eq!((journal.plain(5), journal.plain(1)), (None, None));
    }

    #[test]
    fn a_doubt_that_is_over_is_remembered_for_a_while() {
        let (mut journal, start) = journal();
        let now = start + DOUBT_REACH;
        journal.push(1, 0, start);
        journal.doubt(now);
        journal.push(3, 1, now);
        journal.trust(now);
        assert_eq!(journal.doubtful(), None);
        let seen = Seen {
            offset: 0,
            number: 2,
        };
        assert_eq!(journal.given("here", seen), Some(seen));
        assert!(journal.is_needed(now));
        let late = now + JOURNAL_KEPT;
        assert!(!journal.is_needed(late));
        for n in 0..3 {
            journal.push(4 + u64::from(n), 3, late + n * DOUBT_REACH);
        }
        assert_eq!(journal.given("here", seen), None);
        assert!(journal.sent.len() <= 2 && journal.numbers.len() == journal.sent.len());
    }

    #[test]
    fn what_does_not_fit_is_not_pretended_to_be_known() {
        let (mut journal, now) = journal();
        journal.doubt(now);
        for offset in 1..=MAX_JOURNAL as u64 {
            journal.push(offset, offset - 1, now);
        }
        let seen = Seen {
            offset: 0,
            number: 1,
        };
        assert_eq!(journal.given("here", seen), Some(seen));
        journal.push(MAX_JOURNAL as u64 + 1, MAX_JOURNAL as u64, now);
        assert_eq!(journal.given("here", seen), None);
    }
}
