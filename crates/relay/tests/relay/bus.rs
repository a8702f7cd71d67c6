//! Two relays of one app, with a bus between them: what the one is told reaches the sockets of the other.

use std::sync::Arc;

use parlour_protocol::relay::Command;
use parlour_relay::{Bus, Config, Relay};
use serde_json::{Value, json};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

use crate::app::App;
use crate::client::{WebSocket, request};
use crate::{Server, config, serve};

/// Namespace, source and command, which is JSON.
type Letter = (String, String, String);

/// A bus to one other relay: a queue, as a broker would have it.
struct Wire(UnboundedSender<Letter>);

impl Bus for Wire {
    fn publish(&self, namespace: &str, source: &str, command: &Command<'_>) {
        let command = serde_json::to_string(command).unwrap();
        let letter = (namespace.into(), source.into(), command);
        self.0.send(letter).unwrap();
    }
}

async fn deliver(relay: Relay, mut letters: UnboundedReceiver<Letter>) {
    while let Some((namespace, source, command)) = letters.recv().await {
        let command = serde_json::from_str(&command).unwrap();
        assert!(relay.carry_out(&namespace, &source, &command));
    }
}

/// Two relays. What either tells the bus, the other gets.
async fn two() -> (Server, Server) {
    let app = App::new();
    let (to_left, for_left) = mpsc::unbounded_channel();
    let (to_right, for_right) = mpsc::unbounded_channel();
    let relay = |name: &str, wire: Wire| {
        let config = Config {
            relay: name.into(),
            ..config()
        };
        serve(config, app.clone(), Some(Arc::new(wire)))
    };
    let left = relay("left", Wire(to_right)).await;
    let right = relay("right", Wire(to_left)).await;
    tokio::spawn(deliver(left.relay.clone(), for_left));
    tokio::spawn(deliver(right.relay.clone(), for_right));
    (left, right)
}

async fn tell(socket: &mut WebSocket, command: Value) {
    socket.send(&format!("42[\"do\",{command}]")).await;
}

#[tokio::test]
async fn an_event_reaches_a_room_on_both_relays_once() {
    let (left, right) = two().await;
    let (mut a, _) = WebSocket::connect(left.address).await;
    let (mut b, b_id) = WebSocket::connect(right.address).await;
    for client in [&mut a, &mut b] {
        client.call(1, "[\"join\",\"r\"]").await;
    }
    a.send("42[\"room\",\"r\",1]").await;
    tell(
        &mut a,
        json!({"emit": {"rooms": ["r"], "data": ["here"], "local": true}}),
    )
    .await;
    let ask = json!({"handler": "h", "timeout": 60_000});
    tell(
        &mut a,
        json!({"emit": {"rooms": ["r"], "data": ["ask"], "ack": ask}}),
    )
    .await;
    tell(
        &mut a,
        json!({"emit": {"except": [b_id], "data": ["not b"]}}),
    )
    .await;
    a.send("42[\"room\",\"r\",2]").await;
    for event in [
        "[\"room\",\"r\",1]",
        "[\"here\"]",
        "0[\"ask\"]",
        "[\"not b\"]",
        "[\"room\",\"r\",2]",
    ] {
        assert_eq!(a.text().await, format!("42{event}"));
    }
    assert_eq!(b.text().await, "42[\"room\",\"r\",1]");
    assert_eq!(b.text().await, "42[\"room\",\"r\",2]");
    b.send("42[\"room\",\"r\",3]").await;
    for client in [&mut a, &mut b] {
        assert_eq!(client.text().await, "42[\"room\",\"r\",3]");
    }
    assert!(a.has_nothing().await && b.has_nothing().await);
}

#[tokio::test]
async fn a_socket_on_another_relay_joins_leaves_gets_state_and_is_disconnected() {
    let (left, right) = two().await;
    let (mut a, _) = WebSocket::connect(left.address).await;
    let (mut b, b_id) = WebSocket::connect(right.address).await;
    // Commands keep their order on the way, so an event tells when they have come.
    let mut told = async |b: &mut WebSocket, commands: &[Value]| {
        for command in commands {
            tell(&mut a, command.clone()).await;
        }
        tell(&mut a, json!({"emit": {"rooms": [b_id], "data": ["done"]}})).await;
        assert_eq!(b.text().await, "42[\"done\"]");
    };
    told(
        &mut b,
        &[
            json!({"join": {"socket": b_id, "rooms": ["r", "s"]}}),
            json!({"leave": {"socket": b_id, "rooms": ["r"]}}),
            json!({"state": {"socket": b_id, "state": {"n": 7}}}),
        ],
    )
    .await;
    let me = &b.call(1, "[\"whoami\"]").await[0];
    assert_eq!(me["rooms"], json!(["s"]));
    assert_eq!(me["state"], json!({"n": 7}));
    told(
        &mut b,
        &[json!({"sockets": {"rooms": ["s"], "join": ["t"], "leave": ["s"]}})],
    )
    .await;
    assert_eq!(b.call(2, "[\"whoami\"]").await[0]["rooms"], json!(["t"]));
    tell(&mut a, json!({"disconnect": {"socket": b_id}})).await;
    assert_eq!(b.text().await, "41");
    let reason = "server namespace disconnect";
    assert_eq!(right.app.disconnect_of(&b_id).await.0, reason);
    let again = b.enter("").await;
    tell(
        &mut a,
        json!({"sockets": {"rooms": [again], "disconnect": true}}),
    )
    .await;
    assert_eq!(b.text().await, "41");
    assert_eq!(b.closed().await, None);
    assert_eq!(right.app.disconnect_of(&again).await.0, reason);
    assert!(a.has_nothing().await);
}

#[tokio::test]
async fn an_event_for_another_namespace_reaches_it_on_both_relays() {
    let (left, right) = two().await;
    let (mut a, _) = WebSocket::connect(left.address).await;
    let (mut b, _) = WebSocket::connect(right.address).await;
    a.enter("/custom,").await;
    b.enter("/custom,").await;
    for (local, word) in [(true, "here"), (false, "everywhere")] {
        tell(
            &mut a,
            json!({"emit": {"namespace": "/custom", "data": [word], "local": local}}),
        )
        .await;
    }
    assert_eq!(a.text().await, "42/custom,[\"here\"]");
    assert_eq!(a.text().await, "42/custom,[\"everywhere\"]");
    assert_eq!(b.text().await, "42/custom,[\"everywhere\"]");
}

#[tokio::test]
async fn what_is_published_reaches_both_relays() {
    let (left, right) = two().await;
    let (mut a, _) = WebSocket::connect(left.address).await;
    let (mut b, _) = WebSocket::connect(right.address).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let control = listener.local_addr().unwrap();
    let relay = left.relay.clone();
    tokio::spawn(async move { relay.serve_control(listener, std::future::pending()).await });
    let body = r#"{"namespace":"/","data":["news"]}"#;
    let secret = "authorization: Bearer secret\r\n";
    let answer = request(control, "POST", "/publish", secret, body).await;
    assert_eq!(answer.body, r#"{"receivers":1}"#);
    assert_eq!(a.text().await, "42[\"news\"]");
    assert_eq!(b.text().await, "42[\"news\"]");
}

#[tokio::test]
async fn what_is_for_one_relay_only_is_not_taken_from_the_bus() {
    let (left, _right) = two().await;
    let (mut a, id) = WebSocket::connect(left.address).await;
    for command in [
        json!({"ack": {"socket": id, "id": 1, "data": []}}),
        json!({"emit": {"data": ["ask"], "ack": {"handler": "h", "timeout": 1000}}}),
        json!({"refuse": {"socket": id, "message": "no"}}),
    ] {
        let command = command.to_string();
        let command = serde_json::from_str(&command).unwrap();
        assert!(left.relay.carry_out("/", "right", &command));
    }
    assert!(a.has_nothing().await);
}
