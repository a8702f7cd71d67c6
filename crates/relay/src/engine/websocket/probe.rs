//! A WebSocket that wants to take over from polling: it is probed, then it says so, in time, or it is
//! turned away and polling goes on.

use std::sync::Arc;

use hyper::upgrade::OnUpgrade;
use parlour_protocol::engine::{self, Packet};
use tokio::io::AsyncReadExt;

use super::{raw, turn_away};
use crate::config::RELEASE_EVERY;
use crate::connection::Connection;
use crate::ledger::Hold;
use crate::outbox::Outbox;
use crate::shared::Shared;
use crate::stream::Stream;
use crate::ws::{self, Handler, Reader, Step};

const PROBE: &str = "probe";
const PROBE_ANSWER: &str = "3probe";

pub async fn run(shared: Arc<Shared>, connection: Arc<Connection>, upgraded: OnUpgrade) {
    let begun = connection.begin_upgrade();
    let Some((mut stream, received)) = raw(upgraded).await else {
        if begun {
            connection.upgrade_failed();
        }
        return;
    };
    if !begun {
        return turn_away(stream.writer());
    }
    let mut reader = Reader::new(&received);
    let probing = probe(&shared, &connection, &mut stream, &mut reader);
    let probed = tokio::time::timeout(shared.config.upgrade_timeout, probing).await;
    if !matches!(probed, Ok(true)) {
        connection.upgrade_failed();
        return turn_away(stream.writer());
    }
    let (read, write) = stream.into_split();
    match connection.complete_upgrade(&shared, write) {
        Ok(()) => {
            tokio::spawn(super::run(shared, connection, read, reader));
        }
        Err(write) => turn_away(write.writer()),
    }
}

/// Reads until the client says `5`. False if it says anything that does not belong here.
async fn probe(
    shared: &Shared,
    connection: &Connection,
    stream: &mut Stream,
    reader: &mut Reader,
) -> bool {
    // All that comes is counted. A client has no reason to send much before it is answered.
    let mut charge = connection.account().charge(Hold::Kept, 0);
    let mut buffer = vec![0; 1024];
    let mut candidate = Candidate {
        connection,
        stream,
        upgraded: false,
    };
    let mut step = reader.feed(&mut [], shared.config.max_payload, &mut candidate);
    let mut release = tokio::time::interval(RELEASE_EVERY);
    release.reset();
    while step == Step::Continue {
        let read = tokio::select! {
            read = candidate.stream.read(&mut buffer) => read,
            _ = release.tick() => {
                connection.release_poll();
                continue;
            }
        };
        let Ok(count @ 1..) = read else {
            return false;
        };
        charge.grow(count);
        step = reader.feed(
            &mut buffer[..count],
            shared.config.max_payload,
            &mut candidate,
        );
    }
    candidate.upgraded
}

struct Candidate<'a> {
    connection: &'a Connection,
    stream: &'a mut Stream,
    upgraded: bool,
}

impl Candidate<'_> {
    /// Answers at once or not at all: who does not read a few bytes is turned away.
    fn answer(&self, frame: impl FnOnce(&mut Vec<u8>)) -> Step {
        let mut outbox = Outbox::default();
        outbox.write(frame);
        match outbox.write_to(self.stream.writer()) {
            Ok(()) if outbox.is_empty() => Step::Continue,
            _ => Step::Stop,
        }
    }
}

impl Handler for Candidate<'_> {
    fn text(&mut self, text: &str) -> Step {
        match engine::decode(text) {
            Ok(Packet::Ping(PROBE)) => {
                self.connection.upgrade_probed();
                self.answer(|out| ws::write_text(out, &[PROBE_ANSWER]))
            }
            // What follows is for the session: it is kept.
            Ok(Packet::Upgrade) => {
                self.upgraded = true;
                Step::Pause
            }
            _ => Step::Stop,
        }
    }

    fn binary(&mut self, _: &[u8]) -> Step {
        Step::Stop
    }

    fn ping(&mut self, data: &[u8]) -> Step {
        self.answer(|out| ws::write_frame(out, ws::Opcode::Pong, data))
    }
}
