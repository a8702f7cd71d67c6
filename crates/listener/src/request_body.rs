//! The body of a request, from a client that may stall in the middle of it.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Instant;

use crate::Patience;

/// What a client did wrong with its request's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is not HTTP, or broke off.
    Broken,
    /// It took too long.
    Late,
}

/// How far a client's request has come.
#[derive(Debug)]
pub struct Transfer(Mutex<State>);

#[derive(Debug)]
struct State {
    /// When something last moved.
    last: Instant,
    /// Who reads the body waits for the client.
    is_awaited: bool,
    fault: Option<Fault>,
}

impl Fault {
    /// What the client is answered, whatever else was made of half a request.
    pub fn status(self) -> StatusCode {
        match self {
            Fault::Broken => StatusCode::BAD_REQUEST,
            Fault::Late => StatusCode::REQUEST_TIMEOUT,
        }
    }

    /// That, in words.
    pub fn text(self) -> &'static str {
        match self {
            Fault::Broken => "The request is malformed.\n",
            Fault::Late => "The request took too long to come.\n",
        }
    }
}

impl Transfer {
    pub fn begin() -> Transfer {
        Transfer(Mutex::new(State {
            last: Instant::now(),
            is_awaited: false,
            fault: None,
        }))
    }

    pub fn last(&self) -> Instant {
        self.lock().last
    }

    pub fn is_awaited(&self) -> bool {
        self.lock().is_awaited
    }

    pub fn fault(&self) -> Option<Fault> {
        self.lock().fault
    }

    fn moved(&self) {
        let mut state = self.lock();
        state.last = Instant::now();
        state.is_awaited = false;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A client's body, which ends with an error when the client stalls. What was the client's fault is remembered.
#[derive(Debug)]
pub struct RequestBody {
    body: Incoming,
    patience: Patience,
    transfer: Arc<Transfer>,
}

impl RequestBody {
    pub fn new(body: Incoming, patience: Duration, transfer: Arc<Transfer>) -> RequestBody {
        RequestBody {
            body,
            patience: Patience::new(patience),
            transfer,
        }
    }

    fn fail(&self, fault: Fault, error: io::Error) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.transfer.lock().fault = Some(fault);
        Poll::Ready(Some(Err(error)))
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                self.patience.moved(frame.data_ref().map_or(0, Bytes::len));
                self.transfer.moved();
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => self.fail(Fault::Broken, io::Error::other(error)),
            Poll::Ready(None) => {
                self.transfer.moved();
                Poll::Ready(None)
            }
            Poll::Pending if self.patience.poll_over(cx).is_ready() => {
                self.fail(Fault::Late, ErrorKind::TimedOut.into())
            }
            Poll::Pending => {
                self.transfer.lock().is_awaited = true;
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
