//! Clients that speak HTTP and WebSocket byte by byte, so that they can also be wrong.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// No test waits longer than this for anything.
const PATIENCE: Duration = Duration::from_secs(10);

pub async fn patiently<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(done) => done,
        Err(_) => panic!("waited {PATIENCE:?} for {what}"),
    }
}

pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines
            .into_iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }
}

/// One request on a connection of its own.
pub async fn request(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &str,
    body: &str,
) -> Answer {
    let mut stream = send_request(address, method, path, headers, body).await;
    read_answer(&mut stream).await
}

pub async fn send_request(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &str,
    body: &str,
) -> TcpStream {
    let mut stream = send_head(address, method, path, headers, body.len()).await;
    stream.write_all(body.as_bytes()).await.unwrap();
    stream
}

/// A request whose body, of this many bytes, is still to be sent.
pub async fn send_head(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &str,
    length: usize,
) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: relay.test\r\ncontent-length: {length}\r\n{headers}\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

pub async fn read_answer(stream: &mut TcpStream) -> Answer {
    let read = async {
        let mut bytes = Vec::new();
        loop {
            if let Some(answer) = parse_answer(&bytes) {
                return answer;
            }
            if stream.read_buf(&mut bytes).await.unwrap() == 0 {
                panic!(
                    "the answer broke off: {:?}",
                    String::from_utf8_lossy(&bytes)
                );
            }
        }
    };
    patiently("an answer", read).await
}

fn parse_answer(bytes: &[u8]) -> Option<Answer> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().unwrap();
    let answer = Answer {
        status,
        head: head.into(),
        body: body.into(),
    };
    let length = answer
        .header("content-length")
        .map_or(0, |length| length.parse().unwrap());
    (body.len() >= length).then_some(answer)
}

/// A polling session that is open.
pub struct Polling {
    pub address: SocketAddr,
    pub path: String,
}

impl Polling {
    pub async fn open(address: SocketAddr) -> Polling {
        let path = "/socket.io/?EIO=4&transport=polling";
        let answer = request(address, "GET", path, "", "").await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let open: Value = serde_json::from_str(answer.body.strip_prefix('0').unwrap()).unwrap();
        Polling {
            address,
            path: format!("{path}&sid={}", open["sid"].as_str().unwrap()),
        }
    }

    pub fn sid(&self) -> &str {
        self.path.split_once("&sid=").unwrap().1
    }

    pub async fn poll(&self) -> Answer {
        request(self.address, "GET", &self.path, "", "").await
    }

    pub async fn post(&self, payload: &str) -> Answer {
        request(self.address, "POST", &self.path, "", payload).await
    }

    /// A poll that is not answered yet when this returns. `marker` is a packet that is answered.
    pub async fn begin_poll(&self) -> TcpStream {
        send_request(self.address, "GET", &self.path, "", "").await
    }
}

#[derive(Debug, PartialEq, Eq)]
pub enum Frame {
    Text(String),
    Binary(Vec<u8>),
    Close(Option<u16>),
    Pong(Vec<u8>),
    /// The TCP connection has ended.
    End,
}

pub struct WebSocket {
    stream: TcpStream,
    received: Vec<u8>,
    /// Answer pings of the heartbeat without telling.
    pub answers_pings: bool,
}

impl WebSocket {
    /// The bare WebSocket, before any packet.
    pub async fn bare(address: SocketAddr, path: &str) -> WebSocket {
        let headers = "connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                       sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nuser-agent: test\r\n";
        let mut stream = send_request(address, "GET", path, headers, "").await;
        let mut received = Vec::new();
        let head = async {
            loop {
                if let Some(end) = received.windows(4).position(|it| it == b"\r\n\r\n") {
                    return end + 4;
                }
                assert_ne!(
                    stream.read_buf(&mut received).await.unwrap(),
                    0,
                    "no handshake"
                );
            }
        };
        let end = patiently("a WebSocket handshake", head).await;
        let head: Vec<u8> = received.drain(..end).collect();
        assert!(
            head.starts_with(b"HTTP/1.1 101"),
            "{}",
            String::from_utf8_lossy(&head)
        );
        WebSocket {
            stream,
            received,
            answers_pings: true,
        }
    }

    /// An open Engine.IO session. Gives its handshake.
    pub async fn open(address: SocketAddr) -> (WebSocket, Value) {
        let mut socket = WebSocket::bare(address, "/socket.io/?EIO=4&transport=websocket").await;
        let open = socket.text().await;
        let open = serde_json::from_str(open.strip_prefix('0').unwrap()).unwrap();
        (socket, open)
    }

    /// A client in the main namespace. Gives the socket's id.
    pub async fn connect(address: SocketAddr) -> (WebSocket, String) {
        let (mut socket, _) = WebSocket::open(address).await;
        let id = socket.enter("").await;
        (socket, id)
    }

    /// Enters a namespace (`/custom,` or nothing). Gives the socket's id.
    pub async fn enter(&mut self, namespace: &str) -> String {
        self.send(&format!("40{namespace}")).await;
        let answer = self.text().await;
        let json = answer
            .strip_prefix(&format!("40{namespace}"))
            .unwrap_or_else(|| panic!("{answer}"));
        let json: Value = serde_json::from_str(json).unwrap();
        json["sid"].as_str().unwrap().into()
    }

    /// Enters the main namespace with this payload. Gives what CONNECT says, and the events before it.
    pub async fn enter_with(&mut self, auth: Value) -> (Value, Vec<String>) {
        self.send(&format!("40{auth}")).await;
        let mut before = Vec::new();
        loop {
            let text = self.text().await;
            match text.strip_prefix("40") {
                Some(connect) => return (serde_json::from_str(connect).unwrap(), before),
                None => before.push(text),
            }
        }
    }

    /// Ends the connection, as the relay knows when this returns.
    pub async fn leave(&mut self) {
        self.send_frame(0x88, &1000u16.to_be_bytes()).await;
        assert_eq!(self.closed().await, Some(1000));
    }

    /// Whether nothing has come that was not read. What was sent to a client comes before the answer to
    /// its ping.
    pub async fn has_nothing(&mut self) -> bool {
        self.send_frame(0x89, b"?").await;
        self.next().await == Frame::Pong(b"?".into())
    }

    /// Asks to enter a namespace, without waiting.
    pub async fn enter_later(&mut self, namespace: &str) {
        self.send(&format!("40{namespace}")).await;
    }

    pub async fn send(&mut self, text: &str) {
        self.send_frame(0x81, text.as_bytes()).await;
    }

    pub async fn send_binary(&mut self, data: &[u8]) {
        self.send_frame(0x82, data).await;
    }

    pub async fn send_frame(&mut self, first: u8, payload: &[u8]) {
        let frame = frame(first, payload);
        patiently("a frame to be taken", self.stream.write_all(&frame))
            .await
            .unwrap();
    }

    /// Sends without the patience that a test has otherwise: the other side may not read for long.
    pub async fn send_frame_slowly(&mut self, text: &str) {
        self.stream
            .write_all(&frame(0x81, text.as_bytes()))
            .await
            .unwrap();
    }

    /// Waits for a ping and answers it.
    pub async fn next_ping(&mut self) -> String {
        self.answers_pings = false;
        let ping = self.text().await;
        self.send("3").await;
        ping
    }

    /// Waits until the relay has read all that was sent.
    pub async fn is_read(&mut self) {
        self.send_frame(0x89, b"read?").await;
        assert_eq!(self.next().await, Frame::Pong(b"read?".into()));
    }

    /// Reads once, without looking at what it is.
    pub async fn read_at_most(&mut self, bytes: usize) {
        let mut buffer = vec![0; bytes];
        let read = self.stream.read(&mut buffer);
        let count = patiently("bytes", read).await.unwrap();
        self.received.extend_from_slice(&buffer[..count]);
    }

    pub async fn send_raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// The next text message.
    pub async fn text(&mut self) -> String {
        match self.next().await {
            Frame::Text(text) => text,
            other => panic!("text was due, not {other:?}"),
        }
    }

    /// Sends an event with an id and gives the JSON of its acknowledgement.
    pub async fn call(&mut self, id: u64, data: &str) -> Value {
        self.send(&format!("42{id}{data}")).await;
        let answer = self.text().await;
        let json = answer
            .strip_prefix(&format!("43{id}"))
            .unwrap_or_else(|| panic!("{answer}"));
        serde_json::from_str(json).unwrap()
    }

    /// Everything until the connection ends: the close code, if there was a close frame.
    pub async fn closed(&mut self) -> Option<u16> {
        loop {
            match self.next().await {
                Frame::Close(code) => return code,
                Frame::End => return None,
                _ => {}
            }
        }
    }

    /// The next frame. A client that answers pings does so here.
    pub async fn next(&mut self) -> Frame {
        loop {
            let frame = patiently("a frame", self.read_frame()).await;
            if self.answers_pings && frame == Frame::Text("2".into()) {
                self.send("3").await;
                continue;
            }
            return frame;
        }
    }

    async fn read_frame(&mut self) -> Frame {
        loop {
            if let Some(frame) = self.parse_frame() {
                return frame;
            }
            match self.stream.read_buf(&mut self.received).await {
                Ok(0) | Err(_) => return Frame::End,
                Ok(_) => {}
            }
        }
    }

    fn parse_frame(&mut self) -> Option<Frame> {
        let bytes = &self.received;
        let (&first, &short) = (bytes.first()?, bytes.get(1)?);
        assert_eq!(short & 0x80, 0, "a server does not mask");
        let (length, at) = match short {
            126 => (
                usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().unwrap())),
                4,
            ),
            127 => (
                u64::from_be_bytes(bytes.get(2..10)?.try_into().unwrap()) as usize,
                10,
            ),
            short => (usize::from(short), 2),
        };
        let payload = bytes.get(at..at + length)?.to_vec();
        self.received.drain(..at + length);
        Some(match first {
            0x81 => Frame::Text(String::from_utf8(payload).unwrap()),
            0x82 => Frame::Binary(payload),
            0x88 => Frame::Close(payload.first_chunk().map(|code| u16::from_be_bytes(*code))),
            0x8a => Frame::Pong(payload),
            other => panic!("a frame that begins with {other:#x}"),
        })
    }
}

pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        short @ 0..=125 => frame.push(0x80 | short as u8),
        middle @ 126..=0xffff => {
            frame.push(0x80 | 126);
            frame.extend((middle as u16).to_be_bytes());
        }
        long => {
            frame.push(0x80 | 127);
            frame.extend((long as u64).to_be_bytes());
        }
    }
    let mask = [1, 2, 3, 4];
    frame.extend(mask);
    frame.extend(
        payload
            .iter()
            .zip(mask.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    frame
}
