//! `echo`, acked with its own argument: the shortest way through a server. An ack must come once, in the
//! order of the events, and bring back what was sent.

use std::collections::VecDeque;
use std::io::Write;
use std::time::Instant;

use anyhow::{Result, ensure};

use super::{Load, TEXT};
use crate::audit::Faults;
use crate::fleet::{Fleet, Handler, Outbox};

const CLIENTS: usize = 100;
/// Echoes that one client has under way.
const WINDOW: usize = 20;

#[derive(Debug, Default)]
struct Client {
    next: u64,
    /// When those under way were sent; the first of them has the number `next - len`.
    sent: VecDeque<Instant>,
}

#[derive(Debug, Default)]
pub struct Echo {
    clients: Vec<Client>,
    answer: Vec<u8>,
    delays: Vec<f64>,
    acked: u64,
    stopped: bool,
    faults: Faults,
}

impl Echo {
    fn send(&mut self, client: usize, outbox: &mut Outbox) {
        let state = &mut self.clients[client];
        let packet = format!("42{}[\"echo\",\"{TEXT}\"]", state.next);
        state.next += 1;
        state.sent.push_back(Instant::now());
        outbox.send(client, packet.as_bytes());
    }
}

impl Handler for Echo {
    fn packet(&mut self, client: usize, packet: &[u8], outbox: &mut Outbox) -> Result<()> {
        if packet.first() != Some(&b'3') {
            return Ok(());
        }
        let state = &mut self.clients[client];
        let expected = state.next - state.sent.len() as u64;
        self.answer.clear();
        write!(self.answer, "3{expected}[\"{TEXT}\"]")?;
        if packet != self.answer {
            let digits = packet[1..]
                .iter()
                .take_while(|byte| byte.is_ascii_digit())
                .count();
            let number: u64 = std::str::from_utf8(&packet[1..=digits])?.parse()?;
            ensure!(
                number != expected,
                "wrong echo: {}",
                String::from_utf8_lossy(packet)
            );
            match number < expected {
                true => self.faults.repeated += 1,
                false => self.faults.disordered += 1,
            }
            return Ok(());
        }
        if let Some(sent) = state.sent.pop_front() {
            self.delays.push(sent.elapsed().as_secs_f64() * 1e6);
        }
        self.acked += 1;
        if !self.stopped {
            self.send(client, outbox);
        }
        Ok(())
    }
}

impl Load for Echo {
    fn prepare(&mut self, fleet: &mut Fleet) -> Result<()> {
        self.clients.resize_with(CLIENTS, Client::default);
        fleet.connect(CLIENTS)
    }

    fn begin(&mut self, fleet: &mut Fleet) {
        for client in (0..CLIENTS).flat_map(|client| [client; WINDOW]) {
            self.send(client, &mut fleet.outbox);
        }
    }

    fn stop(&mut self) {
        self.stopped = true;
    }

    fn count(&self) -> u64 {
        self.acked
    }

    fn is_complete(&self) -> bool {
        self.clients.iter().all(|client| client.sent.is_empty())
    }

    fn delays(&mut self) -> Vec<f64> {
        std::mem::take(&mut self.delays)
    }

    fn faults(&self) -> Faults {
        let lost: usize = self.clients.iter().map(|client| client.sent.len()).sum();
        Faults {
            lost: lost as u64,
            ..self.faults
        }
    }
}
