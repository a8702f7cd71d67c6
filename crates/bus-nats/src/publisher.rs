//! The task that tells the other relays: it numbers this relay's commands and publishes them, and says every
//! second that this relay is there. While there is no broker it counts on, so that the others know of the gap.

use async_nats::Client;
use parlour_relay::Relay;
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};

use crate::letter::Letter;
use crate::peers::PRESENCE_EVERY;
use crate::queue::{Outbound, Receiver};
use crate::subject::Subjects;

pub struct Publisher {
    pub queue: Receiver,
    pub relay: Relay,
    pub subjects: Subjects,
    /// This relay, in letters.
    pub from: String,
    /// The number of the next command.
    pub next: u64,
}

impl Publisher {
    /// Runs until something comes by `stop`: true, if the others can be told that everything was said.
    /// `client` is there while there is a broker.
    pub async fn run(
        mut self,
        mut client: watch::Receiver<Option<Client>>,
        mut stop: mpsc::Receiver<bool>,
    ) {
        let mut presence = interval(PRESENCE_EVERY);
        presence.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                outbound = self.queue.next() => match outbound {
                    Some(outbound) => self.publish(&mut client, outbound).await,
                    None => return,
                },
                _ = presence.tick() => self.be_present(&mut client, false).await,
                changed = client.changed() => match changed {
                    Ok(()) => presence.reset_immediately(),
                    Err(_) => return,
                },
                clean = stop.recv() => return self.leave(client, clean == Some(true)).await,
            }
        }
    }

    async fn publish(&mut self, client: &mut watch::Receiver<Option<Client>>, outbound: Outbound) {
        self.next += self.queue.lost();
        let number = self.next;
        self.next += 1;
        let letter = Letter::write(&self.from, number, &outbound.content);
        send(client, outbound.subject, letter).await;
    }

    async fn be_present(&mut self, client: &mut watch::Receiver<Option<Client>>, leaves: bool) {
        // Whatever it covers is in the queue by now.
        let told = self.relay.told();
        for _ in 0..self.queue.len() {
            if let Some(outbound) = self.queue.try_next() {
                self.publish(client, outbound).await;
            }
        }
        self.next += self.queue.lost();
        let letter = Letter::presence(&self.from, self.next, told, leaves);
        send(client, self.subjects.presence(), letter).await;
    }

    async fn leave(mut self, mut client: watch::Receiver<Option<Client>>, clean: bool) {
        while let Some(outbound) = self.queue.try_next() {
            self.publish(&mut client, outbound).await;
        }
        if clean {
            self.be_present(&mut client, true).await;
        }
        let there = client.borrow().clone();
        if let Some(there) = there {
            let _ = there.flush().await;
        }
    }
}

/// Sends a letter, if there is a broker, and stays to be.
async fn send(client: &mut watch::Receiver<Option<Client>>, subject: String, letter: Vec<u8>) {
    let Some(there) = client.borrow_and_update().clone() else {
        return;
    };
    let bytes = letter.len();
    tokio::select! {
        sent = there.publish(subject, letter.into()) => if let Err(error) = sent {
            tracing::error!(bytes, %error, "cannot tell other relays: their clients will have to come back for it");
        },
        _ = client.changed() => {}
    }
}
