//! Batches event by event: cut in two where the app has stopped, to find what it fails at, or to let some go first.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::vec::IntoIter;

use parlour_protocol::relay::Event;
use serde_json::value::RawValue;

use super::event::{CONNECT, comes_again, cut_at_socket, with_progress};
use super::{Batch, DESCRIPTION_BYTES, EVENT_BYTES};
use crate::connection::{Place, Slot};
use crate::core::ledger::{Account, Charge, Hold};
use crate::core::sid::Sid;

/// What a batch has noted of its events, in their order.
struct Noted {
    opening: IntoIter<Sid>,
    connecting: IntoIter<Place>,
    common: IntoIter<Charge>,
}

/// Says in a client's `auth` that it asks for an earlier session.
pub const PID: &str = "\"pid\"";

/// Some clients, each by its account: a client's sockets are known by one account.
#[derive(Default)]
pub struct Clients(HashSet<*const Account>);

impl Clients {
    fn have(&self, account: &Arc<Account>) -> bool {
        self.0.contains(&Arc::as_ptr(account))
    }

    fn add(&mut self, account: &Arc<Account>) {
        self.0.insert(Arc::as_ptr(account));
    }
}

/// The clients whose acknowledgements an event has, or lacks.
fn acks_of(event: &str, account_of: impl Fn(&str) -> Option<Arc<Account>>) -> Vec<Arc<Account>> {
    if !event.starts_with("{\"acks\"") {
        return Vec::new();
    }
    let Ok(Event::Acks(acks)) = serde_json::from_str(event) else {
        return Vec::new();
    };
    let replies = acks.replies.iter().map(|reply| &*reply.socket);
    let all = replies.chain(acks.missing.iter().map(|id| &**id));
    all.filter_map(account_of).collect()
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
        let mut number = 0;
        self.partition(|_, _| {
            number += 1;
            number <= count
        })
    }

    /// Two batches: the events that are chosen, and the others. In each they have the order that they had here.
    /// `choose` is asked for each event in order, with whose event it is if it names a socket.
    fn partition(
        self,
        mut choose: impl FnMut(&str, Option<&Arc<Account>>) -> bool,
    ) -> (Batch, Batch) {
        let events = self.events();
        let mut noted = Noted {
            opening: self.opening.into_iter(),
            connecting: self.connecting.into_iter(),
            common: self.common.into_iter(),
        };
        let whole: Vec<(Slot, Charge)> = self.sockets.into_iter().zip(self.charges).collect();
        let part = || Batch {
            is_part: true,
            is_of_recoveries: self.is_of_recoveries,
            since: self.since,
            ..Batch::default()
        };
        let (mut chosen, mut others) = (part(), part());
        let (mut chosen_indices, mut other_indices) = (HashMap::new(), HashMap::new());
        for event in &events {
            let event = event.get();
            let cut = cut_at_socket(event);
            let account = cut.map(|(_, index, _)| whole[index].1.account());
            let (part, indices) = match choose(event, account) {
                true => (&mut chosen, &mut chosen_indices),
                false => (&mut others, &mut other_indices),
            };
            part.take_over(event, cut, &whole, indices, &mut noted);
        }
        (chosen, others)
    }

    /// Takes out what does not concern the clients that have something before it: that may go first. What stays is
    /// a part, and keeps its place. `account_of`: whose socket has an id.
    pub fn take_unblocked(
        &mut self,
        blocked: &mut Clients,
        account_of: impl Fn(&str) -> Option<Arc<Account>>,
    ) -> Option<Batch> {
        let is_anyone_free = self.charges.iter().any(|it| !blocked.have(it.account()));
        // What names no socket is in `common`, but for ticks.
        if !is_anyone_free && self.common.is_empty() && !self.sockets.is_empty() {
            return None;
        }
        let is_nobody_blocked = !self.charges.iter().any(|it| blocked.have(it.account()));
        if is_nobody_blocked && self.common.is_empty() && self.connecting.is_empty() {
            return Some(std::mem::take(self));
        }
        let Batch {
            serial, recoveries, ..
        } = *self;
        let (first, mut rest) = std::mem::take(self).partition(|event, account| {
            let concerned = match account {
                Some(account) => vec![account.clone()],
                None => acks_of(event, &account_of),
            };
            // Who asks for an earlier session may have left it with an event that is still there.
            let claims_session = event.starts_with(CONNECT) && event.contains(PID);
            if !claims_session && !concerned.iter().any(|it| blocked.have(it)) {
                return true;
            }
            concerned.iter().for_each(|it| blocked.add(it));
            false
        });
        rest.serial = serial;
        rest.recoveries = recoveries;
        rest.lets_pass = true;
        *self = rest;
        (first.count > 0).then_some(first)
    }

    /// The clients that it has something of.
    pub fn add_clients_to(&self, clients: &mut Clients) {
        for charge in &self.charges {
            clients.add(charge.account());
        }
    }

    /// Adds an event of a batch with these sockets, each with what it is counted for there. `indices`: where
    /// those are here that are here already. `cut`: the event around the index of its socket.
    fn take_over(
        &mut self,
        event: &str,
        cut: Option<(&str, usize, &str)>,
        sockets: &[(Slot, Charge)],
        indices: &mut HashMap<usize, usize>,
        noted: &mut Noted,
    ) {
        self.begin_event();
        self.size += event.len() + EVENT_BYTES;
        let Some((before, index, after)) = cut else {
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
