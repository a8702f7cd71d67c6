//! The task that tells the other relays: it publishes what the relay hands over, and says every second that this
//! relay is there and how far it is.

use std::collections::BTreeMap;

use async_nats::Client;
use parlour_relay::Relay;
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};

use crate::message::{Content, Message};
use crate::peers::PRESENCE_EVERY;
use crate::queue::Receiver;
use crate::subject::Subjects;

pub struct Publisher {
    pub queue: Receiver,
    pub relay: Relay,
    pub subjects: Subjects,
    pub name: String,
    pub epoch: u64,
}

impl Publisher {
    /// Runs until something comes by `stop`. `client` is there while there is a broker.
    pub async fn run(
        mut self,
        mut client: watch::Receiver<Option<Client>>,
        mut stop: mpsc::Receiver<()>,
    ) {
        let mut presence = interval(PRESENCE_EVERY);
        presence.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                outbound = self.queue.next() => match outbound {
                    Some(outbound) => send(&mut client, outbound.subject, outbound.payload).await,
                    None => return,
                },
                _ = presence.tick() => self.be_present(&mut client).await,
                changed = client.changed() => match changed {
                    Ok(()) => presence.reset_immediately(),
                    Err(_) => return,
                },
                _ = stop.recv() => return self.leave(client).await,
            }
        }
    }

    async fn be_present(&mut self, client: &mut watch::Receiver<Option<Client>>) {
        if client.borrow().is_none() {
            return;
        }
        let heads = self.relay.heads().into_iter();
        let heads = heads
            .map(|(namespace, head)| (namespace.into(), head))
            .collect();
        let message = presence(&self.name, self.epoch, heads);
        send(client, self.subjects.presence(), message).await;
    }

    async fn leave(mut self, mut client: watch::Receiver<Option<Client>>) {
        while let Some(outbound) = self.queue.try_next() {
            send(&mut client, outbound.subject, outbound.payload).await;
        }
        self.be_present(&mut client).await;
        let there = client.borrow().clone();
        if let Some(there) = there {
            let _ = there.flush().await;
        }
    }
}

/// That this relay is there, and how far it has delivered namespaces' logs.
pub fn presence(
    relay: &str,
    epoch: u64,
    heads: BTreeMap<std::borrow::Cow<'_, str>, u64>,
) -> Vec<u8> {
    let content = Content::Presence(heads);
    let message = Message {
        relay,
        epoch,
        content,
    };
    message.write().expect("names and numbers are JSON")
}

/// Sends a message, if there is a broker, and stays to be.
async fn send(client: &mut watch::Receiver<Option<Client>>, subject: String, payload: Vec<u8>) {
    let Some(there) = client.borrow_and_update().clone() else {
        return;
    };
    let bytes = payload.len();
    tokio::select! {
        sent = there.publish(subject, payload.into()) => if let Err(error) = sent {
            tracing::error!(bytes, %error, "cannot tell other relays: they ask the app for it");
        },
        _ = client.changed() => {}
    }
}
