//! A client's TCP connection, plain or under TLS, in the two ways that the relay uses it: as an
//! asynchronous stream while it is HTTP's, and split into halves that read and write at once what goes
//! at once, when it is a WebSocket. The plain way is the socket itself, with nothing in between.

use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use crate::wire::tls::TlsSession;

pub enum Stream {
    Plain(TcpStream),
    Tls(Arc<TlsSession>),
}

pub enum ReadHalf {
    Plain(OwnedReadHalf),
    Tls(Arc<TlsSession>),
}

pub enum WriteHalf {
    Plain(OwnedWriteHalf),
    Tls(Arc<TlsSession>),
}

/// What frames are written to, however it is held.
#[derive(Clone, Copy)]
pub enum Writer<'a> {
    Plain(&'a TcpStream),
    Tls(&'a TlsSession),
}

impl Stream {
    pub fn into_split(self) -> (ReadHalf, WriteHalf) {
        match self {
            Stream::Plain(socket) => {
                let (read, write) = socket.into_split();
                (ReadHalf::Plain(read), WriteHalf::Plain(write))
            }
            Stream::Tls(session) => (ReadHalf::Tls(session.clone()), WriteHalf::Tls(session)),
        }
    }

    pub fn writer(&self) -> Writer<'_> {
        match self {
            Stream::Plain(socket) => Writer::Plain(socket),
            Stream::Tls(session) => Writer::Tls(session),
        }
    }
}

impl ReadHalf {
    pub fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self {
            ReadHalf::Plain(half) => Pin::new(half).poll_read(cx, buffer),
            ReadHalf::Tls(session) => session.poll_read(cx, buffer),
        }
    }
}

impl WriteHalf {
    pub fn writer(&self) -> Writer<'_> {
        match self {
            WriteHalf::Plain(half) => Writer::Plain(half.as_ref()),
            WriteHalf::Tls(session) => Writer::Tls(session),
        }
    }

    /// As [`TcpStream::poll_write_ready`].
    pub fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            WriteHalf::Plain(half) => half.as_ref().poll_write_ready(cx),
            WriteHalf::Tls(session) => session.socket().poll_write_ready(cx),
        }
    }

    /// Ends the connection, or this side of it. Errors mean that it has ended.
    pub fn shutdown(&self, how: Shutdown) {
        let _ = match self {
            WriteHalf::Plain(half) => SockRef::from(half.as_ref()).shutdown(how),
            WriteHalf::Tls(session) => session.shutdown(how),
        };
    }
}

impl Writer<'_> {
    /// Writes what goes now. After `WouldBlock` the next call must bring the same bytes again, perhaps
    /// with more behind them: under TLS they are encrypted already.
    pub fn try_write(self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Writer::Plain(socket) => socket.try_write(bytes),
            Writer::Tls(session) => session.try_write(&[IoSlice::new(bytes)]),
        }
    }

    /// As [`Writer::try_write`], from several pieces.
    pub fn try_write_vectored(self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Writer::Plain(socket) => socket.try_write_vectored(slices),
            Writer::Tls(session) => session.try_write(slices),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(socket) => Pin::new(socket).poll_read(cx, buffer),
            Stream::Tls(session) => session.poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(socket) => Pin::new(socket).poll_write(cx, bytes),
            Stream::Tls(session) => session.poll_write(cx, &[IoSlice::new(bytes)]),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(socket) => Pin::new(socket).poll_write_vectored(cx, slices),
            Stream::Tls(session) => session.poll_write(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(socket) => Pin::new(socket).poll_flush(cx),
            // What was taken has been sent.
            Stream::Tls(_) => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(socket) => Pin::new(socket).poll_shutdown(cx),
            Stream::Tls(session) => Poll::Ready(session.shutdown(Shutdown::Write)),
        }
    }
}
