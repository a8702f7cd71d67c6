//! What handlers take and return.

use std::cell::Cell;

use super::*;
use crate::Auth;

#[derive(Deserialize)]
struct User {
    sub: String,
}

/// The batch's events come from a client of whom middleware said this.
fn of_user(claims: Value, events: Value) -> Value {
    let mut batch = batch(events);
    batch["sockets"][0]["state"]["claims"] = claims;
    batch
}

fn answers(found: &[Value]) -> Vec<(u64, Value)> {
    let acks = found.iter().filter_map(|command| command.get("ack"));
    acks.map(|ack| (ack["id"].as_u64().unwrap(), ack["data"].clone()))
        .collect()
}

#[test]
fn a_handler_takes_what_it_names_in_any_order() {
    fn register(ns: &mut Namespace) {
        ns.on("nothing", async || Ok("it ran"));
        ns.on(
            "all",
            async |first: String,
                   io: Nsp,
                   second: Option<u8>,
                   user: Claims<User>,
                   socket: Socket,
                   rest: Args<Vec<u8>>| {
                io.emit("seen", (first, second, &user.sub, socket.id(), rest.0))
            },
        );
        ns.on(
            "pair",
            async |a: u8, ack: Ack, Args((b, c)): Args<(u8, u8)>, d: u8| ack.send([a, b, c, d]),
        );
    }
    let events = json!([
        packet(0, 1, json!(["nothing", "too", "many"])),
        packet(0, 2, json!(["all", "x", 7, 8, 9])),
        packet(0, 3, json!(["all", "x"])),
        packet(0, 4, json!(["pair", 1, 2, 3, 4])),
        packet(0, 5, json!(["pair", 1, 2, "x"])),
    ]);
    let found = commands(
        &Memory::default(),
        register,
        of_user(json!({ "sub": "ann" }), events),
    );
    let seen: Vec<&Value> = found
        .iter()
        .filter_map(|it| it.get("emit"))
        .map(|it| &it["data"][1])
        .collect();
    assert_eq!(
        seen,
        [
            &json!(["x", 7, "ann", "a", [8, 9]]),
            &json!(["x", null, "ann", "a", []])
        ]
    );
    let error = json!({ "error": { "code": "bad_request",
        "message": r#"`pair`: argument 3: expected a whole number from 0 to 255, got the string "x""# } });
    assert_eq!(
        answers(&found),
        [
            (1, json!(["it ran"])),
            (2, json!([])),
            (3, json!([])),
            (4, json!([[1, 2, 3, 4]])),
            (5, json!([error])),
        ]
    );
}

#[test]
fn what_ok_has_is_the_acknowledgement() {
    fn register(ns: &mut Namespace) {
        ns.on("value", async |number: u8| Ok(number + 1));
        ns.on("several", async || Ok(Args((1, "two"))));
        ns.on("done", async |socket: Socket| socket.emit("x", ()));
        ns.on("unit", async || {});
        ns.on("null", async || Ok(None::<u8>));
        ns.on("never", async |_ack: Ack| {});
        ns.on("fails", async |fails: bool| match fails {
            true => Err(Error::new("failed", "no")),
            false => Ok("fine"),
        });
    }
    let events = json!([
        packet(0, 1, json!(["value", 1])),
        packet(0, 2, json!(["several"])),
        packet(0, 3, json!(["done"])),
        packet(0, 4, json!(["unit"])),
        packet(0, 5, json!(["null"])),
        packet(0, 6, json!(["never"])),
        packet(0, 7, json!(["fails", true])),
        packet(0, 8, json!(["fails", false])),
        { "packet": { "socket": 0, "data": ["value", 1] } },
    ]);
    let found = commands(&Memory::default(), register, batch(events));
    assert_eq!(
        found[2],
        json!({ "emit": { "rooms": ["a"], "data": ["x"] } })
    );
    assert_eq!(
        answers(&found),
        [
            (1, json!([2])),
            (2, json!([1, "two"])),
            (3, json!([])),
            (4, json!([])),
            (5, json!([null])),
            (
                7,
                json!([{ "error": { "code": "failed", "message": "no" } }])
            ),
            (8, json!(["fine"])),
        ]
    );
}

#[test]
fn of_several_handlers_one_without_a_value_leaves_the_answer_to_the_others() {
    fn register(ns: &mut Namespace) {
        ns.on("one", async || {});
        ns.on("one", async || Ok("an answer"));
        ns.on("one", async || {});
        ns.on("none", async || {});
        ns.on("none", async |_ack: Ack| {});
        ns.on("silent", async |_ack: Ack| {});
        ns.on("silent", async |_ack: Ack| {});
    }
    let events = json!([
        packet(0, 1, json!(["one"])),
        packet(0, 2, json!(["none"])),
        packet(0, 3, json!(["silent"])),
    ]);
    let found = commands(&Memory::default(), register, batch(events));
    assert_eq!(answers(&found), [(1, json!(["an answer"])), (2, json!([]))]);
}

thread_local! {
    static READ: Cell<u32> = const { Cell::new(0) };
}

/// Claims that count how often they are read.
struct Counted(String);

impl<'de> Deserialize<'de> for Counted {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        READ.set(READ.get() + 1);
        User::deserialize(deserializer).map(|user| Self(user.sub))
    }
}

#[test]
fn claims_are_read_once_and_anew_when_they_change() {
    fn register(ns: &mut Namespace) {
        ns.on("who", async |claims: Claims<Counted>| {
            Ok(claims.0.0.clone())
        });
        ns.on("is one", async |claims: Option<Claims<Counted>>| {
            Ok(claims.is_some())
        });
    }
    let renew =
        json!({ "renew": connect(0, json!({ "claims": { "sub": "ann", "more": 1 } }))["connect"] });
    let who = |id| packet(0, id, json!(["who"]));
    let events = json!([
        who(1),
        who(2),
        packet(0, 3, json!(["is one"])),
        renew,
        who(4),
        who(5)
    ]);
    READ.set(0);
    let found = commands(
        &Memory::default(),
        register,
        of_user(json!({ "sub": "ann" }), events),
    );
    let answers: Vec<Value> = answers(&found).into_iter().map(|(_, data)| data).collect();
    assert_eq!(
        answers,
        [
            json!(["ann"]),
            json!(["ann"]),
            json!([true]),
            json!(["ann"]),
            json!(["ann"])
        ]
    );
    assert_eq!(READ.get(), 2);
}

#[test]
fn missing_and_wrong_claims_are_refused_in_words() {
    fn register(ns: &mut Namespace) {
        ns.on_connect(async |user: Claims<User>, socket: Socket| socket.join(&user.sub));
        ns.on("who", async |user: Claims<User>| Ok(user.sub.clone()));
        ns.on("maybe", async |user: Option<Claims<User>>| {
            Ok(user.is_some())
        });
    }
    let events = json!([
        connect(1, json!({})),
        connect(1, json!({ "claims": { "subject": "ann" } })),
        packet(0, 1, json!(["who"])),
        packet(0, 2, json!(["maybe"])),
    ]);
    let found = commands(&Memory::default(), register, batch(events));
    let data = json!({ "code": "unauthorized" });
    let wrong = "Unauthorized: the claims are not as wanted: `sub` is missing";
    let refuse =
        |message: &str| json!({ "refuse": { "socket": "b", "message": message, "data": data } });
    assert_eq!(found[0], refuse("Unauthorized"));
    assert_eq!(found[1], refuse(wrong));
    let error = json!({ "error": { "code": "unauthorized", "message": "Unauthorized" } });
    assert_eq!(answers(&found), [(1, json!([error])), (2, json!([false]))]);
}

#[test]
fn auth_has_a_type() {
    #[derive(Deserialize)]
    struct Words {
        token: Option<u8>,
    }
    fn register(ns: &mut Namespace) {
        ns.on_connect(async |socket: Socket, auth: Auth<Words>| socket.emit("token", auth.token));
    }
    for (auth, expected) in [
        (json!({ "token": 5 }), json!(["token", 5])),
        (json!(null), json!(["token", null])),
    ] {
        let events = json!([connect(0, json!({ "auth": auth }))]);
        let found = commands(&Memory::default(), register, batch(events));
        assert_eq!(found[1]["emit"]["data"], expected);
    }
    let events = json!([connect(0, json!({ "auth": { "token": "x" } }))]);
    let found = commands(&Memory::default(), register, batch(events));
    let message = r#"`auth`: `token`: expected a whole number from 0 to 255, got the string "x""#;
    assert_eq!(found[0]["refuse"]["message"], message);
}

#[test]
fn handlers_of_one_kind_run_in_order_and_the_first_to_refuse_ends_that() {
    fn register(ns: &mut Namespace) {
        ns.on_connect(async |socket: Socket, auth: Auth<bool>| match auth.0 {
            true => socket.join("first"),
            false => Err(Error::new("refused", "not you")),
        });
        ns.on_connect(async |socket: Socket| socket.emit("rooms", socket.rooms()));
        ns.on_disconnecting(async |io: Nsp| io.emit("going", 1));
        ns.on_disconnecting(async |io: Nsp, reason: Reason| io.emit("going", reason));
        ns.on_disconnect(async |io: Nsp| io.emit("gone", 1));
        ns.on_disconnect(async |reason: Reason, io: Nsp| io.emit("gone", &*reason));
    }
    let events = json!([
        connect(1, json!({ "auth": true })),
        connect(1, json!({ "auth": false })),
        { "disconnect": { "socket": 0, "reason": "transport close" } },
    ]);
    let found = commands(&Memory::default(), register, batch(events));
    let said: Vec<&Value> = found
        .iter()
        .filter_map(|it| it.get("emit"))
        .map(|it| &it["data"])
        .collect();
    assert_eq!(
        json!(said),
        json!([
            ["rooms", ["first"]],
            ["going", 1],
            ["going", "transport close"],
            ["gone", 1],
            ["gone", "transport close"]
        ])
    );
    assert_eq!(
        found[3],
        json!({ "refuse": { "socket": "b", "message": "not you", "data": { "code": "refused" } } })
    );
}

#[test]
fn a_handshake_that_an_event_takes_is_kept() {
    fn register(ns: &mut Namespace) {
        ns.on("how", async |handshake: Handshake| Ok(handshake.url));
    }
    let events = json!([
        connect(1, json!({})),
        packet(1, 1, json!(["how"])),
        packet(0, 2, json!(["how"]))
    ]);
    let found = commands(&Memory::default(), register, batch(events));
    assert_eq!(found[0]["accept"]["state"]["handshake"]["url"], "/");
    let found = answers(&found);
    assert_eq!(found[0], (1, json!(["/"])));
    // This one came before handlers wanted it.
    assert_eq!(found[1].1[0]["error"]["code"], "internal");
}

#[test]
fn a_socket_joins_and_leaves_one_room_or_several() {
    fn register(ns: &mut Namespace) {
        ns.on("go", async |socket: Socket| {
            socket.join(["x", "y", "z"])?;
            socket.leave(["x", "nowhere", "r"])?;
            socket.leave("y")?;
            Ok(socket.rooms())
        });
    }
    let found = commands(
        &Memory::default(),
        register,
        batch(json!([packet(0, 1, json!(["go"]))])),
    );
    assert_eq!(answers(&found), [(1, json!([["z"]]))]);
}

#[test]
fn nobody_enters_a_namespace_that_the_app_does_not_have() {
    let memory = Memory::default();
    let namespace = Namespace::missing("/amdin", "/, /admin".into());
    let scope = Scope {
        namespace: "/amdin".into(),
        policy: Policy::none(),
        max_rooms: None,
    };
    let gone = json!({ "disconnect": { "socket": 0, "reason": "transport close" } });
    let text = batch(json!([
        connect(1, json!({})),
        packet(0, 1, json!(["x"])),
        gone
    ]))
    .to_string();
    let batch: Batch = serde_json::from_str(&text).unwrap();
    memory
        .tables
        .borrow_mut()
        .sockets
        .insert("a".into(), "1".into());
    let outcome = block_on(run(&namespace, scope, batch, Box::new(memory.clone())));
    let response: Value = serde_json::from_str(&outcome.unwrap().response).unwrap();
    let refused = json!([{ "refuse": { "socket": "b", "message": "Invalid namespace" } }]);
    assert_eq!(response["commands"], refused);
    // One that was let in by an app before goes as any.
    assert!(memory.tables.borrow().sockets.is_empty());
}
