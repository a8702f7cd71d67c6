//! What a relay counts and times, and its rendering in Prometheus' text format. Only numbers: nothing here
//! decides anything. Every metric is listed in `docs/operations.md`.

mod namespace;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use parlour_protocol::relay::HANDSHAKE_LANE;
use prometheus_client::encoding::{EncodeLabelSet, prometheus_text};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::{counter, gauge};
use prometheus_client::registry::{Registry, Unit};

use crate::core::reason;
use namespace::Namespaces;
pub use namespace::{Answered, NamespaceMetrics, Now};

/// The most values that the label `namespace` has, because each of them is some forty time series that
/// Prometheus keeps. What comes later is counted as [`OTHER`].
const MAX_NAMESPACES: usize = 100;

/// The label of namespaces that have no metrics of their own. No namespace has this name: each begins with `/`.
const OTHER: &str = "other";

pub struct Metrics {
    registry: Registry,
    /// Scrapes come one after the other: each begins by forgetting what the one before it has measured.
    scrape: Mutex<()>,
    /// Open Engine.IO connections, now.
    pub connections: Gauge,
    /// Sockets in namespaces, now.
    pub sockets: Gauge,
    pub batches: Counter,
    pub retries: Counter,
    pub events: Counter,
    pub commands: Counter,
    pub deliveries: Counter,
    pub volatile_drops: Counter,
    pub received_bytes: Counter,
    pub sent_bytes: Counter,
    pub bus_sent: Counter,
    pub bus_received: Counter,
    pub replays: Counter,
    pub closed_over_limit: Counter,
    pub refused: Counter,
    client_memory: gauge::Gauge,
    closes: Family<Reason, counter::Counter>,
    namespaces: Namespaces,
    /// Those of the handshakes, which are in no namespace yet.
    pub handshakes: Arc<NamespaceMetrics>,
    /// Those of namespaces that have none of their own.
    pub other: Arc<NamespaceMetrics>,
    /// Namespaces that have.
    known: Mutex<HashMap<Box<str>, Arc<NamespaceMetrics>>>,
}

#[derive(Clone, Default)]
pub struct Counter(counter::Counter);

impl Counter {
    pub fn add(&self, count: usize) {
        self.0.inc_by(count as u64);
    }
}

#[derive(Clone, Default)]
pub struct Gauge(gauge::Gauge);

impl Gauge {
    pub fn up(&self) {
        self.0.inc();
    }

    pub fn down(&self) {
        self.0.dec();
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

impl Default for Metrics {
    fn default() -> Metrics {
        let mut registry = Registry::with_prefix("parlour");
        let mut gauge = |name: &str, help: &str| {
            let gauge = Gauge::default();
            registry.register(name, help, gauge.0.clone());
            gauge
        };
        let connections = gauge("connections", "Open Engine.IO connections");
        let sockets = gauge("sockets", "Sockets in namespaces");
        let mut counter = |name: &str, help: &str| {
            let counter = Counter::default();
            registry.register(name, help, counter.0.clone());
            counter
        };
        let batches = counter("batches", "Batches answered by the app");
        let retries = counter("retries", "Batches sent again");
        let events = counter("events", "Events taken from clients");
        let commands = counter("commands", "Commands of the app carried out");
        let deliveries = counter("deliveries", "Packets sent to clients");
        let volatile_drops = counter("volatile_drops", "Volatile packets not sent");
        let bus_sent = counter("bus_sent", "Commands given to the bus for other relays");
        let bus_received = counter("bus_received", "Commands that came from other relays");
        let replays = counter(
            "replays",
            "Times that the app was asked what a namespace's log has",
        );
        let closed_over_limit = counter(
            "closed_over_limit",
            "Connections closed because too much was kept for them, or because they sent too many events",
        );
        let refused = counter("refused", "Connections and requests refused for a limit");
        let mut bytes = |name: &str, help: &str| {
            let counter = Counter::default();
            registry.register_with_unit(name, help, Unit::Bytes, counter.0.clone());
            counter
        };
        let received_bytes = bytes("received", "Read from WebSockets");
        let sent_bytes = bytes("sent", "Queued for WebSockets");
        let client_memory = gauge::Gauge::default();
        registry.register_with_unit(
            "client_memory",
            "Kept for clients, which --max-memory limits",
            Unit::Bytes,
            client_memory.clone(),
        );
        let closes = Family::<Reason, counter::Counter>::default();
        registry.register(
            "closes",
            "Connections closed, by the reason that disconnect handlers are given",
            closes.clone(),
        );
        // A series that begins at 0 shows its first close as a rise.
        for reason in reason::OF_CONNECTIONS {
            drop(closes.get_or_create(&Reason { reason }));
        }
        let namespaces = Namespaces::registered(&mut registry);
        Metrics {
            registry,
            scrape: Mutex::default(),
            connections,
            sockets,
            batches,
            retries,
            events,
            commands,
            deliveries,
            volatile_drops,
            received_bytes,
            sent_bytes,
            bus_sent,
            bus_received,
            replays,
            closed_over_limit,
            refused,
            client_memory,
            closes,
            handshakes: Arc::new(namespaces.of(HANDSHAKE_LANE)),
            other: Arc::new(namespaces.of(OTHER)),
            namespaces,
            known: Mutex::default(),
        }
    }
}

impl Metrics {
    /// Notes that a connection was closed.
    pub fn closed(&self, reason: &'static str) {
        self.closes.get_or_create(&Reason { reason }).inc();
    }

    /// The metrics of a namespace that the app has let somebody into. A name that clients merely ask for has
    /// none, or they could make up time series.
    pub fn of(&self, namespace: &str) -> Arc<NamespaceMetrics> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(metrics) = known.get(namespace) {
            return metrics.clone();
        }
        // The handshakes and the others have a value each.
        if known.len() + 2 >= MAX_NAMESPACES {
            return self.other.clone();
        }
        let metrics = Arc::new(self.namespaces.of(namespace));
        known.insert(namespace.into(), metrics.clone());
        metrics
    }

    /// The text for `GET /metrics`. `client_memory`: bytes that are kept for clients. `now`: what each namespace
    /// holds at this moment; several may be counted together.
    pub fn render(
        &self,
        client_memory: usize,
        now: impl IntoIterator<Item = (Arc<NamespaceMetrics>, Now)>,
    ) -> String {
        let _scrape = self.scrape.lock().unwrap_or_else(PoisonError::into_inner);
        self.client_memory.set(client_memory as i64);
        self.namespaces.forget_now();
        for (metrics, now) in now {
            metrics.add_now(now);
        }
        let mut text = String::new();
        prometheus_text::encode(&mut text, &self.registry).expect("a String takes everything");
        text
    }
}

#[cfg(test)]
mod tests;
