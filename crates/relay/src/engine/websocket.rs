//! WebSocket: opens a session or takes one over from polling, then reads until the end. While a client
//! is silent there is one small task and no buffer for it.

use std::cell::RefCell;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use parlour_protocol::engine::{self, Packet};
use tokio::io::ReadBuf;

use super::polling::other;
use super::{Refusal, admit, open_packet, respond};
use crate::client::{self, Next, Until};
use crate::config::SLOWED_FOR;
use crate::connection::{Connection, How, Opening, Sent, close, close_over_limit};
use crate::ledger::Hold;
use crate::origin::Body;
use crate::outbox::Outbox;
use crate::reason;
use crate::server::Peer;
use crate::shared::Shared;
use crate::stream::{HttpIo, ReadHalf, Stream, Writer};
use crate::ws::{self, Handler, Reader, Step, code};

mod probe;

/// Bytes that one read takes. Every thread has one buffer of this size, for all its connections.
const READ_BYTES: usize = 64 * 1024;

thread_local! {
    static RECEIVED: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into());
}

/// Whether a request wants to become a WebSocket.
pub fn is_upgrade(request: &Request<Incoming>) -> bool {
    let upgrade = request.headers().get(header::UPGRADE);
    upgrade.is_some_and(|it| it.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Answers a verified upgrade request. What follows happens in a task of its own.
pub async fn handle(
    shared: Arc<Shared>,
    peer: Peer,
    mut request: Request<Incoming>,
    sid: &str,
) -> Response<Body> {
    let Some(response) = switching_protocols(&request) else {
        return Refusal::bad_request().upgrade_response();
    };
    if sid.is_empty() {
        let opening = match admit(&shared, peer, &request).await {
            Ok(opening) => opening,
            Err(refusal) => return refusal.upgrade_response(),
        };
        let upgraded = hyper::upgrade::on(&mut request);
        tokio::spawn(Box::pin(open(shared, opening, upgraded)));
    } else {
        let connection = shared.connections.find(sid);
        let Some(connection) = connection else {
            return Refusal::unknown_session().upgrade_response();
        };
        let upgraded = hyper::upgrade::on(&mut request);
        tokio::spawn(Box::pin(probe::run(shared, connection, upgraded)));
    }
    response
}

/// The answer to a legal WebSocket handshake.
fn switching_protocols(request: &Request<Incoming>) -> Option<Response<Body>> {
    let headers = request.headers();
    let key = headers.get(header::SEC_WEBSOCKET_KEY)?.as_bytes();
    let legal = key.len() == 24 && headers.get(header::SEC_WEBSOCKET_VERSION)? == "13";
    let accept = HeaderValue::from_str(&ws::accept_key(key))
        .ok()
        .filter(|_| legal)?;
    let mut response = respond(StatusCode::SWITCHING_PROTOCOLS, "", Bytes::new());
    let headers = response.headers_mut();
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    Some(response)
}

/// The raw socket, and what the client sent already.
async fn raw(upgraded: OnUpgrade) -> Option<(Stream, Bytes)> {
    let upgraded = upgraded.await.ok()?;
    let parts = upgraded.downcast::<HttpIo>().ok()?;
    Some((parts.io.into_inner().into_inner(), parts.read_buf))
}

/// Opens a session on a new WebSocket.
async fn open(shared: Arc<Shared>, opening: Opening, upgraded: OnUpgrade) {
    let Some((stream, received)) = raw(upgraded).await else {
        return;
    };
    let (read, write) = stream.into_split();
    let connection = shared
        .connections
        .open(|key, stamp| Connection::websocket(opening, key, stamp, write));
    shared.metrics.connections.up();
    let mut outbox = Outbox::default();
    let packet = open_packet(&shared, &connection.id, &[]);
    outbox.write(|out| ws::write_text(out, &[&packet]));
    if connection.send(&mut outbox) == Sent::Overflow {
        close_over_limit(&shared, &connection);
    }
    connection.start_timers(&shared);
    tokio::spawn(run(shared, connection, read, Reader::new(&received)));
}

/// Reads a WebSocket until its end.
async fn run(
    shared: Arc<Shared>,
    connection: Arc<Connection>,
    mut read: ReadHalf,
    mut reader: Reader,
) {
    let mut waits = None;
    // What the reader keeps, as it is counted in the client's account.
    let mut kept = 0;
    loop {
        let step =
            poll_fn(|cx| poll_read(cx, &shared, &connection, &mut read, &mut reader, &mut waits))
                .await;
        if reader.kept() != kept {
            let before = std::mem::replace(&mut kept, reader.kept());
            connection.account().change(Hold::Kept, before, kept);
            if connection.account().is_over() {
                close_over_limit(&shared, &connection);
                break;
            }
        }
        match step {
            Step::Continue => {}
            Step::Pause => {
                if let Some(until) = waits.take() {
                    Box::pin(client::pause(&shared, &connection, until)).await;
                }
            }
            Step::Stop => break,
            Step::Violation(code) => {
                close(
                    &shared,
                    &connection,
                    reason::TRANSPORT_ERROR,
                    How::Code(code),
                );
                break;
            }
            Step::Closed(code) => {
                close(
                    &shared,
                    &connection,
                    reason::TRANSPORT_CLOSE,
                    How::Code(code),
                );
                break;
            }
        }
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
    waits: &mut Option<Until>,
) -> Poll<Step> {
    let max_payload = shared.config.max_payload;
    let mut session = Session {
        shared,
        connection,
        waits,
    };
    if reader.is_due() {
        return Poll::Ready(reader.feed(&mut [], max_payload, &mut session));
    }
    RECEIVED.with_borrow_mut(|buffer| {
        let mut received = ReadBuf::new(buffer);
        let outcome = ready!(read.poll_read(cx, &mut received));
        let received = received.filled_mut();
        if outcome.is_err() || received.is_empty() {
            close(shared, connection, reason::TRANSPORT_CLOSE, How::Gone);
            return Poll::Ready(Step::Stop);
        }
        shared.metrics.received_bytes.add(received.len());
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
    /// Until when it is not read.
    waits: &'a mut Option<Until>,
}

impl Session<'_> {
    fn step(&mut self, next: Next) -> Step {
        match next {
            Next::Continue => Step::Continue,
            Next::Stop => Step::Stop,
            Next::Wait(until) => {
                *self.waits = Some(until);
                Step::Pause
            }
        }
    }
}

impl Handler for Session<'_> {
    fn text(&mut self, text: &str) -> Step {
        let (shared, connection) = (self.shared, self.connection);
        let next = match engine::decode(text) {
            Ok(Packet::Message(text)) => client::on_text(shared, connection, text),
            // Base64 is for polling; the reference takes it here as well.
            Ok(Packet::Binary(data)) => client::on_binary(shared, connection, &data),
            Ok(Packet::Close) => {
                close(shared, connection, reason::TRANSPORT_CLOSE, How::Abort);
                Next::Stop
            }
            Ok(packet) => other(shared, connection, &packet),
            Err(_) => {
                close(shared, connection, reason::PARSE_ERROR, How::Abort);
                Next::Stop
            }
        };
        self.step(next)
    }

    fn binary(&mut self, data: &[u8]) -> Step {
        let next = client::on_binary(self.shared, self.connection, data);
        self.step(next)
    }

    fn ping(&mut self, data: &[u8]) -> Step {
        match self.connection.send_pong_frame(data) {
            true => Step::Continue,
            false => self.step(Next::Wait(Until::Later(SLOWED_FOR))),
        }
    }
}

/// A WebSocket that does not become a session's transport.
fn turn_away(stream: Writer<'_>) {
    let mut outbox = Outbox::default();
    outbox.write(|out| ws::write_close(out, code::NO_STATUS));
    let _ = outbox.write_to(stream);
}
