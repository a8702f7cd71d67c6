//! How far the namespace's log was delivered to this relay's sockets, and what has arrived of it too early. Every
//! relay delivers the log in the log's order, whatever way its parts come by: in answers, over the bus, or because
//! it has asked for a gap to be filled (`docs/relay-protocol.md`, "One order").

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parlour_protocol::relay::Command;

use crate::core::Core;
use crate::core::bus::Extent;
use crate::core::config::MAX_EARLY_BYTES;
use crate::core::ledger::{Charge, Hold};

/// How long the bus has to close a gap before the app is asked for what is missing.
pub const GAP_WAIT: Duration = Duration::from_millis(50);

/// The same where the app was asked already and the gap is still there.
const MAX_GAP_WAIT: Duration = Duration::from_secs(1);

#[derive(Default)]
pub struct Log {
    /// Everything up to this offset was delivered. None: the app has not said where its log is.
    delivered: Option<u64>,
    /// The highest offset that is known to be given.
    known: u64,
    /// What has arrived and is not next in line, by the offset before it.
    early: BTreeMap<u64, Segment>,
    bytes: usize,
    /// Since when it is known that something is missing, and how long the bus has to bring it.
    behind_since: Option<Instant>,
    patience: Duration,
    /// Something may be missing of which nothing else would tell.
    is_suspicious: bool,
    /// When the app last said where the head of the log is, and what was known when it was asked.
    asked: Option<Instant>,
    known_when_asked: u64,
    /// What other relays were told of how far this one is.
    told: u64,
}

/// A part of the log, as it has arrived.
pub struct Segment {
    pub extent: Extent,
    /// A JSON array of commands.
    pub commands: Arc<str>,
    /// What it is counted as until it is delivered.
    pub _charge: Option<Charge>,
}

/// What is next in line: of the segment's commands those after one offset up to another.
pub struct Next {
    pub commands: Arc<str>,
    /// The segment begins after this offset.
    start: u64,
    after: u64,
    until: u64,
}

impl Segment {
    pub fn new(extent: Extent, commands: &str, core: &Core) -> Segment {
        Segment {
            extent,
            commands: commands.into(),
            _charge: Some(core.common.charge(Hold::Passing, commands.len())),
        }
    }
}

impl Log {
    pub fn delivered(&self) -> Option<u64> {
        self.delivered
    }

    /// A part of the log has arrived.
    pub fn arrived(&mut self, segment: Segment) {
        let Extent { previous, head } = segment.extent;
        self.heard_of(head);
        if self.delivered >= Some(head) {
            return;
        }
        let before = self.early.get(&previous);
        if before.is_some_and(|before| before.extent.head >= head) {
            return;
        }
        self.bytes += segment.commands.len();
        let replaced = self.early.insert(previous, segment);
        self.bytes -= replaced.map_or(0, |replaced| replaced.commands.len());
        if self.bytes > MAX_EARLY_BYTES {
            // The app still has it.
            self.early.clear();
            self.bytes = 0;
        }
    }

    /// The log is known to reach up to here.
    pub fn heard_of(&mut self, head: u64) {
        self.known = self.known.max(head);
    }

    /// Takes what is next in line, as far as `limit`, and counts it as delivered.
    pub fn next(&mut self, limit: Option<u64>) -> Option<Next> {
        loop {
            let (&start, segment) = self.early.first_key_value()?;
            let head = segment.extent.head;
            let after = self.delivered.unwrap_or(start);
            if after >= head {
                self.forget(start);
                continue;
            }
            let until = limit.map_or(head, |limit| limit.min(head));
            if start > after || after >= until {
                return None;
            }
            let commands = segment.commands.clone();
            if until == head {
                self.forget(start);
            }
            self.advance(until);
            return Some(Next {
                commands,
                start,
                after,
                until,
            });
        }
    }

    fn forget(&mut self, start: u64) {
        if let Some(segment) = self.early.remove(&start) {
            self.bytes -= segment.commands.len();
        }
    }

    /// Everything up to here was delivered.
    pub fn advance(&mut self, head: u64) {
        self.delivered = self.delivered.max(Some(head));
        self.heard_of(head);
        self.behind_since = None;
        self.patience = GAP_WAIT;
    }

    /// A batch leaves, which asks for what is missing if `should_ask` says so.
    pub fn is_asking(&mut self) {
        self.known_when_asked = self.known;
    }

    /// The app says where the head of its log is. It knows best: where that is less than what was delivered, its
    /// database was replaced by an older one.
    pub fn is_at(&mut self, head: u64) {
        if self.delivered > Some(head) {
            self.delivered = Some(head);
            self.early.clear();
            self.bytes = 0;
        }
        if self.known == self.known_when_asked {
            self.known = head;
        }
        self.asked = Some(Instant::now());
        self.is_suspicious = false;
        if self.is_behind() {
            // What has not come by now is not waited for as impatiently.
            self.behind_since = None;
            self.patience = (self.patience * 2).clamp(GAP_WAIT, MAX_GAP_WAIT);
        }
    }

    /// What was taken cannot be carried out: the app is asked for it.
    pub fn undo(&mut self, next: &Next) {
        self.delivered = Some(next.after);
        self.is_suspicious = true;
    }

    /// Something may be missing of which nothing else would tell.
    pub fn suspect(&mut self) {
        self.is_suspicious = true;
    }

    /// Whether the next batch should ask for what is missing.
    pub fn should_ask(&self) -> bool {
        self.is_suspicious || self.is_behind()
    }

    fn is_behind(&self) -> bool {
        !self.early.is_empty()
            || self
                .delivered
                .is_some_and(|delivered| delivered < self.known)
    }

    /// When to ask the app, if nothing happens before: soon where something is missing, and after `interval` where
    /// nobody else would tell.
    pub fn ask_at(&mut self, now: Instant, interval: Option<Duration>) -> Option<Instant> {
        self.delivered?;
        if self.is_suspicious {
            return Some(now);
        }
        if self.is_behind() {
            return Some(*self.behind_since.get_or_insert(now) + self.patience);
        }
        interval.map(|interval| self.asked.unwrap_or(now) + interval)
    }

    /// How far this relay is, unless it has said so before.
    pub fn untold(&mut self) -> Option<u64> {
        let delivered = self.delivered.filter(|delivered| *delivered > self.told)?;
        self.told = delivered;
        Some(delivered)
    }
}

impl Next {
    /// Those of the segment's commands whose turn it is. One without an offset has the place of the one before it.
    pub fn select<'c>(&self, commands: &'c [Command<'c>]) -> impl Iterator<Item = &'c Command<'c>> {
        let (start, after, until) = (self.start, self.after, self.until);
        let mut place = start;
        commands
            .iter()
            .filter(move |command| match command.offset() {
                Some(offset) => {
                    place = offset;
                    after < place && place <= until
                }
                None => place <= until && (after < place || after == start && place == start),
            })
    }
}

#[cfg(test)]
mod tests;
