//! Parts of batches: cut in two where the app has stopped, to find what it fails at, or to let some go first.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use parlour_protocol::relay;

use super::event::{Event, Kind};
use super::{Batch, DESCRIPTION_BYTES, EVENT_BYTES};
use crate::connection::Slot;
use crate::core::ledger::{Account, Charge, Hold};

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
    let Ok(relay::Event::Acks(acks)) = serde_json::from_str(event) else {
        return Vec::new();
    };
    let replies = acks.replies.iter().map(|reply| &*reply.socket);
    let all = replies.chain(acks.missing.iter().map(|id| &**id));
    all.filter_map(account_of).collect()
}

impl Batch {
    /// Two batches: the first events, so many, and the rest.
    pub fn split_at(self, count: usize) -> (Batch, Batch) {
        let mut number = 0;
        self.partition(|_, _, _| {
            number += 1;
            number <= count
        })
    }

    /// Two batches: the events that are chosen, and the others. In each they have the order that they had here.
    /// `choose` is asked for each event in order, with its JSON, and with whose it is if it names a socket.
    fn partition(
        mut self,
        mut choose: impl FnMut(&Event, &str, Option<&Arc<Account>>) -> bool,
    ) -> (Batch, Batch) {
        let charges = std::mem::take(&mut self.charges);
        let sockets = std::mem::take(&mut self.sockets);
        let whole: Vec<(Slot, Charge)> = sockets.into_iter().zip(charges).collect();
        let part = || Batch {
            is_part: true,
            is_of_recoveries: self.is_of_recoveries,
            since: self.since,
            ..Batch::default()
        };
        let (mut chosen, mut others) = (part(), part());
        let (mut chosen_indices, mut other_indices) = (HashMap::new(), HashMap::new());
        let mut start = 0;
        for event in self.events {
            let text = self.text.part(start, event.end);
            start = event.end;
            let of = event.socket.map(|index| whole[index as usize].1.account());
            let (part, indices) = match choose(&event, text, of) {
                true => (&mut chosen, &mut chosen_indices),
                false => (&mut others, &mut other_indices),
            };
            part.take_over(event, text, &whole, indices);
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
        let names_none = self.events.iter().any(|event| event.socket.is_none());
        if !is_anyone_free && !names_none {
            return None;
        }
        let is_nobody_blocked = !self.charges.iter().any(|it| blocked.have(it.account()));
        if is_nobody_blocked && !names_none && self.connecting().next().is_none() {
            return Some(std::mem::take(self));
        }
        let Batch {
            serial, recoveries, ..
        } = *self;
        let (first, mut rest) = std::mem::take(self).partition(|event, text, account| {
            let concerned = match (&event.kind, account) {
                (Kind::Acks(_), _) => acks_of(text, &account_of),
                (_, account) => account.cloned().into_iter().collect(),
            };
            // Who asks for an earlier session may have left it with an event that is still there.
            let claims_session =
                matches!(&event.kind, Kind::Connect(connect) if connect.claims_session);
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
        (first.count() > 0).then_some(first)
    }

    /// The clients that it has something of.
    pub fn add_clients_to(&self, clients: &mut Clients) {
        for charge in &self.charges {
            clients.add(charge.account());
        }
    }

    /// Adds an event of a batch with these sockets, each with what it is counted for there. `indices`: where
    /// those are here that are here already.
    fn take_over(
        &mut self,
        event: Event,
        text: &str,
        sockets: &[(Slot, Charge)],
        indices: &mut HashMap<u32, u32>,
    ) {
        let size = text.len() + EVENT_BYTES;
        self.size += size;
        self.text.extend([text]);
        let Some(index) = event.socket else {
            return self.end_event(event.kind);
        };
        let (slot, charge) = &sockets[index as usize];
        let index = *indices.entry(index).or_insert_with(|| {
            self.sockets.push(*slot);
            self.size += DESCRIPTION_BYTES;
            let charge = charge.account().charge(Hold::Passing, DESCRIPTION_BYTES);
            self.charges.push(charge);
            self.sockets.len() as u32 - 1
        });
        self.charges[index as usize].grow(size);
        self.end_event_of(index, event.kind);
    }
}
