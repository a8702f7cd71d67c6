//! The metrics that each namespace has of its own: how large its batches are, how long they take, and what
//! it holds at the moment of a scrape.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Label {
    namespace: Arc<str>,
}

/// All namespaces' metrics, as they are registered.
pub struct Namespaces {
    batch_events: Histograms,
    batch_bytes: Histograms,
    batch_duration: Histograms,
    commit_duration: Histograms,
    event_commit: Histograms,
    event_write: Histograms,
    sockets: Gauges,
    rooms: Gauges,
    queue: Gauges,
}

type Histograms = Family<Label, Histogram, fn() -> Histogram>;
type Gauges = Family<Label, Gauge>;

/// The metrics of one namespace.
pub struct NamespaceMetrics {
    batch_events: Histogram,
    batch_bytes: Histogram,
    batch_duration: Histogram,
    commit_duration: Histogram,
    event_commit: Histogram,
    event_write: Histogram,
    label: Label,
    sockets: Gauges,
    rooms: Gauges,
    queue: Gauges,
}

/// What a namespace holds at this moment.
#[derive(Debug, Clone, Copy, Default)]
pub struct Now {
    pub sockets: usize,
    pub rooms: usize,
    /// Bytes of events that wait for the app.
    pub queue_bytes: usize,
}

impl Namespaces {
    pub fn registered(registry: &mut Registry) -> Namespaces {
        // 100 µs to 52 s: a commit on a fast disk, and an app that is restarted meanwhile.
        let seconds: fn() -> Histogram = || Histogram::new(exponential_buckets(0.000_1, 2.0, 20));
        let numbers: fn() -> Histogram = || Histogram::new(exponential_buckets(1.0, 2.0, 15));
        let bytes: fn() -> Histogram = || Histogram::new(exponential_buckets(64.0, 4.0, 10));
        let mut histograms = |name: &str, help: &str, unit, buckets| {
            let family = Histograms::new_with_constructor(buckets);
            registry.register_with_unit(name, help, unit, family.clone());
            family
        };
        let batch_bytes = histograms("batch", "Bytes of a batch's body", Unit::Bytes, bytes);
        let batch_duration = histograms(
            "batch_duration",
            "From sending a batch to the app until its whole answer is here, without earlier attempts",
            Unit::Seconds,
            seconds,
        );
        let commit_duration = histograms(
            "commit_duration",
            "What the app says that the commit of a batch took",
            Unit::Seconds,
            seconds,
        );
        let event_commit = histograms(
            "event_commit",
            "From a batch's first event, which waits longest, until the app's answer that it is committed",
            Unit::Seconds,
            seconds,
        );
        let event_write = histograms(
            "event_write",
            "From a batch's first event until all that the answer sends to clients of this relay was written to \
             their sockets, or queued where a client is slow",
            Unit::Seconds,
            seconds,
        );
        let batch_events = Histograms::new_with_constructor(numbers);
        registry.register("batch_events", "Events in a batch", batch_events.clone());
        let mut gauges = |name: &str, help: &str| {
            let family = Gauges::default();
            registry.register(name, help, family.clone());
            family
        };
        Namespaces {
            batch_events,
            batch_bytes,
            batch_duration,
            commit_duration,
            event_commit,
            event_write,
            sockets: gauges(
                "namespace_sockets",
                "Sockets of the namespace at this relay, with those that ask to enter",
            ),
            rooms: gauges("namespace_rooms", "Rooms that have members at this relay"),
            queue: gauges("queue_bytes", "Bytes of events that wait for the app"),
        }
    }

    pub fn of(&self, namespace: &str) -> NamespaceMetrics {
        let label = &Label {
            namespace: namespace.into(),
        };
        NamespaceMetrics {
            batch_events: self.batch_events.get_or_create_owned(label),
            batch_bytes: self.batch_bytes.get_or_create_owned(label),
            batch_duration: self.batch_duration.get_or_create_owned(label),
            commit_duration: self.commit_duration.get_or_create_owned(label),
            event_commit: self.event_commit.get_or_create_owned(label),
            event_write: self.event_write.get_or_create_owned(label),
            label: label.clone(),
            sockets: self.sockets.clone(),
            rooms: self.rooms.clone(),
            queue: self.queue.clone(),
        }
    }

    /// Namespaces that have ended must not keep their last values.
    pub fn forget_now(&self) {
        for gauges in [&self.sockets, &self.rooms, &self.queue] {
            gauges.clear();
        }
    }
}

/// What became of a batch that the app has answered.
#[derive(Debug, Clone, Copy)]
pub struct Answered {
    pub events: usize,
    /// Of its body.
    pub bytes: usize,
    /// From sending it until its answer was here.
    pub took: Duration,
    /// What the app says that the commit took.
    pub commit: Option<Duration>,
    /// From its first event until its answer was here, and until all that came of it was written. None where
    /// no client has sent anything.
    pub since_first: Option<(Duration, Duration)>,
}

impl NamespaceMetrics {
    pub fn answered(&self, batch: &Answered) {
        self.batch_events.observe(batch.events as f64);
        self.batch_bytes.observe(batch.bytes as f64);
        self.batch_duration.observe(batch.took.as_secs_f64());
        if let Some(commit) = batch.commit {
            self.commit_duration.observe(commit.as_secs_f64());
        }
        if let Some((committed, written)) = batch.since_first {
            self.event_commit.observe(committed.as_secs_f64());
            self.event_write.observe(written.as_secs_f64());
        }
    }

    /// Adds, because several namespaces may be counted together.
    pub fn add_now(&self, now: Now) {
        let add = |gauges: &Gauges, value: usize| {
            gauges.get_or_create(&self.label).inc_by(value as i64);
        };
        add(&self.sockets, now.sockets);
        add(&self.rooms, now.rooms);
        add(&self.queue, now.queue_bytes);
    }
}
