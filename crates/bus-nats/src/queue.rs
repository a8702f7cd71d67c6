//! From the relay to the task that publishes: handing over takes no time and never fails. What there is no
//! room for is counted, so that the other relays learn that they have missed it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parlour_protocol::relay::Command;
use parlour_relay::{Bus, Report};
use tokio::sync::mpsc;

use crate::letter::Content;
use crate::subject::Subjects;

/// Bytes that may wait to be published.
const MAX_WAITING_BYTES: usize = 64 * 1024 * 1024;

/// Where it goes, and what it is about: a [`Content`] as JSON.
pub struct Outbound {
    pub subject: String,
    pub content: Vec<u8>,
}

/// A [`Bus`]: what a relay is given.
pub struct Sender {
    subjects: Subjects,
    relay: Box<str>,
    queue: mpsc::UnboundedSender<Outbound>,
    shared: Arc<Shared>,
}

pub struct Receiver {
    queue: mpsc::UnboundedReceiver<Outbound>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    bytes: AtomicUsize,
    lost: AtomicU64,
}

pub fn new(subjects: Subjects, relay: &str) -> (Sender, Receiver) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let shared = Arc::<Shared>::default();
    let sender = Sender {
        subjects,
        relay: relay.into(),
        queue: sender,
        shared: shared.clone(),
    };
    let receiver = Receiver {
        queue: receiver,
        shared,
    };
    (sender, receiver)
}

impl Bus for Sender {
    fn publish(&self, namespace: &str, source: &str, command: &Command<'_>) {
        let content = Content {
            source: Some(source).filter(|source| **source != *self.relay),
            command: Some(command),
            ..Content::default()
        };
        self.send(namespace, &content);
    }

    fn ask(&self, namespace: &str, ask: u64, command: &Command<'_>) {
        let content = Content {
            ask: Some(ask),
            command: Some(command),
            ..Content::default()
        };
        self.send(namespace, &content);
    }

    fn report(&self, namespace: &str, to: &str, ask: u64, report: &Report) {
        let content = Content {
            to: Some(to),
            ask: Some(ask),
            report: Some(report),
            ..Content::default()
        };
        self.send(namespace, &content);
    }
}

impl Sender {
    fn send(&self, namespace: &str, content: &Content<'_>) {
        let lose = || self.shared.lost.fetch_add(1, Ordering::Relaxed);
        let Ok(content) = serde_json::to_vec(content) else {
            tracing::error!(namespace, "what is for other relays is no JSON");
            lose();
            return;
        };
        let size = content.len();
        if self.shared.bytes.load(Ordering::Relaxed) + size > MAX_WAITING_BYTES {
            if lose() == 0 {
                tracing::error!("the broker does not keep up: other relays miss commands");
            }
            return;
        }
        self.shared.bytes.fetch_add(size, Ordering::Relaxed);
        let subject = self.subjects.of(namespace);
        // Without a receiver the process is at its end.
        let _ = self.queue.send(Outbound { subject, content });
    }
}

impl Receiver {
    /// None: the relay is gone.
    pub async fn next(&mut self) -> Option<Outbound> {
        let outbound = self.queue.recv().await?;
        Some(self.taken(outbound))
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    pub fn try_next(&mut self) -> Option<Outbound> {
        let outbound = self.queue.try_recv().ok()?;
        Some(self.taken(outbound))
    }

    fn taken(&self, outbound: Outbound) -> Outbound {
        let size = outbound.content.len();
        self.shared.bytes.fetch_sub(size, Ordering::Relaxed);
        outbound
    }

    /// How many there was no room for, since it was asked last.
    pub fn lost(&self) -> u64 {
        self.shared.lost.swap(0, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_there_is_no_room_for_is_counted_and_the_rest_keeps_its_order() {
        let (sender, mut receiver) = new(Subjects::new("parlour").unwrap(), "a");
        let large = format!(
            r#"{{"emit":{{"data":["{}"]}}}}"#,
            "x".repeat(MAX_WAITING_BYTES / 4)
        );
        for _ in 0..5 {
            sender.publish("/", "a", &serde_json::from_str(&large).unwrap());
        }
        let small = r#"{"emit":{"data":["small"]}}"#;
        sender.publish("/chat", "a/", &serde_json::from_str(small).unwrap());
        assert_eq!((receiver.lost(), receiver.lost()), (2, 0));
        let taken: Vec<Outbound> = std::iter::from_fn(|| receiver.try_next()).collect();
        let subjects: Vec<&str> = taken.iter().map(|it| &*it.subject).collect();
        assert_eq!(
            subjects,
            [
                "parlour.%2F",
                "parlour.%2F",
                "parlour.%2F",
                "parlour.%2Fchat"
            ]
        );
        let content = format!(r#"{{"source":"a/","command":{small}}}"#);
        assert_eq!(taken[3].content, content.as_bytes());
        assert!(taken[2].content.starts_with(br#"{"command":"#));
        sender.publish("/", "a", &serde_json::from_str(&large).unwrap());
        assert_eq!(receiver.lost(), 0);
    }
}
