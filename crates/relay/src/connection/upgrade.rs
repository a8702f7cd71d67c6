//! From polling to WebSocket without losing a packet: what waits for a poll leaves first, as frames.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use parlour_protocol::engine::{self, Packet};

use super::polling::{CLOSE, NOOP};
use super::{Connection, Transport, Upgrade};
use crate::core::Core;
use crate::wire::message::Binary;
use crate::wire::outbox::Outbox;
use crate::wire::stream::WriteHalf;
use crate::wire::ws::{self, Opcode};

impl Connection {
    /// A WebSocket wants to take over. False: another one does, or did, or there is nothing to take over.
    pub fn begin_upgrade(&self) -> bool {
        let mut inner = self.lock();
        let possible = inner.open
            && inner.upgrade == Upgrade::No
            && matches!(inner.transport, Transport::Polling(_));
        if possible {
            inner.upgrade = Upgrade::Begun;
        }
        possible
    }

    /// The WebSocket's probe was answered: the client will stop polling once its poll has an answer.
    pub fn upgrade_probed(&self) {
        self.lock().upgrade = Upgrade::Probed;
    }

    /// Ends the poll that keeps the client from changing over, if there is one.
    pub fn release_poll(&self) {
        let mut inner = self.lock();
        if inner.upgrade == Upgrade::Probed
            && let Transport::Polling(polling) = &mut inner.transport
            && polling.is_polled()
        {
            polling.push_packet(NOOP);
            polling.release();
        }
    }

    /// The WebSocket did not take over.
    pub fn upgrade_failed(&self) {
        let mut inner = self.lock();
        if inner.upgrade != Upgrade::Done {
            inner.upgrade = Upgrade::No;
        }
    }

    /// The WebSocket is the transport now. Gives it back if the connection was closed meanwhile.
    pub fn complete_upgrade(
        self: &Arc<Self>,
        core: &Core,
        half: WriteHalf,
        base64: bool,
    ) -> Result<(), WriteHalf> {
        let inner = &mut *self.lock();
        let Transport::Polling(polling) = &mut inner.transport else {
            return Err(half);
        };
        if !inner.open {
            return Err(half);
        }
        let waiting = polling.take();
        // A client that polls still is told that polling has ended, as the reference does.
        polling.push_packet(CLOSE);
        polling.release();
        inner.transport = Transport::WebSocket(half);
        inner.upgrade = Upgrade::Done;
        self.base64.store(base64, Ordering::Release);
        self.websocket.store(true, Ordering::Release);
        let mut outbox = Outbox::default();
        outbox.write(|out| write_payload_as_frames(waiting.text(), self.binary(), out));
        self.transmit(inner, &mut outbox);
        self.expect_ping(core, inner);
        Ok(())
    }
}

fn write_payload_as_frames(payload: &str, binary: Binary, out: &mut Vec<u8>) {
    for packet in payload
        .split(engine::SEPARATOR)
        .filter(|packet| !packet.is_empty())
    {
        match engine::decode(packet) {
            Ok(Packet::Binary(bytes)) if binary == Binary::Frames => {
                ws::write_frame(out, Opcode::Binary, &bytes)
            }
            _ => ws::write_text(out, &[packet]),
        }
    }
}
