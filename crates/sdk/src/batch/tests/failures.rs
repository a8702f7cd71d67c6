//! Handlers that fail, clients that send what does not fit, and a database that does not work.

use super::*;

#[test]
fn a_failing_handler_leaves_no_trace_and_hurts_nobody_else() {
    fn register(ns: &mut Namespace) {
        ns.on(
            "fail",
            async |socket: Socket, after_reading: bool, ack: Ack| -> crate::Result {
                socket.join("x")?;
                socket.set_data("changed")?;
                socket.emit("noise", 1)?;
                if after_reading {
                    assert_eq!(socket.nsp().to("x").fetch_sockets().await?.len(), 1);
                }
                socket.emit("more noise", 1)?;
                ack.send("done")?;
                Err(Error::new("no", "not today"))
            },
        );
        ns.on("work", async |socket: Socket, ack: Ack| {
            socket.nsp().to("r").emit("signal", 1)?;
            ack.send(Args((socket.rooms(), socket.data::<String>()?)))
        });
    }
    for after_reading in [false, true] {
        let memory = Memory::default();
        memory
            .tables
            .borrow_mut()
            .sockets
            .insert("a".into(), "\"ada\"".into());
        let events = json!([
            packet(0, 1, json!(["work"])),
            packet(0, 2, json!(["fail", after_reading])),
            packet(0, 3, json!(["work"])),
        ]);
        let found = commands(&memory, register, batch(events));
        let error = json!([{ "error": { "code": "no", "message": "not today" } }]);
        let expected = json!([
            { "emit": { "rooms": ["r"], "data": ["signal", 1] } },
            { "ack": { "socket": "a", "id": 1, "data": [["r"], "ada"] } },
            { "ack": { "socket": "a", "id": 2, "data": error } },
            { "emit": { "rooms": ["r"], "data": ["signal", 1] } },
            { "ack": { "socket": "a", "id": 3, "data": [["r"], "ada"] } },
        ]);
        assert_eq!(Value::from(found), expected);
        let tables = memory.tables.borrow();
        let stored: Vec<_> = tables
            .log
            .iter()
            .map(|emission| emission.event.as_str())
            .collect();
        assert_eq!(stored, ["signal", "signal"]);
        assert!(tables.members.is_empty());
        assert_eq!(tables.sockets["a"], "\"ada\"");
    }
}

#[test]
fn wrong_arguments_are_answered_and_unknown_events_are_not() {
    fn register(ns: &mut Namespace) {
        ns.on("add", async |Args((a, b)): Args<(u8, u8)>, ack: Ack| {
            ack.send(a + b)
        });
    }
    let events = json!([
        packet(0, 1, json!(["add", 1, "2"])),
        packet(0, 2, json!(["subtract", 1, 2])),
        { "packet": { "socket": 0, "data": ["add"] } },
        { "tick": {} },
        packet(0, 3, json!(["add", 1, 2])),
    ]);
    let found = commands(&Memory::default(), register, batch(events));
    let text = "`add`: argument 2: expected a whole number from 0 to 255, got the string \"2\"";
    let error = json!({ "error": { "code": "bad_request", "message": text } });
    let expected = json!([
        { "ack": { "socket": "a", "id": 1, "data": [error] } },
        { "ack": { "socket": "a", "id": 3, "data": [3] } },
    ]);
    assert_eq!(Value::from(found), expected);
}

#[test]
fn a_database_that_fails_fails_the_batch_even_if_the_handler_does_not_mind() {
    fn register(ns: &mut Namespace) {
        ns.on("look", async |socket: Socket, ack: Ack| {
            let _ = socket.nsp().to("r").fetch_sockets().await;
            ack.send("fine")
        });
    }
    let memory = Memory::default();
    *memory.broken.borrow_mut() = true;
    let mut namespace = Namespace::default();
    register(&mut namespace);
    let text = batch(json!([packet(0, 1, json!(["look"]))])).to_string();
    let batch = serde_json::from_str(&text).unwrap();
    let scope = Scope {
        namespace: "/".into(),
        policy: Policy::none(),
        max_rooms: Some(4),
    };
    let outcome = block_on(run(&namespace, scope, batch, Box::new(memory.clone())));
    assert!(outcome.err().unwrap().to_string().contains("on fire"));
    assert!(memory.committed.borrow().is_none());
}

#[test]
fn a_batch_that_names_a_socket_it_does_not_have_is_refused() {
    let text = batch(json!([packet(2, 1, json!(["x"]))])).to_string();
    let error = check(&serde_json::from_str(&text).unwrap()).unwrap_err();
    assert!(error.contains("socket 2"), "{error}");
}

#[test]
fn what_fails_inside_is_for_the_log_and_the_client_hears_that_it_failed() {
    fn register(ns: &mut Namespace) {
        ns.on("look", async || -> crate::Result {
            Err(Error::internal("the password of the database is wrong"))
        });
        ns.on_connect(async || Err(Error::internal("a secret")));
    }
    let events = json!([packet(0, 1, json!(["look"])), connect(1, json!({}))]);
    let found = commands(&Memory::default(), register, batch(events));
    let text = "the app failed at this event";
    let error = json!({ "error": { "code": "internal", "message": text } });
    let expected = json!([
        { "ack": { "socket": "a", "id": 1, "data": [error] } },
        { "refuse": { "socket": "b", "message": text, "data": { "code": "internal" } } },
    ]);
    assert_eq!(Value::from(found), expected);
}
