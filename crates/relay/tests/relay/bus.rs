//! Two relays of one app, with a bus between them: what the one is told reaches the sockets of the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parlour_protocol::relay::Contest;
use parlour_relay::{Bus, Config, Extent, Relay, Report, Segment};
use serde_json::{Value, json};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

use crate::app::App;
use crate::client::{WebSocket, request};
use crate::{Server, config, serve};

/// What the bus carries; commands are a JSON array.
#[derive(Debug, Clone)]
pub enum Message {
    Commands(String, Option<Extent>, String),
    /// Namespace, number, owner, relay.
    Contest(String, u64, String, String),
    /// Namespace, number.
    Report(String, u64, Report),
}

/// A bus to one other relay: a queue, as a broker would have it.
pub struct Wire {
    to: UnboundedSender<Message>,
    is_connected: Arc<AtomicBool>,
}

impl Bus for Wire {
    fn publish(&self, namespace: &str, segment: &Segment<'_>) {
        let commands = serde_json::to_string(&segment.commands).unwrap();
        let message = Message::Commands(namespace.into(), segment.extent, commands);
        // A test that does not listen has dropped the other end.
        let _ = self.to.send(message);
    }

    fn contest(&self, namespace: &str, number: u64, contest: &Contest<'_>) {
        let (owner, relay) = (contest.owner.to_string(), contest.relay.to_string());
        let message = Message::Contest(namespace.into(), number, owner, relay);
        // A test that does not listen has dropped the other end.
        let _ = self.to.send(message);
    }

    fn report(&self, namespace: &str, to: &str, number: u64, report: &Report) {
        assert!(matches!(to, "left" | "right"));
        let message = Message::Report(namespace.into(), number, report.clone());
        // A test that does not listen has dropped the other end.
        let _ = self.to.send(message);
    }

    fn is_connected(&self) -> bool {
        self.is_connected.load(Ordering::Relaxed)
    }

    fn hears(&self, relay: &str) -> bool {
        matches!(relay, "left" | "right")
    }
}

/// Delivers one message to a relay, from the other one.
pub fn bring(relay: &Relay, from: &str, message: Message) {
    match message {
        Message::Commands(namespace, extent, commands) => {
            relay.hear(&namespace, extent, &commands).unwrap();
        }
        Message::Contest(namespace, number, owner, to) => {
            let (socket, owner, relay_) = ("".into(), owner.into(), to.into());
            let contest = Contest {
                socket,
                owner,
                relay: relay_,
            };
            relay.answer_contest(&namespace, from, number, &contest);
        }
        Message::Report(namespace, number, report) => {
            relay.hear_report(&namespace, number, &report);
        }
    }
}

async fn deliver(relay: Relay, from: &'static str, mut messages: UnboundedReceiver<Message>) {
    while let Some(message) = messages.recv().await {
        bring(&relay, from, message);
    }
}

/// Two relays of one app, and what the bus has for each, to be delivered by the test.
pub struct Pair {
    pub left: Server,
    pub right: Server,
    pub for_left: UnboundedReceiver<Message>,
    pub for_right: UnboundedReceiver<Message>,
    pub is_connected: Arc<AtomicBool>,
}

pub async fn pair() -> Pair {
    let app = App::new();
    let is_connected = Arc::new(AtomicBool::new(true));
    let (to_left, for_left) = mpsc::unbounded_channel();
    let (to_right, for_right) = mpsc::unbounded_channel();
    let relay = |name: &str, to| {
        let config = Config {
            relay: name.into(),
            ..config()
        };
        let is_connected = is_connected.clone();
        serve(
            config,
            app.clone(),
            Some(Arc::new(Wire { to, is_connected })),
        )
    };
    let left = relay("left", to_right).await;
    let right = relay("right", to_left).await;
    Pair {
        left,
        right,
        for_left,
        for_right,
        is_connected,
    }
}

/// Two relays. What either tells the bus, the other gets.
pub async fn two() -> (Server, Server) {
    let Pair {
        left,
        right,
        for_left,
        for_right,
        ..
    } = pair().await;
    tokio::spawn(deliver(left.relay.clone(), "right", for_left));
    tokio::spawn(deliver(right.relay.clone(), "left", for_right));
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
    tell(
        &mut a,
        json!({"emit": {"except": [b_id], "data": ["not b"]}}),
    )
    .await;
    a.send("42[\"room\",\"r\",2]").await;
    for event in [
        "[\"room\",\"r\",1]",
        "[\"here\"]",
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

/// An emit that asks for acknowledgements.
fn ask(rooms: Value, timeout: u64, local: bool) -> Value {
    let ack = json!({"handler": "h", "timeout": timeout});
    json!({"emit": {"rooms": rooms, "data": ["ask"], "ack": ack, "local": local}})
}

/// What the app was told, with ids in alphabetical order.
fn sorted(acks: &Value) -> (Vec<Value>, Vec<Value>) {
    let by_text = |list: &Value| {
        let mut list = list.as_array().unwrap().clone();
        list.sort_by_key(Value::to_string);
        list
    };
    (by_text(&acks["replies"]), by_text(&acks["missing"]))
}

#[tokio::test]
async fn the_clients_of_both_relays_are_asked_for_acknowledgements() {
    let (left, right) = two().await;
    let (mut a, a_id) = WebSocket::connect(left.address).await;
    let (mut b, b_id) = WebSocket::connect(right.address).await;
    let (mut c, c_id) = WebSocket::connect(right.address).await;
    tell(&mut a, ask(json!([]), 60_000, false)).await;
    for client in [&mut a, &mut b, &mut c] {
        assert_eq!(client.text().await, "420[\"ask\"]");
    }
    a.send("430[1]").await;
    b.send("461-0[{\"_placeholder\":true,\"num\":0}]").await;
    b.send_binary(&[1, 2]).await;
    // Who leaves is missing.
    c.send("41").await;
    let (replies, missing) = sorted(&left.app.acks().await);
    let mut expected = vec![
        json!({"socket": a_id, "data": [1]}),
        json!({"socket": b_id, "data": [{"_placeholder": true, "num": 0}], "attachments": ["AQI="]}),
    ];
    expected.sort_by_key(Value::to_string);
    assert_eq!((replies, missing), (expected, vec![json!(c_id)]));
}

#[tokio::test]
async fn a_socket_is_asked_wherever_it_is_and_who_is_not_for_it_need_not_answer() {
    let (left, right) = two().await;
    let (mut a, a_id) = WebSocket::connect(left.address).await;
    let (mut b, b_id) = WebSocket::connect(right.address).await;
    tell(&mut a, ask(json!([b_id]), 60_000, false)).await;
    assert_eq!(b.text().await, "420[\"ask\"]");
    b.send("430[]").await;
    let acks = left.app.acks().await;
    assert_eq!(acks["replies"], json!([{"socket": b_id, "data": []}]));
    assert_eq!(acks["missing"], json!([]));
    // One that is here, and what is local, are no other relay's affair.
    for (rooms, local) in [(json!([a_id]), false), (json!([]), true)] {
        tell(&mut a, ask(rooms, 60_000, local)).await;
        let text = a.text().await;
        assert!(text.ends_with("[\"ask\"]"), "{text}");
        a.send(&text.replace("42", "43").replace("\"ask\"", ""))
            .await;
    }
    let acks = left.app.acks_after(2).await;
    assert_eq!(acks["replies"], json!([{"socket": a_id, "data": []}]));
    assert!(b.has_nothing().await);
}

#[tokio::test]
async fn who_does_not_answer_in_time_is_missing_on_both_relays() {
    let (left, right) = two().await;
    let (mut a, a_id) = WebSocket::connect(left.address).await;
    let (mut b, b_id) = WebSocket::connect(right.address).await;
    tell(&mut a, ask(json!([]), 50, false)).await;
    for client in [&mut a, &mut b] {
        assert_eq!(client.text().await, "420[\"ask\"]");
    }
    let (replies, missing) = sorted(&left.app.acks().await);
    let mut expected = vec![json!(a_id), json!(b_id)];
    expected.sort_by_key(Value::to_string);
    assert_eq!((replies, missing), (vec![], expected));
    // It is too late now.
    b.send("430[1]").await;
    assert!(b.has_nothing().await);
}

#[tokio::test]
async fn a_relay_that_reports_nothing_holds_up_no_answer_for_long() {
    let Pair {
        left,
        right,
        mut for_right,
        ..
    } = pair().await;
    let (mut a, a_id) = WebSocket::connect(left.address).await;
    let (mut b, b_id) = WebSocket::connect(right.address).await;
    tell(&mut a, ask(json!([]), 50, false)).await;
    assert_eq!(a.text().await, "420[\"ask\"]");
    a.send("430[1]").await;
    bring(&right.relay, "left", for_right.recv().await.unwrap());
    assert_eq!(b.text().await, "420[\"ask\"]");
    // Its report does not come.
    b.send("430[1]").await;
    let acks = left.app.acks().await;
    assert_eq!(acks["replies"], json!([{"socket": a_id, "data": [1]}]));
    assert_eq!(acks["missing"], json!([b_id]));
}

#[tokio::test]
async fn what_is_for_one_relay_only_is_not_taken_from_the_bus() {
    let (left, _right) = two().await;
    let (mut a, id) = WebSocket::connect(left.address).await;
    let extent = Some(Extent {
        previous: 0,
        head: 9,
    });
    for (extent, command) in [
        (
            extent,
            json!({"ack": {"socket": id, "id": 1, "data": [], "offset": 9}}),
        ),
        (
            None,
            json!({"emit": {"data": ["ask"], "ack": {"handler": "h", "timeout": 1000}}}),
        ),
        (extent, json!({"refuse": {"socket": id, "message": "no"}})),
    ] {
        left.relay
            .hear("/", extent, &json!([command]).to_string())
            .unwrap();
    }
    assert!(a.has_nothing().await);
}
