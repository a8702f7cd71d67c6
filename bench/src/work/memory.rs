//! Memory of connections that do nothing: what the server's process grows by when 2000 of them have come
//! and it has settled. The kernel's socket buffers are not in it.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::{Sample, Spent, turn_for};
use crate::fleet::{Fleet, Ignore};
use crate::server::Server;

/// Connections that are there before, so that the code for them is compiled and paged in.
const WARM_UP: usize = 100;
const IDLE: usize = 2000;
/// Memory has settled when it changes by less than this many bytes in [`SETTLE_STEP`], three times.
const SETTLED_BYTES: u64 = 64 * 1024;
const SETTLE_STEP: Duration = Duration::from_millis(500);
const SETTLE_TIMEOUT: Duration = Duration::from_secs(10);

pub fn run(fleet: &mut Fleet, server: &Server) -> Result<Sample> {
    fleet.connect(WARM_UP)?;
    let begin = Spent::now(server)?;
    let before = settled(fleet, server)?;
    fleet.connect(IDLE)?;
    let after = settled(fleet, server)?;
    let spent = Spent::now(server)?.since(&begin);
    let values = vec![after.saturating_sub(before) as f64 / IDLE as f64];
    Ok(spent.sample(values, None))
}

fn settled(fleet: &mut Fleet, server: &Server) -> Result<u64> {
    let begin = Instant::now();
    let mut memory = server.memory()?;
    let mut calm = 0;
    while calm < 3 && begin.elapsed() < SETTLE_TIMEOUT {
        server.collect_garbage()?;
        turn_for(fleet, &mut Ignore, SETTLE_STEP)?;
        let now = server.memory()?;
        calm = if now.abs_diff(memory) < SETTLED_BYTES {
            calm + 1
        } else {
            0
        };
        memory = now;
    }
    Ok(memory)
}
