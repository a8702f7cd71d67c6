//! Batches that are done in part, because their answers would be too large.

use parlour_protocol::relay::{MAX_ANSWER_BYTES, RECOVERY_PAGE_BYTES, SOFT_ANSWER_BYTES};

use super::*;
use crate::memory::Tables;

/// Runs a batch; gives the answer.
pub(super) fn answer(
    policy: Policy,
    memory: &Memory,
    register: fn(&mut Namespace),
    batch: &Value,
) -> Value {
    let mut namespace = Namespace::default();
    register(&mut namespace);
    let scope = Scope {
        namespace: "/".into(),
        policy,
        max_rooms: None,
    };
    let text = batch.to_string();
    let batch: Batch = serde_json::from_str(&text).unwrap();
    let outcome = block_on(run(&namespace, scope, batch, Box::new(memory.clone())));
    let response = outcome.unwrap().response;
    assert!(
        response.len() <= MAX_ANSWER_BYTES,
        "{} bytes",
        response.len()
    );
    serde_json::from_str(&response).unwrap()
}

fn megabytes(ns: &mut Namespace) {
    ns.on("get", async |megabytes: usize, ack: Ack| {
        ack.send("x".repeat(megabytes * 1024 * 1024))
    });
    ns.on(
        "note",
        async |socket: Socket, megabytes: usize, ack: Ack| {
            socket.join("noted")?;
            // What the database has seen of it is undone, too.
            socket.nsp().to("noted").fetch_sockets().await?;
            ack.send("x".repeat(megabytes * 1024 * 1024))
        },
    );
    ns.on_disconnect(async |socket: Socket| socket.nsp().emit("gone", "x".repeat(9 * 1024 * 1024)));
}

fn ids(answer: &Value) -> Vec<u64> {
    let commands = answer["commands"].as_array().unwrap().iter();
    let id = |command: &Value| command["ack"]["id"].as_u64();
    commands.filter_map(id).collect()
}

#[test]
fn a_batch_stops_when_its_answer_is_large_and_says_how_far_it_came() {
    let events: Vec<Value> = (1..=60)
        .map(|id| packet(0, id, json!(["get", 1])))
        .collect();
    let mut left = &events[..];
    let mut seen = Vec::new();
    while !left.is_empty() {
        let found = answer(
            Policy::none(),
            &Memory::default(),
            megabytes,
            &batch(json!(left)),
        );
        seen.extend(ids(&found));
        let done = found["done"]
            .as_u64()
            .map_or(left.len(), |done| done as usize);
        let bytes = found.to_string().len();
        assert!(bytes < SOFT_ANSWER_BYTES + 1024 * 1024 + 1024, "{bytes}");
        left = &left[done..];
    }
    assert_eq!(seen, (1..=60).collect::<Vec<_>>());
}

#[test]
fn what_is_read_counts_too() {
    fn register(ns: &mut Namespace) {
        ns.on("count", async |socket: Socket, ack: Ack| {
            let nsp = socket.nsp();
            let page = nsp.history("r", "said", crate::Position::End, 9).await?;
            ack.send(page.len())
        });
        ns.on("say", async |socket: Socket, text: String| {
            socket.nsp().to("r").emit("said", text)
        });
    }
    let memory = Memory::default();
    let say = json!({ "packet": { "socket": 0, "data": ["say", "x".repeat(1024 * 1024)] } });
    answer(Policy::none(), &memory, register, &batch(json!([say])));
    let counts: Vec<Value> = (1..=9).map(|id| packet(0, id, json!(["count"]))).collect();
    let found = answer(Policy::none(), &memory, register, &batch(json!(counts)));
    assert_eq!(found["done"], 4);
}

#[test]
fn a_batch_without_events_is_answered_that_nothing_was_done() {
    let memory = Memory::default();
    let found = answer(Policy::none(), &memory, megabytes, &json!({ "events": [] }));
    assert_eq!(found, json!({ "commands": [], "done": 0 }));
    assert!(memory.committed.borrow().is_some());
}

#[test]
fn an_event_whose_answer_is_too_large_alone_leaves_no_trace_and_is_an_error() {
    let memory = Memory::default();
    let events = json!([
        packet(0, 1, json!(["get", 1])),
        packet(0, 2, json!(["note", 9])),
        packet(0, 3, json!(["get", 1])),
    ]);
    let found = answer(Policy::none(), &memory, megabytes, &batch(events));
    assert_eq!(ids(&found), [1, 2, 3]);
    assert!(found["done"].is_null());
    let error = &found["commands"][1]["ack"]["data"][0]["error"];
    assert_eq!(error["code"], "too_large");
    assert!(memory.tables.borrow().members.is_empty());
}

#[test]
fn an_event_that_fits_only_alone_is_left_for_the_next_batch() {
    let memory = Memory::default();
    let events = json!([
        packet(0, 1, json!(["get", 3])),
        packet(0, 2, json!(["note", 7])),
        packet(0, 3, json!(["get", 1])),
    ]);
    let found = answer(Policy::none(), &memory, megabytes, &batch(events.clone()));
    assert_eq!((ids(&found), &found["done"]), (vec![1], &json!(1)));
    assert!(memory.tables.borrow().members.is_empty());
    let rest = json!([events[1], events[2]]);
    let found = answer(Policy::none(), &memory, megabytes, &batch(rest));
    assert_eq!((ids(&found), &found["done"]), (vec![2], &json!(1)));
    assert_eq!(memory.tables.borrow().members.len(), 1);
}

#[test]
fn a_leaving_whose_answer_is_too_large_is_done_without_handlers() {
    let memory = Memory::default();
    let known = |tables: &mut Tables| tables.sockets.insert("a".into(), "1".into());
    known(&mut memory.tables.borrow_mut());
    let mut namespace = Namespace::default();
    megabytes(&mut namespace);
    let gone = |unhandled| json!([{ "disconnect": { "socket": 0, "reason": "transport close", "unhandled": unhandled } }]);
    let scope = || Scope {
        namespace: "/".into(),
        policy: Policy::none(),
        max_rooms: None,
    };
    let text = batch(gone(false)).to_string();
    let first = serde_json::from_str(&text).unwrap();
    let outcome = block_on(run(&namespace, scope(), first, Box::new(memory.clone())));
    assert!(matches!(outcome, Err(Failed::TooLarge(_))));
    assert!(memory.committed.borrow().is_none());
    let found = answer(Policy::none(), &memory, megabytes, &batch(gone(true)));
    assert_eq!(found, json!({ "commands": [], "previous": 0, "head": 0 }));
    assert!(memory.tables.borrow().sockets.is_empty());
}

#[test]
fn who_asks_to_enter_and_is_put_off_is_known_when_it_comes_again() {
    fn register(ns: &mut Namespace) {
        ns.on_connect(async |socket: Socket, claims: Option<Claims<String>>| {
            let name = claims.as_ref().map(|claims| &**claims.0);
            socket.emit("hello", (name, "x".repeat(5 * 1024 * 1024)))
        });
    }
    let memory = Memory::default();
    let refused = json!({ "message": "no" });
    let mut events = vec![
        connect(0, json!({ "claims": "ann" })),
        connect(1, json!({ "claims": "bob" })),
        connect(1, json!({ "refused": refused })),
        connect(1, json!({ "unjudged": true })),
    ];
    let found = answer(Policy::none(), &memory, register, &batch(json!(events)));
    assert_eq!(found["done"], 1);
    let progress = found["progress"].as_array().unwrap();
    assert_eq!(progress.len(), 3);
    let mut rest = events.split_off(1);
    for (event, progress) in rest.iter_mut().zip(progress) {
        let connect = event["connect"].as_object_mut().unwrap();
        for decision in ["claims", "refused", "unjudged"] {
            connect.remove(decision);
        }
        connect.insert("progress".into(), progress.clone());
    }
    let found = answer(Policy::none(), &memory, register, &batch(json!(rest)));
    assert_eq!(
        found["commands"][0]["accept"]["state"],
        json!({ "claims": "bob" })
    );
    assert_eq!(found["done"], 1);
    assert_eq!(&found["progress"], &json!(progress[1..]));
    let found = answer(Policy::none(), &memory, register, &batch(json!(rest[1..])));
    assert_eq!(found["commands"][0]["refuse"]["message"], "no");
    assert_eq!(
        found["commands"][1],
        json!({ "anew": { "socket": found["commands"][1]["anew"]["socket"] } })
    );
    assert!(found["commands"][1]["anew"]["socket"].is_string());
}

#[test]
fn a_session_is_given_what_it_has_missed_in_pages_and_is_back_with_the_last() {
    const RECOVERING: Policy = Policy {
        recovery: 120_000,
        max_age: 0,
        max_count: 0,
    };
    fn register(ns: &mut Namespace) {
        ns.on_connect(async |socket: Socket| match socket.recovered() {
            true => socket.to("r").emit("back", socket.id()),
            false => socket.join("r"),
        });
        ns.on("say", async |socket: Socket, text: String| {
            socket.nsp().to("r").emit("said", text)
        });
    }
    let memory = Memory::default();
    let one = |id: &str, events: Value| json!({ "sockets": [{ "id": id, "connection": "C" }], "events": events });
    let enter = one("old", json!([connect(0, json!({}))]));
    let found = answer(RECOVERING, &memory, register, &enter);
    let pid = found["commands"][0]["accept"]["pid"].clone();
    let gone = json!([{ "disconnect": { "socket": 0, "reason": "transport close" } }]);
    answer(RECOVERING, &memory, register, &one("old", gone));
    let half = "x".repeat(RECOVERY_PAGE_BYTES / 2);
    for number in 1..=5 {
        let say = json!({ "packet": { "socket": 0, "data": ["say", format!("{number}{half}")] } });
        answer(RECOVERING, &memory, register, &one("other", json!([say])));
    }
    let auth = json!({ "pid": pid, "offset": "1" });
    let mut event = connect(0, json!({ "auth": auth, "claims": "ann" }));
    let mut offsets = Vec::new();
    let mut pages = 0;
    let accept = loop {
        let found = answer(RECOVERING, &memory, register, &one("new", json!([event])));
        let command = &found["commands"][0];
        let missed = match command.get("page") {
            Some(page) => &page["missed"],
            None => &command["accept"]["recovered"]["missed"],
        };
        offsets.extend(
            missed
                .as_array()
                .unwrap()
                .iter()
                .map(|it| it["offset"].clone()),
        );
        match command.get("page") {
            Some(page) => {
                pages += 1;
                assert_eq!(found["commands"].as_array().unwrap().len(), 1);
                assert_eq!(page["socket"], "new");
                assert!(!memory.tables.borrow().sockets.contains_key("old"));
                event = connect(0, json!({ "auth": auth, "progress": page["progress"] }));
            }
            None => break command["accept"].clone(),
        }
    };
    assert_eq!(
        (pages, offsets),
        (1, vec![json!(2), json!(3), json!(4), json!(5)])
    );
    assert_eq!(accept["recovered"]["id"], "old");
    assert_eq!(
        accept["state"]["claims"], "ann",
        "as the middleware has said at first"
    );
    assert!(memory.tables.borrow().sockets.contains_key("old"));
    // The session is over between two pages: what was sent counts for nothing, and it is judged as another.
    let progress = json!({ "claims": "ann", "after": 3 });
    let event = connect(
        0,
        json!({ "auth": { "pid": "unknown", "offset": "1" }, "progress": progress }),
    );
    let found = answer(RECOVERING, &memory, register, &one("new", json!([event])));
    assert_eq!(found["commands"], json!([{ "anew": { "socket": "new" } }]));
}
