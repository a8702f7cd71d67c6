//! Whose a socket is: secrets, tokens that end and are renewed, sessions that two clients want.

use super::recovery::{RECOVERING, again, enter_with, gone, hall, one};
use super::*;

/// Seconds since 1970, far away.
const EXP: u64 = 4_000_000_000;

fn renew(id: Option<u64>, more: Value) -> Value {
    let connect = connect(0, more);
    let mut renew = connect["connect"].clone();
    if let Some(id) = id {
        renew["id"] = json!(id);
    }
    let state = json!({ "data": 1, "claims": { "sub": "ann", "exp": EXP } });
    json!({
        "sockets": [{ "id": "new", "connection": "C2", "state": state, "rooms": ["r"] }],
        "events": [{ "renew": renew }],
    })
}

#[test]
fn a_batch_that_is_sent_again_gives_the_secrets_of_the_first_time() {
    for secret in [json!("a-secret-of-20-chars"), json!(null)] {
        let memory = Memory::default();
        let more = json!({ "claims": { "sub": "ann" }, "secret": secret });
        let connect = one(json!([connect(0, more)]));
        let first = commands_under(RECOVERING, &memory, hall, connect.clone());
        let stored = memory.committed.borrow().clone().unwrap();
        let text = connect.to_string();
        let batch: Batch = serde_json::from_str(&text).unwrap();
        let second: Value = serde_json::from_str(&with_pids(&batch, stored.clone())).unwrap();
        let second = second["commands"].as_array().unwrap();
        if secret.is_null() {
            // Ours is not kept anywhere: that client cannot recover its session.
            assert!(second[0]["accept"]["pid"].is_null());
            continue;
        }
        assert_eq!(first[0]["accept"]["pid"], secret);
        assert!(!stored.contains("a-secret"), "{stored}");
        assert_eq!(*second, first);

        commands_under(
            RECOVERING,
            &memory,
            hall,
            one(json!([gone("ping timeout")])),
        );
        let back = again("a-secret-of-20-chars", json!(null), json!({ "tick": {} }));
        let first = commands_under(RECOVERING, &memory, hall, back.clone());
        let text = back.to_string();
        let batch: Batch = serde_json::from_str(&text).unwrap();
        let stored = memory.committed.borrow().clone().unwrap();
        assert!(!stored.contains("a-secret"), "{stored}");
        let second: Value = serde_json::from_str(&with_pids(&batch, stored)).unwrap();
        assert_eq!(second["commands"], json!(first));
    }
}

#[test]
fn the_relay_is_told_when_a_token_ends() {
    let memory = Memory::default();
    let found = enter_with(&memory, json!({ "sub": "ann", "exp": 1_800_000_000.25 }));
    assert_eq!(found[0]["accept"]["expires"], 1_800_000_000_250_u64);
    let known = memory.tables.borrow().connected["new"].0.expires;
    assert_eq!(known, Some(1_800_000_000_250));
    let found = enter_with(&Memory::default(), json!({ "sub": "ann" }));
    assert!(found[0]["accept"]["expires"].is_null());
    for (exp, expires) in [(1e300, 9_007_199_254_740_991_u64), (-1.0, 0)] {
        let found = enter_with(&Memory::default(), json!({ "sub": "ann", "exp": exp }));
        assert_eq!(found[0]["accept"]["expires"], expires);
    }
}

#[test]
fn who_comes_back_has_the_end_of_then_or_if_it_is_authorized_again_of_now() {
    let memory = Memory::default();
    let found = enter_with(&memory, json!({ "sub": "ann", "exp": EXP }));
    let pid = found[0]["accept"]["pid"].as_str().unwrap().to_owned();
    let leave = one(json!([gone("ping timeout")]));
    commands_under(RECOVERING, &memory, hall, leave);
    let tick = json!({ "tick": {} });
    let back = again(&pid, json!(null), tick.clone());
    let found = commands_under(RECOVERING, &memory, hall, back);
    assert_eq!(found[0]["accept"]["expires"], EXP * 1000);

    let leave = json!({ "sockets": [{ "id": "new", "connection": "C3" }],
                        "events": [gone("ping timeout")] });
    commands_under(RECOVERING, &memory, hall, leave);
    let mut authorized = again(&pid, json!(null), tick);
    authorized["events"][0]["connect"]["claims"] = json!({ "sub": "ann", "exp": EXP + 1 });
    let found = commands_under(RECOVERING, &memory, hall, authorized);
    assert!(found[0]["accept"]["recovered"].is_object());
    assert_eq!(found[0]["accept"]["expires"], (EXP + 1) * 1000);
    let known = memory.tables.borrow().connected["new"].0.clone();
    assert_eq!(known.expires, Some((EXP + 1) * 1000));
    assert!(known.private.unwrap().contains(&(EXP + 1).to_string()));
}

#[test]
fn another_token_replaces_claims_and_end() {
    let memory = Memory::default();
    enter_with(&memory, json!({ "sub": "ann", "exp": EXP }));
    let claims = json!({ "sub": "ann", "exp": EXP + 60, "role": "admin" });
    let renewal = renew(Some(7), json!({ "claims": claims }));
    let found = commands_under(RECOVERING, &memory, hall, renewal);
    let expires = (EXP + 60) * 1000;
    assert_eq!(
        json!(found),
        json!([
            { "state": { "socket": "new", "state": { "data": 1, "claims": claims } } },
            { "renew": { "socket": "new", "expires": expires } },
            { "ack": { "socket": "new", "id": 7, "data": [{ "expires": expires }] } },
        ])
    );
    let known = memory.tables.borrow().connected["new"].0.clone();
    assert_eq!(known.expires, Some(expires));
    assert!(known.private.unwrap().contains("admin"));
    // A token that does not end, and nobody who waits for an answer.
    let renewal = renew(None, json!({ "claims": { "sub": "ann" } }));
    let found = commands_under(RECOVERING, &memory, hall, renewal);
    assert_eq!(found[1], json!({ "renew": { "socket": "new" } }));
    assert_eq!(found.len(), 2);
}

#[test]
fn a_bad_token_is_answered_and_changes_nothing() {
    let memory = Memory::default();
    enter_with(&memory, json!({ "sub": "ann", "exp": EXP }));
    let refused = json!({ "message": "It has expired", "data": { "code": "expired_token" } });
    for (more, code) in [
        (json!({ "refused": refused }), "expired_token"),
        (json!({ "refused": { "message": "no" } }), "refused"),
        (
            json!({ "claims": { "sub": "bob", "exp": EXP } }),
            "another_subject",
        ),
        (json!({ "claims": null }), "not_judged"),
        (json!({}), "not_judged"),
    ] {
        let found = commands_under(RECOVERING, &memory, hall, renew(Some(7), more));
        assert_eq!(found.len(), 1, "{found:?}");
        let error = &found[0]["ack"]["data"][0]["error"];
        assert_eq!(error["code"], code);
        assert_eq!(error["data"].is_object(), code == "expired_token");
    }
    let known = memory.tables.borrow().connected["new"].0.clone();
    assert_eq!(known.expires, Some(EXP * 1000));
}

#[test]
fn a_session_whose_socket_is_connected_is_given_away_only_if_its_client_is_silent() {
    let memory = Memory::default();
    let found = enter_with(&memory, json!({ "sub": "ann" }));
    let pid = found[0]["accept"]["pid"].as_str().unwrap().to_owned();
    let back = again(&pid, json!(null), json!({ "tick": {} }));
    let found = commands_under(RECOVERING, &memory, hall, back.clone());
    let contest = json!({ "socket": "temporary", "owner": "new", "relay": "relay-1" });
    assert_eq!(json!(found), json!([{ "contest": contest }]));

    let mut answered = back.clone();
    answered["events"][0]["connect"]["owner"] = json!("answers");
    let found = commands_under(RECOVERING, &memory, hall, answered);
    let accept = &found[0]["accept"];
    assert!(accept["recovered"].is_null() && accept["pid"] != json!(pid));

    let mut silent = back;
    silent["events"][0]["connect"]["owner"] = json!("silent");
    silent["sockets"][0]["id"] = json!("third");
    let found = commands_under(RECOVERING, &memory, hall, silent);
    assert_eq!(found[0]["accept"]["recovered"]["id"], "new");
}
