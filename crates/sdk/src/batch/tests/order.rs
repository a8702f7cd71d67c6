//! What stands in the log for other relays, where there are any, and which part of the log an answer is.

use super::{parts::answer, *};

/// Another relay has these sockets, `b` among them: its session was resumed there, and this relay does not know it.
fn with_others() -> Memory {
    let memory = Memory::default();
    {
        let mut tables = memory.tables.borrow_mut();
        for socket in ["a", "b", "c"] {
            tables.sockets.insert(socket.into(), "null".into());
        }
        tables.members.push(("r".into(), "a".into()));
        tables.members.push(("r".into(), "c".into()));
        tables.elsewhere = vec!["b".into(), "c".into()];
    }
    memory
}

fn busy(ns: &mut Namespace) {
    ns.on("go", async |socket: Socket| {
        let nsp = socket.nsp();
        socket.emit("direct", 1)?;
        socket.join("x")?;
        nsp.to("r").emit("kept", 2)?;
        nsp.volatile().emit("lost", 3)?;
        nsp.local().emit("near", 4)?;
        nsp.in_("r").sockets_join("y")?;
        nsp.of("/other").emit("far", 5)?;
        nsp.to("r")
            .emit_with_ack("asked", 6, "handler", "context")?;
        nsp.local().emit_with_ack("near", 7, "handler", ())?;
        nsp.disconnect_sockets(false)?;
        socket.set_data(8)?;
        socket.leave("x")?;
        socket.disconnect(true)
    });
    ns.on("emit", async |socket: Socket| {
        socket.emit("direct", 1)?;
        socket.nsp().sockets_join("z")
    });
    ns.on("read and emit", async |socket: Socket| {
        socket.emit("direct", 1)?;
        socket.nsp().fetch_sockets().await?;
        socket.emit("direct", 2)
    });
}

fn go(socket: usize) -> Value {
    batch(json!([{ "packet": { "socket": socket, "data": ["go"] } }]))
}

/// The name and the place in the log of each command.
fn places(answer: &Value) -> Vec<(String, Value)> {
    let commands = answer["commands"].as_array().unwrap().iter();
    let place = |command: &Value| {
        let (name, content) = command.as_object().unwrap().iter().next().unwrap();
        (name.clone(), content["offset"].clone())
    };
    commands.map(place).collect()
}

/// Which commands have which places.
fn expect(answer: &Value, expected: &[(&str, Value)]) {
    let expected = expected.iter();
    let expected = expected.map(|(name, place)| ((*name).to_owned(), place.clone()));
    assert_eq!(places(answer), expected.collect::<Vec<_>>());
}

const NONE: Value = Value::Null;

#[test]
fn without_other_relays_nothing_is_stored_for_them() {
    let memory = Memory::default();
    memory
        .tables
        .borrow_mut()
        .sockets
        .insert("a".into(), "null".into());
    let found = answer(Policy::none(), &memory, busy, &go(0));
    expect(
        &found,
        &[
            ("emit", NONE),
            ("join", NONE),
            ("emit", NONE),
            ("emit", NONE),
            ("emit", NONE),
            ("sockets", NONE),
            ("emit", json!(2)),
            ("emit", NONE),
            ("emit", NONE),
            ("sockets", NONE),
            ("state", NONE),
            ("leave", NONE),
            ("disconnect", NONE),
        ],
    );
    assert_eq!(memory.tables.borrow().log.len(), 2);
    assert_eq!((&found["previous"], &found["head"]), (&json!(0), &json!(1)));
    assert!(found["commands"][7]["emit"].get("asked").is_none());
}

#[test]
fn with_other_relays_everything_that_they_must_do_has_its_place() {
    let memory = with_others();
    let found = answer(Policy::none(), &memory, busy, &go(0));
    // What is for the socket of this relay is for nobody else.
    expect(
        &found,
        &[
            ("emit", json!(1)),
            ("join", NONE),
            ("emit", json!(2)),
            ("emit", NONE),
            ("emit", NONE),
            ("sockets", json!(3)),
            ("emit", json!(4)),
            ("emit", json!(5)),
            ("emit", NONE),
            ("sockets", json!(6)),
            ("state", NONE),
            ("leave", NONE),
            ("disconnect", NONE),
        ],
    );
    let commands = &found["commands"];
    assert_eq!(commands[6]["emit"]["previous"], 0);
    let asked = json!([["a", "relay-1"], ["c", "relay-2"]]);
    assert_eq!(commands[7]["emit"]["asked"], asked);
    assert_eq!(commands[7]["emit"]["ack"]["handler"], "handler");
    assert_eq!((&found["previous"], &found["head"]), (&json!(0), &json!(6)));
    // What others get of it has neither the handler nor what that has to know.
    let tables = memory.tables.borrow();
    let json = |place: usize| serde_json::from_str::<Value>(&tables.log[place].data).unwrap();
    let sockets = json!({ "sockets": { "rooms": ["r"], "join": ["y"] } });
    assert_eq!(json(2), sockets);
    let ack = json!({ "handler": "", "timeout": 20_000 });
    assert_eq!(
        json(4),
        json!({ "emit": { "data": ["asked", 6], "ack": ack } })
    );
    assert_eq!(json(5), json!({ "sockets": { "disconnect": false } }));
}

#[test]
fn a_batch_that_stores_nothing_does_without_the_database_and_has_no_place_in_the_log() {
    let emit = batch(json!([{ "packet": { "socket": 0, "data": ["emit"] } }]));
    // To move sockets changes the database.
    let only_emit = |ns: &mut Namespace| {
        ns.on("emit", async |socket: Socket| {
            socket.emit("direct", 1)?;
            socket.nsp().disconnect_sockets(true)
        });
    };
    let memory = Memory::default();
    let found = answer(Policy::none(), &memory, only_emit, &emit);
    expect(&found, &[("emit", NONE), ("sockets", NONE)]);
    assert!(found.get("head").is_none() && found.get("previous").is_none());
    assert_eq!(memory.tables.borrow().applies, 0);
    let memory = with_others();
    let found = answer(Policy::none(), &memory, only_emit, &emit);
    expect(&found, &[("emit", json!(1)), ("sockets", json!(2))]);
    assert_eq!((&found["previous"], &found["head"]), (&json!(0), &json!(2)));
    let found = answer(Policy::none(), &memory, busy, &emit);
    assert_eq!((&found["previous"], &found["head"]), (&json!(2), &json!(4)));
}

#[test]
fn who_only_reads_has_the_place_at_which_it_has_read() {
    let read = batch(json!([{ "packet": { "socket": 0, "data": ["read and emit"] } }]));
    let memory = Memory::default();
    let found = answer(Policy::none(), &memory, busy, &read);
    expect(&found, &[("emit", NONE), ("emit", NONE)]);
    assert_eq!((&found["previous"], &found["head"]), (&json!(0), &json!(0)));
    // There was nothing to apply, and so nothing to take back by a savepoint.
    assert_eq!(memory.tables.borrow().applies, 0);
    let found = answer(Policy::none(), &with_others(), busy, &read);
    expect(&found, &[("emit", json!(1)), ("emit", json!(2))]);
}

#[test]
fn a_tick_of_a_relay_that_asks_for_a_part_of_the_log_takes_no_lock() {
    for (replay, applies) in [(true, 0), (false, 1)] {
        let memory = Memory::default();
        let tick = json!({ "events": [{ "tick": {} }], "delivered": 7, "replay": replay });
        let found = answer(Policy::none(), &memory, busy, &tick);
        assert_eq!(memory.tables.borrow().applies, applies);
        assert_eq!(found.get("head").is_none(), replay);
    }
}
