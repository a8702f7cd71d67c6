//! One message at a time on a server at rest: from its sending until both members of the room have it and
//! the sender has its ack. With a database that includes one sync to disk.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::chat::{AT_REST, Chat};
use super::{DRAIN_TIMEOUT, Load, PATIENCE, Sample, Spent, turn_for};
use crate::audit::percentile;
use crate::fleet::Fleet;
use crate::server::Server;

/// Messages that are sent before the measurement.
const WARM_UP: usize = 100;
/// The rest between two messages.
const PAUSE: Duration = Duration::from_millis(5);

pub fn run(fleet: &mut Fleet, server: &Server, time: Duration) -> Result<Sample> {
    let mut chat = Chat::new(AT_REST);
    chat.prepare(fleet)?;
    chat.stop();
    for _ in 0..WARM_UP {
        one_message(fleet, &mut chat)?;
    }
    chat.delays();
    let begin = (Instant::now(), Spent::now(server)?);
    while begin.0.elapsed() < time {
        one_message(fleet, &mut chat)?;
    }
    let spent = Spent::now(server)?.since(&begin.1);
    chat.faults()
        .check()
        .context("the server failed its clients")?;
    let mut delays = chat.delays();
    let values = vec![percentile(&mut delays, 0.5), percentile(&mut delays, 0.99)];
    Ok(spent.sample(values, None))
}

fn one_message(fleet: &mut Fleet, chat: &mut Chat) -> Result<()> {
    let begin = Instant::now();
    chat.send(0, &mut fleet.outbox);
    while !chat.is_complete() {
        fleet.turn(chat, PATIENCE)?;
        if begin.elapsed() > DRAIN_TIMEOUT {
            bail!("a message had not come after {DRAIN_TIMEOUT:?}");
        }
    }
    turn_for(fleet, chat, PAUSE)
}
