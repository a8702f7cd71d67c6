//! What all parts of one relay share: its settings, its connections, its lanes. It starts the lanes
//! and ends everything; what happens in between is theirs.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parlour_protocol::relay::{Emit, HANDSHAKE_LANE};
use rustc_hash::FxBuildHasher;
use slab::Slab;
use tokio::sync::{Notify, Semaphore, watch};

use crate::addresses::Addresses;
use crate::bus::{Bus, Report, Segment};
use crate::config::{ASK_EVERY, Config, EXPIRY_LOOK, MAX_EXCHANGES, MAX_STARTING};
use crate::connection::Connection;
use crate::contests::Contests;
use crate::feeding::Feeding;
use crate::health::Health;
use crate::hub::Expires;
use crate::lane::{AskId, Lane};
use crate::ledger::{Account, Ledger};
use crate::metrics::Metrics;
use crate::origin::Origin;
use crate::sid::Sid;
use crate::timers::{Purpose, Timer, Timers};
use crate::trace::Tracing;
use crate::turns::Turns;

pub struct Shared {
    pub config: Config,
    pub origin: Arc<dyn Origin>,
    /// Milliseconds since 1970 when this life of the relay began.
    pub epoch: u64,
    sequence: AtomicU64,
    pub connections: Connections,
    pub ledger: Arc<Ledger>,
    /// What is kept for clients, but for none of them alone.
    pub common: Arc<Account>,
    pub addresses: Addresses,
    pub timers: Timers,
    pub metrics: Metrics,
    pub tracing: Tracing,
    pub health: Health,
    /// One permit for each request that the app works on for a client, batches aside.
    pub exchanges: Arc<Semaphore>,
    /// One for each of them that is at its beginning.
    pub starting: Semaphore,
    pub handshakes: Arc<Lane>,
    /// By namespace. Never locked while a lane or a connection is.
    lanes: Mutex<HashMap<Box<str>, Arc<Lane>>>,
    /// A lane has nothing to do any more.
    pub idle: Notify,
    pub life: watch::Sender<Life>,
    pub bus: Option<Arc<dyn Bus>>,
    pub contests: Contests,
    pub turns: Turns,
    pub feeding: Feeding,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    Running,
    /// The app has seen a younger epoch of this relay.
    Superseded,
}

impl Shared {
    pub fn new(config: Config, origin: Arc<dyn Origin>, bus: Option<Arc<dyn Bus>>) -> Shared {
        let ledger = Ledger::new(config.limits.memory, config.limits.client_memory);
        Shared {
            timers: Timers::new(
                config
                    .ping_interval
                    .min(config.ping_timeout)
                    .min(config.connect_timeout),
            ),
            addresses: Addresses::new(&config.limits),
            common: ledger.account(),
            ledger,
            feeding: Feeding::new(config.max_recovery_bytes),
            config,
            origin,
            epoch: unix_millis(),
            sequence: AtomicU64::new(0),
            connections: Connections::default(),
            metrics: Metrics::default(),
            tracing: Tracing::default(),
            health: Health::default(),
            exchanges: Arc::new(Semaphore::new(MAX_EXCHANGES)),
            starting: Semaphore::new(MAX_STARTING),
            handshakes: Arc::new(Lane::new(HANDSHAKE_LANE)),
            lanes: Mutex::default(),
            idle: Notify::new(),
            life: watch::Sender::new(Life::Running),
            bus,
            contests: Contests::default(),
            turns: Turns::default(),
        }
    }

    /// A number that no batch had before.
    pub fn next_sequence(&self) -> u64 {
        self.sequence.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// A lane that exists.
    pub fn lane(&self, namespace: &str) -> Option<Arc<Lane>> {
        self.lock_lanes().get(namespace).cloned()
    }

    /// Does something with a lane, which begins to exist if it must, while it cannot end.
    pub fn with_lane<T>(self: &Arc<Self>, namespace: &str, act: impl FnOnce(&Arc<Lane>) -> T) -> T {
        let mut lanes = self.lock_lanes();
        if let Some(lane) = lanes.get(namespace) {
            return act(lane);
        }
        let lane = Arc::new(Lane::new(namespace));
        lanes.insert(namespace.into(), lane.clone());
        lane.clone().start(self.clone());
        act(&lane)
    }

    /// Ends a lane, if it has neither sockets nor anything to send. True if it has ended.
    pub fn end_lane(&self, lane: &Lane) -> bool {
        let mut lanes = self.lock_lanes();
        let ended = lane.is_unused();
        if ended {
            lanes.remove(lane.namespace());
        }
        ended
    }

    pub fn lanes(&self) -> Vec<Arc<Lane>> {
        let mut lanes: Vec<_> = self.lock_lanes().values().cloned().collect();
        lanes.push(self.handshakes.clone());
        lanes
    }

    /// The text for `GET /metrics`.
    pub fn render_metrics(&self) -> String {
        let lanes = self.lanes();
        let now = lanes
            .iter()
            .map(|lane| (lane.metrics(self).clone(), lane.now()));
        self.metrics.render(self.ledger.total(), now)
    }

    fn lock_lanes(&self) -> MutexGuard<'_, HashMap<Box<str>, Arc<Lane>>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn set_timer(&self, connection: &Connection, after: Duration, purpose: Purpose) {
        let timer = Timer {
            key: connection.key,
            stamp: connection.stamp,
            purpose,
            turn: 0,
        };
        self.timers
            .at(self.timers.now() + after.as_millis() as u64, timer);
    }

    /// A token of this connection ends then. There is one timer for all of them: the first.
    pub fn expect_expiry(&self, connection: &Connection, expires: Expires) {
        let Some(at) = expires.at() else { return };
        let Some(turn) = connection.expect_expiry(at) else {
            return;
        };
        let look = EXPIRY_LOOK.as_millis() as u64;
        let after = at.saturating_sub(unix_millis()).min(look);
        let timer = Timer {
            key: connection.key,
            stamp: connection.stamp,
            purpose: Purpose::Expiry,
            turn,
        };
        self.timers.at(self.timers.now() + after, timer);
    }

    /// The app is committed to another life of this relay: this one must end.
    pub fn supersede(&self) {
        self.life.send_replace(Life::Superseded);
    }

    /// Emits to a namespace from outside its batches. Returns how many sockets of this relay it was for.
    pub fn publish(self: &Arc<Self>, namespace: &str, emit: &Emit<'_>) -> usize {
        self.lane(namespace)
            .map_or(0, |lane| lane.publish(self, emit))
    }

    /// Whether each batch asks the app for what other relays have emitted, because they do not tell.
    pub fn must_ask(&self) -> bool {
        self.ask_every().is_some()
    }

    /// How often a namespace in which nothing happens asks the app for it, where they do not tell.
    pub fn ask_every(&self) -> Option<Duration> {
        match &self.bus {
            Some(bus) if bus.is_connected() => None,
            Some(_) => Some(ASK_EVERY),
            None => self.config.relays_without_bus,
        }
    }

    /// Tells the relay that asked.
    pub fn report(&self, namespace: &str, to: &str, ask: AskId, report: &Report) {
        if let Some(bus) = &self.bus {
            self.metrics.bus_sent.add(1);
            bus.report(namespace, to, ask, report);
        }
    }

    /// Tells the other relays, if there is a bus to them.
    pub fn publish_on_bus(&self, namespace: &str, segment: &Segment<'_>) {
        if let Some(bus) = &self.bus {
            self.metrics.bus_sent.add(segment.commands.len());
            bus.publish(namespace, segment);
        }
    }
}

pub fn unix_millis() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64)
}

/// All connections, by number and, while they are open, by session id.
#[derive(Default)]
pub struct Connections {
    registered: Mutex<Registered>,
    stamps: AtomicU32,
}

#[derive(Default)]
struct Registered {
    by_key: Slab<Arc<Connection>>,
    by_id: HashMap<Sid, u32, FxBuildHasher>,
}

impl Connections {
    /// Registers the connection that `make` makes of its key and stamp.
    pub fn open(&self, make: impl FnOnce(u32, u32) -> Connection) -> Arc<Connection> {
        let stamp = self.stamps.fetch_add(1, Ordering::Relaxed);
        let mut registered = self.lock();
        let vacant = registered.by_key.vacant_entry();
        let key = vacant.key() as u32;
        let connection = Arc::new(make(key, stamp));
        vacant.insert(connection.clone());
        registered.by_id.insert(connection.id, key);
        connection
    }

    pub fn find(&self, id: &str) -> Option<Arc<Connection>> {
        let id = Sid::parse(id)?;
        let registered = self.lock();
        let key = registered.by_id.get(&id)?;
        registered.by_key.get(*key as usize).cloned()
    }

    pub fn of_timer(&self, timer: Timer) -> Option<Arc<Connection>> {
        self.lock()
            .by_key
            .get(timer.key as usize)
            .filter(|it| it.stamp == timer.stamp)
            .cloned()
    }

    /// The connection is closed. Its session id means nothing any more, unless it polls and has to be
    /// told (then neither `gone` nor a WebSocket). `gone`: its transport has ended, too.
    pub fn close(&self, connection: &Connection, gone: bool) {
        if gone {
            self.forget(connection);
        } else if connection.is_websocket() {
            self.lock().by_id.remove(&connection.id);
        }
    }

    /// Its transport has ended.
    pub fn forget(&self, connection: &Connection) {
        let mut registered = self.lock();
        registered.by_id.remove(&connection.id);
        let key = connection.key as usize;
        if registered
            .by_key
            .get(key)
            .is_some_and(|other| other.stamp == connection.stamp)
        {
            registered.by_key.remove(key);
        }
    }

    pub fn all(&self) -> Vec<Arc<Connection>> {
        self.lock()
            .by_key
            .iter()
            .map(|(_, connection)| connection.clone())
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, Registered> {
        self.registered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
