//! The bodies of a proxied exchange. What has come of one and was not handed on yet is counted. The app's ends
//! with an error when the app stalls, and keeps the exchange's place until it is sent.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use parlour_listener::Patience;
use tokio::sync::OwnedSemaphorePermit;

use crate::core::ledger::{Account, Charge, Hold};
use crate::core::origin::Body;

/// A body, of which the frame that was received last counts until the next one is asked for.
pub struct Counted<B> {
    body: B,
    account: Arc<Account>,
    frame: Option<Charge>,
}

impl<B> Counted<B> {
    pub fn new(body: B, account: Arc<Account>) -> Counted<B> {
        Counted {
            body,
            account,
            frame: None,
        }
    }
}

impl<B: HttpBody<Data = Bytes> + Unpin> HttpBody for Counted<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        self.frame = None;
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(Ok(frame)) = &frame {
            let bytes = frame.data_ref().map_or(0, Bytes::len);
            self.frame = Some(self.account.charge(Hold::Passing, bytes));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Bytes of an answer that are handed on at once: what is handed on waits for the client outside of all
/// bounds but those of its connection.
const MAX_PIECE: usize = 16 * 1024;

/// The app's body on its way to a client.
pub struct AnswerBody {
    body: Counted<Body>,
    /// Received, and to be handed on next.
    rest: Bytes,
    patience: Patience,
    _place: OwnedSemaphorePermit,
}

impl AnswerBody {
    pub fn new(body: Counted<Body>, patience: Duration, place: OwnedSemaphorePermit) -> AnswerBody {
        AnswerBody {
            body,
            rest: Bytes::new(),
            patience: Patience::new(patience),
            _place: place,
        }
    }
}

impl AnswerBody {
    fn piece(&mut self) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let size = self.rest.len().min(MAX_PIECE);
        // A copy: a slice would keep all of it for as long as the client takes to read this.
        let piece = Bytes::copy_from_slice(&self.rest.split_to(size));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if !self.rest.is_empty() {
            return self.piece();
        }
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(frame) => {
                // Each may take its time: an app may send events as they come.
                self.patience.reset();
                match frame {
                    Some(Ok(frame)) => match frame.into_data() {
                        Ok(data) => {
                            self.rest = data;
                            self.piece()
                        }
                        Err(trailers) => Poll::Ready(Some(Ok(trailers))),
                    },
                    end => Poll::Ready(end),
                }
            }
            Poll::Pending if self.patience.poll_over(cx).is_ready() => {
                let error = io::Error::new(ErrorKind::TimedOut, "the app's answer stalled");
                Poll::Ready(Some(Err(error)))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.body.size_hint();
        let rest = self.rest.len() as u64;
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + rest);
        }
        hint.set_lower(hint.lower() + rest);
        hint
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, Full};
    use tokio::sync::Semaphore;

    use super::*;
    use crate::core::ledger::Ledger;

    fn counted(ledger: &Arc<Ledger>, body: Body) -> Counted<Body> {
        Counted::new(body, ledger.account())
    }

    #[tokio::test]
    async fn an_answer_is_handed_on_in_pieces_and_keeps_its_place_until_the_last() {
        let places = Arc::new(Semaphore::new(1));
        let place = places.clone().acquire_owned().await.unwrap();
        let whole: Vec<u8> = (0..100_000_u32).map(|n| n as u8).collect();
        let body = Full::new(Bytes::from(whole.clone())).map_err(|never| match never {});
        let ledger = Ledger::new(1 << 20, 1 << 20);
        let body = counted(&ledger, body.boxed_unsync());
        let mut body = AnswerBody::new(body, Duration::from_secs(60), place);
        assert_eq!(body.size_hint().exact(), Some(100_000));
        let mut received = Vec::new();
        while !body.is_end_stream() {
            let piece = body.frame().await.unwrap().unwrap().into_data().unwrap();
            assert!(piece.len() <= MAX_PIECE);
            assert!(ledger.total() >= 100_000, "what is left is not counted");
            received.extend_from_slice(&piece);
            assert_eq!(
                body.size_hint().exact(),
                Some(100_000 - received.len() as u64)
            );
        }
        assert_eq!(received, whole);
        assert_eq!(places.available_permits(), 0);
        drop(body);
        assert_eq!((places.available_permits(), ledger.total()), (1, 0));
    }

    /// An app that has begun to answer and says no more.
    struct Silent;

    impl HttpBody for Silent {
        type Data = Bytes;
        type Error = io::Error;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
            Poll::Pending
        }
    }

    #[tokio::test]
    async fn an_app_that_stops_in_the_middle_ends_the_answer() {
        let place = Arc::new(Semaphore::new(1)).acquire_owned().await.unwrap();
        let body = counted(&Ledger::new(1 << 20, 1 << 20), Silent.boxed_unsync());
        let mut body = AnswerBody::new(body, Duration::from_millis(50), place);
        let error = body.frame().await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    }
}
