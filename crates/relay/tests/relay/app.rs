//! A small app behind the relay protocol, in this process. It has real logic (rooms, echoes, state) and
//! keeps answers as the protocol asks, so that what a client sees has gone all the way. Faults can be
//! ordered: they happen to the next batches.

use std::collections::{HashMap, VecDeque};
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
}

/// A batch as it came.
#[derive(Debug, Clone)]
pub struct Batch {
    pub lane: String,
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
    /// Answers by lane and sequence.
    answers: HashMap<(String, u64), String>,
    /// How often a handler ran for the event with this name.
    handled: HashMap<String, usize>,
    /// `disconnect` events with the description of their socket.
    disconnects: Vec<(Value, Value)>,
}

pub struct App {
    state: Mutex<State>,
    changed: Notify,
    open: watch::Sender<bool>,
}

impl App {
    pub fn new() -> Arc<App> {
        let open = watch::Sender::new(true);
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

    /// From now on batches arrive but are not handled, until `resume`.
    pub fn hold(&self) {
        self.open.send_replace(false);
    }

    pub fn resume(&self) {
        self.open.send_replace(true);
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

    pub fn handled(&self, event: &str) -> usize {
        self.state
            .lock()
            .unwrap()
            .handled
            .get(event)
            .copied()
            .unwrap_or(0)
    }

    /// Waits for a `disconnect` event of this socket: its reason and its description.
    pub async fn disconnect_of(&self, socket: &str) -> (String, Value) {
        let found = self.wait_until(|state| {
            let of = |(socket_, _): &&(Value, Value)| socket_["id"] == *socket;
            state.disconnects.iter().find(of).cloned()
        });
        let (description, event) = found.await;
        (event["reason"].as_str().unwrap().into(), description)
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
            sequence: header("parlour-sequence").parse().unwrap(),
            attempt: header("parlour-attempt").parse().unwrap(),
            headers: head.headers.clone(),
            body: serde_json::from_slice(&body).expect("a batch is JSON"),
        };
        self.state.lock().unwrap().batches.push(batch.clone());
        self.changed.notify_waiters();
        self.open.subscribe().wait_for(|open| *open).await.unwrap();
        let answer = self.answer(&batch);
        self.changed.notify_waiters();
        answer
    }

    fn answer(&self, batch: &Batch) -> Result<Response<Body>, OriginError> {
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
                return Ok(response(status, r#"{"error":{"code":"x","message":"y"}}"#));
            }
            Some(Fault::Garbage) => return Ok(response(200, "no JSON")),
            Some(Fault::Away) => return Err(OriginError::Other("away".into())),
            Some(Fault::LoseAnswer | Fault::None) | None => {}
        }
        let key = (batch.lane.clone(), batch.sequence);
        let answer = match state.answers.get(&key) {
            Some(answer) => answer.clone(),
            None => {
                let Some(commands) = handle(&mut state, batch) else {
                    return Ok(response(
                        500,
                        r#"{"error":{"code":"internal","message":"poison"}}"#,
                    ));
                };
                let answer = json!({ "commands": commands }).to_string();
                state.answers.insert(key, answer.clone());
                answer
            }
        };
        match fault {
            Some(Fault::LoseAnswer) => Err(OriginError::Other("lost".into())),
            _ => Ok(response(200, &answer)),
        }
    }
}

impl Origin for App {
    fn call(
        &self,
        request: Request<Body>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Body>, OriginError>> + Send + '_>> {
        Box::pin(async move {
            if request.uri().path() == "/relay" {
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

/// Handles a batch as a whole: None if it fails, and then nothing has happened.
fn handle(state: &mut State, batch: &Batch) -> Option<Vec<Value>> {
    let mut commands = Vec::new();
    if batch
        .events()
        .iter()
        .any(|event| event["packet"]["data"][0] == "poison")
    {
        return None;
    }
    for event in batch.events() {
        let (kind, event) = event.as_object().unwrap().iter().next().unwrap();
        let socket = event["socket"].as_u64().map_or(Value::Null, |index| {
            batch.body["sockets"][index as usize].clone()
        });
        match kind.as_str() {
            "open" => commands.push(open(event)),
            "connect" => commands.push(connect(&batch.lane, event, &socket)),
            "packet" => {
                let name = event["data"][0].as_str().unwrap_or("?").to_string();
                *state.handled.entry(name.clone()).or_default() += 1;
                packet(&name, event, &socket, &mut commands);
            }
            "disconnect" => state.disconnects.push((socket, event.clone())),
            _ => {}
        }
    }
    Some(commands)
}

fn open(event: &Value) -> Value {
    let connection = &event["connection"];
    if event["handshake"]["url"]
        .as_str()
        .unwrap()
        .contains("forbidden")
    {
        return json!({ "reject": { "connection": connection, "code": 4, "message": "no entry" } });
    }
    json!({ "admit": { "connection": connection } })
}

fn connect(lane: &str, event: &Value, socket: &Value) -> Value {
    let id = &socket["id"];
    if event["auth"]["silent"] == true {
        return json!({ "tick": {} });
    }
    if !matches!(lane, "/" | "/custom" | "/r%C3%A4ume") {
        return json!({ "refuse": { "socket": id, "message": "Invalid namespace" } });
    }
    if event["auth"]["refuse"] == true {
        return json!({ "refuse": { "socket": id, "message": "no", "data": { "code": 7 } } });
    }
    let state =
        json!({ "lane": lane, "agent": event["handshake"]["headers"].as_array().unwrap().len() });
    json!({ "accept": { "socket": id, "state": state } })
}

fn packet(name: &str, event: &Value, socket: &Value, commands: &mut Vec<Value>) {
    let (id, data) = (&socket["id"], &event["data"]);
    let mut ack = |answer: Value, attachments: &Value| {
        if event["id"].is_u64() {
            let mut ack = json!({ "socket": id, "id": event["id"], "data": answer });
            if attachments.is_array() {
                ack["attachments"] = attachments.clone();
            }
            commands.push(json!({ "ack": ack }));
        }
    };
    let emit = |rooms: Value, except: Value| {
        let mut emit = json!({ "rooms": rooms, "except": except, "data": data });
        if event["attachments"].is_array() {
            emit["attachments"] = event["attachments"].clone();
        }
        json!({ "emit": emit })
    };
    match name {
        "echo" => ack(json!(data.as_array().unwrap()[1..]), &event["attachments"]),
        "whoami" => ack(json!([socket]), &Value::Null),
        "join" => {
            ack(json!([]), &Value::Null);
            commands.insert(0, json!({ "join": { "socket": id, "rooms": [data[1]] } }));
        }
        "leave" => {
            ack(json!([]), &Value::Null);
            commands.insert(0, json!({ "leave": { "socket": id, "rooms": [data[1]] } }));
        }
        "state" => {
            ack(json!([]), &Value::Null);
            commands.push(json!({ "state": { "socket": id, "state": data[1] } }));
        }
        "room" => commands.push(emit(json!([data[1]]), json!([]))),
        "others" => commands.push(emit(json!([]), json!([id]))),
        "all" => commands.push(emit(json!([]), json!([]))),
        "back" => commands.push(emit(json!([id]), json!([]))),
        "volatile" => {
            let mut emit = emit(json!([]), json!([]));
            emit["emit"]["volatile"] = json!(true);
            commands.push(emit);
        }
        "flood" => {
            let text = "x".repeat(data[1].as_u64().unwrap() as usize);
            for number in 0..data[2].as_u64().unwrap() {
                let data = json!(["flood", number, text]);
                commands.push(json!({ "emit": { "rooms": [id], "data": data } }));
            }
        }
        "kick" => commands.push(json!({ "disconnect": { "socket": id, "close": data[1] } })),
        _ => {}
    }
}
