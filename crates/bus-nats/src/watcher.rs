//! The task that hears the other relays: it hands what they say to this one, and watches for what may not
//! have come. While that may be, the relay is in doubt; if something was missed, its clients come back for it.

use std::time::{Duration, Instant};

use async_nats::connection::State;
use async_nats::{Client, Event, Message};
use futures::StreamExt as _;
use parlour_relay::{Connections, Relay};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use crate::broker::{self, Broker, MIN_MAX_PAYLOAD};
use crate::letter::{Brought, Letter};
use crate::peers::{Heard, Peers};
use crate::subject::{Subjects, Topic};

/// After the broker is back, or something was missed, others have this long to be heard.
const SETTLE: Duration = Duration::from_secs(3);

/// How often the time is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);

pub struct Watcher {
    relay: Relay,
    subjects: Subjects,
    /// This relay, in letters.
    from: String,
    /// For the publisher.
    client: watch::Sender<Option<Client>>,
    peers: Peers,
    /// Until then others are still expected to be heard.
    settled: Instant,
    in_doubt: bool,
    /// There was no broker for a while since the doubt began, or something was missed.
    is_worth_telling: bool,
    /// The connections that were here when something was missed, and how much.
    missed: Option<(Connections, u64)>,
    /// The connections that were here before the broker was back.
    before: Connections,
    resync: Option<JoinHandle<usize>>,
    /// The connections that were ended last in this doubt.
    ended: Option<Connections>,
    /// The last that was said about the broker, so as not to repeat it.
    said: String,
}

impl Watcher {
    /// The relay is in doubt from now on: nobody knows who the others are.
    pub fn new(
        relay: Relay,
        subjects: Subjects,
        from: String,
        client: watch::Sender<Option<Client>>,
    ) -> Watcher {
        relay.doubt();
        Watcher {
            before: relay.so_far(),
            relay,
            subjects,
            from,
            client,
            peers: Peers::default(),
            settled: Instant::now(),
            in_doubt: true,
            is_worth_telling: false,
            missed: None,
            resync: None,
            ended: None,
            said: String::new(),
        }
    }

    /// There is no broker yet.
    pub fn begin_without(&mut self) {
        self.is_worth_telling = true;
    }

    fn doubt(&mut self) {
        self.relay.doubt();
        self.in_doubt = true;
    }

    /// Listens until the connection is given up for good.
    pub async fn run(&mut self, broker: Broker) {
        let Broker {
            client,
            mut letters,
            mut events,
        } = broker;
        self.is_back(&client);
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                letter = letters.next() => match letter {
                    Some(letter) => self.hear(&letter),
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
                    if self.is_there() {
                        self.forget_silent();
                    }
                }
            }
            self.judge().await;
        }
        self.is_away();
    }

    fn is_there(&self) -> bool {
        self.client.borrow().is_some()
    }

    fn forget_silent(&mut self) {
        let now = Instant::now();
        for relay in self.peers.forget_silent(now) {
            self.miss(0, "a relay has gone without goodbye");
            self.relay.lost(&relay);
        }
        for relay in self.peers.give_up(now) {
            self.miss(0, "a relay has not come back for long, and is given up");
            self.relay.left(&relay);
        }
    }

    /// Until all others can have been heard, there is doubt.
    fn is_back(&mut self, client: &Client) {
        let now = Instant::now();
        self.doubt();
        self.before = self.relay.so_far();
        self.settled = now + SETTLE;
        self.peers.await_all(now);
        self.client.send_replace(Some(client.clone()));
        self.said.clear();
        tracing::info!("other relays are heard, by the broker");
    }

    fn is_away(&mut self) {
        if self.client.send_replace(None).is_some() {
            self.is_worth_telling = true;
            tracing::warn!(
                "the broker is away: clients are served, but other relays hear nothing of it, nor these of theirs"
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

    fn hear(&mut self, message: &Message) {
        let letter = match Letter::read(&message.payload) {
            Ok(letter) if letter.from == self.from => return,
            Ok(letter) => letter,
            Err(error) => return self.misread(message, &error.to_string()),
        };
        let brought = match letter.brought() {
            Ok(brought) => brought,
            Err(error) => return self.misread(message, &error.to_string()),
        };
        let now = Instant::now();
        let knew_all = now >= self.settled;
        let has_content = brought.is_some();
        let (from, sequence) = (&*letter.from, letter.sequence);
        match self.peers.heard(from, sequence, has_content, knew_all, now) {
            Heard::InOrder => {}
            Heard::Old => return,
            Heard::Missed(count) => self.miss(count, &format!("of {from}")),
            Heard::New(count) => self.miss_before(count),
        }
        if letter.leaves {
            self.peers.left(from);
            return self.relay.left(letter.relay());
        }
        // Everything that came before was carried out.
        self.relay.heard(letter.relay(), letter.told);
        let Some(brought) = brought else { return };
        let Some(Topic::Namespace(namespace)) = self.subjects.read(&message.subject) else {
            return self.misread(message, "no namespace has this subject");
        };
        let relay = &self.relay;
        let is_carried_out = match brought {
            Brought::Command(command) => relay.carry_out(&namespace, letter.source(), &command),
            Brought::Ask(ask, command) => relay.ask(&namespace, from, ask, &command),
            Brought::Report(to, ask, report) => {
                if *to == *self.from {
                    relay.hear_report(&namespace, letter.relay(), ask, &report);
                }
                true
            }
        };
        if !is_carried_out {
            self.miss(
                1,
                "the app does not answer, and others' commands have waited for that",
            );
        }
    }

    fn misread(&mut self, message: &Message, error: &str) {
        tracing::error!(
            subject = &*message.subject,
            error,
            "cannot read what another relay says"
        );
        self.miss(1, "it cannot be read");
    }

    /// Something was missed by those who are connected.
    fn miss(&mut self, count: u64, why: &str) {
        tracing::warn!(
            commands = count,
            why,
            "commands of other relays may be missing"
        );
        self.doubt();
        self.is_worth_telling = true;
        let (_, before) = self.missed.unwrap_or((self.before, 0));
        self.missed = Some((self.relay.so_far(), before + count));
        self.settled = self.settled.max(Instant::now() + SETTLE);
    }

    /// There are commands that came before the broker was back, if not before this relay was there.
    fn miss_before(&mut self, count: u64) {
        if self.is_worth_telling {
            let (_, commands) = self.missed.get_or_insert((self.before, 0));
            *commands += count;
        }
    }

    /// Whether there is doubt, and what to do when there is none any more.
    async fn judge(&mut self) {
        let now = Instant::now();
        let is_known = self.is_there() && !self.peers.is_any_silent(now);
        if !self.in_doubt && !is_known {
            self.doubt();
            self.is_worth_telling = true;
        }
        if self.resync.as_ref().is_some_and(JoinHandle::is_finished)
            && let Some(resync) = self.resync.take()
        {
            let connections = resync.await.unwrap_or_default();
            tracing::warn!(
                connections,
                "connections ended: their clients come back for what they have missed"
            );
        }
        if !self.in_doubt || !is_known || now < self.settled || self.resync.is_some() {
            return;
        }
        if let Some((connections, commands)) = self.missed.take() {
            tracing::warn!(
                commands,
                "ending clients' connections, so that they come back for what they have missed"
            );
            self.ended = Some(connections);
            let relay = self.relay.clone();
            self.resync = Some(tokio::spawn(async move { relay.resync(connections).await }));
            return;
        }
        self.relay.trust(self.ended.take());
        self.in_doubt = false;
        if std::mem::take(&mut self.is_worth_telling) {
            let relays = self.peers.count();
            tracing::info!(relays, "nothing of other relays is missing");
        }
    }
}
