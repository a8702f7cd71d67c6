//! Takes a lane's batches to the app, one at a time, until each is answered: again while there is no
//! answer, one by one where the app fails at the whole. It knows what an answer means, not what it does.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use parlour_protocol::relay::{self, Ack, Command, Event, Packet, Refuse, Reject, Renew, Response};
use serde_json::value::RawValue;

use super::apply::INTERNAL;
use super::batch::Batch;
use super::outgoing::Outgoing;
use super::{Lane, Verdict};
use crate::config::{
    ANSWER_TIMEOUT, MAX_ANSWER_BYTES, MAX_BACKOFF, MAX_FAILURES, MAX_PENDING_BYTES, MIN_BACKOFF,
    TICK_AFTER, TICK_EVERY, TRIM_AFTER,
};
use crate::ledger::Hold;
use crate::origin::Body;
use crate::shared::Shared;

/// How a batch ended.
enum Outcome {
    Done,
    /// The app will not take it, for this reason: a code and a message.
    GivenUp(&'static str, String),
    /// This life of the relay is over for the app.
    Superseded,
}

/// What the app said to one attempt.
enum Reply {
    Answer(Bytes),
    Refused(StatusCode, String),
    None(String),
}

/// Delivers until the lane ends.
pub async fn run(shared: Arc<Shared>, lane: Arc<Lane>) {
    let mut outgoing = Outgoing::default();
    let is_handshakes = lane.is_handshakes();
    let mut ticked = true;
    loop {
        // Those who are ready to add events do so first: the batch is larger and not later.
        tokio::task::yield_now().await;
        lane.let_others_go(&shared).await;
        let Some((batch, body)) = lane.take(&shared) else {
            shared.idle.notify_waiters();
            if !is_handshakes && shared.end_lane(&lane) {
                return;
            }
            if lane.rest(&mut outgoing, ticked).await {
                ticked = true;
            }
            continue;
        };
        ticked = is_handshakes || batch.is_tick();
        match deliver(&shared, &lane, &batch, body, &mut outgoing).await {
            Outcome::Done => {}
            Outcome::GivenUp(..) if batch.count > 1 => {
                for one in batch.split() {
                    let body = lane.describe(&one);
                    match deliver(&shared, &lane, &one, body, &mut outgoing).await {
                        Outcome::Done => {}
                        Outcome::GivenUp(code, message) => {
                            lane.give_up(&shared, &one, code, &message, &mut outgoing);
                        }
                        Outcome::Superseded => return shared.supersede(),
                    }
                }
            }
            Outcome::GivenUp(code, message) => {
                lane.give_up(&shared, &batch, code, &message, &mut outgoing)
            }
            Outcome::Superseded => return shared.supersede(),
        }
        lane.answered(&shared);
        lane.catch_up(&shared, &mut outgoing);
    }
}

/// Sends a batch until it is answered, and carries out the answer.
async fn deliver(
    shared: &Arc<Shared>,
    lane: &Lane,
    batch: &Batch,
    body: Bytes,
    outgoing: &mut Outgoing,
) -> Outcome {
    let sequence = shared.next_sequence();
    let (mut attempt, mut failures, mut backoff) = (1, 0, MIN_BACKOFF);
    loop {
        let failure = match ask(shared, lane, batch, body.clone(), sequence, attempt).await {
            Reply::Answer(answer) => match relay::from_slice::<Response<'_>>(&answer) {
                Ok(response) => {
                    shared.metrics.batches.add(1);
                    shared.commits.answered();
                    lane.apply(shared, batch, &response.commands, outgoing);
                    return Outcome::Done;
                }
                Err(error) => {
                    failures += 1;
                    format!("its answer is not one: {error}")
                }
            },
            Reply::Refused(StatusCode::CONFLICT, body) => {
                tracing::error!(
                    relay = shared.config.relay,
                    epoch = shared.epoch,
                    body,
                    "the app has ended this life of the relay"
                );
                return Outcome::Superseded;
            }
            Reply::Refused(StatusCode::BAD_REQUEST, body) => {
                let namespace = lane.namespace();
                tracing::error!(
                    namespace,
                    sequence,
                    body,
                    "the app says that this relay breaks the protocol"
                );
                return Outcome::GivenUp(INTERNAL, "the app did not understand the event".into());
            }
            Reply::Refused(StatusCode::PAYLOAD_TOO_LARGE, _) => {
                return Outcome::GivenUp("too_large", "the event is too large for the app".into());
            }
            Reply::Refused(status @ StatusCode::UNAUTHORIZED, _) => {
                tracing::error!(
                    "the app does not accept the relay's secret: give both the same relay_secret"
                );
                status.to_string()
            }
            Reply::Refused(StatusCode::INTERNAL_SERVER_ERROR, body) => {
                failures += 1;
                format!("it failed: {body}")
            }
            Reply::Refused(status, _) => format!("status {status}"),
            Reply::None(error) => error,
        };
        if failures >= MAX_FAILURES {
            let namespace = lane.namespace();
            tracing::error!(
                namespace,
                sequence,
                events = batch.count,
                failure,
                "the app fails at a batch"
            );
            return Outcome::GivenUp(INTERNAL, "the app failed at this event".into());
        }
        tracing::warn!(
            namespace = lane.namespace(),
            sequence,
            attempt,
            failure,
            "no answer from the app, trying again"
        );
        shared.metrics.retries.add(1);
        tokio::time::sleep(jittered(backoff)).await;
        backoff = (backoff * 2).min(MAX_BACKOFF);
        attempt += 1;
    }
}

/// How long a lane waits that has nothing to send, and whether it then sends a tick. Without one it only
/// looks whether it is still needed.
fn patience(ticked: bool, has_sockets: bool) -> (Duration, bool) {
    match (ticked, has_sockets) {
        (false, _) => (TICK_AFTER, true),
        (true, has_sockets) => (TICK_EVERY, has_sockets),
    }
}

/// Between half and all of it, so that lanes do not knock all at once.
fn jittered(backoff: Duration) -> Duration {
    backoff.mul_f64(rand::random_range(0.5..1.0))
}

/// Sends a batch once.
async fn ask(
    shared: &Shared,
    lane: &Lane,
    batch: &Batch,
    body: Bytes,
    sequence: u64,
    attempt: u32,
) -> Reply {
    let request = request(shared, lane, batch, body, sequence, attempt);
    let exchange = async {
        let response = shared
            .origin
            .call(request)
            .await
            .map_err(|error| error.to_string())?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await;
        let body = body.map_err(|error| format!("the answer broke off: {error}"))?;
        Ok((head.status, body.to_bytes()))
    };
    let exchange = tokio::time::timeout(ANSWER_TIMEOUT, exchange);
    let outcome = if lane.is_handshakes() {
        exchange.await
    } else {
        let (outcome, courtesy) = shared.turns.take(batch.count, exchange).await;
        lane.lock().courtesy = Some(courtesy);
        outcome
    };
    match outcome {
        Ok(Ok((StatusCode::OK, body))) => Reply::Answer(body),
        Ok(Ok((status, body))) => {
            let shown = &body[..body.len().min(500)];
            Reply::Refused(status, String::from_utf8_lossy(shown).into_owned())
        }
        Ok(Err(error)) => Reply::None(error),
        Err(_) => Reply::None(format!("no answer within {ANSWER_TIMEOUT:?}")),
    }
}

/// Asks the app whether it can do its work: a tick of the handshakes (docs/relay-protocol.md, "Probes").
pub fn probe(shared: &Shared) -> Request<Body> {
    let body = Bytes::from_static(br#"{"events":[{"tick":{}}]}"#);
    let sequence = shared.next_sequence();
    request(
        shared,
        &shared.handshakes,
        &Batch::default(),
        body,
        sequence,
        1,
    )
}

fn request(
    shared: &Shared,
    lane: &Lane,
    batch: &Batch,
    body: Bytes,
    sequence: u64,
    attempt: u32,
) -> Request<Body> {
    let text =
        |text: &str| HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""));
    let mut authorization = text(&format!("Bearer {}", shared.config.secret));
    authorization.set_sensitive(true);
    let length = body.len();
    let body = Full::new(body)
        .map_err(|never| match never {})
        .boxed_unsync();
    let mut request = Request::new(body);
    *request.method_mut() = Method::POST;
    *request.uri_mut() = http::Uri::from_static(relay::PATH);
    let headers = request.headers_mut();
    headers.reserve(11);
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
    headers.insert(relay::header::RELAY, text(&shared.config.relay));
    headers.insert(relay::header::EPOCH, shared.epoch.into());
    headers.insert(relay::header::LANE, lane.header.clone());
    headers.insert(relay::header::SEQUENCE, sequence.into());
    headers.insert(relay::header::ATTEMPT, attempt.into());
    let judged = batch.connecting.len() + batch.renewing;
    headers.insert(relay::header::CONNECTS, judged.into());
    let max_rooms = shared.config.limits.rooms_per_socket;
    headers.insert(relay::header::MAX_ROOMS, max_rooms.into());
    request
}

impl Lane {
    /// Before the next batch: lets other namespaces go first that were waiting when the last one was answered.
    async fn let_others_go(&self, shared: &Shared) {
        let courtesy = {
            let mut state = self.lock();
            if state.queue.is_empty() {
                return;
            }
            state.courtesy.take()
        };
        if let Some(courtesy) = courtesy {
            shared.turns.give_way(courtesy).await;
        }
    }

    /// The next batch and its body. The lane has a batch in flight then, until [`Lane::catch_up`].
    fn take(&self, shared: &Shared) -> Option<(Batch, Bytes)> {
        let mut state = self.lock();
        let batch = state.queue.take();
        state.in_flight = batch.is_some();
        let mut batch = batch?;
        if !self.is_handshakes() {
            let certain = shared.commits.certain(None);
            state.offsets.advance(certain.unwrap_or(0));
            state.under_way = Some(shared.commits.begin());
        }
        let body = batch.body(&mut state.hub);
        batch.keep(shared.common.charge(Hold::Passing, body.len()));
        if state.queue.bytes() <= MAX_PENDING_BYTES / 2 {
            self.room.notify_waiters();
        }
        Some((batch, body.into()))
    }

    /// The answer to the batch is carried out, here and in other lanes.
    fn answered(&self, shared: &Shared) {
        if let Some(batch) = self.lock().under_way.take() {
            shared.commits.end(batch);
        }
    }

    /// The body of a batch that was split off.
    fn describe(&self, batch: &Batch) -> Bytes {
        batch.body(&mut self.lock().hub).into()
    }

    /// Waits for events. If none come for long, gives buffers back; then adds a tick, soon unless that was
    /// the last thing. True if it did.
    async fn rest(&self, outgoing: &mut Outgoing, ticked: bool) -> bool {
        if self.has_work_within(TRIM_AFTER).await {
            return false;
        }
        *outgoing = Outgoing::default();
        let has_sockets = !self.lock().hub.is_empty();
        let (patience, then_tick) = patience(ticked, has_sockets);
        if self.has_work_within(patience).await || !then_tick {
            return false;
        }
        self.lock().queue.push_tick();
        true
    }

    async fn has_work_within(&self, time: Duration) -> bool {
        let work = tokio::time::timeout(time, self.work.notified());
        work.await.is_ok()
    }

    /// The app cannot handle these events: those who wait for an answer get an error.
    fn give_up(
        &self,
        shared: &Arc<Shared>,
        batch: &Batch,
        code: &str,
        message: &str,
        outgoing: &mut Outgoing,
    ) {
        let error = serde_json::json!([{ "error": { "code": code, "message": message } }]);
        let error: Box<RawValue> =
            serde_json::value::to_raw_value(&error).expect("JSON of strings");
        let events = batch.events();
        let ids = self.ids(batch);
        let socket = |index: usize| ids.get(index).cloned().unwrap_or_default().into();
        let commands: Vec<Command<'_>> = events
            .iter()
            .filter_map(|event| serde_json::from_str(event.get()).ok())
            .filter_map(|event| match event {
                Event::Open(open) => {
                    let Verdict::Rejected { code, message } = Verdict::internal() else {
                        return None;
                    };
                    Some(Command::Reject(Reject {
                        connection: open.connection,
                        code,
                        message: message.into(),
                    }))
                }
                Event::Connect(connect) => Some(Command::Refuse(Refuse {
                    socket: socket(connect.socket),
                    message: INTERNAL.into(),
                    data: None,
                })),
                Event::Packet(Packet { socket: of, id, .. })
                | Event::Renew(Renew { socket: of, id, .. }) => id.map(|id| {
                    Command::Ack(Ack {
                        socket: socket(of),
                        id,
                        data: &error,
                        attachments: Vec::new(),
                    })
                }),
                Event::Disconnect(_) | Event::Acks(_) | Event::Tick {} => None,
            })
            .collect();
        let namespace = self.namespace();
        tracing::error!(
            namespace,
            events = events.len(),
            code,
            "giving up events that the app cannot handle"
        );
        self.apply(shared, batch, &commands, outgoing);
    }

    /// The ids of a batch's sockets.
    fn ids(&self, batch: &Batch) -> Vec<String> {
        let mut state = self.lock();
        let id = |slot| {
            state
                .hub
                .get(slot)
                .map(|socket| socket.id.to_string())
                .unwrap_or_default()
        };
        (0..)
            .map_while(|index| batch.socket(index))
            .map(id)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_sockets_is_heard_every_hour_and_who_has_none_is_silent_after_one_tick() {
        assert_eq!(patience(false, false), (TICK_AFTER, true));
        assert_eq!(patience(false, true), (TICK_AFTER, true));
        let (time, then_tick) = patience(true, true);
        assert!(then_tick && time <= Duration::from_secs(60 * 60));
        assert!(!patience(true, false).1);
    }
}
