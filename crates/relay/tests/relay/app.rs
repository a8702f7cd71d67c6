//! A small app behind the relay protocol, in this process. It keeps answers as the protocol asks, so that
//! what a client sees has gone all the way. Faults can be ordered: they happen to the next batches.

mod logic;

use std::collections::{HashMap, HashSet, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use parlour_relay::{Body, Origin, OriginError};
use serde_json::{Value, json};
use tokio::sync::{Notify, watch};

use logic::Memory;

/// What goes wrong with a batch.
#[derive(Debug, Clone, Copy)]
pub enum Fault {
    /// Nothing, this time.
    None,
    /// The batch is handled, the answer is lost.
    LoseAnswer,
    /// Nothing is handled; this status.
    Status(u16),
    /// Nothing is handled; 200 and no JSON.
    Garbage,
    /// No connection.
    Away,
    /// Nothing is handled, and there is no answer, ever.
    Silence,
    /// The batch is handled, and its answer has more bytes than any relay reads, now and later.
    TooMuch,
    /// The batch is handled, and there is no answer, ever.
    SilenceAfterwards,
}

/// A batch as it came.
#[derive(Debug, Clone)]
pub struct Batch {
    pub lane: String,
    pub relay: String,
    pub sequence: u64,
    pub attempt: u64,
    pub headers: http::HeaderMap,
    pub body: Value,
}

impl Batch {
    pub fn events(&self) -> &Vec<Value> {
        self.body["events"].as_array().unwrap()
    }
}

#[derive(Default)]
struct State {
    /// With the lane they are for, or for any.
    faults: VecDeque<(Option<String>, Fault)>,
    batches: Vec<Batch>,
    /// Answers by relay and sequence.
    answers: HashMap<(String, u64), String>,
    memory: Memory,
    /// The most events that are handled of a batch.
    at_once: Option<usize>,
}

pub struct App {
    state: Mutex<State>,
    changed: Notify,
    open: watch::Sender<Gate>,
}

/// Which batches are handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gate {
    All,
    None,
    /// That with this sequence number.
    Only(u64),
}

impl App {
    pub fn new() -> Arc<App> {
        let open = watch::Sender::new(Gate::All);
        Arc::new(App {
            state: Mutex::default(),
            changed: Notify::new(),
            open,
        })
    }

    pub fn order(&self, faults: &[Fault]) {
        self.state
            .lock()
            .unwrap()
            .faults
            .extend(faults.iter().map(|fault| (None, *fault)));
    }

    /// Only to batches of this lane.
    pub fn order_for(&self, lane: &str, faults: &[Fault]) {
        let faults = faults.iter().map(|fault| (Some(lane.to_string()), *fault));
        self.state.lock().unwrap().faults.extend(faults);
    }

    /// From now on no more events than these are handled of a batch.
    pub fn handle_at_once(&self, events: usize) {
        self.state.lock().unwrap().at_once = Some(events);
    }

    /// From now on a client that comes back is given so many missed events at a time.
    pub fn page(&self, events: usize) {
        self.state.lock().unwrap().memory.page = Some(events);
    }

    /// From now on so many entries of the log are given at a time.
    pub fn replay_page(&self, entries: usize) {
        self.state.lock().unwrap().memory.replay_page = Some(entries);
    }

    /// The log is not kept any more, but for what comes from now on.
    pub fn forget_log(&self) {
        self.state.lock().unwrap().memory.forget_log();
    }

    /// From now on the app fails at all batches with this event.
    pub fn poison(&self, event: &str) {
        self.state.lock().unwrap().memory.poison = Some(event.into());
    }

    /// From now on batches arrive but are not handled, until `resume`.
    pub fn hold(&self) {
        self.open.send_replace(Gate::None);
    }

    pub fn resume(&self) {
        self.open.send_replace(Gate::All);
    }

    /// Only this one is handled.
    pub fn let_go(&self, batch: &Batch) {
        self.open.send_replace(Gate::Only(batch.sequence));
    }

    /// In how many lanes but this one batches have come.
    pub fn other_lanes(&self, lane: &str) -> usize {
        let state = self.state.lock().unwrap();
        let lanes = state.batches.iter().map(|batch| &*batch.lane);
        let lanes: HashSet<&str> = lanes
            .filter(|other| ![lane, "handshake"].contains(other))
            .collect();
        lanes.len()
    }

    pub fn batches(&self, lane: &str) -> Vec<Batch> {
        self.state
            .lock()
            .unwrap()
            .batches
            .iter()
            .filter(|batch| batch.lane == lane)
            .cloned()
            .collect()
    }

    /// The `auth` of the last that asked to enter.
    pub fn auth(&self) -> Value {
        let state = self.state.lock().unwrap();
        let events = state.batches.iter().flat_map(Batch::events);
        let mut auths = events.filter_map(|event| event["connect"].get("auth"));
        auths.next_back().cloned().unwrap_or_default()
    }

    pub fn handled(&self, event: &str) -> usize {
        let state = self.state.lock().unwrap();
        state.memory.handled.get(event).copied().unwrap_or(0)
    }

    /// Whether there was a `disconnect` event of this socket.
    pub fn has_left(&self, socket: &str) -> bool {
        let state = self.state.lock().unwrap();
        let mut all = state.memory.disconnects.iter();
        all.any(|(description, _)| description["id"] == socket)
    }

    /// Waits for a `disconnect` event of this socket: its reason and its description.
    pub async fn disconnect_of(&self, socket: &str) -> (String, Value) {
        self.disconnect("id", socket).await
    }

    /// The same for the socket of a connection, which is in one namespace only.
    pub async fn disconnect_from(&self, connection: &str) -> (String, Value) {
        self.disconnect("connection", connection).await
    }

    async fn disconnect(&self, key: &str, value: &str) -> (String, Value) {
        let found = self.wait_until(|state| {
            let mut all = state.memory.disconnects.iter();
            all.find(|(socket, _)| socket[key] == *value).cloned()
        });
        let (description, event) = found.await;
        (event["reason"].as_str().unwrap().into(), description)
    }

    /// Waits for what came of an emit that asked for acknowledgements.
    pub async fn acks(&self) -> Value {
        self.acks_after(0).await
    }

    /// The same, after so many others.
    pub async fn acks_after(&self, count: usize) -> Value {
        self.wait_until(|state| state.memory.acks.get(count).cloned())
            .await
    }

    /// Waits until a number of batches have come in a lane.
    pub async fn batch(&self, lane: &str, number: usize) -> Batch {
        self.wait_until(|state| {
            state
                .batches
                .iter()
                .filter(|batch| batch.lane == lane)
                .nth(number)
                .cloned()
        })
        .await
    }

    async fn wait_until<T>(&self, check: impl Fn(&State) -> Option<T>) -> T {
        let wait = async {
            loop {
                let changed = self.changed.notified();
                if let Some(found) = check(&self.state.lock().unwrap()) {
                    return found;
                }
                changed.await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), wait)
            .await
            .expect("the app saw it within 10 s")
    }

    async fn relay(&self, request: Request<Body>) -> Result<Response<Body>, OriginError> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let header = |name: &str| head.headers[name].to_str().unwrap().to_string();
        assert_eq!(header("authorization"), "Bearer secret");
        assert_eq!(header("parlour-protocol"), "1");
        let batch = Batch {
            lane: header("parlour-lane"),
            relay: header("parlour-relay"),
            sequence: header("parlour-sequence").parse().unwrap(),
            attempt: header("parlour-attempt").parse().unwrap(),
            headers: head.headers.clone(),
            body: serde_json::from_slice(&body).expect("a batch is JSON"),
        };
        self.state.lock().unwrap().batches.push(batch.clone());
        self.changed.notify_waiters();
        let may_go = |gate: &Gate| *gate == Gate::All || *gate == Gate::Only(batch.sequence);
        self.open.subscribe().wait_for(may_go).await.unwrap();
        let answer = self.answer(&batch);
        self.changed.notify_waiters();
        match answer {
            Some(answer) => answer,
            None => std::future::pending().await,
        }
    }

    /// None: there is none.
    fn answer(&self, batch: &Batch) -> Option<Result<Response<Body>, OriginError>> {
        let mut state = self.state.lock().unwrap();
        let due = state
            .faults
            .iter()
            .position(|(lane, _)| lane.as_ref().is_none_or(|it| *it == batch.lane));
        let fault = due
            .and_then(|at| state.faults.remove(at))
            .map(|(_, fault)| fault);
        match fault {
            Some(Fault::Status(status)) => {
                let body = r#"{"error":{"code":"x","message":"y"}}"#;
                return Some(Ok(response(status, body)));
            }
            Some(Fault::Garbage) => return Some(Ok(response(200, "no JSON"))),
            Some(Fault::Away) => return Some(Err(OriginError::Other("away".into()))),
            Some(Fault::Silence) => return None,
            Some(Fault::LoseAnswer | Fault::SilenceAfterwards | Fault::TooMuch | Fault::None)
            | None => {}
        }
        let mut answer = state.committed(batch);
        if batch.body["replay"] == true {
            let after = batch.body["delivered"]
                .as_u64()
                .expect("it says after which offset");
            let replay = state.memory.replay(&batch.lane, after);
            answer =
                answer.map(|json| format!("{},\"replay\":{replay}}}", &json[..json.len() - 1]));
        }
        if let (Some(Fault::TooMuch), Some(answer)) = (fault, &mut answer) {
            answer.push_str(&" ".repeat(64 * 1024 * 1024));
            let key = (batch.relay.clone(), batch.sequence);
            state.answers.insert(key, answer.clone());
        }
        match (fault, answer) {
            (Some(Fault::LoseAnswer), _) => Some(Err(OriginError::Other("lost".into()))),
            (Some(Fault::SilenceAfterwards), _) => None,
            (_, Some(answer)) => Some(Ok(response(200, &answer))),
            (_, None) => {
                let body = r#"{"error":{"code":"internal","message":"poison"}}"#;
                Some(Ok(response(500, body)))
            }
        }
    }
}

impl State {
    /// Handles a batch, or finds what it was answered before. None if the app fails at it.
    fn committed(&mut self, batch: &Batch) -> Option<String> {
        let key = (batch.relay.clone(), batch.sequence);
        if let Some(answer) = self.answers.get(&key) {
            return Some(answer.clone());
        }
        let all = batch.events().len();
        let count = self.at_once.map_or(all, |most| most.min(all));
        let (now, later) = batch.events().split_at(count);
        let mut part = batch.clone();
        part.body["events"] = json!(now);
        let previous = self.memory.head(&batch.lane);
        let commands = self.memory.handle(&part)?;
        let mut answer = json!({ "commands": commands });
        if batch.lane != "handshake" {
            answer["previous"] = json!(previous);
            answer["head"] = json!(self.memory.head(&batch.lane));
        }
        if count < all || all == 0 {
            let connects = later.iter().filter(|event| event["connect"].is_object());
            let progress: Vec<Value> = connects.map(|_| json!({ "judged": true })).collect();
            answer["done"] = json!(count);
            answer["progress"] = json!(progress);
        }
        self.answers.insert(key, answer.to_string());
        Some(answer.to_string())
    }
}

impl Origin for App {
    fn call(
        &self,
        request: Request<Body>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Body>, OriginError>> + Send + '_>> {
        Box::pin(async move {
            let path = request.uri().path();
            if path == "/relay" || path == "/relay/handshake" {
                let is_handshakes = request.headers()["parlour-lane"] == "handshake";
                assert_eq!(path == "/relay/handshake", is_handshakes, "sent to {path}");
                return self.relay(request).await;
            }
            let (head, body) = request.into_parts();
            let body = body
                .collect()
                .await
                .map_err(|error| OriginError::Other(error.to_string()))?;
            let headers: Vec<String> = head
                .headers
                .iter()
                .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
                .collect();
            let text = format!(
                "{} {}\n{}\n\n{}",
                head.method,
                head.uri,
                headers.join("\n"),
                String::from_utf8_lossy(&body.to_bytes())
            );
            let mut response = response(200, &text);
            response
                .headers_mut()
                .insert("connection", "x-between".parse().unwrap());
            response
                .headers_mut()
                .insert("x-between", "1".parse().unwrap());
            Ok(response)
        })
    }
}

fn response(status: u16, body: &str) -> Response<Body> {
    let body = Full::new(Bytes::from(body.to_string()))
        .map_err(|never| match never {})
        .boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}
