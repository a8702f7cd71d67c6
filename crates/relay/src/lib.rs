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
//! | `feeding` | how much of what they have missed clients have not read yet |
//! | `bus` | the seam to other relays |
//! | `addresses`, `forwarded`, `pace` | who is connected from where, and how often something may happen |
//! | `ledger`, `overload`, `limits` | how much memory is kept for each client, and what clients may make the relay keep and do |
//! | `ws`, `outbox`, `message`, `sid` | frames, buffers, packets, ids |

mod addresses;
mod bus;
mod client;
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
use parlour_protocol::relay::{Command, Contest};
use tokio::net::TcpListener;

use lane::Lane;
use shared::Shared;

pub use bus::{Bus, Extent, Report, Segment};
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

    /// Another relay tells of commands for all relays' sockets in a namespace: a [`Bus`] brings them, in any order, once
    /// or not or again. They are delivered when it is their turn. Without an extent they are volatile, and are
    /// carried out at once. `commands` is a JSON array.
    pub fn hear(
        &self,
        namespace: &str,
        extent: Option<Extent>,
        commands: &str,
    ) -> serde_json::Result<()> {
        self.shared.metrics.bus_received.add(1);
        let Some(lane) = self.shared.lane(namespace) else {
            return Ok(());
        };
        match extent {
            Some(extent) => lane.hear_json(&self.shared, extent, commands),
            None => {
                let commands: Vec<Command<'_>> = serde_json::from_str(commands)?;
                lane.emit_volatile(&self.shared, &commands);
            }
        }
        Ok(())
    }

    /// Another relay has delivered a namespace's log up to here.
    pub fn hear_of(&self, namespace: &str, head: u64) {
        if let Some(lane) = self.shared.lane(namespace) {
            lane.hear_of(head);
        }
    }

    /// How far this relay has delivered its namespaces' logs, where that is further than when it was asked last.
    pub fn heads(&self) -> Vec<(String, u64)> {
        let lanes = self.shared.lanes();
        let head = |lane: &Arc<Lane>| Some((lane.namespace().to_owned(), lane.untold()?));
        lanes.iter().filter_map(head).collect()
    }

    /// Something of any namespace's log may be missing of which nobody would tell: the app is asked.
    pub fn suspect(&self) {
        for lane in self.shared.lanes() {
            lane.suspect();
        }
    }

    /// Another relay wants to know whether a client of this one is there; that is reported to it.
    pub fn answer_contest(&self, namespace: &str, from: &str, number: u64, contest: &Contest<'_>) {
        self.shared.metrics.bus_received.add(1);
        lane::answer_contest(&self.shared, namespace, from, number, contest);
    }

    /// What another relay reports of what this one has asked.
    pub fn hear_report(&self, namespace: &str, number: u64, report: &Report) {
        self.shared.metrics.bus_received.add(1);
        if let Report::Owner(answers) = report {
            return self.shared.contests.settle(number, *answers);
        }
        if let Some(lane) = self.shared.lane(namespace) {
            lane.hear_report(&self.shared, number, report);
        }
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
