//! Batches over a store in memory.

use futures::executor::block_on;
use serde::Deserialize;
use serde_json::{Value, json};

use super::*;
use crate::{
    Args, Binary, Claims, Handshake, Nsp, Once, Raw, Reason, interface::Policy, memory::Memory,
};

mod failures;
mod handlers;
mod identity;
mod members;
mod order;
mod parts;
mod recovery;

/// Runs a batch; gives the commands.
fn commands(memory: &Memory, register: fn(&mut Namespace), batch: Value) -> Vec<Value> {
    commands_under(Policy::none(), memory, register, batch)
}

impl Policy {
    /// Sessions are not recovered, and everything is kept.
    fn none() -> Self {
        Self {
            recovery: 0,
            max_age: 0,
            max_count: 0,
        }
    }
}

fn commands_under(
    policy: Policy,
    memory: &Memory,
    register: fn(&mut Namespace),
    batch: Value,
) -> Vec<Value> {
    let mut namespace = Namespace::default();
    register(&mut namespace);
    let scope = Scope {
        namespace: "/".into(),
        policy,
        max_rooms: Some(4),
    };
    let text = batch.to_string();
    let batch: Batch = serde_json::from_str(&text).unwrap();
    check(&batch).unwrap();
    let outcome = block_on(run(&namespace, scope, batch, Box::new(memory.clone())));
    let response: Value = serde_json::from_str(&outcome.unwrap().response).unwrap();
    let stored = memory.committed.borrow();
    let stored: Value = serde_json::from_str(stored.as_ref().unwrap()).unwrap();
    assert_eq!(without_pids(response.clone()), stored);
    response["commands"].as_array().unwrap().clone()
}

/// What is stored of a response.
fn without_pids(mut response: Value) -> Value {
    for command in response["commands"].as_array_mut().unwrap() {
        if let Some(accept) = command.get_mut("accept") {
            accept.as_object_mut().unwrap().remove("pid");
        }
    }
    response
}

/// A batch of two sockets, `a` in the room `r` and `b` in none.
fn batch(events: Value) -> Value {
    json!({
        "sockets": [
            { "id": "a", "connection": "A", "rooms": ["r"], "state": { "data": "ada" } },
            { "id": "b", "connection": "B" },
        ],
        "events": events,
    })
}

fn packet(socket: usize, id: u64, data: Value) -> Value {
    json!({ "packet": { "socket": socket, "id": id, "data": data } })
}

fn connect(socket: usize, more: Value) -> Value {
    let handshake = json!({ "url": "/", "headers": [], "address": "::1", "time": 1 });
    let mut connect = json!({ "socket": socket, "handshake": handshake });
    connect
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    json!({ "connect": connect })
}

#[test]
fn commands_come_in_the_order_in_which_handlers_gave_them() {
    fn register(ns: &mut Namespace) {
        ns.on("go", async |socket: Socket, text: String, ack: Ack| {
            socket.join("new")?;
            socket.to("new").except("old").emit("hi", &text)?;
            socket.leave("r")?;
            socket.nsp().volatile().emit("all", Args((1, 2)))?;
            ack.send(socket.rooms())
        });
    }
    let memory = Memory::default();
    let found = commands(
        &memory,
        register,
        batch(json!([packet(0, 7, json!(["go", "x"]))])),
    );
    let expected = json!([
        { "join": { "socket": "a", "rooms": ["new"] } },
        { "emit": { "rooms": ["new"], "except": ["a", "old"], "data": ["hi", "x"] } },
        { "leave": { "socket": "a", "rooms": ["r"] } },
        { "emit": { "data": ["all", 1, 2], "volatile": true } },
        { "ack": { "socket": "a", "id": 7, "data": [["new"]] } },
    ]);
    assert_eq!(Value::from(found), expected);
    // What is volatile is not stored.
    assert_eq!(memory.tables.borrow().log.len(), 1);
    assert_eq!(memory.tables.borrow().applies, 1);
}

#[test]
fn a_repeated_emission_gets_the_first_answer() {
    fn register(ns: &mut Namespace) {
        ns.on(
            "say",
            async |socket: Socket, Args((id, text)): Args<(String, String)>, ack: Ack| {
                let once = Once {
                    id,
                    sender: "ada".into(),
                };
                socket
                    .nsp()
                    .to("r")
                    .emit_once(once, "said", &text, ack, text.len())
            },
        );
        ns.on("read", async |socket: Socket, ack: Ack| {
            let page = socket
                .nsp()
                .history("r", "said", crate::Position::End, 9)
                .await?;
            ack.send(page.len())
        });
    }
    let memory = Memory::default();
    let events = json!([
        packet(0, 1, json!(["say", "1", "a"])),
        packet(0, 2, json!(["say", "2", "bb"])),
        packet(1, 3, json!(["read"])),
        packet(0, 4, json!(["say", "1", "ccc"])),
        { "packet": { "socket": 0, "data": ["say", "2", "d"] } },
    ]);
    let found = commands(&memory, register, batch(events));
    let expected = json!([
        { "emit": { "rooms": ["r"], "data": ["said", "a"] } },
        { "ack": { "socket": "a", "id": 1, "data": [1] } },
        { "emit": { "rooms": ["r"], "data": ["said", "bb"] } },
        { "ack": { "socket": "a", "id": 2, "data": [2] } },
        { "ack": { "socket": "b", "id": 3, "data": [2] } },
        { "ack": { "socket": "a", "id": 4, "data": [1] } },
    ]);
    assert_eq!(Value::from(found), expected);
}

#[test]
fn connecting_accepts_with_state_before_anything_else() {
    #[derive(Deserialize)]
    struct User {
        sub: String,
    }
    fn register(ns: &mut Namespace) {
        ns.on_connect(async |claims: Option<Claims<User>>, socket: Socket| {
            let claims = claims.ok_or_else(|| Error::new("nobody", "Who are you?"))?;
            socket.emit("hello", &claims.sub)?;
            socket.join("r")?;
            socket.set_data(&claims.sub)
        });
    }
    let memory = Memory::default();
    let events = json!([
        connect(1, json!({ "claims": { "sub": "bob" } })),
        connect(0, json!({ "claims": null })),
        connect(
            0,
            json!({ "refused": { "message": "Expired", "data": { "code": 1 } } })
        ),
    ]);
    let found = commands(&memory, register, batch(events));
    let state = json!({ "data": "bob", "claims": { "sub": "bob" } });
    let expected = json!([
        { "accept": { "socket": "b", "state": state } },
        { "emit": { "rooms": ["b"], "data": ["hello", "bob"] } },
        { "join": { "socket": "b", "rooms": ["r"] } },
        { "refuse": { "socket": "a", "message": "Who are you?", "data": { "code": "nobody" } } },
        { "refuse": { "socket": "a", "message": "Expired", "data": { "code": 1 } } },
    ]);
    assert_eq!(Value::from(found), expected);
    let tables = memory.tables.borrow();
    assert_eq!(tables.sockets.len(), 1);
    assert_eq!(tables.sockets["b"], "\"bob\"");
    assert_eq!(tables.members, [("r".to_owned(), "b".to_owned())]);
}

#[test]
fn a_socket_that_goes_still_has_its_rooms_and_then_none() {
    fn register(ns: &mut Namespace) {
        ns.on_disconnecting(async |socket: Socket, reason: Reason| {
            for room in socket.rooms() {
                socket.to(room).emit("gone", &reason)?;
            }
            Ok(())
        });
    }
    let memory = Memory::default();
    memory
        .tables
        .borrow_mut()
        .sockets
        .insert("a".into(), "null".into());
    memory
        .tables
        .borrow_mut()
        .members
        .push(("r".into(), "a".into()));
    let gone = json!([{ "disconnect": { "socket": 0, "reason": "transport close" } }]);
    let found = commands(&memory, register, batch(gone));
    let data = json!(["gone", "transport close"]);
    let emit = json!({ "rooms": ["r"], "except": ["a"], "data": data });
    assert_eq!(Value::from(found), json!([{ "emit": emit }]));
    assert!(memory.tables.borrow().sockets.is_empty());
    assert!(memory.tables.borrow().members.is_empty());
}

#[test]
fn who_is_in_a_room_follows_what_the_batch_does() {
    fn register(ns: &mut Namespace) {
        ns.on("in", async |socket: Socket, name: String, ack: Ack| {
            socket.join("r")?;
            socket.set_data(name)?;
            who(&socket, ack).await
        });
        ns.on("out", async |socket: Socket, fail: bool, ack: Ack| {
            socket.leave("r")?;
            match fail {
                true => Err(Error::internal("no")),
                false => who(&socket, ack).await,
            }
        });
        ns.on("who", async |socket: Socket, ack: Ack| {
            who(&socket, ack).await
        });
    }
    async fn who(socket: &Socket, ack: Ack) -> crate::Result<()> {
        let sockets = socket.nsp().to("r").fetch_sockets().await?;
        let named = |socket: &crate::RemoteSocket| socket.data::<Option<String>>().unwrap();
        ack.send(sockets.iter().map(named).collect::<Vec<_>>())
    }
    let memory = Memory::default();
    memory
        .tables
        .borrow_mut()
        .sockets
        .insert("a".into(), "\"ada\"".into());
    memory
        .tables
        .borrow_mut()
        .members
        .push(("r".into(), "a".into()));
    memory
        .tables
        .borrow_mut()
        .sockets
        .insert("b".into(), "null".into());
    let events = json!([
        packet(0, 1, json!(["who"])),
        packet(1, 2, json!(["in", "bob"])),
        packet(0, 3, json!(["out", true])),
        packet(1, 4, json!(["in", "eve"])),
        packet(0, 5, json!(["out", false])),
        { "disconnect": { "socket": 1, "reason": "transport close" } },
        packet(0, 6, json!(["who"])),
    ]);
    let found = commands(&memory, register, batch(events));
    let acks = found
        .iter()
        .filter_map(|command| command.get("ack"))
        .map(|ack| ack["data"][0].clone());
    let no = json!({ "error": { "code": "internal", "message": "the app failed at this event" } });
    let expected = json!([["ada"], ["ada", "bob"], no, ["ada", "eve"], ["eve"], []]);
    assert_eq!(acks.collect::<Value>(), expected);
    assert!(memory.tables.borrow().members.is_empty());
}

#[test]
fn a_socket_may_be_in_so_many_rooms_and_the_event_that_wants_more_changes_nothing() {
    fn register(ns: &mut Namespace) {
        ns.on(
            "join",
            async |socket: Socket, rooms: Vec<String>, ack: Ack| {
                socket.join(&rooms)?;
                ack.send(socket.rooms().len())
            },
        );
    }
    let memory = Memory::default();
    let events = json!([
        packet(0, 1, json!(["join", ["x", "y"]])),
        packet(0, 2, json!(["join", ["z", "one too many"]])),
        packet(0, 3, json!(["join", ["x", "z"]])),
    ]);
    let found = commands(&memory, register, batch(events));
    let acks = found.iter().filter_map(|command| command.get("ack"));
    let acks: Vec<&Value> = acks.map(|ack| &ack["data"][0]).collect();
    assert_eq!((acks[0], acks[2]), (&json!(3), &json!(4)));
    assert_eq!(acks[1]["error"]["code"], "too_many_rooms");
    let members = &memory.tables.borrow().members;
    assert!(!members.iter().any(|(room, _)| room == "one too many"));
}

#[test]
fn attachments_go_both_ways() {
    fn register(ns: &mut Namespace) {
        ns.on(
            "copy",
            async |socket: Socket, Args((bytes, raw)): Args<(Binary, Raw)>, ack: Ack| {
                socket.emit("raw", &raw)?;
                ack.send(bytes)
            },
        );
    }
    let place = |num: u64| json!({ "_placeholder": true, "num": num });
    let data = json!(["copy", place(0), { "deep": [place(1)] }]);
    let packet = json!({ "socket": 0, "id": 1, "data": data, "attachments": ["AA==", "AQ=="] });
    let found = commands(
        &Memory::default(),
        register,
        batch(json!([{ "packet": packet }])),
    );
    let raw = json!(["raw", { "deep": [place(0)] }]);
    let expected = json!([
        { "emit": { "rooms": ["a"], "data": raw, "attachments": ["AQ=="] } },
        { "ack": { "socket": "a", "id": 1, "data": [place(0)], "attachments": ["AA=="] } },
    ]);
    assert_eq!(Value::from(found), expected);
}

#[test]
fn flags_before_a_room_do_not_make_the_sender_a_receiver() {
    fn register(ns: &mut Namespace) {
        ns.on("go", async |socket: Socket| {
            socket.volatile().to("r").emit("v", 1)?;
            socket.compress(true).to("r").emit("c", 1)?;
            socket.volatile().broadcast().emit("b", 1)?;
            let second = std::time::Duration::from_secs(1);
            let asked = socket.timeout(second).except("r");
            asked.emit_with_ack("t", 1, "h", ())
        });
    }
    let go = batch(json!([{ "packet": { "socket": 0, "data": ["go"] } }]));
    let found = commands(&Memory::default(), register, go);
    let targets: Vec<_> = found
        .iter()
        .map(|command| (&command["emit"]["rooms"], &command["emit"]["except"]))
        .collect();
    let (none, r, a) = (&Value::Null, &json!(["r"]), &json!(["a"]));
    let both = &json!(["a", "r"]);
    assert_eq!(targets, [(r, a), (r, a), (none, a), (none, both)]);
}

#[test]
fn what_is_for_sockets_of_all_relays_cannot_be_local() {
    fn register(ns: &mut Namespace) {
        ns.on("go", async |socket: Socket| {
            socket.nsp().local().disconnect_sockets(false)
        });
    }
    let go = batch(json!([packet(0, 7, json!(["go"]))]));
    let found = commands(&Memory::default(), register, go);
    assert_eq!(found[0]["ack"]["data"][0]["error"]["code"], "internal");
    assert_eq!(found.len(), 1, "{found:?}");
}

#[test]
fn several_handlers_of_one_event_run_in_their_order_and_the_first_answer_counts() {
    fn register(ns: &mut Namespace) {
        ns.on("go", async |socket: Socket| socket.emit("first", 1));
        ns.on("go", async |number: u32, ack: Ack| ack.send(number));
        ns.on("go", async |socket: Socket, number: u32, ack: Ack| {
            socket.emit("third", number)?;
            ack.send("too late")
        });
    }
    let events = json!([
        packet(0, 1, json!(["go", 5])),
        packet(0, 2, json!(["go", "x"]))
    ]);
    let found = commands(&Memory::default(), register, batch(events));
    assert_eq!(found.len(), 4);
    assert_eq!(found[0]["emit"]["data"], json!(["first", 1]));
    assert_eq!(found[1]["ack"]["data"], json!([5]));
    assert_eq!(found[2]["emit"]["data"], json!(["third", 5]));
    // One that cannot read its arguments takes all back.
    assert_eq!(found[3]["ack"]["data"][0]["error"]["code"], "bad_request");
}
