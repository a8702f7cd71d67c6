//! Batches that were sent, event by event: cut in two where the app has stopped or to find what it fails at.

use std::collections::HashMap;
use std::vec::IntoIter;

use serde_json::value::RawValue;

use super::event::{CONNECT, comes_again, cut_at_socket, with_progress};
use super::{Batch, DESCRIPTION_BYTES, EVENT_BYTES};
use crate::connection::{Place, Slot};
use crate::core::ledger::{Charge, Hold};
use crate::core::sid::Sid;

/// What a batch has noted of its events, in their order.
struct Noted {
    opening: IntoIter<Sid>,
    connecting: IntoIter<Place>,
    common: IntoIter<Charge>,
}

impl Batch {
    /// The batch's events, as JSON.
    pub fn events(&self) -> Vec<Box<RawValue>> {
        let array = [b"[", &self.events[..], b"]"].concat();
        serde_json::from_slice(&array).expect("a batch's events are JSON")
    }

    /// The `connect` event of the socket at this place, after the index of the socket.
    pub fn connect_event(&self, place: Place) -> Option<Box<str>> {
        let number = self.connecting.iter().position(|other| *other == place)?;
        let events = self.events();
        let connects = events.iter().map(|event| event.get());
        let mut connects = connects.filter(|event| event.starts_with(CONNECT));
        let (_, _, rest) = cut_at_socket(connects.nth(number)?)?;
        Some(rest.into())
    }

    /// Has the app forget the socket of a `disconnect` event, which is the only one, without its handlers.
    pub fn mark_unhandled(&mut self) {
        debug_assert_eq!((self.count, self.leaving.len()), (1, 1));
        self.events.truncate(self.events.len() - "}}".len());
        self.extend(&[",\"unhandled\":true}}"]);
    }

    /// Two batches: the first events, so many, and the rest.
    pub fn split_at(self, count: usize) -> (Batch, Batch) {
        let events = self.events();
        let mut noted = Noted {
            opening: self.opening.into_iter(),
            connecting: self.connecting.into_iter(),
            common: self.common.into_iter(),
        };
        let whole: Vec<(Slot, Charge)> = self.sockets.into_iter().zip(self.charges).collect();
        let part = |events: &[Box<RawValue>], noted: &mut Noted| {
            let mut part = Batch {
                is_part: true,
                is_of_recoveries: self.is_of_recoveries,
                since: self.since,
                ..Batch::default()
            };
            let mut indices = HashMap::new();
            for event in events {
                part.take_over(event.get(), &whole, &mut indices, noted);
            }
            part
        };
        let (first, rest) = events.split_at(count);
        (part(first, &mut noted), part(rest, &mut noted))
    }

    /// Adds an event of a batch with these sockets, each with what it is counted for there. `indices`: where
    /// those are here that are here already.
    fn take_over(
        &mut self,
        event: &str,
        sockets: &[(Slot, Charge)],
        indices: &mut HashMap<usize, usize>,
        noted: &mut Noted,
    ) {
        self.begin_event();
        self.size += event.len() + EVENT_BYTES;
        let Some((before, index, after)) = cut_at_socket(event) else {
            if event.starts_with("{\"open") {
                self.opening.extend(noted.opening.next());
            }
            if !event.starts_with("{\"tick") {
                self.common.extend(noted.common.next());
            }
            return self.extend(&[event]);
        };
        let (slot, charge) = &sockets[index];
        let slot = *slot;
        let index = *indices.entry(index).or_insert_with(|| {
            self.sockets.push(slot);
            self.size += DESCRIPTION_BYTES;
            let charge = charge.account().charge(Hold::Passing, DESCRIPTION_BYTES);
            self.charges.push(charge);
            self.sockets.len() - 1
        });
        self.charges[index].grow(event.len() + EVENT_BYTES);
        self.extend(&[before, itoa::Buffer::new().format(index), after]);
        if before.starts_with("{\"disconnect") {
            self.leaving.push(slot);
        } else if before.starts_with(CONNECT) {
            self.connecting.extend(noted.connecting.next());
            self.judged += usize::from(comes_again(after));
        } else if before.starts_with("{\"renew") {
            self.renewing += 1;
        }
    }

    /// Writes what the app gave back into the `connect` events, in order.
    pub fn note_progress(&mut self, progress: &[&RawValue]) {
        let events = self.events();
        let mut progress = progress.iter();
        (self.events, self.count, self.judged) = (Vec::new(), 0, 0);
        for event in &events {
            self.begin_event();
            let event = event.get();
            match cut_at_socket(event).filter(|_| event.starts_with(CONNECT)) {
                None => self.extend(&[event]),
                Some((before, index, after)) => {
                    let changed = progress.next().map(|it| with_progress(after, it));
                    let after = changed.as_deref().unwrap_or(after);
                    self.judged += usize::from(comes_again(after));
                    let index = itoa::Buffer::new().format(index).to_owned();
                    self.extend(&[before, &index, after]);
                }
            }
        }
    }
}
