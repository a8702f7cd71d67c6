//! One client's TLS connection, for a reader and a writer at once. It encrypts only what it can hand to
//! the socket soon: a client that does not read costs one record here, and the rest stays where it is
//! counted.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::Shutdown;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use rustls::ServerConnection;
use socket2::SockRef;
use tokio::io::ReadBuf;
use tokio::net::TcpStream;

/// Bytes that are encrypted before they are sent: TLS's largest record.
const MAX_ENCRYPTED: usize = 16 * 1024;

pub struct TlsSession {
    socket: TcpStream,
    state: Mutex<State>,
}

struct State {
    tls: ServerConnection,
    /// Bytes of the writer that are encrypted and not all sent. It does not know that they were taken,
    /// and will come with them again.
    taken: usize,
}

impl TlsSession {
    pub fn new(socket: TcpStream, mut tls: ServerConnection) -> TlsSession {
        tls.set_buffer_limit(Some(MAX_ENCRYPTED));
        TlsSession {
            socket,
            state: Mutex::new(State { tls, taken: 0 }),
        }
    }

    pub fn socket(&self) -> &TcpStream {
        &self.socket
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what goes now. After `WouldBlock` the next call must bring the same bytes again.
    pub fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let state = &mut *self.lock();
        if state.taken == 0 {
            // What TLS itself has to say comes first: it would take from the room for the record.
            state.flush(&self.socket)?;
            state.taken = state.tls.writer().write_vectored(slices)?;
        }
        state.flush(&self.socket)?;
        Ok(std::mem::take(&mut state.taken))
    }

    pub fn poll_write(
        &self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        loop {
            match self.try_write(slices) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    ready!(self.socket.poll_write_ready(cx))?;
                }
                written => return Poll::Ready(written),
            }
        }
    }

    pub fn poll_read(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            match self.lock().tls.reader().read(buffer.initialize_unfilled()) {
                Ok(count) => {
                    buffer.advance(count);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
            ready!(self.socket.poll_read_ready(cx))?;
            match self.receive() {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                received => received?,
            }
        }
    }

    /// Decrypts what has come.
    fn receive(&self) -> io::Result<()> {
        let state = &mut *self.lock();
        state.tls.read_tls(&mut Wire(&self.socket))?;
        let outcome = state.tls.process_new_packets();
        // An alert, if this was nothing of TLS, or an answer to a new key. It waits for the writer if it
        // does not go now.
        match state.flush(&self.socket) {
            Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
            _ => {}
        }
        outcome
            .map(|_| ())
            .map_err(|error| io::Error::new(ErrorKind::InvalidData, error))
    }

    /// Ends the connection, or this side of it, with a word of TLS to say so if that goes now.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        let state = &mut *self.lock();
        state.tls.send_close_notify();
        let _ = state.flush(&self.socket);
        SockRef::from(&self.socket).shutdown(how)
    }
}

impl State {
    /// Sends what is encrypted.
    fn flush(&mut self, socket: &TcpStream) -> io::Result<()> {
        while self.tls.wants_write() {
            if self.tls.write_tls(&mut Wire(socket))? == 0 {
                return Err(ErrorKind::WriteZero.into());
            }
        }
        Ok(())
    }
}

/// The socket as rustls wants it: what does not go at once is `WouldBlock`.
struct Wire<'a>(&'a TcpStream);

impl Read for Wire<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
