//! What a relay has counted since it began, as Prometheus' text format. Only numbers.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Default)]
pub struct Metrics {
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
    pub resyncs: Counter,
    pub resynced_connections: Counter,
    pub closed_over_limit: Counter,
    pub refused: Counter,
}

#[derive(Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub fn add(&self, count: usize) {
        self.0.fetch_add(count as u64, Ordering::Relaxed);
    }
}

#[derive(Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    pub fn up(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub fn down(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Metrics {
    /// `client_memory`: bytes that are kept for clients.
    pub fn render(&self, client_memory: usize) -> String {
        let mut text = String::new();
        let mut line = |name: &str, kind: &str, help: &str, value: &AtomicU64| {
            let value = value.load(Ordering::Relaxed);
            let _ = write!(
                text,
                "# HELP parlour_{name} {help}\n# TYPE parlour_{name} {kind}\nparlour_{name} {value}\n"
            );
        };
        line(
            "connections",
            "gauge",
            "Open Engine.IO connections.",
            &self.connections.0,
        );
        line(
            "sockets",
            "gauge",
            "Sockets in namespaces.",
            &self.sockets.0,
        );
        line(
            "client_memory_bytes",
            "gauge",
            "Memory kept for clients, which --max-memory limits.",
            &AtomicU64::new(client_memory as u64),
        );
        line(
            "batches_total",
            "counter",
            "Batches answered by the app.",
            &self.batches.0,
        );
        line(
            "retries_total",
            "counter",
            "Batches sent again.",
            &self.retries.0,
        );
        line(
            "events_total",
            "counter",
            "Events taken from clients.",
            &self.events.0,
        );
        line(
            "commands_total",
            "counter",
            "Commands of the app carried out.",
            &self.commands.0,
        );
        line(
            "deliveries_total",
            "counter",
            "Packets sent to clients.",
            &self.deliveries.0,
        );
        line(
            "volatile_drops_total",
            "counter",
            "Volatile packets not sent.",
            &self.volatile_drops.0,
        );
        line(
            "received_bytes_total",
            "counter",
            "Bytes read from WebSockets.",
            &self.received_bytes.0,
        );
        line(
            "sent_bytes_total",
            "counter",
            "Bytes queued for clients.",
            &self.sent_bytes.0,
        );
        line(
            "bus_sent_total",
            "counter",
            "Commands given to the bus for other relays.",
            &self.bus_sent.0,
        );
        line(
            "bus_received_total",
            "counter",
            "Commands that came from other relays.",
            &self.bus_received.0,
        );
        line(
            "resyncs_total",
            "counter",
            "Times that something of other relays may have been missed.",
            &self.resyncs.0,
        );
        line(
            "resynced_connections_total",
            "counter",
            "Connections ended for that, so that their clients get it.",
            &self.resynced_connections.0,
        );
        line(
            "closed_over_limit_total",
            "counter",
            "Connections closed because too much was kept for them.",
            &self.closed_over_limit.0,
        );
        line(
            "refused_total",
            "counter",
            "Connections and requests refused for a limit.",
            &self.refused.0,
        );
        text
    }
}
