//! The task that hears the other relays: it hands what they say to this one. Where something may have been missed
//! of which nobody would tell, the relay asks the app.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use anyhow::{Result, bail};
use async_nats::connection::State;
use async_nats::{Client, Event};
use futures::StreamExt as _;
use parlour_relay::Relay;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use crate::broker::{self, Broker, MIN_MAX_PAYLOAD};
use crate::message::{Content, Message};
use crate::peers::PRESENCE_EVERY;
use crate::queue::Shared;
use crate::subject::{Subjects, Topic};

pub struct Watcher {
    pub relay: Relay,
    pub subjects: Subjects,
    /// This relay.
    pub name: String,
    pub epoch: u64,
    /// For the publisher.
    pub client: watch::Sender<Option<Client>>,
    pub shared: Arc<Shared>,
    /// The last that was said about the broker, so as not to repeat it.
    pub said: String,
}

impl Watcher {
    /// Listens until the connection is given up for good.
    pub async fn run(&mut self, broker: Broker) {
        let Broker {
            client,
            mut messages,
            mut events,
        } = broker;
        self.is_back(&client);
        let mut look = interval(PRESENCE_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                message = messages.next() => match message {
                    Some(message) => self.hear(&message),
                    None => break,
                },
                event = events.recv() => match event {
                    Some(event) => self.notice(event, &client).await,
                    None => break,
                },
                _ = look.tick() => {
                    if !self.is_there() && client.connection_state() == State::Connected {
                        self.notice(Event::Connected, &client).await;
                    }
                    if self.shared.peers.look(Instant::now()) {
                        self.relay.suspect();
                    }
                }
            }
        }
        self.is_away();
    }

    fn is_there(&self) -> bool {
        self.client.borrow().is_some()
    }

    /// What was said meanwhile was not heard.
    fn is_back(&mut self, client: &Client) {
        self.client.send_replace(Some(client.clone()));
        self.shared.is_connected.store(true, Ordering::Relaxed);
        self.relay.suspect();
        self.said.clear();
        tracing::info!("other relays are heard, by the broker");
    }

    fn is_away(&mut self) {
        self.shared.is_connected.store(false, Ordering::Relaxed);
        if self.client.send_replace(None).is_some() {
            self.relay.suspect();
            tracing::warn!(
                "the broker is away: what other relays emit is asked of the app, every second"
            );
        }
    }

    async fn notice(&mut self, event: Event, client: &Client) {
        match event {
            Event::Connected if !self.is_there() => {
                if !broker::listens(client, &self.subjects).await {
                    return self.say(format!("the broker: {}", self.subjects.unanswered()));
                }
                let max_payload = client.server_info().max_payload;
                if max_payload < MIN_MAX_PAYLOAD {
                    self.say(format!("the broker takes only {max_payload} bytes in a message: set its max_payload to at least 4MB"));
                }
                self.is_back(client);
            }
            Event::Disconnected => self.is_away(),
            // Messages were dropped.
            Event::SlowConsumer(_) => self.relay.suspect(),
            Event::ServerError(error) => self.say(format!("the broker: {error}")),
            Event::ClientError(error) => self.say(format!("no connection to the broker: {error}")),
            _ => {}
        }
    }

    fn say(&mut self, what: String) {
        if self.said != what {
            tracing::error!("{what}");
            self.said = what;
        }
    }

    fn hear(&self, message: &async_nats::Message) {
        if let Err(error) = self.take(message) {
            tracing::error!(subject = &*message.subject, %error, "cannot read what another relay says");
            self.relay.suspect();
        }
    }

    fn take(&self, message: &async_nats::Message) -> Result<()> {
        let Message {
            relay,
            epoch,
            content,
        } = Message::read(&message.payload)?;
        if (relay, epoch) == (&*self.name, self.epoch) {
            return Ok(());
        }
        if self.shared.peers.heard(relay, epoch, Instant::now()) {
            self.relay.suspect();
        }
        if let Content::Presence(heads) = content {
            for (namespace, head) in heads {
                self.relay.hear_of(&namespace, head);
            }
            return Ok(());
        }
        let Some(Topic::Namespace(namespace)) = self.subjects.read(&message.subject) else {
            bail!("no namespace has this subject");
        };
        match content {
            Content::Commands(extent, commands) => {
                self.relay.hear(&namespace, extent, commands.get())?
            }
            Content::Contest(number, contest) => {
                self.relay
                    .answer_contest(&namespace, relay, number, &contest);
            }
            Content::Report(to, number, report) if *to == *self.name => {
                self.relay.hear_report(&namespace, number, &report);
            }
            Content::Report(..) | Content::Presence(_) => {}
        }
        Ok(())
    }
}
