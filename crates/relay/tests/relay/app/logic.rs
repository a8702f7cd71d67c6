//! What the small app makes of events: rooms, echoes, state, and sessions that can be recovered.

use std::collections::{HashMap, HashSet};

use serde_json::{Value, json};

use super::Batch;

/// What the app knows from batch to batch.
#[derive(Default)]
pub struct Memory {
    /// How often a handler ran for the event with this name.
    pub handled: HashMap<String, usize>,
    /// `disconnect` events with the description of their socket.
    pub disconnects: Vec<(Value, Value)>,
    pub acks: Vec<Value>,
    /// By their `pid`.
    sessions: HashMap<String, Session>,
    /// Commands, each with the namespace it is for. The offset of the first is 1.
    log: Vec<(String, Value)>,
    /// Up to which offset the log is not kept any more.
    forgotten: u64,
    /// How many entries of the log are given at a time.
    pub replay_page: Option<usize>,
    relays: HashSet<String>,
    /// Who is in which namespace by which relay.
    sockets: Vec<(String, Value, String)>,
    /// How many missed events a client is given at a time.
    pub page: Option<usize>,
    /// The event that makes a batch fail, besides `poison`.
    pub poison: Option<String>,
}

struct Session {
    socket: Value,
    state: Value,
    rooms: Vec<Value>,
}

impl Memory {
    /// The offset of the last entry of a namespace's log.
    pub fn head(&self, lane: &str) -> u64 {
        self.entries(lane)
            .next_back()
            .map_or(0, |(offset, _)| offset)
    }

    fn entries(&self, lane: &str) -> impl DoubleEndedIterator<Item = (u64, &Value)> {
        let entries = (1..).zip(&self.log).collect::<Vec<_>>().into_iter();
        entries
            .filter(move |(_, (of, _))| of == lane)
            .map(|(offset, (_, command))| (offset, command))
    }

    /// What the log has after an offset.
    pub fn replay(&self, lane: &str, after: u64) -> Value {
        let entries: Vec<_> = self
            .entries(lane)
            .filter(|(offset, _)| *offset > after)
            .collect();
        let page = self.replay_page.unwrap_or(usize::MAX).min(entries.len());
        let until = match page < entries.len() {
            true => entries[page - 1].0,
            false => self.head(lane),
        };
        let commands: Vec<&Value> = entries[..page]
            .iter()
            .map(|(_, command)| *command)
            .collect();
        json!({ "commands": commands, "until": until, "head": self.head(lane), "lost": after < self.forgotten })
    }

    /// The log is not kept any more, but for what comes from now on.
    pub fn forget_log(&mut self) {
        self.forgotten = self.log.len() as u64;
    }

    /// Gives a command its place in a namespace's log, which other relays get it by.
    fn log(&mut self, lane: &str, mut command: Value, relay: &str) -> Value {
        let previous = self.head(lane);
        let offset = self.log.len() as u64 + 1;
        let (_, content) = command.as_object_mut().unwrap().iter_mut().next().unwrap();
        content["offset"] = json!(offset);
        if content["ack"].is_object() {
            let is_asked = |id: &Value| {
                let rooms = content["rooms"].as_array().unwrap();
                rooms.is_empty() || rooms.contains(id)
            };
            let sockets = self
                .sockets
                .iter()
                .filter(|(of, id, _)| of == lane && is_asked(id));
            content["asked"] = sockets.map(|(_, id, relay)| json!([id, relay])).collect();
        }
        let mut entry = command.clone();
        let (_, content) = entry.as_object_mut().unwrap().iter_mut().next().unwrap();
        if content["ack"].is_object() {
            content["asker"] = json!(relay);
        }
        if content["namespace"].is_string() {
            let (_, content) = command.as_object_mut().unwrap().iter_mut().next().unwrap();
            content["previous"] = json!(previous);
        }
        self.log.push((lane.into(), entry));
        command
    }

    /// A command of a test. It stands in the log if other relays have to carry it out as well.
    fn test_command(&mut self, batch: &Batch, command: &Value) -> Value {
        let (kind, content) = command.as_object().unwrap().iter().next().unwrap();
        let is_for_all = match kind.as_str() {
            "emit" => content["volatile"] != true && content["local"] != true,
            kind => matches!(kind, "join" | "leave" | "state" | "disconnect" | "sockets"),
        };
        if self.relays.len() < 2 || !is_for_all || content["offset"].is_u64() {
            return command.clone();
        }
        let lane = content["namespace"].as_str().unwrap_or(&batch.lane);
        self.log(lane, command.clone(), &batch.relay)
    }

    /// Handles a batch as a whole: None if it fails, and then nothing has happened.
    pub fn handle(&mut self, batch: &Batch) -> Option<Vec<Value>> {
        self.relays.insert(batch.relay.clone());
        let mut commands = Vec::new();
        let is_poison = |event: &Value| {
            let (kind, event) = event.as_object().unwrap().iter().next().unwrap();
            let poison = self.poison.as_deref().unwrap_or("poison");
            event["data"][0] == poison || kind == poison && event["unhandled"] != true
        };
        if batch.events().iter().any(is_poison) {
            return None;
        }
        for event in batch.events() {
            let (kind, event) = event.as_object().unwrap().iter().next().unwrap();
            let socket = event["socket"].as_u64().map_or(Value::Null, |index| {
                batch.body["sockets"][index as usize].clone()
            });
            match kind.as_str() {
                "open" => commands.push(open(event)),
                "connect" => {
                    let (lane, relay) = (batch.lane.clone(), batch.relay.clone());
                    self.sockets.push((lane, socket["id"].clone(), relay));
                    commands.push(self.connect(&batch.lane, event, &socket));
                }
                "packet" => self.packet(batch, event, &socket, &mut commands),
                "renew" => renew(event, &socket, &mut commands),
                "disconnect" => {
                    self.sockets.retain(|(_, id, _)| *id != socket["id"]);
                    self.disconnects.push((socket, event.clone()));
                }
                "acks" => self.acks.push(event.clone()),
                _ => {}
            }
        }
        Some(commands)
    }

    fn connect(&mut self, lane: &str, event: &Value, socket: &Value) -> Value {
        let (id, auth) = (&socket["id"], &event["auth"]);
        if auth["silent"] == true {
            return json!({ "tick": {} });
        }
        if !matches!(lane, "/" | "/custom" | "/r%C3%A4ume") {
            return json!({ "refuse": { "socket": id, "message": "Invalid namespace" } });
        }
        if auth["contest"].is_object() && event["owner"].is_null() {
            let contest = &auth["contest"];
            return json!({ "contest": { "socket": id, "owner": contest["owner"], "relay": contest["relay"] } });
        }
        if auth["anew"] == true && event["owner"] != "answers" {
            return json!({ "anew": { "socket": id } });
        }
        if auth["refuse"] == true {
            return json!({ "refuse": { "socket": id, "message": "no", "data": { "code": 7 } } });
        }
        let headers = event["handshake"]["headers"].as_array().unwrap().len();
        let state = json!({ "lane": lane, "agent": headers });
        let mut accept = json!({ "socket": id, "state": state });
        if auth["contest"].is_object() || auth["anew"] == true {
            accept["state"] = json!({ "owner": event["owner"], "secret": event["secret"] });
        }
        accept["expires"] = auth["expires"].clone();
        if let Some(pid) = auth["pid"].as_str() {
            accept = self.recover(lane, pid, auth, accept);
        }
        let after = event["progress"]["after"].as_u64().unwrap_or(0);
        match self.page_of(&mut accept, after) {
            Some(page) => json!({ "page": page }),
            None => json!({ "accept": accept }),
        }
    }

    /// Who asks by a `pid` can be recovered, and is if there is such a session.
    fn recover(&mut self, lane: &str, pid: &str, auth: &Value, mut accept: Value) -> Value {
        accept["pid"] = json!(pid);
        let Some(session) = self.sessions.get(pid) else {
            let session = Session {
                socket: accept["socket"].clone(),
                state: accept["state"].clone(),
                rooms: Vec::new(),
            };
            self.sessions.insert(pid.into(), session);
            return accept;
        };
        let seen: u64 = auth["offset"].as_str().unwrap_or("0").parse().unwrap();
        let missed: Vec<Value> = self
            .entries(lane)
            .filter(|(offset, _)| *offset > seen)
            .map(|(_, command)| &command["emit"])
            .filter(|emit| emit.is_object() && session.is_meant(emit))
            .map(|emit| json!({ "offset": emit["offset"], "data": emit["data"], "attachments": emit["attachments"] }))
            .collect();
        let id = match auth["as"].as_str() {
            Some(id) => json!(id),
            None => session.socket.clone(),
        };
        accept["state"] = session.state.clone();
        accept["recovered"] = json!({ "id": id, "rooms": session.rooms, "missed": missed });
        accept
    }

    /// Leaves in `accept` what it has not given before. If that is too much, as much as may be given.
    fn page_of(&self, accept: &mut Value, after: u64) -> Option<Value> {
        let recovered = accept.get_mut("recovered")?;
        let missed = recovered["missed"].as_array_mut()?;
        missed.retain(|event| event["offset"].as_u64() > Some(after));
        let page = self.page.filter(|page| missed.len() > *page)?;
        missed.truncate(page);
        let progress = json!({ "after": missed.last().unwrap()["offset"] });
        let missed = missed.clone();
        Some(json!({ "socket": accept["socket"], "missed": missed, "progress": progress }))
    }

    fn session(&mut self, socket: &Value) -> Option<&mut Session> {
        self.sessions
            .values_mut()
            .find(|session| session.socket == socket["id"])
    }

    /// Stores an event and emits it.
    fn emit(&mut self, lane: &str, event: &Value, rooms: Value, except: Value) -> Value {
        let attachments = event["attachments"].as_array().cloned().unwrap_or_default();
        let emit = json!({ "rooms": rooms, "except": except, "data": event["data"],
                           "attachments": attachments });
        self.log(lane, json!({ "emit": emit }), "")
    }

    fn packet(&mut self, batch: &Batch, event: &Value, socket: &Value, commands: &mut Vec<Value>) {
        let lane = &*batch.lane;
        let (id, data) = (&socket["id"], &event["data"]);
        let name = data[0].as_str().unwrap_or("?");
        *self.handled.entry(name.into()).or_default() += 1;
        let mut answer = json!([]);
        match name {
            "echo" => answer = json!(data.as_array().unwrap()[1..]),
            "whoami" => answer = json!([socket]),
            "join" => {
                if let Some(session) = self.session(socket) {
                    session.rooms.push(data[1].clone());
                }
                commands.push(json!({ "join": { "socket": id, "rooms": [data[1]] } }));
            }
            "leave" => commands.push(json!({ "leave": { "socket": id, "rooms": [data[1]] } })),
            "state" => {
                if let Some(session) = self.session(socket) {
                    session.state = data[1].clone();
                }
                commands.push(json!({ "state": { "socket": id, "state": data[1] } }));
            }
            "room" => commands.push(self.emit(lane, event, json!([data[1]]), json!([]))),
            "others" => commands.push(self.emit(lane, event, json!([]), json!([id]))),
            "all" => commands.push(self.emit(lane, event, json!([]), json!([]))),
            "elsewhere" => {
                let other = data[1].as_str().unwrap();
                let emit = json!({ "namespace": other, "data": data });
                commands.push(self.log(other, json!({ "emit": emit }), ""));
            }
            "back" => commands.push(self.emit(lane, event, json!([id]), json!([]))),
            "volatile" => {
                commands.push(json!({ "emit": { "rooms": [], "data": data, "volatile": true } }));
            }
            "flood" => {
                let text = "x".repeat(data[1].as_u64().unwrap() as usize);
                for number in 0..data[2].as_u64().unwrap() {
                    let data = json!(["flood", number, text]);
                    commands.push(json!({ "emit": { "rooms": [id], "data": data } }));
                }
                return;
            }
            "kick" => commands.push(json!({ "disconnect": { "socket": id, "close": data[1] } })),
            // Any command of the protocol, as the test has it.
            "do" => commands.push(self.test_command(batch, &data[1])),
            _ => return,
        }
        if !event["id"].is_u64() {
            return;
        }
        let mut ack = json!({ "socket": id, "id": event["id"], "data": answer });
        if name == "echo" && event["attachments"].is_array() {
            ack["attachments"] = event["attachments"].clone();
        }
        commands.push(json!({ "ack": ack }));
    }
}

/// A token is what its client says that it is.
fn renew(event: &Value, socket: &Value, commands: &mut Vec<Value>) {
    assert_eq!(event["handshake"]["address"], "127.0.0.1");
    let (id, auth) = (&socket["id"], &event["auth"]);
    if auth["expires"].is_u64() || auth["never"] == true {
        let expires = &auth["expires"];
        commands.push(json!({ "renew": { "socket": id, "expires": expires } }));
    }
    if event["id"].is_u64() {
        commands.push(json!({ "ack": { "socket": id, "id": event["id"], "data": [auth] } }));
    }
}

impl Session {
    fn is_meant(&self, emit: &Value) -> bool {
        let is_in = |room: &Value| *room == self.socket || self.rooms.contains(room);
        let named = |key: &str| emit[key].as_array().cloned().unwrap_or_default();
        let any = |key: &str| named(key).iter().any(is_in);
        (named("rooms").is_empty() || any("rooms")) && !any("except")
    }
}

fn open(event: &Value) -> Value {
    let connection = &event["connection"];
    let url = event["handshake"]["url"].as_str().unwrap();
    if url.contains("forbidden") {
        return json!({ "reject": { "connection": connection, "code": 4, "message": "no entry" } });
    }
    json!({ "admit": { "connection": connection } })
}
