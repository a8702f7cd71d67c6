//! The requests of one batch: each attempt, what the app says to it, and the waiting in between. It knows
//! statuses, and neither events nor commands.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use parlour_protocol::relay;

use super::journey::Journey;
use crate::core::config::{MAX_ANSWER_BYTES, MAX_BACKOFF, MIN_BACKOFF, NAME_ASKED};
use crate::core::origin::Body;
use crate::namespace::{Batch, INTERNAL, Namespace};
use crate::shared::Shared;

/// Bytes of an error's body that are logged.
const SHOWN: usize = 500;

/// What the app says to one attempt.
pub enum Reply {
    Answer(Bytes),
    /// It has committed the batch, and its answer is too large.
    Unreadable(Failure),
    /// It fails at this batch.
    Failed(Failure),
    /// It is not there, or what it needs is not: it will take the batch some day.
    Away(String),
    /// This life of the relay is over.
    Superseded,
}

/// Why the app does not take a batch.
pub struct Failure {
    /// What clients are told.
    pub code: &'static str,
    pub message: &'static str,
    /// What the log is told.
    pub detail: String,
    /// The next attempt at the same batch may succeed.
    pub may_pass: bool,
    /// The app has not answered in time.
    pub is_silence: bool,
}

impl Failure {
    fn internal(detail: String) -> Failure {
        Failure {
            code: INTERNAL,
            message: "the app failed at this event",
            detail,
            may_pass: true,
            is_silence: false,
        }
    }

    pub fn unreadable(error: &str) -> Failure {
        Failure::internal(format!("its answer cannot be read: {error}"))
    }

    fn too_large() -> Failure {
        Failure {
            code: "too_large",
            message: "the event, or what it asks for, is too large for the app",
            may_pass: false,
            ..Failure::internal("it says that the batch is too large".into())
        }
    }

    fn not_understood(body: &str) -> Failure {
        Failure {
            message: "the app did not understand the event",
            may_pass: false,
            ..Failure::internal(format!(
                "it says that this relay breaks the protocol: {body}"
            ))
        }
    }

    fn silence(detail: String) -> Failure {
        Failure {
            message: "the app did not answer in time",
            // Under the same number a late first attempt could still be at work.
            may_pass: false,
            is_silence: true,
            ..Failure::internal(detail)
        }
    }
}

/// One batch on its way to the app.
pub struct Exchange<'a> {
    pub shared: &'a Arc<Shared>,
    pub namespace: &'a Namespace,
    sequence: u64,
    attempt: u32,
    /// How many events it has, and how many of its `connect` and `renew` events nobody has judged.
    events: usize,
    connects: usize,
    backoff: Duration,
    /// An attempt had no answer: the app can still be at it.
    pub may_be_late: bool,
    pub journey: Journey<'a>,
}

impl<'a> Exchange<'a> {
    pub fn new(shared: &'a Arc<Shared>, namespace: &'a Namespace, batch: &Batch) -> Exchange<'a> {
        Exchange {
            shared,
            namespace,
            sequence: shared.next_sequence(),
            attempt: 0,
            events: batch.count(),
            connects: batch.unjudged(),
            backoff: MIN_BACKOFF,
            may_be_late: false,
            journey: Journey::new(shared, namespace, batch),
        }
    }

    /// Asks whether the batch was committed, and that it never will be if it was not.
    pub async fn send_empty(&mut self) -> Reply {
        let connects = std::mem::take(&mut self.connects);
        let reply = self.send(Batch::empty_body()).await;
        self.connects = connects;
        reply
    }

    /// Sends it once more: at once, or when it is its turn among those of namespaces in which nobody is.
    pub async fn send(&mut self, body: Bytes) -> Reply {
        if self.namespace.is_handshakes() || !self.namespace.is_only_a_name() {
            return self.send_now(body).await;
        }
        let names_asked = &self.shared.clone().names_asked;
        let mut permit = names_asked.acquire().await.ok();
        let reply = self.send_now(body);
        tokio::pin!(reply);
        tokio::select! {
            reply = &mut reply => return reply,
            () = tokio::time::sleep(NAME_ASKED) => permit.take(),
        };
        reply.await
    }

    async fn send_now(&mut self, body: Bytes) -> Reply {
        self.attempt += 1;
        let time = self.shared.config.answer_timeout;
        let Exchange {
            shared,
            namespace,
            sequence,
            attempt,
            connects,
            ..
        } = *self;
        self.journey.sent(body.len());
        let (path, name) = address(namespace);
        let mut request = request(shared, path, name, sequence, attempt, connects, body);
        if let Some(traceparent) = self.journey.traceparent() {
            let headers = request.headers_mut();
            headers.insert(relay::header::TRACEPARENT, traceparent);
        }
        let exchange = async {
            let response = self.shared.origin.call(request).await;
            let (head, body) = response.map_err(|error| error.to_string())?.into_parts();
            match Limited::new(body, MAX_ANSWER_BYTES).collect().await {
                Ok(body) => Ok((head, Some(body.to_bytes()))),
                Err(error) if error.is::<LengthLimitError>() => Ok((head, None)),
                Err(error) => Err(format!("the answer broke off: {error}")),
            }
        };
        let exchange = tokio::time::timeout(time, exchange);
        let outcome = if namespace.is_handshakes() {
            exchange.await
        } else {
            let (outcome, courtesy) = shared.turns.take(self.events, exchange).await;
            namespace.owe(courtesy);
            outcome
        };
        let (head, body) = match outcome {
            Ok(Ok(answer)) => answer,
            Ok(Err(problem)) => {
                self.may_be_late = true;
                return Reply::Away(problem);
            }
            Err(_) => {
                self.may_be_late = true;
                return Reply::Failed(Failure::silence(format!("no answer within {time:?}")));
            }
        };
        self.journey.answered(&head);
        match (head.status, body) {
            (StatusCode::OK, Some(body)) => Reply::Answer(body),
            (StatusCode::OK, None) => Reply::Unreadable(Failure::unreadable(&format!(
                "it is larger than {MAX_ANSWER_BYTES} bytes"
            ))),
            (status, body) => self.refused(status, &body.unwrap_or_default()),
        }
    }

    fn refused(&mut self, status: StatusCode, body: &[u8]) -> Reply {
        let body = String::from_utf8_lossy(&body[..body.len().min(SHOWN)]);
        match status {
            StatusCode::CONFLICT => {
                tracing::error!(
                    relay = self.shared.config.relay,
                    epoch = self.shared.epoch,
                    %body,
                    "the app has ended this life of the relay"
                );
                Reply::Superseded
            }
            StatusCode::BAD_REQUEST => Reply::Failed(Failure::not_understood(&body)),
            StatusCode::PAYLOAD_TOO_LARGE => Reply::Failed(Failure::too_large()),
            StatusCode::INTERNAL_SERVER_ERROR => {
                Reply::Failed(Failure::internal(format!("it failed: {body}")))
            }
            // Spin's `--request-timeout`, or that of a proxy.
            StatusCode::GATEWAY_TIMEOUT => {
                self.may_be_late = true;
                Reply::Failed(Failure::silence(format!("status {status}: {body}")))
            }
            StatusCode::UNAUTHORIZED => {
                tracing::error!(
                    "the app does not accept the relay's secret: give both the same relay_secret"
                );
                Reply::Away(status.to_string())
            }
            status => {
                // 503 is the app's own word that nothing has happened.
                self.may_be_late |= status != StatusCode::SERVICE_UNAVAILABLE;
                Reply::Away(format!("status {status}: {body}"))
            }
        }
    }

    /// Waits before the next attempt, each time longer.
    pub async fn wait(&mut self, problem: &str) {
        tracing::warn!(
            namespace = self.namespace.name(),
            sequence = self.sequence,
            attempt = self.attempt,
            problem,
            "no answer from the app, trying again"
        );
        self.shared.metrics.retries.add(1);
        tokio::time::sleep(jittered(self.backoff)).await;
        self.backoff = (self.backoff * 2).min(MAX_BACKOFF);
    }
}

/// Asks each of the app's components that batches are sent to whether it can do its work (docs/relay-protocol.md,
/// "Probes").
pub fn probes(shared: &Shared) -> [Request<Body>; 2] {
    [relay::HANDSHAKE_PATH, relay::PATH].map(|path| {
        let lane = HeaderValue::from_static(relay::PROBE_LANE);
        let body = Bytes::from_static(br#"{"events":[{"tick":{}}]}"#);
        request(shared, path, lane, shared.next_sequence(), 1, 0, body)
    })
}

/// Where the batches of a namespace are sent, and by which name.
fn address(namespace: &Namespace) -> (&'static str, HeaderValue) {
    let path = match namespace.is_handshakes() {
        true => relay::HANDSHAKE_PATH,
        false => relay::PATH,
    };
    (path, namespace.header.clone())
}

fn request(
    shared: &Shared,
    path: &'static str,
    lane: HeaderValue,
    sequence: u64,
    attempt: u32,
    connects: usize,
    body: Bytes,
) -> Request<Body> {
    let config = &shared.config;
    let text =
        |text: &str| HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""));
    let mut authorization = text(&format!("Bearer {}", config.secret));
    authorization.set_sensitive(true);
    let length = body.len();
    let body = Full::new(body)
        .map_err(|never| match never {})
        .boxed_unsync();
    let mut request = Request::new(body);
    *request.method_mut() = Method::POST;
    *request.uri_mut() = http::Uri::from_static(path);
    let headers = request.headers_mut();
    headers.reserve(12);
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers.insert(header::CONTENT_LENGTH, length.into());
    headers.insert(header::AUTHORIZATION, authorization);
    headers.insert(
        relay::header::PROTOCOL,
        HeaderValue::from_static(relay::VERSION),
    );
    headers.insert(relay::header::RELAY, text(&config.relay));
    headers.insert(relay::header::EPOCH, shared.epoch.into());
    headers.insert(relay::header::LANE, lane);
    headers.insert(relay::header::SEQUENCE, sequence.into());
    headers.insert(relay::header::ATTEMPT, attempt.into());
    headers.insert(relay::header::CONNECTS, connects.into());
    let max_rooms = config.limits.rooms_per_socket;
    headers.insert(relay::header::MAX_ROOMS, max_rooms.into());
    request
}

/// Between half and all of it, so that namespaces do not knock all at once.
fn jittered(backoff: Duration) -> Duration {
    backoff.mul_f64(rand::random_range(0.5..1.0))
}
