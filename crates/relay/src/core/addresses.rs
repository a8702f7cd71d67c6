//! Who is connected from where: how many connections each address has and how often it opens one. The
//! clients of an IPv6 network have 2^64 addresses each, so there a /64 counts as one.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use rustc_hash::FxBuildHasher;

use crate::core::limits::Limits;
use crate::core::pace::{Pace, Rate};

/// Addresses are looked through for those that nobody has any more when there are this many, and at each
/// doubling.
const FIRST_SWEEP: usize = 1024;

pub struct Addresses {
    start: Instant,
    most: usize,
    most_per_address: usize,
    handshakes: Option<Rate>,
    totals: Arc<Counts>,
    known: Mutex<Known>,
}

struct Known {
    by_address: HashMap<IpAddr, Arc<Entry>, FxBuildHasher>,
    next_sweep: usize,
}

/// Connections that there are.
#[derive(Default)]
struct Counts {
    sessions: AtomicUsize,
    streams: AtomicUsize,
}

struct Entry {
    here: Counts,
    totals: Arc<Counts>,
    handshakes: Mutex<Pace>,
}

/// Why an address may not have another connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TooMany {
    /// There are as many as there may be.
    InAll,
    /// This address has as many as it may have.
    FromAddress,
    /// It opens too many in too short a time.
    TooOften,
}

/// An Engine.IO connection, as long as this lives.
pub struct Session(Arc<Entry>);

/// A TCP connection that is served as HTTP, as long as this lives.
pub struct Stream(Arc<Entry>);

impl Addresses {
    pub fn new(limits: &Limits) -> Addresses {
        Addresses {
            start: Instant::now(),
            most: limits.connections,
            most_per_address: limits.connections_per_address,
            handshakes: limits.handshakes,
            totals: Arc::default(),
            known: Mutex::new(Known {
                by_address: HashMap::default(),
                next_sweep: FIRST_SWEEP,
            }),
        }
    }

    /// A client asks for an Engine.IO connection.
    pub fn open(&self, address: IpAddr) -> Result<Session, TooMany> {
        let entry = self.entry(address);
        if self.totals.sessions.load(Ordering::Relaxed) >= self.most {
            return Err(TooMany::InAll);
        }
        if entry.here.sessions.load(Ordering::Relaxed) >= self.most_per_address {
            return Err(TooMany::FromAddress);
        }
        if let Some(rate) = self.handshakes {
            let mut pace = entry
                .handshakes
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let taken = pace.take(self.now(), rate);
            taken.map_err(|_| TooMany::TooOften)?;
        }
        entry.here.sessions.fetch_add(1, Ordering::Relaxed);
        entry.totals.sessions.fetch_add(1, Ordering::Relaxed);
        Ok(Session(entry))
    }

    /// A TCP connection has come. `is_proxy`: those behind it are many, so only all of them are limited.
    pub fn accept(&self, peer: IpAddr, is_proxy: bool) -> Result<Stream, TooMany> {
        let entry = self.entry(peer);
        if self.totals.streams.load(Ordering::Relaxed) >= self.most {
            return Err(TooMany::InAll);
        }
        if !is_proxy && entry.here.streams.load(Ordering::Relaxed) >= self.most_per_address {
            return Err(TooMany::FromAddress);
        }
        entry.here.streams.fetch_add(1, Ordering::Relaxed);
        entry.totals.streams.fetch_add(1, Ordering::Relaxed);
        Ok(Stream(entry))
    }

    fn entry(&self, address: IpAddr) -> Arc<Entry> {
        let now = self.now();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.by_address.len() >= known.next_sweep {
            known.by_address.retain(|_, entry| entry.is_needed(now));
            known.next_sweep = FIRST_SWEEP.max(2 * known.by_address.len());
        }
        let entry = || {
            Arc::new(Entry {
                here: Counts::default(),
                totals: self.totals.clone(),
                handshakes: Mutex::default(),
            })
        };
        let known = known.by_address.entry(network(address));
        known.or_insert_with(entry).clone()
    }

    fn now(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }
}

impl Entry {
    /// Whether somebody has a connection from here, or opened one lately.
    fn is_needed(self: &Arc<Self>, now: u64) -> bool {
        let pace = self
            .handshakes
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        Arc::strong_count(self) > 1 || !pace.is_full(now)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.0.here.sessions.fetch_sub(1, Ordering::Relaxed);
        self.0.totals.sessions.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.here.streams.fetch_sub(1, Ordering::Relaxed);
        self.0.totals.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What counts as one address.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let bits = address.to_bits() >> 64 << 64;
            Ipv6Addr::from_bits(bits).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(connections: usize, per_address: usize, handshakes: Option<Rate>) -> Addresses {
        Addresses::new(&Limits {
            connections,
            connections_per_address: per_address,
            handshakes,
            ..Limits::default()
        })
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn connections_are_limited_in_all_and_per_address_and_places_come_back() {
        let addresses = addresses(3, 2, None);
        let first = addresses.open(ip("10.0.0.1")).ok().unwrap();
        let _second = addresses.open(ip("::ffff:10.0.0.1")).ok().unwrap();
        let third = addresses.open(ip("10.0.0.1"));
        assert_eq!(third.err(), Some(TooMany::FromAddress));
        let _other = addresses.open(ip("10.0.0.2")).ok().unwrap();
        assert_eq!(addresses.open(ip("10.0.0.3")).err(), Some(TooMany::InAll));
        drop(first);
        assert!(addresses.open(ip("10.0.0.1")).is_ok());
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one_address() {
        let addresses = addresses(9, 1, None);
        let _one = addresses.open(ip("2001:db8:1:2::1")).ok().unwrap();
        let neighbour = addresses.open(ip("2001:db8:1:2:ffff::9"));
        assert_eq!(neighbour.err(), Some(TooMany::FromAddress));
        assert!(addresses.open(ip("2001:db8:1:3::1")).is_ok());
    }

    #[test]
    fn tcp_connections_have_places_of_their_own_and_a_proxy_has_many() {
        let addresses = addresses(3, 1, None);
        let _one = addresses.accept(ip("10.0.0.1"), false).ok().unwrap();
        assert!(addresses.open(ip("10.0.0.1")).is_ok());
        let second = addresses.accept(ip("10.0.0.1"), false);
        assert_eq!(second.err(), Some(TooMany::FromAddress));
        let _two = addresses.accept(ip("10.0.0.9"), true).ok().unwrap();
        let _three = addresses.accept(ip("10.0.0.9"), true).ok().unwrap();
        let fourth = addresses.accept(ip("10.0.0.9"), true);
        assert_eq!(fourth.err(), Some(TooMany::InAll));
    }

    #[test]
    fn handshakes_are_limited_per_address() {
        let addresses = addresses(99, 99, Some(Rate::new(1, 2)));
        assert!(addresses.open(ip("10.0.0.1")).is_ok());
        assert!(addresses.open(ip("10.0.0.1")).is_ok());
        let third = addresses.open(ip("10.0.0.1"));
        assert_eq!(third.err(), Some(TooMany::TooOften));
        assert!(addresses.open(ip("10.0.0.2")).is_ok());
    }

    #[test]
    fn addresses_that_nobody_has_are_forgotten() {
        let addresses = addresses(usize::MAX, usize::MAX, None);
        let kept = addresses.open(ip("10.0.0.1")).ok().unwrap();
        for address in 0..10 * FIRST_SWEEP as u32 {
            let _ = addresses.open(IpAddr::from((address + (11 << 24)).to_be_bytes()));
        }
        let known = addresses.known.lock().unwrap();
        assert!(known.by_address.len() <= 2 * FIRST_SWEEP);
        assert!(known.by_address.contains_key(&ip("10.0.0.1")));
        drop(kept);
    }
}
