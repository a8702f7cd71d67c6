//! Connections that are made, through WebSocket, Engine.IO and Socket.IO handshakes, and kept.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::{PATIENCE, Sample, Spent};
use crate::fleet::{CONNECTING_AT_ONCE, Fleet, Ignore};
use crate::server::Server;

/// Connections made before the measurement.
const WARM_UP: usize = 200;
/// Where a measurement ends before its time: each connection is an open file at both ends.
pub const MOST: usize = 10_000;

pub fn run(fleet: &mut Fleet, server: &Server, time: Duration) -> Result<Sample> {
    fleet.connect(WARM_UP)?;
    let before = Spent::now(server)?;
    let begin = Instant::now();
    while begin.elapsed() < time && fleet.ready() < MOST {
        while fleet.len() < MOST && fleet.len() - fleet.ready() < CONNECTING_AT_ONCE {
            fleet.open()?;
        }
        fleet.turn(&mut Ignore, PATIENCE)?;
    }
    let made = fleet.ready() - WARM_UP;
    let spent = Spent::now(server)?.since(&before);
    Ok(Sample {
        values: vec![made as f64 / spent.wall().as_secs_f64()],
        delay: None,
        server_cpu: spent.server_share(),
        generator_cpu: spent.generator_share(),
    })
}
