//! The clients: many Socket.IO connections over WebSocket, one thread, one epoll loop. Owns the sockets
//! and the handshakes; never knows what is measured: a [`Handler`] gets each Socket.IO packet.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::frame::{self, Opcode};

/// Bytes read from one socket at once.
const READ_BUFFER: usize = 256 * 1024;
/// How many connections are being made at the same time.
pub const CONNECTING_AT_ONCE: usize = 64;
/// How long the server may take to let a client in.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

/// Gets every Socket.IO packet, without Engine.IO's `4`: `2["message",…]`, `37[…]`.
pub trait Handler {
    fn packet(&mut self, client: usize, packet: &[u8], outbox: &mut Outbox) -> Result<()>;
}

/// For handshakes and pauses: what comes is not looked at.
#[derive(Debug)]
pub struct Ignore;

impl Handler for Ignore {
    fn packet(&mut self, _: usize, _: &[u8], _: &mut Outbox) -> Result<()> {
        Ok(())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Waits for TCP to be connected.
    Connecting,
    /// Waits for `101 Switching Protocols`.
    Upgrading,
    /// Waits for Engine.IO's `0{…}`.
    Opening,
    /// Waits for Socket.IO's `40{…}`.
    Entering,
    Ready,
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    stage: Stage,
    /// The beginning of a frame whose end has not come yet.
    rest: Vec<u8>,
}

/// What the clients have to send. Everything for one client leaves in one write.
#[derive(Debug, Default)]
pub struct Outbox {
    buffers: Vec<Vec<u8>>,
    waiting: Vec<usize>,
}

impl Outbox {
    /// Queues an Engine.IO packet, such as `42["message",…]`.
    pub fn send(&mut self, client: usize, packet: &[u8]) {
        let buffer = self.buffer(client);
        frame::write(buffer, Opcode::Text, packet);
    }

    fn buffer(&mut self, client: usize) -> &mut Vec<u8> {
        let buffer = &mut self.buffers[client];
        if buffer.is_empty() {
            self.waiting.push(client);
        }
        buffer
    }
}

#[derive(Debug)]
pub struct Fleet {
    /// Clients connect to them in turn.
    addresses: Vec<SocketAddr>,
    poll: Poll,
    events: Events,
    connections: Vec<Connection>,
    pub outbox: Outbox,
    buffer: Vec<u8>,
    ready: usize,
    /// How long a client sleeps before each wait for more; zero reads at once.
    think: Duration,
}

impl Fleet {
    pub fn new(addresses: &[SocketAddr], think: Duration) -> Result<Self> {
        Ok(Self {
            addresses: addresses.to_vec(),
            poll: Poll::new().context("cannot make an epoll instance")?,
            events: Events::with_capacity(4096),
            connections: Vec::new(),
            outbox: Outbox::default(),
            buffer: vec![0; READ_BUFFER],
            ready: 0,
            think,
        })
    }

    pub fn len(&self) -> usize {
        self.connections.len()
    }

    /// Clients that are in the namespace `/`.
    pub fn ready(&self) -> usize {
        self.ready
    }

    /// Opens `count` more connections and waits until all of them are in the namespace `/`.
    pub fn connect(&mut self, count: usize) -> Result<()> {
        let wanted = self.len() + count;
        let mut progress = (self.ready, Instant::now());
        while self.ready < wanted {
            while self.len() < wanted && self.len() - self.ready < CONNECTING_AT_ONCE {
                self.open()?;
            }
            self.turn(&mut Ignore, Duration::from_millis(100))?;
            if self.ready > progress.0 {
                progress = (self.ready, Instant::now());
            }
            ensure!(
                progress.1.elapsed() < CONNECT_TIMEOUT,
                "{} of {wanted} clients got in, then none for {CONNECT_TIMEOUT:?}",
                self.ready,
            );
        }
        Ok(())
    }

    /// Begins one more connection.
    pub fn open(&mut self) -> Result<()> {
        let index = self.len();
        let address = self.addresses[index % self.addresses.len()];
        let mut stream =
            TcpStream::connect(address).with_context(|| format!("cannot connect to {address}"))?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll
            .registry()
            .register(&mut stream, Token(index), interest)?;
        self.connections.push(Connection {
            stream,
            stage: Stage::Connecting,
            rest: Vec::new(),
        });
        self.outbox.buffers.push(Vec::new());
        Ok(())
    }

    /// Sends what waits, sleeps for the clients' thinking time, waits at most `patience` for something
    /// to come and hands it to the handler.
    pub fn turn(&mut self, handler: &mut impl Handler, patience: Duration) -> Result<()> {
        self.flush()?;
        if !self.think.is_zero() {
            std::thread::sleep(self.think);
        }
        match self.poll.poll(&mut self.events, Some(patience)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            other => other.context("cannot wait for the sockets")?,
        }
        let events: Vec<_> = self
            .events
            .iter()
            .map(|event| (event.token().0, event.is_readable(), event.is_writable()))
            .collect();
        for (client, readable, writable) in events {
            self.event(client, readable, writable, handler)
                .with_context(|| format!("client {client}"))?;
        }
        self.flush()
    }

    fn event(
        &mut self,
        client: usize,
        readable: bool,
        writable: bool,
        handler: &mut impl Handler,
    ) -> Result<()> {
        if writable {
            let connection = &mut self.connections[client];
            if connection.stage == Stage::Connecting {
                if let Some(error) = connection.stream.take_error()? {
                    bail!("cannot connect: {error}");
                }
                connection.stream.set_nodelay(true)?;
                connection.stage = Stage::Upgrading;
                let request = upgrade_request(connection.stream.peer_addr()?);
                self.outbox
                    .buffer(client)
                    .extend_from_slice(request.as_bytes());
            } else if !self.outbox.buffers[client].is_empty() {
                self.outbox.waiting.push(client);
            }
        }
        if readable {
            self.read(client, handler)
        } else {
            Ok(())
        }
    }

    fn read(&mut self, client: usize, handler: &mut impl Handler) -> Result<()> {
        loop {
            let connection = &mut self.connections[client];
            let kept = connection.rest.len();
            if self.buffer.len() < kept + READ_BUFFER {
                self.buffer.resize(kept + READ_BUFFER, 0);
            }
            self.buffer[..kept].copy_from_slice(&connection.rest);
            connection.rest.clear();
            let room = self.buffer.len() - kept;
            let got = match connection.stream.read(&mut self.buffer[kept..]) {
                Ok(0) => bail!("the server closed the connection"),
                Ok(got) => got,
                Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
                Err(error) => return Err(error).context("cannot read"),
            };
            let bytes = std::mem::take(&mut self.buffer);
            let taken = self.consume(client, &bytes[..kept + got], handler);
            self.buffer = bytes;
            self.connections[client]
                .rest
                .extend_from_slice(&self.buffer[taken?..kept + got]);
            // A short read emptied the socket: epoll will tell when there is more.
            if got < room {
                return Ok(());
            }
        }
    }

    /// Works off the complete frames in `bytes` and says how many bytes they were.
    fn consume(
        &mut self,
        client: usize,
        bytes: &[u8],
        handler: &mut impl Handler,
    ) -> Result<usize> {
        let mut taken = 0;
        if self.connections[client].stage == Stage::Upgrading {
            let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
                return Ok(0);
            };
            ensure!(
                bytes.starts_with(b"HTTP/1.1 101 "),
                "no WebSocket: {}",
                String::from_utf8_lossy(&bytes[..end]),
            );
            self.connections[client].stage = Stage::Opening;
            taken = end + 4;
        }
        while let Some(frame) = frame::read(&bytes[taken..])? {
            match frame.opcode {
                Opcode::Text => self.packet(client, frame.payload, handler)?,
                Opcode::Ping => {
                    frame::write(self.outbox.buffer(client), Opcode::Pong, frame.payload);
                }
                Opcode::Close => bail!("the server closed the WebSocket"),
                Opcode::Binary | Opcode::Pong => {}
            }
            taken += frame.taken;
        }
        Ok(taken)
    }

    /// One Engine.IO packet.
    fn packet(&mut self, client: usize, packet: &[u8], handler: &mut impl Handler) -> Result<()> {
        match (packet, self.connections[client].stage) {
            ([b'4', rest @ ..], Stage::Ready) => handler.packet(client, rest, &mut self.outbox),
            ([b'2', ..], _) => {
                self.outbox.send(client, b"3");
                Ok(())
            }
            ([b'0', ..], Stage::Opening) => {
                self.connections[client].stage = Stage::Entering;
                self.outbox.send(client, b"40");
                Ok(())
            }
            ([b'4', b'0', ..], Stage::Entering) => {
                self.connections[client].stage = Stage::Ready;
                self.ready += 1;
                Ok(())
            }
            (other, stage) => bail!("{stage:?}, got {}", String::from_utf8_lossy(other)),
        }
    }

    fn flush(&mut self) -> Result<()> {
        while let Some(client) = self.outbox.waiting.pop() {
            let buffer = &mut self.outbox.buffers[client];
            let mut written = 0;
            while written < buffer.len() {
                match self.connections[client].stream.write(&buffer[written..]) {
                    Ok(count) => written += count,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => {
                        return Err(error).with_context(|| format!("client {client} cannot write"));
                    }
                }
            }
            buffer.drain(..written);
        }
        Ok(())
    }
}

fn upgrade_request(address: SocketAddr) -> String {
    format!(
        "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n\
         host: {address}\r\n\
         upgrade: websocket\r\n\
         connection: Upgrade\r\n\
         sec-websocket-version: 13\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}
