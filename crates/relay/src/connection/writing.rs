//! How bytes leave by a WebSocket: what it takes goes at once, and a task of its own writes the rest as the client
//! reads.

use std::future::poll_fn;
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;

use super::{Connection, Inner, Transport};
use crate::core::ledger::Hold;
use crate::wire::outbox::{Outbox, Weight};
use crate::wire::ws;

impl Connection {
    fn append(&self, inner: &mut Inner, outbox: &mut Outbox) {
        let backlog = &mut inner.backlog.get_or_insert_default().outbox;
        let before = backlog.weight();
        backlog.append(outbox);
        self.recount(before, backlog.weight());
    }

    /// The backlog had one weight and has another.
    fn recount(&self, before: Weight, after: Weight) {
        self.account().change(Hold::Passing, before.own, after.own);
        self.account()
            .change(Hold::Shared, before.shared, after.shared);
    }

    /// Writes to the WebSocket what it takes now; a task of its own writes the rest. Who has told the client
    /// something asks [`Connection::sent`] afterwards.
    pub(super) fn transmit(self: &Arc<Self>, inner: &mut Inner, outbox: &mut Outbox) {
        let Transport::WebSocket(half) = &inner.transport else {
            return outbox.clear();
        };
        if inner.backlog.is_some() {
            return self.append(inner, outbox);
        }
        if let Err(error) = outbox.write_to(half.writer()) {
            // Whoever reads from it will find out and close the connection.
            tracing::debug!(connection = self.id.shown(), %error, "cannot write to a WebSocket");
            outbox.clear();
        }
        if outbox.is_empty() {
            return;
        }
        self.blocked.store(true, Ordering::Relaxed);
        self.append(inner, outbox);
        tokio::spawn(drain(self.clone()));
    }

    /// Nothing more will be sent: the WebSocket ends after its backlog.
    pub(super) fn finish(&self, inner: &mut Inner) {
        inner.finishing = true;
        if let (None, Transport::WebSocket(half)) = (&inner.backlog, &inner.transport) {
            half.shutdown(Shutdown::Write);
        }
    }

    /// Ends the transport without a word. Its reader notices.
    pub fn abandon(&self) {
        let mut inner = self.lock();
        if let Transport::WebSocket(half) = &inner.transport {
            half.shutdown(Shutdown::Both);
        }
        // The task that waits to write is woken by the shutdown, and only if the socket is still there.
        inner.transport = match std::mem::replace(&mut inner.transport, Transport::Gone) {
            Transport::WebSocket(half) if inner.backlog.is_some() => {
                Transport::Abandoned { _half: half }
            }
            _ => Transport::Gone,
        };
    }
}

/// Writes a client's backlog as it becomes able to take it.
async fn drain(connection: Arc<Connection>) {
    poll_fn(|cx| {
        let mut inner = connection.lock();
        loop {
            let Inner {
                transport,
                backlog,
                finishing,
                ..
            } = &mut *inner;
            let (Transport::WebSocket(half), Some(waiting)) = (&*transport, backlog.as_mut())
            else {
                break;
            };
            if half.poll_write_ready(cx).is_pending() {
                return Poll::Pending;
            }
            let before = (waiting.outbox.weight(), waiting.outbox.len());
            let written = waiting.outbox.write_to(half.writer());
            connection.recount(before.0, waiting.outbox.weight());
            // It was full: so much was read at the other end.
            connection.moved(before.1 - waiting.outbox.len());
            if written.is_err() {
                break;
            }
            if !waiting.outbox.is_empty() {
                continue;
            }
            if *finishing {
                half.shutdown(Shutdown::Write);
                break;
            }
            let Some(ping) = waiting.ping.take() else {
                break;
            };
            waiting
                .outbox
                .write(|out| ws::write_frame(out, ws::Opcode::Pong, &ping));
            connection.recount(Weight::default(), waiting.outbox.weight());
        }
        if let Some(backlog) = inner.backlog.take() {
            connection.recount(backlog.outbox.weight(), Weight::default());
        }
        connection.blocked.store(false, Ordering::Relaxed);
        if matches!(inner.transport, Transport::Abandoned { .. }) {
            inner.transport = Transport::Gone;
        }
        Poll::Ready(())
    })
    .await;
}
