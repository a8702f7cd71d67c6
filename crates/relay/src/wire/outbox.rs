//! Bytes on their way to one client: small frames one after the other in one buffer, large ones
//! shared with other clients. It leaves in as few system calls as possible.

use std::collections::VecDeque;
use std::io::{self, IoSlice};

use bytes::Bytes;

use crate::wire::stream::Writer;

/// A frame of this many bytes or more is shared by its receivers; a smaller one is copied, which
/// costs less than to count references and to gather.
pub const SHARE_FROM: usize = 4096;

/// Pieces that one system call takes.
const MAX_SLICES: usize = 64;

#[derive(Default)]
pub struct Outbox {
    /// Leaves first.
    pieces: VecDeque<Piece>,
    /// Leaves after the pieces.
    tail: Vec<u8>,
    /// How much of the first piece (or of the tail, if there are no pieces) has left.
    sent: usize,
    /// What has not left.
    len: usize,
    weight: Weight,
}

struct Piece {
    bytes: Bytes,
    shared: bool,
}

/// The memory that an outbox takes: its own, and that of frames which it shares.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Weight {
    pub own: usize,
    pub shared: usize,
}

impl Weight {
    fn of(&mut self, shared: bool) -> &mut usize {
        match shared {
            true => &mut self.shared,
            false => &mut self.own,
        }
    }
}

impl Outbox {
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn weight(&self) -> Weight {
        self.weight
    }

    /// What this outbox keeps allocated.
    pub fn capacity(&self) -> usize {
        self.tail.capacity()
    }

    pub fn push(&mut self, frame: &[u8]) {
        self.tail.extend_from_slice(frame);
        self.len += frame.len();
        self.weight.own += frame.len();
    }

    /// Appends by writing to the buffer itself.
    pub fn write(&mut self, frame: impl FnOnce(&mut Vec<u8>)) {
        let before = self.tail.len();
        frame(&mut self.tail);
        self.len += self.tail.len() - before;
        self.weight.own += self.tail.len() - before;
    }

    pub fn push_shared(&mut self, frame: Bytes) {
        self.len += frame.len();
        self.close_tail();
        self.weight.shared += frame.len();
        self.pieces.push_back(Piece {
            bytes: frame,
            shared: true,
        });
    }

    /// Moves everything from `other` to the end, and leaves it empty.
    pub fn append(&mut self, other: &mut Outbox) {
        other.drop_sent();
        if other.pieces.is_empty() {
            self.push(&other.tail);
            other.clear();
            return;
        }
        self.close_tail();
        self.len += other.len;
        self.weight.own += other.weight.own;
        self.weight.shared += other.weight.shared;
        self.pieces.append(&mut other.pieces);
        self.tail = std::mem::take(&mut other.tail);
        other.clear();
    }

    pub fn clear(&mut self) {
        self.pieces.clear();
        self.tail.clear();
        (self.sent, self.len) = (0, 0);
        self.weight = Weight::default();
    }

    /// Writes what the socket takes now. `WouldBlock` is no error: then something remains.
    pub fn write_to(&mut self, stream: Writer<'_>) -> io::Result<()> {
        while self.len > 0 {
            let written = if self.pieces.is_empty() {
                stream.try_write(&self.tail[self.sent..])
            } else {
                stream.try_write_vectored(&self.slices())
            };
            match written {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => self.advance(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn slices(&self) -> Vec<IoSlice<'_>> {
        let mut slices = Vec::with_capacity((self.pieces.len() + 1).min(MAX_SLICES));
        let mut skip = self.sent;
        for piece in self
            .pieces
            .iter()
            .map(|piece| piece.bytes.as_ref())
            .chain([self.tail.as_slice()])
        {
            if slices.len() == MAX_SLICES {
                break;
            }
            slices.push(IoSlice::new(&piece[skip..]));
            skip = 0;
        }
        slices
    }

    fn advance(&mut self, mut count: usize) {
        self.len -= count;
        while let Some(first) = self.pieces.front() {
            let rest = first.bytes.len() - self.sent;
            if count < rest {
                self.sent += count;
                return;
            }
            count -= rest;
            self.sent = 0;
            *self.weight.of(first.shared) -= first.bytes.len();
            self.pieces.pop_front();
        }
        self.sent += count;
        if self.len == 0 {
            self.clear();
        }
    }

    /// Makes a piece of the tail, so that a piece can follow it.
    fn close_tail(&mut self) {
        if self.pieces.is_empty() {
            self.drop_sent();
        }
        if !self.tail.is_empty() {
            self.pieces.push_back(Piece {
                bytes: std::mem::take(&mut self.tail).into(),
                shared: false,
            });
        }
    }

    fn drop_sent(&mut self) {
        match self.pieces.front_mut() {
            Some(first) => {
                drop(first.bytes.split_to(self.sent));
                *self.weight.of(first.shared) -= self.sent;
            }
            None => {
                self.tail.drain(..self.sent);
                self.weight.own -= self.sent;
            }
        }
        self.sent = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;
    use tokio::net::{TcpListener, TcpStream};

    #[tokio::test]
    async fn bytes_arrive_in_order_through_a_socket_that_blocks() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut reader = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (writer, _) = listener.accept().await.unwrap();
        let mut expected = Vec::new();
        let mut outbox = Outbox::default();
        let mut blocked = false;
        for round in 0..200u32 {
            let small = round.to_le_bytes();
            outbox.push(&small);
            expected.extend_from_slice(&small);
            if round % 3 == 0 {
                let large = Bytes::from(vec![round as u8; 500_000]);
                expected.extend_from_slice(&large);
                let mut other = Outbox::default();
                other.push(b"before");
                other.push_shared(large);
                other.push(b"after");
                let at = expected.len() - 500_000;
                expected.splice(at..at, *b"before");
                expected.extend_from_slice(b"after");
                outbox.append(&mut other);
                assert!(other.is_empty());
                assert_eq!(other.weight(), Weight::default());
            }
            outbox.write_to(Writer::Plain(&writer)).unwrap();
            let Weight { own, shared } = outbox.weight();
            assert!(own + shared >= outbox.len() && own <= 200 * 15);
            blocked |= !outbox.is_empty();
        }
        assert!(
            blocked,
            "the socket took everything: the test shows nothing"
        );
        let mut received = vec![0; expected.len()];
        let write = async {
            while !outbox.is_empty() {
                writer.writable().await.unwrap();
                outbox.write_to(Writer::Plain(&writer)).unwrap();
            }
        };
        let (_, read) = tokio::join!(write, reader.read_exact(&mut received));
        read.unwrap();
        assert_eq!(outbox.weight(), Weight::default());
        assert!(received == expected);
    }
}
