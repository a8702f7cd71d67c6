//! A bus between relays: what one is told about sockets reaches those of the others, by a NATS broker.
//! `docs/several-relays.md` says what is promised, `docs/decisions/0028-one-order.md` why it is so.
//!
//! | module | owns |
//! | --- | --- |
//! | `address`, `broker` | where the broker is, the connection to it |
//! | `subject`, `message` | what is on it: subjects, and what relays write to each other |
//! | `queue`, `publisher` | from this relay to the others |
//! | `watcher`, `peers` | from the others to this relay |

mod address;
mod broker;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod message;
mod peers;
mod publisher;
mod queue;
mod subject;
mod watcher;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use parlour_relay::{Bus, Relay};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use address::Address;
use broker::{Broker, Refusal};
use publisher::Publisher;
use subject::Subjects;
use watcher::Watcher;

/// How long the end waits for the last messages.
const LEAVE_WAIT: Duration = Duration::from_secs(3);

/// The way to a broker, not begun yet.
pub struct Nats {
    address: Address,
    subjects: Subjects,
    /// This life of the relay.
    name: String,
    epoch: u64,
    queue: queue::Receiver,
    broker: Option<Broker>,
}

/// A relay's part of the bus, as it runs.
pub struct Running {
    stop: mpsc::Sender<()>,
    publisher: JoinHandle<()>,
    watcher: JoinHandle<()>,
}

impl Nats {
    /// `urls`: `nats://host:4222` or `tls://…`, with `user:password@` or `token@` before the host; several of
    /// one cluster are separated by commas. `subject`: what the names of all subjects begin with. `relay`: the
    /// relay's name, unlike every other's. What is given back beside is for [`Relay::with_bus`].
    pub fn new(urls: &str, subject: &str, relay: &str) -> Result<(Nats, Arc<dyn Bus>)> {
        let address = Address::parse(urls).context(
            "the bus needs a URL such as nats://127.0.0.1:4222 or tls://user:password@host",
        )?;
        let subjects = Subjects::new(subject).with_context(|| {
            format!("{subject:?} cannot begin a subject: use words of A-Z a-z 0-9 _ - with dots between them")
        })?;
        let epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_millis() as u64);
        let (sender, queue) = queue::new(subjects.clone(), relay, epoch);
        let nats = Nats {
            address,
            subjects,
            name: relay.into(),
            epoch,
            queue,
            broker: None,
        };
        Ok((nats, Arc::new(sender)))
    }

    /// Tries once to connect, so that the first clients find everything in place. A broker that is not there
    /// is no error: it is waited for later.
    pub async fn open(&mut self) -> Result<()> {
        match broker::connect(&self.address, &self.subjects, &self.name).await {
            Ok(broker) => {
                // The others know of this relay before it asks the app for anything.
                let here = publisher::presence(&self.name, self.epoch, BTreeMap::new());
                let _ = broker
                    .client
                    .publish(self.subjects.presence(), here.into())
                    .await;
                let _ = broker.client.flush().await;
                self.broker = Some(broker);
            }
            Err(Refusal::Away(_)) => {}
            Err(Refusal::Wrong(why)) => {
                bail!("the bus at {} cannot be used: {why}", self.address.shown)
            }
        }
        Ok(())
    }

    /// Begins to serve the relay that was made with this bus.
    pub fn start(mut self, relay: Relay) -> Running {
        let (client, clients) = watch::channel(None);
        let (stop, stopped) = mpsc::channel(1);
        let shared = self.queue.shared.clone();
        let publisher = Publisher {
            relay: relay.clone(),
            queue: self.queue,
            subjects: self.subjects.clone(),
            name: self.name.clone(),
            epoch: self.epoch,
        };
        let publisher = tokio::spawn(publisher.run(clients, stopped));
        let mut watcher = Watcher {
            relay,
            subjects: self.subjects.clone(),
            name: self.name.clone(),
            epoch: self.epoch,
            client,
            shared,
            said: String::new(),
        };
        let watcher = tokio::spawn(async move {
            loop {
                let broker = match self.broker.take() {
                    Some(broker) => broker,
                    None => find(&self.address, &self.subjects, &self.name).await,
                };
                watcher.run(broker).await;
            }
        });
        Running {
            stop,
            publisher,
            watcher,
        }
    }
}

/// Tries to connect until it succeeds.
async fn find(address: &Address, subjects: &Subjects, relay: &str) -> Broker {
    let mut said = String::new();
    for attempt in 1.. {
        let why = match broker::connect(address, subjects, relay).await {
            Ok(broker) => return broker,
            Err(Refusal::Away(why) | Refusal::Wrong(why)) => why,
        };
        if said != why {
            let broker = &address.shown;
            tracing::error!(
                broker,
                why,
                "no connection to other relays; clients are served, it is tried again"
            );
            said = why;
        }
        tokio::time::sleep(broker::pause(attempt)).await;
    }
    unreachable!("attempts do not end")
}

impl Running {
    /// Says the last that is to be said.
    pub async fn leave(self) {
        let _ = self.stop.send(()).await;
        let _ = tokio::time::timeout(LEAVE_WAIT, self.publisher).await;
        self.watcher.abort();
    }
}
