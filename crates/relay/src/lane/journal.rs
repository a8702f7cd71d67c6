//! What a relay that is one of several has sent in a namespace. Others' emissions come later than its own,
//! or never: which offsets a client has is more than the last one says, if some before that have not come.
//! Kept only where there is a bus. It sends nothing and knows no socket.

use std::collections::VecDeque;
use std::time::Instant;

use rustc_hash::FxHashMap;

use crate::config::{DOUBT_REACH, JOURNAL_KEPT, MAX_JOURNAL, MAX_JOURNAL_IN_DOUBT, MOMENTS_APART};

pub struct Journal {
    /// Tells this life of this relay from others, in what clients are given.
    label: Box<str>,
    /// The offsets that were sent, in the order of sending, and the number of the first of them.
    sent: VecDeque<u64>,
    first: u64,
    /// The number of each.
    numbers: FxHashMap<u64, u64>,
    /// At least [`MOMENTS_APART`] from each other. Never empty.
    moments: VecDeque<Moment>,
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
    /// The number of what was sent next when it was noticed: what was sent before that was given to clients
    /// as if there were no doubt.
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
            moments: VecDeque::from([moment]),
            doubt: None,
            past: Vec::new(),
        }
    }

    pub fn label(&self) -> &str {
        &self.label
    }

    /// Something is sent. `highest` was sent before. Gives the number of what is sent next.
    pub fn push(&mut self, offset: u64, highest: u64, now: Instant) -> u64 {
        let number = self.next();
        if now - self.moments[self.moments.len() - 1].time >= MOMENTS_APART {
            self.moments.push_back(Moment {
                time: now,
                number,
                offset: highest,
            });
            self.prune(now);
        }
        if self.sent.len() == MAX_JOURNAL_IN_DOUBT {
            self.forget_first();
        }
        self.numbers.insert(offset, number);
        self.sent.push_back(offset);
        number + 1
    }

    fn next(&self) -> u64 {
        self.first + self.sent.len() as u64
    }

    fn prune(&mut self, now: Instant) {
        self.past.retain(|(_, until)| now < *until);
        let enough = self.next().saturating_sub(MAX_JOURNAL as u64);
        while let [first, second, third, ..] = self.moments.make_contiguous()
            && (now - second.time > JOURNAL_KEPT || first.number < enough)
            && now - third.time > DOUBT_REACH
        {
            self.moments.pop_front();
        }
        let doubts = self.doubts().map(|doubt| doubt.start.number);
        let needed = doubts.fold(self.moments[0].number, u64::min);
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
        let sure = |moment: &&Moment| now - moment.time >= DOUBT_REACH;
        let start = *self.moments.iter().rfind(sure).unwrap_or(&self.moments[0]);
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

    /// Whether somebody may still come back with what was given.
    pub fn is_needed(&self, now: Instant) -> bool {
        let last = self.moments[self.moments.len() - 1].time;
        self.doubt.is_some()
            || self.past.iter().any(|(_, until)| now < *until)
            || !self.sent.is_empty() && now - last < JOURNAL_KEPT
    }

    /// If there is doubt: up to which offset nothing is missing.
    pub fn sure_in_doubt(&self) -> Option<u64> {
        self.doubt.map(|doubt| doubt.start.offset)
    }

    /// If there is none: up to which offset everything has come, however late, when a number was next.
    pub fn sure(&self, number: u64) -> Option<u64> {
        let later = self
            .moments
            .partition_point(|moment| moment.number < number);
        let moment = self.moments.get(later.checked_sub(1)?.saturating_sub(1))?;
        (self.first <= moment.number).then_some(moment.offset)
    }

    /// What a client has that was given this number without doubt, and had everything up to `floor`. None:
    /// it was too long ago, or by another relay.
    pub fn given(&self, label: &str, number: u64, floor: u64) -> Option<Seen> {
        if *label != *self.label {
            return None;
        }
        let doubt = self
            .doubts()
            .find(|doubt| doubt.start.number < number && number <= doubt.noticed);
        let offset = match doubt {
            Some(doubt) if self.first <= doubt.start.number => doubt.start.offset,
            Some(_) => return None,
            None => self.sure(number)?,
        };
        let offset = offset.max(floor);
        Some(Seen { offset, number })
    }

    /// The same for one that was given it in doubt, where `offset` was sure.
    pub fn given_in_doubt(&self, label: &str, number: u64, offset: u64) -> Option<Seen> {
        let is_known = *label == *self.label
            && self.doubts().any(|Doubt { start, .. }| {
                self.first <= start.number && start.number < number && start.offset <= offset
            });
        is_known.then_some(Seen { offset, number })
    }

    /// Whether an event was sent before this number.
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
        let number = journal.push(4, 2, now);
        assert_eq!(journal.sure_in_doubt(), None);
        journal.doubt(now);
        journal.doubt(now);
        assert_eq!(journal.sure_in_doubt(), Some(1));
        let seen = journal.given("here", number, 0).unwrap();
        assert_eq!((seen.offset, seen.number), (1, 3));
        let number = journal.push(6, 4, now);
        let seen = journal.given_in_doubt("here", number, 1).unwrap();
        assert_eq!((seen.offset, seen.number), (1, 4));
        assert_eq!(journal.given_in_doubt("there", number, 1), None);
        // 3 and 5 were others'.
        for (offset, sent) in [(2, true), (3, false), (4, true), (5, false), (6, true)] {
            assert_eq!(journal.was_sent(offset, seen.number), sent, "{offset}");
        }
        assert!(!journal.was_sent(6, 3));
    }

    #[test]
    fn without_doubt_what_was_sent_a_moment_before_is_sure() {
        let (mut journal, mut now) = journal();
        let numbers: Vec<u64> = (1..=4)
            .map(|n| {
                now += MOMENTS_APART;
                journal.push(10 * n, 10 * (n - 1), now)
            })
            .collect();
        assert_eq!(numbers, [1, 2, 3, 4]);
        let sure = |number| journal.given("here", number, 0).map(|seen| seen.offset);
        assert_eq!(sure(0), None);
        assert_eq!([sure(1), sure(2), sure(4)], [Some(0), Some(0), Some(20)]);
        assert_eq!(journal.given("here", 4, 35).unwrap().offset, 35);
        assert_eq!(journal.given("there", 4, 0), None);
    }

    #[test]
    fn a_doubt_that_is_over_is_remembered_for_a_while() {
        let (mut journal, start) = journal();
        let now = start + DOUBT_REACH;
        journal.push(1, 0, start);
        journal.doubt(now);
        let number = journal.push(3, 1, now);
        journal.trust(now);
        assert_eq!(journal.sure_in_doubt(), None);
        assert!(journal.given_in_doubt("here", number, 0).is_some());
        assert!(journal.is_needed(now));
        let mut late = now + JOURNAL_KEPT;
        assert!(!journal.is_needed(late));
        for offset in 4..8 {
            late += DOUBT_REACH + MOMENTS_APART;
            journal.push(offset, offset - 1, late);
        }
        assert_eq!(journal.given_in_doubt("here", number, 0), None);
    }

    #[test]
    fn it_does_not_grow_for_good() {
        let (mut journal, mut now) = journal();
        let mut number = 0;
        for offset in 1..=2 * MAX_JOURNAL as u64 {
            if offset % 1000 == 0 {
                now += MOMENTS_APART;
            }
            number = journal.push(offset, offset - 1, now);
        }
        let most = MAX_JOURNAL + 1000 * (DOUBT_REACH.as_secs() as usize + 2);
        assert!(journal.sent.len() <= most, "{}", journal.sent.len());
        assert_eq!(journal.numbers.len(), journal.sent.len());
        assert!(journal.given("here", number, 0).is_some());
        assert_eq!(journal.given("here", 1000, 0), None);
    }

    #[test]
    fn what_does_not_fit_is_not_pretended_to_be_known() {
        let (mut journal, now) = journal();
        journal.doubt(now);
        for offset in 1..=MAX_JOURNAL_IN_DOUBT as u64 {
            journal.push(offset, offset - 1, now);
        }
        assert!(journal.given_in_doubt("here", 1, 0).is_some());
        let last = MAX_JOURNAL_IN_DOUBT as u64;
        journal.push(last + 1, last, now);
        assert_eq!(journal.given_in_doubt("here", 1, 0), None);
        assert_eq!(journal.given_in_doubt("here", last, 0), None);
    }
}
