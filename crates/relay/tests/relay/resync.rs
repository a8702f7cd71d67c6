//! What other relays emit can be late, or never come: nobody hears it twice, and who may have missed some is
//! given it.

use std::sync::Arc;

use parlour_protocol::relay::Command;
use parlour_relay::{Bus, Config, Relay, Report};
use serde_json::{Value, json};

use crate::app::{App, Fault};
use crate::client::{Polling, WebSocket, request};
use crate::{Server, config, serve};

/// A bus that loses everything.
struct Lossy;

impl Bus for Lossy {
    fn publish(&self, _: &str, _: &str, _: &Command<'_>) {}
    fn ask(&self, _: &str, _: u64, _: &Command<'_>) {}
    fn report(&self, _: &str, _: &str, _: u64, _: &Report) {}
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
    heard(socket, word).await
}

async fn heard(socket: &mut WebSocket, word: &str) -> String {
    let said = socket.text().await;
    let said: Value = serde_json::from_str(&said[2..]).unwrap();
    assert_eq!(said[2], word);
    said[3].as_str().unwrap().into()
}

/// The bus brings a command of the left relay.
fn brings(relay: &Relay, command: Value) {
    let command = command.to_string();
    let command = serde_json::from_str(&command).unwrap();
    assert!(relay.carry_out("/", "left", &command));
}

/// The same for an event to the room; gives what a client is told it has seen then.
async fn brings_event(relay: &Relay, socket: &mut WebSocket, word: &str, offset: u64) -> String {
    let emit = json!({"rooms": ["r"], "data": ["room", "r", word], "offset": offset});
    brings(relay, json!({ "emit": emit }));
    heard(socket, word).await
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
    assert_eq!(say(&mut a, "one").await, "1");
    drop(a);
    // The client comes over, sooner than what it has seen there.
    let (mut a, _) = WebSocket::open(right.address).await;
    let auth = json!({ "pid": left.relay_name(), "offset": "1" });
    let (_, before) = a.enter_with(auth).await;
    assert_eq!(before, [] as [String; 0]);
    for offset in [1, 2] {
        let emit = json!({"rooms": ["r"], "data": ["n", offset], "offset": offset});
        brings(&right.relay, json!({ "emit": emit }));
    }
    assert_eq!(a.text().await, "42[\"n\",2,\"2\"]");
}

#[tokio::test]
async fn what_the_bus_would_have_brought_later_is_not_lost_for_who_goes_before() {
    let (left, right) = two().await;
    right.relay.heard("left", 0);
    let (mut a, ..) = client(&left, None).await;
    let (mut b, ..) = client(&right, None).await;
    say(&mut a, "first, but by the bus").await;
    let given = say(&mut b, "second").await;
    assert_eq!(given, "0;right:2");
    say(&mut a, "third").await;
    drop(b);
    // Wherever it goes.
    for server in [&right, &left] {
        let (mut b, _) = WebSocket::open(server.address).await;
        let auth = json!({ "pid": right.relay_name(), "offset": given });
        let (_, before) = b.enter_with(auth).await;
        assert_eq!(events(&before), ["first, but by the bus", "third"]);
        // If it goes again between the two, it has what it had.
        assert!(before[0].ends_with(",\"1;right:1\"]"), "{before:?}");
        assert!(before[1].ends_with(",\"3\"]"), "{before:?}");
    }
}

#[tokio::test]
async fn what_waits_for_the_answer_is_not_told_to_be_seen_before() {
    let (left, right) = two().await;
    right.relay.heard("left", 0);
    let (mut a, ..) = client(&left, None).await;
    let (mut b, ..) = client(&right, None).await;
    say(&mut a, "one").await;
    right.app.hold();
    b.send("42[\"room\",\"r\",\"two\"]").await;
    let asked = right.app.batches("/").len();
    right.app.batch("/", asked).await;
    let emit = json!({"rooms": ["r"], "data": ["room", "r", "one"], "offset": 1});
    brings(&right.relay, json!({ "emit": emit }));
    right.relay.heard("left", 1);
    right.app.resume();
    assert_eq!(heard(&mut b, "two").await, "0;right:2");
    assert_eq!(heard(&mut b, "one").await, "0;right:2;left:1");
    assert_eq!(say(&mut b, "three").await, "1;right:2");
    right.relay.left("left");
    assert_eq!(say(&mut b, "four").await, "4");
}

#[tokio::test]
async fn what_another_namespace_emits_later_is_not_lost_either() {
    let server = crate::start().await;
    let (mut a, _) = WebSocket::connect(server.address).await;
    let (mut b, _) = WebSocket::open(server.address).await;
    b.send("40/custom,{\"pid\":\"new\"}").await;
    assert!(b.text().await.starts_with("40/custom,"));
    // The app has done it, but the relay learns of it only by a second attempt.
    server.app.order_for("/", &[Fault::LoseAnswer]);
    a.send("42[\"elsewhere\",\"/custom\"]").await;
    let asked = server.app.batches("/").len();
    server.app.batch("/", asked).await;
    b.send("42/custom,[\"all\"]").await;
    let relay = crate::config().relay;
    let told = format!("0;{relay}:2");
    assert_eq!(b.text().await, format!("42/custom,[\"all\",\"{told}\"]"));
    let told = format!("1;{relay}:1");
    let late = format!("42/custom,[\"elsewhere\",\"/custom\",\"{told}\"]");
    assert_eq!(b.text().await, late);
    b.send("42/custom,[\"all\"]").await;
    assert_eq!(b.text().await, "42/custom,[\"all\",\"3\"]");
}

#[tokio::test]
async fn who_may_have_missed_some_gets_that_and_nothing_twice() {
    let (left, right) = two().await;
    right.relay.heard("left", 0);
    let (mut a, ..) = client(&left, None).await;
    let (mut b, connect, _) = client(&right, None).await;
    say(&mut a, "missed 1").await;
    say(&mut b, "had 2").await;
    right.relay.doubt();
    say(&mut a, "missed 3").await;
    assert_eq!(say(&mut b, "had 4").await, "0;right:4");
    say(&mut a, "had 5").await;
    assert_eq!(
        brings_event(&right.relay, &mut b, "had 5", 5).await,
        "0;right:4;left:4-5"
    );
    say(&mut a, "missed 6").await;
    let given = say(&mut b, "had 7").await;

    let polling = Polling::open(right.address).await;
    let so_far = right.relay.so_far();
    let (mut later, _) = WebSocket::open(right.address).await;
    assert_eq!(right.relay.resync(so_far).await, 2);
    right.relay.trust(Some(so_far));
    let id = connect["sid"].as_str().unwrap();
    assert_eq!(right.app.disconnect_of(id).await.0, "transport error");
    assert_eq!(b.closed().await, None);
    assert_eq!(polling.poll().await.body, "1");
    later.enter("/custom,").await;

    let (mut b, again, before) = client(&right, Some(&given)).await;
    assert_eq!(again["sid"], connect["sid"]);
    assert_eq!(events(&before), ["missed 1", "missed 3", "missed 6"]);
    // Who is here now has everything up to when the connections began to be ended.
    assert_eq!(say(&mut b, "had 8").await, "7;right:1");
    right.relay.heard("left", 8);
    assert_eq!(say(&mut b, "had 9").await, "8;right:1");
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
async fn a_relay_tells_of_itself_what_it_has_handed_over() {
    let (left, right) = two().await;
    assert_eq!(right.relay.told(), 0);
    let (mut b, ..) = client(&right, None).await;
    say(&mut b, "one").await;
    right.app.batch("/", 2).await;
    assert_eq!(right.relay.told(), 1);
    // Another relay's, which it has heard of; nobody is here whom it is for.
    let emit = json!({"rooms": ["nobody"], "data": ["n"], "offset": 5});
    let command = json!({ "emit": emit }).to_string();
    let command = serde_json::from_str(&command).unwrap();
    assert!(right.relay.carry_out("/nowhere", "left", &command));
    assert_eq!(right.relay.told(), 5);
    left.app.hold();
    b.send("42[\"room\",\"r\",\"later\"]").await;
    right.app.batch("/", 3).await;
    let emit = json!({"rooms": ["nobody"], "data": ["n"], "offset": 9});
    brings(&right.relay, json!({ "emit": emit }));
    assert_eq!(right.relay.told(), 5);
}

async fn metrics(server: &Server) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let control = listener.local_addr().unwrap();
    let relay = server.relay.clone();
    tokio::spawn(async move { relay.serve_control(listener, std::future::pending()).await });
    request(control, "GET", "/metrics", "", "").await.body
}
