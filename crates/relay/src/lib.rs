//! The relay: it holds the clients' sockets and knows which of them are in which room. It completes
//! Engine.IO and Socket.IO packets, hands them to the app in batches, and carries out what the app
//! answers (`docs/relay-protocol.md`). It never decides anything.
//!
//! No module imports one that stands above it in this table (`docs/decisions/0029-the-relays-layers.md`).
//!
//! | module | owns |
//! | --- | --- |
//! | `server` | the listeners; HTTP: Engine.IO, other requests, health, metrics |
//! | `client` | Socket.IO's rules: what a packet may do, and when |
//! | `delivery` | batches on their way to the app, and the effects of its answers |
//! | `overload` | relief when memory is short |
//! | `session` | a connection with its sockets: how it ends, what its timers do |
//! | `shared`, `namespaces` | one relay, and its namespaces by name |
//! | `namespace` | one namespace: its sockets and rooms, its batches, what commands do |
//! | `connection` | one client's transport, outgoing bytes, heartbeat; the register of all |
//! | `core` | what everything may know: settings, the app, the bus, clocks, accounts, counters |
//! | `wire` | clients' TCP connections, frames, buffers, packets |

mod client;
mod connection;
mod core;
mod delivery;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod namespace;
mod namespaces;
mod overload;
mod server;
mod session;
mod shared;
mod wire;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::ensure;
use parlour_protocol::relay::{Command, Contest};
use tokio::net::TcpListener;

use namespace::Namespace;
use server::control;
use server::health::{self, Health};
use shared::Shared;

pub use core::bus::{Bus, Extent, Report, Segment};
pub use ipnet::IpNet;

pub use core::config::{AllowedOrigins, Config, Cors, Transports};
pub use core::limits::Limits;
pub use core::origin::{Body, HttpOrigin, Origin, OriginError};
pub use core::pace::Rate;
pub use wire::tls::Tls;

/// Characters of a relay's name.
const MAX_NAME: usize = 64;

/// A relay in front of one app. Cheap to clone: all clones are the same relay.
#[derive(Clone)]
pub struct Relay {
    shared: Arc<Shared>,
    health: Arc<Health>,
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
            health: Arc::default(),
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
            let shared = || self.shared.clone();
            tokio::spawn(delivery::run(shared(), shared().handshakes.clone()));
            tokio::spawn(session::run_timers(shared()));
            tokio::spawn(health::beat(shared(), self.health.clone()));
            tokio::spawn(overload::run(shared()));
        }
        server::serve(self.shared.clone(), &self.health, listener, stop).await
    }

    /// Serves the private listener, from a thread of its own: `GET /healthz` (this process lives), `GET /readyz`
    /// (it can serve: the app answers, the databases write), `GET /metrics` (Prometheus) and, for those who
    /// have the secret, `POST /publish`: `{"namespace", "rooms", "except", "data"}` → `{"receivers"}`.
    pub async fn serve_control(
        &self,
        listener: TcpListener,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> anyhow::Result<()> {
        control::serve(self.shared.clone(), self.health.clone(), listener, stop).await
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
        let Some(namespace) = self.shared.namespaces.find(namespace) else {
            return Ok(());
        };
        match extent {
            Some(extent) => namespace.hear(extent, commands),
            None => {
                let commands: Vec<Command<'_>> = serde_json::from_str(commands)?;
                delivery::emit_volatile(&self.shared, &namespace, &commands);
            }
        }
        Ok(())
    }

    /// Another relay has delivered a namespace's log up to here.
    pub fn hear_of(&self, namespace: &str, head: u64) {
        if let Some(namespace) = self.shared.namespaces.find(namespace) {
            namespace.hear_of(head);
        }
    }

    /// How far this relay has delivered its namespaces' logs, where that is further than when it was asked last.
    pub fn heads(&self) -> Vec<(String, u64)> {
        let namespaces = self.shared.all_namespaces();
        let head =
            |namespace: &Arc<Namespace>| Some((namespace.name().to_owned(), namespace.untold()?));
        namespaces.iter().filter_map(head).collect()
    }

    /// Something of any namespace's log may be missing of which nobody would tell: the app is asked.
    pub fn suspect(&self) {
        for namespace in self.shared.all_namespaces() {
            namespace.suspect();
        }
    }

    /// Another relay wants to know whether a client of this one is there; that is reported to it.
    pub fn answer_contest(&self, namespace: &str, from: &str, number: u64, contest: &Contest<'_>) {
        self.shared.metrics.bus_received.add(1);
        delivery::answer_contest(&self.shared, namespace, from, number, contest);
    }

    /// What another relay reports of what this one has asked.
    pub fn hear_report(&self, namespace: &str, number: u64, report: &Report) {
        self.shared.metrics.bus_received.add(1);
        if let Report::Owner(answers) = report {
            return self.shared.contests.settle(number, *answers);
        }
        if let Some(namespace) = self.shared.namespaces.find(namespace) {
            namespace.hear_report(number, report);
        }
    }

    /// Whether clients come by TLS.
    pub fn is_secure(&self) -> bool {
        self.shared.config.tls.is_some()
    }

    /// Whether the app has heard and answered everything.
    pub fn is_idle(&self) -> bool {
        self.shared
            .all_namespaces()
            .iter()
            .all(|namespace| namespace.is_idle())
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
