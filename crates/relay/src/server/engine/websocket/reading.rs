//! Reads a client's WebSocket until it ends. While a client is silent there is one small task and no buffer
//! for it.

use std::cell::RefCell;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use parlour_protocol::engine::{self, Packet};
use tokio::io::ReadBuf;

use crate::client;
use crate::connection::{Connection, How, Until};
use crate::core::config::SLOWED_FOR;
use crate::core::ledger::Hold;
use crate::core::reason;
use crate::server::engine::packet;
use crate::session::{close, close_over_limit};
use crate::shared::Shared;
use crate::wire::flow::Flow;
use crate::wire::stream::ReadHalf;
use crate::wire::ws::{End, Handler, Reader};

/// Bytes that one read takes. Every thread has one buffer of this size, for all its connections.
const READ_BYTES: usize = 64 * 1024;

thread_local! {
    static RECEIVED: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into());
}

/// Reads a WebSocket until its end.
pub async fn run(
    shared: Arc<Shared>,
    connection: Arc<Connection>,
    mut read: ReadHalf,
    mut reader: Reader,
) {
    // What the reader keeps, as it is counted in the client's account.
    let mut kept = 0;
    loop {
        let flow = poll_fn(|cx| poll_read(cx, &shared, &connection, &mut read, &mut reader)).await;
        if reader.kept() != kept {
            let before = std::mem::replace(&mut kept, reader.kept());
            connection.account().change(Hold::Kept, before, kept);
            if connection.account().is_over() {
                close_over_limit(&shared, &connection);
                break;
            }
        }
        let (reason, code) = match flow {
            Ok(Flow::Continue) => continue,
            Ok(Flow::Pause(until)) => {
                Box::pin(client::pause(&shared, &connection, until)).await;
                continue;
            }
            Ok(Flow::Stop) => break,
            Err(End::Violation(code)) => (reason::TRANSPORT_ERROR, code),
            Err(End::Closed(code)) => (reason::TRANSPORT_CLOSE, code),
        };
        close(&shared, &connection, reason, How::Code(code));
        break;
    }
    drop(reader);
    connection.account().sub(Hold::Kept, kept);
    // The client may still have to hear why: what it sends meanwhile is nobody's concern.
    let _ = poll_fn(|cx| poll_discard(cx, &mut read)).await;
    connection.abandon();
    shared.connections.forget(&connection);
}

/// Reads once and handles what came. What was kept is handled without reading.
fn poll_read(
    cx: &mut Context<'_>,
    shared: &Arc<Shared>,
    connection: &Arc<Connection>,
    read: &mut ReadHalf,
    reader: &mut Reader,
) -> Poll<Result<Flow<Until>, End>> {
    let max_payload = shared.config.max_payload;
    let mut session = Session { shared, connection };
    if reader.is_due() {
        return Poll::Ready(reader.feed(&mut [], max_payload, &mut session));
    }
    RECEIVED.with_borrow_mut(|buffer| {
        let mut received = ReadBuf::new(buffer);
        let outcome = ready!(read.poll_read(cx, &mut received));
        let received = received.filled_mut();
        if outcome.is_err() || received.is_empty() {
            close(shared, connection, reason::TRANSPORT_CLOSE, How::Gone);
            return Poll::Ready(Ok(Flow::Stop));
        }
        shared.metrics.received_bytes.add(received.len());
        connection.moved(received.len());
        Poll::Ready(reader.feed(received, max_payload, &mut session))
    })
}

/// Reads until the client has closed its side.
fn poll_discard(cx: &mut Context<'_>, read: &mut ReadHalf) -> Poll<()> {
    RECEIVED.with_borrow_mut(|buffer| {
        loop {
            let mut received = ReadBuf::new(buffer);
            if ready!(read.poll_read(cx, &mut received)).is_err() || received.filled().is_empty() {
                return Poll::Ready(());
            }
        }
    })
}

/// Handles the messages of one connection.
struct Session<'a> {
    shared: &'a Arc<Shared>,
    connection: &'a Arc<Connection>,
}

impl Handler for Session<'_> {
    type Until = Until;

    fn text(&mut self, text: &str) -> Flow<Until> {
        let (shared, connection) = (self.shared, self.connection);
        match engine::decode(text) {
            Ok(Packet::Close) => {
                close(shared, connection, reason::TRANSPORT_CLOSE, How::Abort);
                Flow::Stop
            }
            // Base64 is for polling; the reference takes it here as well.
            packet => packet::handle(shared, connection, packet),
        }
    }

    fn binary(&mut self, data: &[u8]) -> Flow<Until> {
        client::on_binary(self.shared, self.connection, data)
    }

    fn ping(&mut self, data: &[u8]) -> Flow<Until> {
        match self.connection.send_pong_frame(data) {
            true => Flow::Continue,
            false => Flow::Pause(Until::Later(SLOWED_FOR)),
        }
    }
}
