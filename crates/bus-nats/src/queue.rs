//! From the relay to the task that publishes: handing over takes no time and never fails. What there is no room for
//! is dropped: other relays find it in the app's log.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parlour_protocol::relay::Contest;
use parlour_relay::{Bus, Report, Segment};
use serde_json::value::to_raw_value;
use tokio::sync::mpsc;

use crate::message::{Content, Message};
use crate::peers::Peers;
use crate::subject::Subjects;

/// Bytes that may wait to be published.
const MAX_WAITING_BYTES: usize = 64 * 1024 * 1024;

/// Where it goes, and the message.
pub struct Outbound {
    pub subject: String,
    pub payload: Vec<u8>,
}

/// A [`Bus`]: what a relay is given.
pub struct Sender {
    subjects: Subjects,
    relay: Box<str>,
    epoch: u64,
    queue: mpsc::UnboundedSender<Outbound>,
    shared: Arc<Shared>,
}

pub struct Receiver {
    queue: mpsc::UnboundedReceiver<Outbound>,
    pub shared: Arc<Shared>,
}

/// What the relay may ask at any time, and the bus's tasks know.
#[derive(Default)]
pub struct Shared {
    bytes: AtomicUsize,
    is_full: AtomicBool,
    pub is_connected: AtomicBool,
    pub peers: Peers,
}

pub fn new(subjects: Subjects, relay: &str, epoch: u64) -> (Sender, Receiver) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let shared = Arc::<Shared>::default();
    let sender = Sender {
        subjects,
        relay: relay.into(),
        epoch,
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
    fn publish(&self, namespace: &str, segment: &Segment<'_>) {
        let commands = to_raw_value(&segment.commands);
        let sent = commands
            .and_then(|json| self.send(namespace, Content::Commands(segment.extent, &json)));
        if let Err(error) = sent {
            tracing::error!(namespace, %error, "what is for other relays is no JSON");
        }
    }

    fn contest(&self, namespace: &str, number: u64, contest: &Contest<'_>) {
        let _ = self.send(
            namespace,
            Content::Contest(number, Box::new(contest.clone())),
        );
    }

    fn report(&self, namespace: &str, to: &str, number: u64, report: &Report) {
        let _ = self.send(namespace, Content::Report(to, number, report.clone()));
    }

    fn is_connected(&self) -> bool {
        self.shared.is_connected.load(Ordering::Relaxed)
    }

    fn hears(&self, relay: &str) -> bool {
        self.is_connected() && self.shared.peers.knows(relay)
    }
}

impl Sender {
    fn send(&self, namespace: &str, content: Content<'_>) -> serde_json::Result<()> {
        if !self.is_connected() {
            return Ok(());
        }
        let (relay, epoch) = (&*self.relay, self.epoch);
        let payload = Message {
            relay,
            epoch,
            content,
        }
        .write()?;
        let size = payload.len();
        let is_full = self.shared.bytes.load(Ordering::Relaxed) + size > MAX_WAITING_BYTES;
        if is_full != self.shared.is_full.swap(is_full, Ordering::Relaxed) && is_full {
            tracing::error!(
                "the broker does not keep up: other relays ask the app for what they are not told"
            );
        }
        if !is_full {
            self.shared.bytes.fetch_add(size, Ordering::Relaxed);
            let subject = self.subjects.of(namespace);
            // Without a receiver the process is at its end.
            let _ = self.queue.send(Outbound { subject, payload });
        }
        Ok(())
    }
}

impl Receiver {
    /// None: the relay is gone.
    pub async fn next(&mut self) -> Option<Outbound> {
        let outbound = self.queue.recv().await?;
        Some(self.taken(outbound))
    }

    pub fn try_next(&mut self) -> Option<Outbound> {
        let outbound = self.queue.try_recv().ok()?;
        Some(self.taken(outbound))
    }

    fn taken(&self, outbound: Outbound) -> Outbound {
        let size = outbound.payload.len();
        self.shared.bytes.fetch_sub(size, Ordering::Relaxed);
        outbound
    }
}

#[cfg(test)]
mod tests {
    use parlour_relay::Extent;

    use super::*;

    #[test]
    fn what_there_is_no_room_for_is_dropped() {
        let (sender, mut receiver) = new(Subjects::new("parlour").unwrap(), "a", 1);
        let publish = |namespace: &str, text: &str| {
            let command = format!(r#"{{"emit":{{"data":["{text}"],"offset":2}}}}"#);
            let commands = vec![serde_json::from_str(&command).unwrap()];
            let extent = Some(Extent {
                previous: 1,
                head: 2,
            });
            sender.publish(namespace, &Segment { extent, commands });
        };
        publish("/", "nobody listens");
        sender.shared.is_connected.store(true, Ordering::Relaxed);
        let large = "x".repeat(MAX_WAITING_BYTES / 4);
        for _ in 0..5 {
            publish("/", &large);
        }
        publish("/chat", "small");
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
        publish("/", &large);
        assert!(receiver.try_next().is_some(), "there is room again");
    }
}
