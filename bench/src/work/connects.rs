//! Connections that are made, through WebSocket, Engine.IO and Socket.IO handshakes, and kept.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::{PATIENCE, Sample, Spent, WARM_UP};
use crate::fleet::{CONNECTING_AT_ONCE, Fleet, Ignore};
use crate::server::Server;

/// Where a measurement ends before its time: each connection is an open file at both ends.
pub const MOST: usize = 10_000;
/// Connections that the warm-up makes at most.
const WARM_UP_MOST: usize = 3000;

pub fn run(fleet: &mut Fleet, server: &Server, time: Duration) -> Result<Sample> {
    connect_for(fleet, WARM_UP, WARM_UP_MOST)?;
    let before = (fleet.ready(), Spent::now(server)?);
    connect_for(fleet, time, MOST)?;
    let made = fleet.ready() - before.0;
    let spent = Spent::now(server)?.since(&before.1);
    let values = vec![made as f64 / spent.seconds()];
    Ok(spent.sample(values, None))
}

/// Makes connections, a bounded number at the same time, until it is time or there are `most`.
fn connect_for(fleet: &mut Fleet, time: Duration, most: usize) -> Result<()> {
    let begin = Instant::now();
    while begin.elapsed() < time && fleet.ready() < most {
        while fleet.len() < most && fleet.len() - fleet.ready() < CONNECTING_AT_ONCE {
            fleet.open()?;
        }
        fleet.turn(&mut Ignore, PATIENCE)?;
    }
    Ok(())
}
