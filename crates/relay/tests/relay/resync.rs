//! What other relays emit can be late, or never come: nobody hears it twice, and who may have missed some is
//! given it.

use std::sync::Arc;

use parlour_protocol::relay::Command;
use parlour_relay::{Bus, Config, Relay};
use serde_json::{Value, json};

use crate::app::App;
use crate::client::{Polling, WebSocket, request};
use crate::{Server, config, serve};

/// A bus that loses everything.
struct Lossy;

impl Bus for Lossy {
    fn publish(&self, _: &str, _: &Command<'_>) {}
}

/// Two relays of one app that do not hear each other.
async fn two() -> (Server, Server) {
    let app = App::new();
    let relay = |name: &str| {
        let config = Config {
            relay: name.into(),
            ..config()
        };
        serve(config, app.clone(), Some(Arc::new(Lossy)))
    };
    (relay("left").await, relay("right").await)
}

/// A client whose session can be recovered, in room `r`; again, if it gives the offset that it has. Also
/// gives what it gets before CONNECT.
async fn client(server: &Server, offset: Option<&str>) -> (WebSocket, Value, Vec<String>) {
    let (mut socket, _) = WebSocket::open(server.address).await;
    let auth = json!({ "pid": server.relay_name(), "offset": offset, "more": 1.50 });
    let (connect, before) = socket.enter_with(auth).await;
    if offset.is_none() {
        socket.call(1, "[\"join\",\"r\"]").await;
    }
    (socket, connect, before)
}

impl Server {
    /// What tests tell sessions by.
    fn relay_name(&self) -> String {
        self.address.port().to_string()
    }
}

/// Emits to the room; gives the offset that the client itself gets.
async fn say(socket: &mut WebSocket, word: &str) -> String {
    socket.send(&format!("42[\"room\",\"r\",\"{word}\"]")).await;
    let said = socket.text().await;
    let said: Value = serde_json::from_str(&said[2..]).unwrap();
    assert_eq!(said[2], word);
    said[3].as_str().unwrap().into()
}

fn brings(relay: &Relay, command: Value) {
    let command = command.to_string();
    assert!(relay.carry_out("/", &serde_json::from_str(&command).unwrap()));
}

fn events(before: &[String]) -> Vec<Value> {
    let event = |text: &String| serde_json::from_str::<Value>(&text[2..]).unwrap()[2].clone();
    before.iter().map(event).collect()
}

#[tokio::test]
async fn what_the_bus_brings_waits_for_the_answer_that_is_under_way() {
    let (_, right) = two().await;
    let (mut socket, _) = WebSocket::open(right.address).await;
    right.app.hold();
    socket.enter_later("").await;
    right.app.batch("/", 0).await;
    for n in 0..3 {
        brings(&right.relay, json!({"emit": {"data": ["late", n]}}));
    }
    right.app.resume();
    assert!(socket.text().await.starts_with("40{"));
    for n in 0..3 {
        assert_eq!(socket.text().await, format!("42[\"late\",{n}]"));
    }
}

#[tokio::test]
async fn what_a_client_has_the_bus_does_not_bring_it_again() {
    let (left, right) = two().await;
    let (mut a, ..) = client(&left, None).await;
    let given = say(&mut a, "one").await;
    assert!(given.starts_with("1:") && given.ends_with(".1"), "{given}");
    drop(a);
    // The client comes over, sooner than what it has seen there.
    let (mut a, _) = WebSocket::open(right.address).await;
    let auth = json!({ "pid": left.relay_name(), "offset": given });
    let (_, before) = a.enter_with(auth).await;
    assert_eq!(right.app.auth()["offset"], "1");
    assert_eq!(before, [] as [String; 0]);
    for offset in [1, 2] {
        let emit = json!({"rooms": ["r"], "data": ["n", offset], "offset": offset});
        brings(&right.relay, json!({ "emit": emit }));
    }
    let text = a.text().await;
    assert!(text.starts_with("42[\"n\",2,\"2:"), "{text}");
}

#[tokio::test]
async fn what_the_bus_would_have_brought_later_is_not_lost_for_who_goes_before() {
    let (left, right) = two().await;
    let (mut a, ..) = client(&left, None).await;
    let (mut b, ..) = client(&right, None).await;
    say(&mut a, "first, but by the bus").await;
    let given = say(&mut b, "second").await;
    drop(b);
    let (_, _, before) = client(&right, Some(&given)).await;
    assert_eq!(events(&before), ["first, but by the bus"]);
}

#[tokio::test]
async fn who_may_have_missed_some_gets_that_and_nothing_twice() {
    let (left, right) = two().await;
    let (mut a, ..) = client(&left, None).await;
    let (mut b, connect, _) = client(&right, None).await;
    say(&mut a, "missed 1").await;
    say(&mut b, "had 2").await;
    right.relay.doubt();
    say(&mut a, "missed 3").await;
    let given = say(&mut b, "had 4").await;
    assert!(given.starts_with("0!") && given.ends_with(".2"), "{given}");
    say(&mut a, "missed 5").await;
    let given = say(&mut b, "had 6").await;

    let polling = Polling::open(right.address).await;
    let so_far = right.relay.so_far();
    let (mut later, _) = WebSocket::open(right.address).await;
    assert_eq!(right.relay.resync(so_far).await, 2);
    right.relay.trust();
    let id = connect["sid"].as_str().unwrap();
    assert_eq!(right.app.disconnect_of(id).await.0, "transport error");
    assert_eq!(b.closed().await, None);
    assert_eq!(polling.poll().await.body, "1");
    later.enter("/custom,").await;

    let (mut b, again, before) = client(&right, Some(&given)).await;
    assert_eq!(again["sid"], connect["sid"]);
    assert_eq!(events(&before), ["missed 1", "missed 3", "missed 5"]);
    let auth = right.app.auth();
    assert_eq!(auth["offset"], "0");
    assert_eq!(auth["more"], 1.5);
    let given = say(&mut b, "all is well").await;
    assert!(given.starts_with("7:"), "{given}");
    let metrics = metrics(&right).await;
    assert!(metrics.contains("parlour_resyncs_total 1\n"), "{metrics}");
    assert!(metrics.contains("parlour_resynced_connections_total 2\n"));
}

#[tokio::test]
async fn a_client_that_polls_gets_its_last_events_before_it_is_told_of_the_end() {
    let (left, _) = two().await;
    let session = Polling::open(left.address).await;
    session.post("40").await;
    assert!(session.poll().await.body.starts_with("40"));
    session.post("421[\"echo\",1]").await;
    left.app.batch("/", 1).await;
    assert_eq!(session.poll().await.body, "431[1]");
    brings(&left.relay, json!({"emit": {"data": ["last"]}}));
    assert_eq!(left.relay.resync(left.relay.so_far()).await, 1);
    brings(&left.relay, json!({"emit": {"data": ["too late"]}}));
    assert_eq!(session.poll().await.body, "42[\"last\"]");
    assert_eq!(session.poll().await.body, "1");
}

#[tokio::test]
async fn a_client_that_heard_nothing_since_the_doubt_gets_what_it_missed_before() {
    let (left, right) = two().await;
    let (mut a, ..) = client(&left, None).await;
    let (mut b, ..) = client(&right, None).await;
    say(&mut a, "missed 1").await;
    let given = say(&mut b, "had 2").await;
    right.relay.doubt();
    drop(b);
    let (mut b, _, before) = client(&right, Some(&given)).await;
    assert_eq!(events(&before), ["missed 1"]);
    // It has more than those who were here before, and less than there is.
    say(&mut a, "missed 3").await;
    let given = say(&mut b, "had 4").await;
    assert!(given.starts_with("2!"), "{given}");
    drop(b);
    let (_, _, before) = client(&right, Some(&given)).await;
    assert_eq!(events(&before), ["missed 3"]);
}

#[tokio::test]
async fn where_nobody_knows_what_a_client_has_it_begins_anew() {
    let (left, right) = two().await;
    let (mut b, connect, _) = client(&right, None).await;
    right.relay.doubt();
    let given = say(&mut b, "had").await;
    let (mut moved, _) = WebSocket::open(left.address).await;
    let auth = json!({ "pid": right.relay_name(), "offset": given, "name": "Ben" });
    let (anew, before) = moved.enter_with(auth).await;
    assert_eq!(before, [] as [String; 0]);
    assert_ne!(anew["sid"], connect["sid"]);
    assert_eq!(left.app.auth(), json!({ "name": "Ben" }));
}

async fn metrics(server: &Server) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let control = listener.local_addr().unwrap();
    let relay = server.relay.clone();
    tokio::spawn(async move { relay.serve_control(listener, std::future::pending()).await });
    request(control, "GET", "/metrics", "", "").await.body
}
