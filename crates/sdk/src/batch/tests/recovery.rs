//! Sessions, events that happen once, many sockets at once: batches over the same store.

use super::*;

pub(super) const RECOVERING: Policy = Policy {
    recovery: 120_000,
    max_age: 0,
    max_count: 0,
};

pub(super) fn one(events: Value) -> Value {
    json!({ "sockets": [{ "id": "new", "connection": "C2" }], "events": events })
}

pub(super) fn hall(ns: &mut Namespace) {
    ns.on_connect(async |socket: Socket| {
        if socket.recovered() {
            return socket.to("r").emit("back", socket.id());
        }
        if let Ok(name) = socket.claims::<String>() {
            socket.set_data(name)?;
        }
        socket.join("r")?;
        socket.emit("hello", 1)
    });
    ns.on("say", async |socket: Socket, text: String, ack: Ack| {
        socket.nsp().to("r").emit("said", &text)?;
        socket.emit("yours", &text)?;
        socket.nsp().volatile().emit("noise", 1)?;
        ack.send(1)
    });
    ns.on(
        "who",
        async |socket: Socket, name: Option<Claims<String>>| {
            Ok(Args((socket.id().to_owned(), socket.rooms(), name)))
        },
    );
    ns.on_disconnecting(async |socket: Socket, reason: Reason| socket.to("r").emit("gone", reason));
}

/// Enters as `new` by the connection `C2`, with these claims.
pub(super) fn enter_with(memory: &Memory, claims: Value) -> Vec<Value> {
    let events = json!([connect(0, json!({ "claims": claims }))]);
    commands_under(RECOVERING, memory, hall, one(events))
}

/// Enters; gives the secret.
fn enter(memory: &Memory) -> String {
    let found = enter_with(memory, json!("ada"));
    let pid = found[0]["accept"]["pid"].as_str().unwrap().to_owned();
    assert_eq!(pid.len(), 20);
    pid
}

pub(super) fn gone(reason: &str) -> Value {
    json!({ "disconnect": { "socket": 0, "reason": reason } })
}

/// The same client asks to enter, by another connection.
pub(super) fn again(pid: &str, offset: Value, more: Value) -> Value {
    let mut auth = json!({ "pid": pid });
    if !offset.is_null() {
        auth["offset"] = offset;
    }
    let mut batch = one(json!([connect(0, json!({ "auth": auth })), more]));
    batch["sockets"][0] = json!({ "id": "temporary", "connection": "C3" });
    batch
}

#[test]
fn a_client_gets_its_session_back_and_what_it_missed() {
    let memory = Memory::default();
    let pid = enter(&memory);
    let say = batch(json!([packet(1, 1, json!(["say", "one"]))]));
    commands_under(RECOVERING, &memory, hall, say.clone());
    let found = commands_under(
        RECOVERING,
        &memory,
        hall,
        one(json!([gone("ping timeout")])),
    );
    assert_eq!(found[0]["emit"]["offset"], 4);
    commands_under(RECOVERING, &memory, hall, say);

    let ask = packet(0, 9, json!(["who"]));
    let found = commands_under(RECOVERING, &memory, hall, again(&pid, json!("2"), ask));
    let accept = &found[0]["accept"];
    assert_eq!(
        (&accept["socket"], &accept["pid"]),
        (&json!("temporary"), &json!(pid))
    );
    assert_eq!(accept["state"], json!({ "data": "ada", "claims": "ada" }));
    let recovered = &accept["recovered"];
    assert_eq!(
        (&recovered["id"], &recovered["rooms"]),
        (&json!("new"), &json!(["r"]))
    );
    let missed = recovered["missed"].as_array().unwrap();
    let missed: Vec<_> = missed
        .iter()
        .map(|missed| {
            (
                missed["offset"].as_u64().unwrap(),
                missed["data"][0].clone(),
            )
        })
        .collect();
    assert_eq!(missed, [(4, json!("gone")), (5, json!("said"))]);
    assert_eq!(found[1]["emit"]["data"], json!(["back", "new"]));
    // The rest of the batch knows it as what it was.
    assert_eq!(found[2]["ack"]["socket"], "new");
    assert_eq!(found[2]["ack"]["data"], json!(["new", ["r"], "ada"]));
}

#[test]
fn who_is_authorized_again_has_the_claims_of_now() {
    let memory = Memory::default();
    let pid = enter(&memory);
    commands_under(
        RECOVERING,
        &memory,
        hall,
        one(json!([gone("transport close")])),
    );
    let mut events = again(&pid, json!("1"), packet(0, 9, json!(["who"])));
    events["events"][0]["connect"]["claims"] = json!("countess");
    let found = commands_under(RECOVERING, &memory, hall, events);
    let state = json!({ "data": "ada", "claims": "countess" });
    assert_eq!(found[0]["accept"]["state"], state);
    assert_eq!(found[2]["ack"]["data"][2], "countess");
}

#[test]
fn what_is_stored_carries_its_offset_and_nothing_else_does() {
    let memory = Memory::default();
    let say = || {
        batch(json!([
            packet(0, 1, json!(["say", "x"])),
            packet(0, 2, json!(["say", "y"]))
        ]))
    };
    let offsets = |found: &[Value]| -> Vec<Value> {
        let emits = found.iter().filter_map(|command| command.get("emit"));
        emits.map(|emit| emit["offset"].clone()).collect()
    };
    let found = commands_under(RECOVERING, &memory, hall, say());
    let null = Value::Null;
    assert_eq!(
        offsets(&found),
        [
            json!(1),
            json!(2),
            null.clone(),
            json!(3),
            json!(4),
            null.clone()
        ]
    );
    // Without recovery nothing but a room's history is worth storing, and nobody reads its offsets.
    let memory = Memory::default();
    let found = commands_under(Policy::none(), &memory, hall, say());
    assert!(offsets(&found).iter().all(Value::is_null));
    assert_eq!(memory.tables.borrow().log.len(), 2);
}

#[test]
fn who_cannot_be_recovered_enters_anew_and_who_was_not_judged_is_judged_first() {
    let memory = Memory::default();
    let pid = enter(&memory);
    commands_under(
        RECOVERING,
        &memory,
        hall,
        one(json!([gone("client namespace disconnect")])),
    );
    let tick = || json!({ "tick": {} });
    for offset in [json!("2"), json!(null), json!("nonsense"), json!(7)] {
        let found = commands_under(RECOVERING, &memory, hall, again(&pid, offset, tick()));
        let accept = &found[0]["accept"];
        assert_eq!(accept["socket"], "temporary");
        assert!(accept["recovered"].is_null());
        assert_ne!(accept["pid"], pid.as_str());
    }
    let mut unjudged = again(&pid, json!("2"), tick());
    unjudged["events"][0]["connect"]["unjudged"] = true.into();
    let found = commands_under(RECOVERING, &memory, hall, unjudged);
    assert_eq!(json!(found), json!([{ "anew": { "socket": "temporary" } }]));
}

#[test]
fn a_disconnect_that_comes_late_does_not_hurt_the_socket_that_is_back() {
    let memory = Memory::default();
    let pid = enter(&memory);
    // In one batch: the connection is lost, the client is back, and again by another connection before the
    // relay has noticed that the second was lost, too.
    let mut events = again(&pid, json!("1"), gone("ping timeout"));
    events["sockets"] = json!([
        { "id": "new", "connection": "C2", "rooms": ["r"] },
        { "id": "temporary", "connection": "C3" },
    ]);
    events["events"][0]["connect"]["socket"] = 1.into();
    let first = json!([
        gone("transport close"),
        events["events"][0],
        events["events"][1]
    ]);
    events["events"] = first;
    let found = commands_under(RECOVERING, &memory, hall, events);
    let said: Vec<_> = found
        .iter()
        .filter_map(|command| command.get("emit"))
        .map(|emit| emit["data"][0].clone())
        .collect();
    assert_eq!(said, [json!("gone"), json!("back")]);
    // In another batch.
    let late = one(json!([gone("ping timeout")]));
    assert!(commands_under(RECOVERING, &memory, hall, late).is_empty());
    assert_eq!(memory.tables.borrow().members, [("r".into(), "new".into())]);
}

#[test]
fn an_event_that_happens_once_gets_its_first_answer() {
    fn register(ns: &mut Namespace) {
        async fn name(order: (String, u32)) -> crate::Result<Once> {
            Ok(Once {
                id: order.0,
                sender: "ada".into(),
            })
        }
        ns.on_once(
            "order",
            name,
            async |socket: Socket, order: (String, u32), ack: Ack| {
                if order.1 == 0 {
                    return Err(Error::new("none", "nothing is ordered"));
                }
                socket.nsp().to("kitchen").emit("ordered", order.1)?;
                ack.send(order.1)
            },
        );
        ns.on_once(
            "quiet",
            name,
            async |socket: Socket, order: (String, u32)| {
                socket.nsp().to("kitchen").emit("quiet", order.1)
            },
        );
    }
    let memory = Memory::default();
    let order = |id: u64, event: &str, name: &str, number: u32| {
        packet(0, id, json!([event, [name, number]]))
    };
    let events = json!([
        order(1, "order", "x", 0),
        order(2, "order", "x", 5),
        order(3, "order", "x", 6),
        order(4, "quiet", "y", 7),
        order(5, "quiet", "y", 7),
        // Of another event it is another one.
        order(6, "quiet", "x", 8),
    ]);
    let found = commands(&memory, register, batch(events));
    let acks: Vec<_> = found
        .iter()
        .filter_map(|command| command.get("ack"))
        .map(|ack| (ack["id"].as_u64().unwrap(), ack["data"].clone()))
        .collect();
    let none = json!([{ "error": { "code": "none", "message": "nothing is ordered" } }]);
    assert_eq!(
        acks,
        [
            (1, none),
            (2, json!([5])),
            (3, json!([5])),
            (4, json!([])),
            (5, json!([])),
            (6, json!([]))
        ]
    );
    assert_eq!(memory.tables.borrow().log.len(), 3);
}

#[test]
fn what_sees_every_event_comes_first_and_can_stop_it() {
    fn register(ns: &mut Namespace) {
        ns.use_packet(async |packet: Packet| match packet.event.as_str() {
            "forbidden" => Err(Error::new("forbidden", "not that")),
            _ => Ok(()),
        });
        ns.on_any(async |socket: Socket, packet: Packet| {
            socket.emit("seen", Args((packet.event, packet.args.len())))
        });
        ns.on("allowed", async |text: String, ack: Ack| ack.send(text));
        ns.on("forbidden", async |ack: Ack| ack.send("oh"));
    }
    let events = json!([
        packet(0, 1, json!(["allowed", "a"])),
        packet(0, 2, json!(["forbidden"])),
        packet(0, 3, json!(["unknown", 1, 2])),
    ]);
    let found = commands(&Memory::default(), register, batch(events));
    let error = json!([{ "error": { "code": "forbidden", "message": "not that" } }]);
    let expected = json!([
        { "emit": { "rooms": ["a"], "data": ["seen", "allowed", 1] } },
        { "ack": { "socket": "a", "id": 1, "data": ["a"] } },
        { "ack": { "socket": "a", "id": 2, "data": error } },
        { "emit": { "rooms": ["a"], "data": ["seen", "unknown", 2] } },
    ]);
    assert_eq!(Value::from(found), expected);
}

#[test]
fn many_sockets_are_moved_and_disconnected_at_once() {
    fn register(ns: &mut Namespace) {
        ns.on("move", async |socket: Socket, ack: Ack| {
            let nsp = socket.nsp();
            nsp.in_("r").except("b").sockets_join(["x", "y"])?;
            nsp.sockets_leave("r")?;
            nsp.in_("x").disconnect_sockets(true)?;
            nsp.to(["x", "z"]).local().emit("here", 1)?;
            nsp.of("/other").to("x").send("there")?;
            nsp.of("/").emit("own", 1)?;
            let everyone = nsp.fetch_sockets().await?;
            let rooms = everyone[0].rooms().await?;
            ack.send(Args((socket.rooms(), everyone.len(), rooms)))
        });
    }
    let memory = Memory::default();
    for socket in ["a", "b"] {
        let mut tables = memory.tables.borrow_mut();
        tables.sockets.insert(socket.into(), "null".into());
        tables.members.push(("r".into(), socket.into()));
    }
    let found = commands(
        &memory,
        register,
        batch(json!([packet(0, 1, json!(["move"]))])),
    );
    let expected = json!([
        { "sockets": { "rooms": ["r"], "except": ["b"], "join": ["x", "y"] } },
        { "sockets": { "leave": ["r"] } },
        { "sockets": { "rooms": ["x"], "disconnect": true } },
        { "emit": { "rooms": ["x", "z"], "data": ["here", 1], "local": true } },
        { "emit": { "rooms": ["x"], "data": ["message", "there"], "namespace": "/other", "offset": 1, "previous": 0 } },
        { "emit": { "data": ["own", 1] } },
        { "ack": { "socket": "a", "id": 1, "data": [["x", "y"], 2, ["x", "y"]] } },
    ]);
    assert_eq!(Value::from(found), expected);
}

#[test]
fn reserved_names_cannot_be_emitted() {
    fn register(ns: &mut Namespace) {
        ns.on("emit", async |socket: Socket, name: String| {
            socket.emit(&name, 1)
        });
    }
    for name in [
        "connect",
        "disconnect",
        "connect_error",
        "disconnecting",
        "newListener",
    ] {
        let events = json!([packet(0, 1, json!(["emit", name]))]);
        let found = commands(&Memory::default(), register, batch(events));
        // What is wrong is for the log; the client hears that it failed, and nothing is emitted.
        assert_eq!(found[0]["ack"]["data"][0]["error"]["code"], "internal");
        assert_eq!(found.len(), 1, "{name}: {found:?}");
    }
}

#[test]
fn the_handshake_is_kept_where_it_is_wanted_later() {
    fn register(ns: &mut Namespace) {
        ns.keep_handshake();
        ns.on("how", async |socket: Socket, ack: Ack| {
            ack.send(socket.handshake())
        });
        ns.on_disconnect(async |socket: Socket, reason: Reason| {
            socket
                .broadcast()
                .emit("left", Args((socket.rooms(), reason)))
        });
    }
    let memory = Memory::default();
    let events = json!([connect(1, json!({ "auth": { "a": 1 } }))]);
    let found = commands_under(RECOVERING, &memory, register, batch(events));
    let state = found[0]["accept"]["state"].clone();
    let mut later = batch(json!([
        packet(1, 1, json!(["how"])),
        { "disconnect": { "socket": 1, "reason": "transport close" } },
    ]));
    later["sockets"][1]["state"] = state;
    later["sockets"][1]["rooms"] = json!(["r"]);
    let found = commands_under(RECOVERING, &memory, register, later);
    assert_eq!(found[0]["ack"]["data"][0]["auth"], json!({ "a": 1 }));
    assert_eq!(found[0]["ack"]["data"][0]["url"], "/");
    assert_eq!(
        found[1]["emit"]["data"],
        json!(["left", [], "transport close"])
    );
}
