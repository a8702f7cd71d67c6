//! Tokens that end and are renewed, and sessions that two clients want.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parlour_relay::Config;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::bus::two;
use crate::client::{WebSocket, request};
use crate::{Server, config, ms, start, start_with};

/// Milliseconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    since.as_millis() as u64
}

async fn enter(server: &Server, auth: Value) -> (WebSocket, String) {
    let (mut socket, _) = WebSocket::open(server.address).await;
    let (connect, _) = socket.enter_with(auth).await;
    let id = connect["sid"].as_str().unwrap().into();
    (socket, id)
}

#[tokio::test]
async fn a_socket_is_disconnected_when_its_token_ends() {
    let server = start().await;
    let (mut socket, id) = enter(&server, json!({ "expires": now() + 300 })).await;
    assert_eq!(socket.call(1, "[\"echo\"]").await, json!([]));
    assert_eq!(socket.text().await, "41");
    assert_eq!(server.app.disconnect_of(&id).await.0, "token expired");
    // Its connection is still there: another namespace may have let it in for longer.
    let (_, before) = socket.enter_with(json!({})).await;
    assert_eq!(before, [] as [String; 0]);
    assert_eq!(socket.call(2, "[\"echo\"]").await, json!([]));
}

#[tokio::test]
async fn a_token_that_has_ended_already_lets_nobody_stay() {
    let server = start().await;
    let (mut socket, id) = enter(&server, json!({ "expires": 1 })).await;
    assert_eq!(socket.text().await, "41");
    assert_eq!(server.app.disconnect_of(&id).await.0, "token expired");
}

#[tokio::test]
async fn who_renews_its_token_stays_as_long_as_the_new_one_says() {
    let server = start().await;
    let (mut socket, id) = enter(&server, json!({ "expires": now() + 400 })).await;
    let (mut other, other_id) = enter(&server, json!({ "expires": now() + 400 })).await;
    let renewed = json!({ "expires": now() + 1200 });
    let answer = socket.call(1, &format!("[\"auth\",{renewed}]")).await;
    assert_eq!(answer, json!([renewed]));
    let batches = server.app.batches("/");
    let last = batches.last().unwrap();
    assert_eq!(last.headers["parlour-connects"], "1");
    assert_eq!(server.app.handled("auth"), 0);
    // The other one has not: when its time is over the first is still there.
    assert_eq!(other.text().await, "41");
    assert_eq!(server.app.disconnect_of(&other_id).await.0, "token expired");
    assert_eq!(socket.call(2, "[\"echo\"]").await, json!([]));
    assert_eq!(socket.text().await, "41");
    assert_eq!(server.app.disconnect_of(&id).await.0, "token expired");
}

#[tokio::test]
async fn a_token_may_be_renewed_for_good_and_then_again() {
    let server = start().await;
    let (mut socket, _) = enter(&server, json!({ "expires": now() + 300 })).await;
    socket.call(1, "[\"auth\",{\"never\":true}]").await;
    let (mut other, _) = enter(&server, json!({ "expires": now() + 400 })).await;
    assert_eq!(other.text().await, "41");
    assert_eq!(
        socket.call(2, "[\"auth\",{\"expires\":1}]").await,
        json!([{ "expires": 1 }])
    );
    assert_eq!(socket.text().await, "41");
}

#[tokio::test]
async fn the_event_auth_is_an_event_like_any_other_for_who_has_no_token_that_ends() {
    let server = start().await;
    let (mut socket, _) = WebSocket::connect(server.address).await;
    socket.send("42[\"auth\",{\"never\":true}]").await;
    assert_eq!(socket.call(1, "[\"echo\"]").await, json!([]));
    assert_eq!(server.app.handled("auth"), 1);
    // And for who has one, a text that only has the word in it.
    let (mut socket, _) = enter(&server, json!({ "expires": now() + 60_000 })).await;
    assert_eq!(socket.call(1, "[\"echo\",\"auth\"]").await, json!(["auth"]));
    assert_eq!(socket.call(2, "[ \"auth\" , 7 ]").await, json!([null]));
}

fn contest(owner: &str, relay: &str) -> Value {
    json!({ "contest": { "owner": owner, "relay": relay } })
}

/// What the app was told of the owner when it let this client in.
async fn told(socket: &mut WebSocket) -> Value {
    let me = socket.call(90, "[\"whoami\"]").await;
    me[0]["state"]["owner"].clone()
}

#[tokio::test]
async fn whoever_has_a_session_is_asked_before_it_is_given_away() {
    let server = start().await;
    let (mut owner, owner_id) = WebSocket::connect(server.address).await;
    let (mut thief, _) = WebSocket::open(server.address).await;
    let auth = contest(&owner_id, "test");
    thief.send(&format!("40{auth}")).await;
    assert_eq!(owner.next_ping().await, "2");
    assert!(thief.text().await.starts_with("40{"));
    assert_eq!(told(&mut thief).await, "answers");
    let connects = server.app.batches("/").into_iter();
    let connects = connects.flat_map(|batch| batch.events().clone());
    let connects: Vec<Value> = connects
        .filter_map(|event| event.get("connect").cloned())
        .filter(|connect| connect["auth"] == auth)
        .collect();
    let [first, second] = &connects[..] else {
        panic!("{connects:?}");
    };
    assert_eq!(first["secret"].as_str().unwrap().len(), 20);
    assert_eq!(first["secret"], second["secret"]);
    assert_eq!(first["handshake"], second["handshake"]);
    assert!(first["owner"].is_null());
}

#[tokio::test]
async fn what_is_kept_of_who_comes_while_the_owner_is_asked_is_counted() {
    let server = start().await;
    let control = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = control.local_addr().unwrap();
    let relay = server.relay.clone();
    tokio::spawn(async move { relay.serve_control(control, std::future::pending()).await });
    let (_silent, silent_id) = WebSocket::connect(server.address).await;
    let (mut client, _) = WebSocket::open(server.address).await;
    let mut auth = contest(&silent_id, "test");
    auth["more"] = "m".repeat(900_000).into();
    client.send(&format!("40{auth}")).await;
    server.app.batch("/", 1).await;
    // The batch is over long before the time in which the owner may answer.
    tokio::time::sleep(ms(300)).await;
    let metrics = request(address, "GET", "/metrics", "", "").await.body;
    let kept = metrics
        .lines()
        .find_map(|line| line.strip_prefix("parlour_client_memory_bytes "))
        .expect("the metric");
    assert!(kept.parse::<usize>().unwrap() > 900_000, "{kept}");
    assert!(client.text().await.starts_with("40{"));
}

#[tokio::test]
async fn a_client_that_does_not_answer_has_nothing_to_keep() {
    let server = start().await;
    let (_silent, silent_id) = WebSocket::connect(server.address).await;
    let (mut client, _) = enter(&server, contest(&silent_id, "test")).await;
    assert_eq!(told(&mut client).await, "silent");
    // Nor does one that is not here, at a relay that cannot be asked.
    for (owner, relay) in [("nobody", "test"), (&*silent_id, "elsewhere")] {
        let (mut client, _) = enter(&server, contest(owner, relay)).await;
        assert_eq!(told(&mut client).await, "silent", "{owner} at {relay}");
    }
}

#[tokio::test]
async fn nobody_is_given_up_for_lost_while_he_is_asked() {
    let server = start_with(Config {
        ping_interval: Duration::from_millis(300),
        ping_timeout: Duration::from_millis(150),
        ..config()
    })
    .await;
    let (_silent, silent_id) = WebSocket::connect(server.address).await;
    let (mut client, _) = enter(&server, contest(&silent_id, "test")).await;
    assert_eq!(told(&mut client).await, "silent");
    // The app is to hear that the session moves, not first that its socket has gone.
    let batches = server.app.batches("/");
    let mut events = batches.iter().flat_map(|batch| batch.events());
    assert!(events.all(|event| event["disconnect"].is_null()));
}

#[tokio::test]
async fn an_owner_that_leaves_while_it_is_asked_has_answered_enough() {
    let server = start().await;
    let (owner, owner_id) = WebSocket::connect(server.address).await;
    let (mut client, _) = WebSocket::open(server.address).await;
    client
        .send(&format!("40{}", contest(&owner_id, "test")))
        .await;
    server.app.batch("/", 1).await;
    drop(owner);
    assert!(client.text().await.starts_with("40{"));
    assert_eq!(told(&mut client).await, "silent");
}

#[tokio::test]
async fn who_does_not_wait_for_the_answer_is_forgotten() {
    let server = start().await;
    let (_silent, silent_id) = WebSocket::connect(server.address).await;
    let (mut client, _) = WebSocket::open(server.address).await;
    client
        .send(&format!("40{}", contest(&silent_id, "test")))
        .await;
    server.app.batch("/", 1).await;
    client.send("41").await;
    // The next one is answered after that, and nobody else has come in or gone.
    let (mut next, _) = enter(&server, contest(&silent_id, "test")).await;
    assert_eq!(told(&mut next).await, "silent");
    let connects = server.app.batches("/").into_iter();
    let events = connects.flat_map(|batch| batch.events().clone());
    let again = events.filter(|event| !event["connect"]["owner"].is_null());
    assert_eq!(again.count(), 1);
}

#[tokio::test]
async fn a_client_of_another_relay_is_asked_there() {
    let (left, right) = two().await;
    let (mut owner, owner_id) = WebSocket::connect(right.address).await;
    let (mut thief, _) = WebSocket::open(left.address).await;
    thief
        .send(&format!("40{}", contest(&owner_id, "right")))
        .await;
    assert_eq!(owner.next_ping().await, "2");
    assert!(thief.text().await.starts_with("40{"));
    assert_eq!(told(&mut thief).await, "answers");
    // One that is not there any more.
    let (mut client, _) = enter(&left, contest("nobody", "right")).await;
    assert_eq!(told(&mut client).await, "silent");
}

#[tokio::test]
async fn who_must_begin_anew_is_asked_about_again_as_a_new_client() {
    let server = start().await;
    let contested = json!({ "owner": "nobody", "relay": "test" });
    for (auth, owners) in [
        (json!({ "anew": true }), vec![json!(null), json!("answers")]),
        (
            json!({ "anew": true, "contest": contested }),
            vec![json!(null), json!("silent"), json!("answers")],
        ),
    ] {
        let (mut client, _) = enter(&server, auth.clone()).await;
        assert_eq!(told(&mut client).await, "answers");
        let batches = server.app.batches("/");
        let connects = batches.iter().flat_map(|batch| batch.events().clone());
        let connects: Vec<Value> = connects
            .filter_map(|event| event.get("connect").cloned())
            .filter(|connect| connect["auth"] == auth)
            .collect();
        let told: Vec<Value> = connects.iter().map(|it| it["owner"].clone()).collect();
        assert_eq!(told, owners);
        for again in &connects[1..] {
            assert_eq!(again["secret"], connects[0]["secret"]);
            assert_eq!(again["handshake"], connects[0]["handshake"]);
            assert!(again["progress"].is_null());
        }
    }
}

#[tokio::test]
async fn who_goes_while_it_is_to_begin_anew_is_forgotten() {
    let server = start().await;
    let (mut client, _) = WebSocket::open(server.address).await;
    server.app.hold();
    client.send("40{\"anew\":true}").await;
    client.is_read().await;
    client.send("41").await;
    client.is_read().await;
    server.app.resume();
    client.send("40").await;
    assert!(client.text().await.starts_with("40{"));
    assert_eq!(client.call(1, "[\"echo\",1]").await, json!([1]));
    assert!(client.has_nothing().await);
}
