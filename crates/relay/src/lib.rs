//! The relay: it holds the clients' sockets and knows which of them are in which room. It completes
//! Engine.IO and Socket.IO packets, hands them to the app in batches, and carries out what the app
//! answers (`docs/relay-protocol.md`). It never decides anything.
//!
//! | module | owns |
//! | --- | --- |
//! | `server`, `proxy`, `control` | the listeners, and requests that are not Engine.IO's |
//! | `health` | whether this process lives, and whether it can serve |
//! | `stream`, `tls` | clients' TCP connections, plain or encrypted |
//! | `engine` | Engine.IO over HTTP: handshakes, polling, WebSocket |
//! | `connection`, `timers` | one client's transport, outgoing bytes, heartbeat |
//! | `client` | Socket.IO's rules on one connection |
//! | `lane`, `hub` | one namespace: its batches, its sockets and rooms |
//! | `commits` | up to which offset everything has come |
//! | `feeding` | how much of what they have missed clients have not read yet |
//! | `bus`, `resync` | the seam to other relays, and what happens when something of theirs was missed |
//! | `addresses`, `forwarded`, `pace` | who is connected from where, and how often something may happen |
//! | `ledger`, `overload`, `limits` | how much memory is kept for each client, and what clients may make the relay keep and do |
//! | `ws`, `outbox`, `message`, `sid` | frames, buffers, packets, ids |

mod addresses;
mod bus;
mod client;
mod commits;
mod config;
mod connection;
mod contests;
mod control;
mod engine;
mod feeding;
mod forwarded;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod health;
mod hub;
mod lane;
mod ledger;
mod limits;
mod message;
mod metrics;
mod origin;
mod outbox;
mod overload;
mod pace;
mod proxy;
mod reason;
mod resync;
mod server;
mod shared;
mod sid;
mod stream;
mod timers;
mod tls;
mod trace;
mod turns;
mod ws;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::ensure;
use parlour_protocol::relay::Command;
use tokio::net::TcpListener;

use lane::Asker;
use shared::Shared;

pub use bus::{Bus, Report};
pub use ipnet::IpNet;

pub use config::{AllowedOrigins, Config, Cors, Transports};
pub use limits::Limits;
pub use origin::{Body, HttpOrigin, Origin, OriginError};
pub use pace::Rate;
pub use tls::Tls;

/// Characters of a relay's name.
const MAX_NAME: usize = 64;

/// A relay in front of one app. Cheap to clone: all clones are the same relay.
#[derive(Clone)]
pub struct Relay {
    shared: Arc<Shared>,
    started: Arc<AtomicBool>,
}

impl Relay {
    /// A new life of the relay: its epoch is now.
    pub fn new(config: Config, origin: Arc<dyn Origin>) -> Relay {
        Relay::build(config, origin, None)
    }

    /// A relay that tells others what concerns their sockets, too.
    pub fn with_bus(config: Config, origin: Arc<dyn Origin>, bus: Arc<dyn Bus>) -> Relay {
        Relay::build(config, origin, Some(bus))
    }

    fn build(config: Config, origin: Arc<dyn Origin>, bus: Option<Arc<dyn Bus>>) -> Relay {
        Relay {
            shared: Arc::new(Shared::new(config, origin, bus)),
            started: Arc::default(),
        }
    }

    /// Serves clients on `listener` until `stop` is ready. Then closes them as a server that shuts down
    /// does, tells the app of each socket (`server shutting down`), waits for it for at most 10 s, and
    /// returns. An error means that the app has seen a younger epoch of this relay.
    pub async fn serve(
        &self,
        listener: TcpListener,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> anyhow::Result<()> {
        check_name(&self.shared.config.relay)?;
        if !self.started.swap(true, Ordering::Relaxed) {
            self.shared.handshakes.clone().start(self.shared.clone());
            tokio::spawn(run_timers(self.shared.clone()));
            tokio::spawn(health::beat(self.shared.clone()));
            tokio::spawn(overload::run(self.shared.clone()));
        }
        server::serve(self.shared.clone(), listener, stop).await
    }

    /// Serves the private listener, from a thread of its own: `GET /healthz` (this process lives), `GET /readyz`
    /// (it can serve: the app answers, the databases write), `GET /metrics` (Prometheus) and, for those who
    /// have the secret, `POST /publish`: `{"namespace", "rooms", "except", "data"}` → `{"receivers"}`.
    pub async fn serve_control(
        &self,
        listener: TcpListener,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> anyhow::Result<()> {
        control::serve(self.shared.clone(), listener, stop).await
    }

    /// Carries out what the app told another relay, for this relay's sockets: what a [`Bus`] brings. It
    /// does not go back to the bus. Commands that a bus does not take are ignored.
    ///
    /// One after another from one task, they keep their order, also for a client that gets several. While
    /// the app answers a batch of the namespace they wait for that. False: too many wait, and this one is
    /// missed.
    #[must_use]
    pub fn carry_out(&self, namespace: &str, source: &str, command: &Command<'_>) -> bool {
        self.shared.metrics.bus_received.add(1);
        if let Command::Emit(emit) = command {
            self.shared.commits.note(emit.offset.unwrap_or(0));
        }
        self.shared
            .lane(namespace)
            .is_none_or(|lane| lane.carry_out(&self.shared, source, None, None, command))
    }

    /// Up to which offset this relay has handed everything to the bus that its batches can have emitted. What
    /// is handed to the bus before this call must leave before this number does.
    pub fn told(&self) -> u64 {
        self.shared.commits.told()
    }

    /// Another relay is there, and has told everything up to an offset, which was carried out here.
    pub fn heard(&self, relay: &str, told: u64) {
        self.shared.commits.heard(relay, told);
    }

    /// Another relay was not heard for long. It may have more to tell some day.
    pub fn lost(&self, relay: &str) {
        self.shared.commits.lost(relay);
        self.shared.relay_is_gone(relay);
    }

    /// Another relay has no more to tell.
    pub fn left(&self, relay: &str) {
        self.shared.commits.left(relay);
        self.shared.relay_is_gone(relay);
    }

    /// [`Relay::carry_out`] for an `emit` that asks for acknowledgements, or a `contest`: what comes of it is
    /// [reported](Bus::report) to the relay that calls itself `from`.
    #[must_use]
    pub fn ask(&self, namespace: &str, from: &str, ask: u64, command: &Command<'_>) -> bool {
        self.shared.metrics.bus_received.add(1);
        if let Command::Contest(contest) = command {
            lane::answer_contest(&self.shared, namespace, from, ask, contest);
            return true;
        }
        let Some(lane) = self.shared.lane(namespace) else {
            self.shared.report(namespace, from, ask, &Report::Over);
            return true;
        };
        let asker = Some(Asker::Relay(from.into(), ask));
        lane.carry_out(&self.shared, "", None, asker, command)
    }

    /// What another relay, by its name, reports of what this one has asked.
    pub fn hear_report(&self, namespace: &str, relay: &str, ask: u64, report: &Report) {
        self.shared.metrics.bus_received.add(1);
        if let Report::Owner(answers) = report {
            return self.shared.contests.settle(ask, *answers);
        }
        if let Some(lane) = self.shared.lane(namespace) {
            lane.hear_report(&self.shared, relay, ask, report);
        }
    }

    /// Commands of other relays may be missing that would have come before what is carried out from now on.
    /// Clients are still served; what they are given for their offsets leaves out what may be missing.
    pub fn doubt(&self) {
        self.shared.doubt();
    }

    /// Nothing is missing any more: nothing ever was, or those connections were ended.
    pub fn trust(&self, ended: Option<Connections>) {
        self.shared.trust(ended.map_or(0, |ended| ended.offset));
    }

    /// The connections that there have been up to now.
    pub fn so_far(&self) -> Connections {
        Connections {
            offset: self.shared.commits.highest(),
            stamp: self.shared.connections.next_stamp(),
        }
    }

    /// Ends those connections, spread over some seconds: their clients come back and recover their
    /// sessions, and with them what was missed. Returns how many there were, when all are ended.
    pub async fn resync(&self, connections: Connections) -> usize {
        resync::run(&self.shared, connections.stamp).await
    }

    /// Whether clients come by TLS.
    pub fn is_secure(&self) -> bool {
        self.shared.config.tls.is_some()
    }

    /// Whether the app has heard and answered everything.
    pub fn is_idle(&self) -> bool {
        self.shared.lanes().iter().all(|lane| lane.is_idle())
    }
}

/// See [`Relay::so_far`].
#[derive(Debug, Clone, Copy)]
pub struct Connections {
    /// What the next one will be stamped with.
    stamp: u32,
    /// The highest offset that was known then. Who comes later is given everything up to it.
    offset: u64,
}

fn check_name(name: &str) -> anyhow::Result<()> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    ensure!(
        (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(legal),
        "{name:?} cannot be a relay's name: give 1 to {MAX_NAME} of A-Z a-z 0-9 _ - ."
    );
    Ok(())
}

async fn run_timers(shared: Arc<Shared>) {
    loop {
        let due = shared.timers.due().await;
        // What clients have sent in time is read first.
        tokio::task::yield_now().await;
        for timer in due {
            if let Some(connection) = shared.connections.of_timer(timer) {
                connection::on_timer(&shared, &connection, timer);
            }
        }
    }
}
