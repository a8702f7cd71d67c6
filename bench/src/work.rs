//! What the clients do while they are measured, one module for each figure. This file owns how a steady
//! load is measured: warm up, measure, stop, wait for what is under way, look at the books.

pub mod chat;
pub mod connects;
pub mod echo;
pub mod latency;
pub mod memory;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use crate::audit::{Faults, percentile};
use crate::fleet::{Fleet, Handler};
use crate::machine;
use crate::server::{self, Server};

/// Time before a measurement, in which servers compile what is hot and fill their caches.
const WARM_UP: Duration = Duration::from_secs(1);
/// How long a server may take to finish what is under way when the sending stops.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(15);
/// How long the clients listen on when all has come, for what should not.
const AFTERMATH: Duration = Duration::from_millis(200);
/// How long one wait for the sockets is at most.
const PATIENCE: Duration = Duration::from_millis(20);

/// The text in every message and echo: 64 bytes.
pub const TEXT: &str = "The quick brown fox jumps over the lazy dog, and so on and on...";

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Kind {
    Echo,
    Fanout,
    Rooms,
    Relays,
    Connects,
    Memory,
    Latency,
}

impl Kind {
    /// Whether a client's thinking time makes a difference.
    pub fn is_load(self) -> bool {
        matches!(self, Self::Echo | Self::Fanout | Self::Rooms | Self::Relays)
    }

    /// Over how many relays, with a broker between them, the clients are spread.
    pub fn relays(self) -> usize {
        if self == Self::Relays { 2 } else { 1 }
    }

    /// Whether it means anything for this server.
    pub fn is_for(self, server: server::Kind) -> bool {
        self.relays() == 1 || server == server::Kind::Parlour
    }
}

/// What one run found.
#[derive(Debug, Clone, Default)]
pub struct Sample {
    /// In the order of [`figures`].
    pub values: Vec<f64>,
    /// Times from sending to everyone having it, in µs: p50 and p99.
    pub delay: Option<(f64, f64)>,
    /// CPU used, as fractions of one core.
    pub server_cpu: f64,
    pub generator_cpu: f64,
    /// What other programs took of the two cores.
    pub others_cpu: f64,
}

/// The names of the figures that a work yields, and whether more is better.
pub fn figures(work: Kind) -> &'static [(&'static str, bool)] {
    match work {
        Kind::Echo => &[("echo, acked/s", true)],
        Kind::Fanout => &[("fan-out, 1 room of 500, deliveries/s", true)],
        Kind::Rooms => &[("100 rooms of 10, all send, deliveries/s", true)],
        Kind::Relays => &[("the same over two relays, deliveries/s", true)],
        Kind::Connects => &[("connects/s", true)],
        Kind::Memory => &[("memory per idle connection, bytes", false)],
        Kind::Latency => &[
            ("one message at rest, p50, µs", false),
            ("one message at rest, p99, µs", false),
        ],
    }
}

/// Runs one work against a server that was just started.
pub fn run(work: Kind, server: &Server, time: Duration, think: Duration) -> Result<Sample> {
    let mut fleet = Fleet::new(&server.addresses, think)?;
    match work {
        Kind::Echo => steady(&mut fleet, echo::Echo::default(), server, time),
        Kind::Fanout => steady(&mut fleet, chat::Chat::new(chat::FAN_OUT), server, time),
        Kind::Rooms | Kind::Relays => {
            steady(&mut fleet, chat::Chat::new(chat::ROOMS), server, time)
        }
        Kind::Connects => connects::run(&mut fleet, server, time),
        Kind::Memory => memory::run(&mut fleet, server),
        Kind::Latency => latency::run(&mut fleet, server, time),
    }
}

/// A load in a closed loop: each sender has a bounded number of messages under way.
pub trait Load: Handler {
    /// Connects the clients and brings them where they send.
    fn prepare(&mut self, fleet: &mut Fleet) -> Result<()>;
    /// Fills every sender's window; from then on each completion sends the next.
    fn begin(&mut self, fleet: &mut Fleet);
    /// Sends no more.
    fn stop(&mut self);
    /// What is counted, so far.
    fn count(&self) -> u64;
    /// Whether all that was sent is complete.
    fn is_complete(&self) -> bool;
    /// Times from sending to completion since the last call, in µs.
    fn delays(&mut self) -> Vec<f64>;
    fn faults(&self) -> Faults;
}

fn steady(
    fleet: &mut Fleet,
    mut load: impl Load,
    server: &Server,
    time: Duration,
) -> Result<Sample> {
    load.prepare(fleet)?;
    load.begin(fleet);
    turn_for(fleet, &mut load, WARM_UP)?;
    load.delays();

    let before = (load.count(), Spent::now(server)?);
    turn_for(fleet, &mut load, time)?;
    let spent = Spent::now(server)?.since(&before.1);
    let rate = (load.count() - before.0) as f64 / spent.seconds();
    let mut delays = load.delays();

    load.stop();
    let begin = Instant::now();
    while !load.is_complete() && begin.elapsed() < DRAIN_TIMEOUT {
        fleet.turn(&mut load, PATIENCE)?;
    }
    turn_for(fleet, &mut load, AFTERMATH)?;
    load.faults()
        .check()
        .context("the server failed its clients")?;
    if !load.is_complete() {
        bail!("an ack or a message had not come after {DRAIN_TIMEOUT:?}");
    }
    let delay = (percentile(&mut delays, 0.5), percentile(&mut delays, 0.99));
    Ok(spent.sample(vec![rate], Some(delay)))
}

fn turn_for(fleet: &mut Fleet, handler: &mut impl Handler, time: Duration) -> Result<()> {
    let end = Instant::now() + time;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        fleet.turn(handler, left.min(PATIENCE))?;
    }
}

/// Clocks, to be read at the beginning and the end.
#[derive(Debug)]
pub struct Spent {
    begin: Instant,
    wall: Duration,
    server: Duration,
    generator: Duration,
    /// Everybody's, on both cores.
    busy: Duration,
}

impl Spent {
    pub fn now(server: &Server) -> Result<Self> {
        Ok(Self {
            begin: Instant::now(),
            wall: Duration::ZERO,
            server: server.cpu()?,
            generator: machine::own_cpu(),
            busy: machine::busy(server.cores)?,
        })
    }

    pub fn since(&self, before: &Self) -> Self {
        Self {
            begin: before.begin,
            wall: self.begin - before.begin,
            server: self.server.saturating_sub(before.server),
            generator: self.generator.saturating_sub(before.generator),
            busy: self.busy.saturating_sub(before.busy),
        }
    }

    /// What was found, with the shares of CPU in this time.
    pub fn sample(&self, values: Vec<f64>, delay: Option<(f64, f64)>) -> Sample {
        let share = |time: Duration| time.as_secs_f64() / self.wall.as_secs_f64();
        let others = self.busy.saturating_sub(self.server + self.generator);
        Sample {
            values,
            delay,
            server_cpu: share(self.server),
            generator_cpu: share(self.generator),
            others_cpu: share(others),
        }
    }

    pub fn seconds(&self) -> f64 {
        self.wall.as_secs_f64()
    }
}
