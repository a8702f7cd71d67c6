//! Messages in rooms: each is broadcast to everyone in its room, the sender included, and acked. The loop
//! is closed on delivery: a sender's window has messages that are not yet acked and delivered to all.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::{Load, TEXT};
use crate::audit::{Faults, Stream};
use crate::fleet::{Fleet, Handler, Outbox};

const JOIN_TIMEOUT: Duration = Duration::from_secs(20);

/// Who is where, and how much is under way.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// The beginning of the rooms' names.
    pub name: &'static str,
    pub rooms: usize,
    pub members: usize,
    /// The first so many members of each room send.
    pub senders: usize,
    /// Messages that one sender has under way.
    pub window: usize,
}

pub const FAN_OUT: Plan = Plan {
    name: "hall",
    rooms: 1,
    members: 500,
    senders: 10,
    window: 4,
};
pub const ROOMS: Plan = Plan {
    name: "room",
    rooms: 100,
    members: 10,
    senders: 10,
    window: 2,
};
pub const AT_REST: Plan = Plan {
    name: "pair",
    rooms: 1,
    members: 2,
    senders: 1,
    window: 1,
};

/// A message that is not complete.
#[derive(Debug)]
struct Pending {
    sent: Instant,
    undelivered: usize,
    acked: bool,
}

#[derive(Debug, Default)]
struct Sender {
    next: u32,
    /// The first has the number `next - len`. Complete ones leave when they are the first.
    pending: VecDeque<Pending>,
}

impl Sender {
    fn pending(&mut self, number: u32) -> Option<&mut Pending> {
        let first = self.next - self.pending.len() as u32;
        self.pending.get_mut(number.checked_sub(first)? as usize)
    }
}

#[derive(Debug)]
pub struct Chat {
    plan: Plan,
    senders: Vec<Sender>,
    /// What each client has of each sender of its room.
    streams: Vec<Stream>,
    joined: usize,
    deliveries: u64,
    delays: Vec<f64>,
    stopped: bool,
    faults: Faults,
}

impl Chat {
    pub fn new(plan: Plan) -> Self {
        let clients = plan.rooms * plan.members;
        let mut senders = Vec::new();
        senders.resize_with(clients, Sender::default);
        Self {
            plan,
            senders,
            streams: vec![Stream::default(); clients * plan.senders],
            joined: 0,
            deliveries: 0,
            delays: Vec::new(),
            stopped: false,
            faults: Faults::default(),
        }
    }

    fn room_of(&self, client: usize) -> usize {
        client / self.plan.members
    }

    fn is_sender(&self, client: usize) -> bool {
        client % self.plan.members < self.plan.senders
    }

    pub fn send(&mut self, client: usize, outbox: &mut Outbox) {
        let (name, room, undelivered) = (self.plan.name, self.room_of(client), self.plan.members);
        let sender = &mut self.senders[client];
        let number = sender.next;
        let packet = format!(
            "42{number}[\"message\",{{\"room\":\"{name}{room}\",\"from\":{client},\"number\":{number},\"text\":\"{TEXT}\"}}]"
        );
        sender.next += 1;
        sender.pending.push_back(Pending {
            sent: Instant::now(),
            undelivered,
            acked: false,
        });
        outbox.send(client, packet.as_bytes());
    }

    fn delivery(&mut self, receiver: usize, message: &[u8], outbox: &mut Outbox) -> Result<()> {
        let (room, from, number) = parse(self.plan.name, message)
            .with_context(|| format!("changed: {}", String::from_utf8_lossy(message)))?;
        ensure!(
            room == self.room_of(receiver)
                && from < self.senders.len()
                && room == self.room_of(from),
            "went astray: {}",
            String::from_utf8_lossy(message),
        );
        let stream = receiver * self.plan.senders + from % self.plan.members;
        if self.streams[stream].receive(number, &mut self.faults) {
            self.deliveries += 1;
            let pending = self.senders[from]
                .pending(number)
                .context("it was complete")?;
            pending.undelivered -= 1;
            self.settle(from, outbox);
        }
        Ok(())
    }

    fn ack(&mut self, client: usize, number: u32, outbox: &mut Outbox) {
        match self.senders[client].pending(number) {
            Some(pending) if !pending.acked => {
                pending.acked = true;
                self.settle(client, outbox);
            }
            _ => self.faults.repeated += 1,
        }
    }

    /// Lets complete messages go and sends others in their stead.
    fn settle(&mut self, sender: usize, outbox: &mut Outbox) {
        while let Some(first) = self.senders[sender].pending.front() {
            if first.undelivered > 0 || !first.acked {
                return;
            }
            self.delays.push(first.sent.elapsed().as_secs_f64() * 1e6);
            self.senders[sender].pending.pop_front();
            if !self.stopped {
                self.send(sender, outbox);
            }
        }
    }
}

impl Handler for Chat {
    fn packet(&mut self, client: usize, packet: &[u8], outbox: &mut Outbox) -> Result<()> {
        if packet.starts_with(b"2[\"message\",") {
            return self.delivery(client, packet, outbox);
        }
        let Some(ack) = packet.strip_prefix(b"3") else {
            return Ok(());
        };
        let (number, answer) = digits(ack).context("an ack without a number")?;
        ensure!(
            !answer.starts_with(b"[{\"error\""),
            "refused: {}",
            String::from_utf8_lossy(answer)
        );
        if self.joined < self.senders.len() {
            self.joined += 1;
        } else {
            self.ack(client, number, outbox);
        }
        Ok(())
    }
}

impl Load for Chat {
    fn prepare(&mut self, fleet: &mut Fleet) -> Result<()> {
        let clients = self.senders.len();
        fleet.connect(clients)?;
        for client in 0..clients {
            let packet = format!(
                "420[\"join\",\"{}{}\"]",
                self.plan.name,
                self.room_of(client)
            );
            fleet.outbox.send(client, packet.as_bytes());
        }
        let begin = Instant::now();
        while self.joined < clients {
            fleet.turn(self, super::PATIENCE)?;
            if begin.elapsed() > JOIN_TIMEOUT {
                bail!(
                    "{} of {clients} clients could join in {JOIN_TIMEOUT:?}",
                    self.joined
                );
            }
        }
        Ok(())
    }

    fn begin(&mut self, fleet: &mut Fleet) {
        for _ in 0..self.plan.window {
            for client in 0..self.senders.len() {
                if self.is_sender(client) {
                    self.send(client, &mut fleet.outbox);
                }
            }
        }
    }

    fn stop(&mut self) {
        self.stopped = true;
    }

    fn count(&self) -> u64 {
        self.deliveries
    }

    fn is_complete(&self) -> bool {
        self.senders.iter().all(|sender| sender.pending.is_empty())
    }

    fn delays(&mut self) -> Vec<f64> {
        std::mem::take(&mut self.delays)
    }

    fn faults(&self) -> Faults {
        let mut faults = self.faults;
        for (index, stream) in self.streams.iter().enumerate() {
            let (receiver, slot) = (index / self.plan.senders, index % self.plan.senders);
            let sender = self.room_of(receiver) * self.plan.members + slot;
            stream.close(self.senders[sender].next, &mut faults);
        }
        faults
    }
}

/// Room, sender and number of a message that came back as it was sent. A server may add arguments, such
/// as the offset for connection state recovery.
fn parse(name: &str, packet: &[u8]) -> Option<(usize, usize, u32)> {
    let rest = packet.strip_prefix(b"2[\"message\",{\"room\":\"")?;
    let (room, rest) = digits(rest.strip_prefix(name.as_bytes())?)?;
    let (from, rest) = digits(rest.strip_prefix(b"\",\"from\":")?)?;
    let (number, rest) = digits(rest.strip_prefix(b",\"number\":")?)?;
    let rest = rest
        .strip_prefix(b",\"text\":\"")?
        .strip_prefix(TEXT.as_bytes())?;
    let end = rest.strip_prefix(b"\"}")?;
    let whole = end == b"]" || end.starts_with(b",") && end.ends_with(b"]");
    whole.then_some((room as usize, from as usize, number))
}

fn digits(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let length = bytes
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let number = std::str::from_utf8(&bytes[..length]).ok()?.parse().ok()?;
    Some((number, &bytes[length..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_unchanged_message_is_accepted() {
        let message = |text: &str, end: &str| {
            format!(
                "2[\"message\",{{\"room\":\"hall0\",\"from\":7,\"number\":41,\"text\":\"{text}\"{end}"
            )
        };
        let parsed = |packet: String| parse("hall", packet.as_bytes());
        assert_eq!(parsed(message(TEXT, "}]")), Some((0, 7, 41)));
        assert_eq!(parsed(message(TEXT, "},\"offset\"]")), Some((0, 7, 41)));
        assert_eq!(parsed(message(TEXT, "}")), None);
        assert_eq!(parsed(message(&TEXT[1..], "}]")), None);
    }
}
