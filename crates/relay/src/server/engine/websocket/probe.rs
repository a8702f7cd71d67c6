//! A WebSocket that wants to take over from polling: it is probed, then it says so, in time, or it is
//! turned away and polling goes on.

use std::sync::Arc;

use parlour_protocol::engine::{self, Packet};
use tokio::io::AsyncReadExt;
use tokio::sync::oneshot;

use super::reading;
use crate::connection::Connection;
use crate::core::config::RELEASE_EVERY;
use crate::core::ledger::Hold;
use crate::server::takeover::Raw;
use crate::shared::Shared;
use crate::wire::flow::Flow;
use crate::wire::outbox::Outbox;
use crate::wire::stream::{Stream, Writer};
use crate::wire::ws::{self, Handler, Reader, code};

const PROBE: &str = "probe";
const PROBE_ANSWER: &str = "3probe";

pub async fn run(
    shared: Arc<Shared>,
    connection: Arc<Connection>,
    raw: oneshot::Receiver<Raw>,
    base64: bool,
) {
    let begun = connection.begin_upgrade();
    let Ok((mut stream, received)) = raw.await else {
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
    match connection.complete_upgrade(&shared, write, base64) {
        Ok(()) => {
            tokio::spawn(reading::run(shared, connection, read, reader));
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
    let mut flow = reader.feed(&mut [], shared.config.max_payload, &mut candidate);
    let mut release = tokio::time::interval(RELEASE_EVERY);
    release.reset();
    while flow == Ok(Flow::Continue) {
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
        flow = reader.feed(
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
    fn answer(&self, frame: impl FnOnce(&mut Vec<u8>)) -> Flow<()> {
        let mut outbox = Outbox::default();
        outbox.write(frame);
        match outbox.write_to(self.stream.writer()) {
            Ok(()) if outbox.is_empty() => Flow::Continue,
            _ => Flow::Stop,
        }
    }
}

impl Handler for Candidate<'_> {
    type Until = ();

    fn text(&mut self, text: &str) -> Flow<()> {
        match engine::decode(text) {
            Ok(Packet::Ping(PROBE)) => {
                self.connection.upgrade_probed();
                self.answer(|out| ws::write_text(out, &[PROBE_ANSWER]))
            }
            // What follows is for the session: it is kept.
            Ok(Packet::Upgrade) => {
                self.upgraded = true;
                Flow::Pause(())
            }
            _ => Flow::Stop,
        }
    }

    fn binary(&mut self, _: &[u8]) -> Flow<()> {
        Flow::Stop
    }

    fn ping(&mut self, data: &[u8]) -> Flow<()> {
        self.answer(|out| ws::write_frame(out, ws::Opcode::Pong, data))
    }
}

/// A WebSocket that does not become a session's transport.
fn turn_away(stream: Writer<'_>) {
    let mut outbox = Outbox::default();
    outbox.write(|out| ws::write_close(out, code::NO_STATUS));
    let _ = outbox.write_to(stream);
}
