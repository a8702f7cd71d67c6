//! What every part of one relay may know: its settings, its app, its clock, its numbers, and the bus. It knows of
//! no connection and no namespace.

pub mod addresses;
pub mod bus;
pub mod config;
pub mod contests;
pub mod ledger;
pub mod limits;
pub mod metrics;
pub mod origin;
pub mod pace;
pub mod reason;
pub mod sid;
pub mod timers;
pub mod trace;
pub mod turns;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::{Notify, Semaphore, watch};

use addresses::Addresses;
use bus::{Bus, Report, Segment};
use config::{ASK_EVERY, Config, MAX_EXCHANGES, MAX_NAMES_ASKED, MAX_STARTING};
use contests::Contests;
use ledger::{Account, Ledger};
use metrics::Metrics;
use origin::Origin;
use timers::Timers;
use trace::Tracing;
use turns::Turns;

pub struct Core {
    pub config: Config,
    pub origin: Arc<dyn Origin>,
    /// Milliseconds since 1970 when this life of the relay began.
    pub epoch: u64,
    sequence: AtomicU64,
    pub ledger: Arc<Ledger>,
    /// What is kept for clients, but for none of them alone.
    pub common: Arc<Account>,
    pub addresses: Addresses,
    pub timers: Timers,
    pub metrics: Metrics,
    pub tracing: Tracing,
    /// One permit for each request that the app works on for a client, batches aside.
    pub exchanges: Arc<Semaphore>,
    /// One for each of them that is at its beginning.
    pub starting: Semaphore,
    /// One for each batch under way of a namespace in which nobody is.
    pub names_asked: Semaphore,
    /// A namespace has nothing to do any more.
    pub idle: Notify,
    pub life: watch::Sender<Life>,
    pub bus: Option<Arc<dyn Bus>>,
    pub contests: Contests,
    pub turns: Turns,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    Running,
    /// The app has seen a younger epoch of this relay.
    Superseded,
}

impl Core {
    pub fn new(config: Config, origin: Arc<dyn Origin>, bus: Option<Arc<dyn Bus>>) -> Core {
        let ledger = Ledger::new(config.limits.memory, config.limits.client_memory);
        Core {
            timers: Timers::new(
                config
                    .ping_interval
                    .min(config.ping_timeout)
                    .min(config.connect_timeout),
            ),
            addresses: Addresses::new(&config.limits),
            common: ledger.account(),
            ledger,
            config,
            origin,
            epoch: unix_millis(),
            sequence: AtomicU64::new(0),
            metrics: Metrics::default(),
            tracing: Tracing::default(),
            exchanges: Arc::new(Semaphore::new(MAX_EXCHANGES)),
            starting: Semaphore::new(MAX_STARTING),
            names_asked: Semaphore::new(MAX_NAMES_ASKED),
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

    /// The app is committed to another life of this relay: this one must end.
    pub fn supersede(&self) {
        self.life.send_replace(Life::Superseded);
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
    pub fn report(&self, namespace: &str, to: &str, number: u64, report: &Report) {
        if let Some(bus) = &self.bus {
            self.metrics.bus_sent.add(1);
            bus.report(namespace, to, number, report);
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
