//! Batches that the app does in parts, and sessions that are given what they have missed in pages.

use serde_json::{Value, json};

use crate::app::Batch;
use crate::client::WebSocket;
use crate::{Server, config, start, start_with};

/// Two clients, and the app is about to answer; what they send from now on is one batch.
async fn two_clients_at_once(server: &Server) -> (WebSocket, WebSocket) {
    let (mut a, _) = WebSocket::connect(server.address).await;
    let (b, _) = WebSocket::connect(server.address).await;
    server.app.hold();
    a.send("42[\"echo\",0]").await;
    server.app.batch("/", 2).await;
    (a, b)
}

/// That the relay has read everything that these have sent, though the app is held: each asks for a namespace of
/// its own, and is refused later.
async fn all_read(server: &Server, sockets: &mut [&mut WebSocket]) {
    for (number, socket) in sockets.iter_mut().enumerate() {
        socket.send(&format!("40/n{number},")).await;
        server.app.batch(&format!("/n{number}"), 0).await;
    }
}

/// The next text that is not such a refusal.
async fn text(socket: &mut WebSocket) -> String {
    loop {
        let text = socket.text().await;
        if !text.starts_with("44/n") {
            return text;
        }
    }
}

fn sizes(batches: &[Batch]) -> Vec<usize> {
    batches.iter().map(|batch| batch.events().len()).collect()
}

#[tokio::test]
async fn what_the_app_leaves_of_a_batch_is_sent_again_in_order_and_before_what_came_later() {
    let server = start().await;
    let (mut a, mut b) = two_clients_at_once(&server).await;
    server.app.handle_at_once(2);
    for id in 1..=7 {
        a.send(&format!("42{id}[\"echo\",{id}]")).await;
        b.send(&format!("42{id}[\"room\",\"r{id}\"]")).await;
    }
    all_read(&server, &mut [&mut a, &mut b]).await;
    server.app.resume();
    for id in 1..=7 {
        assert_eq!(text(&mut a).await, format!("43{id}[{id}]"));
        assert_eq!(text(&mut b).await, format!("43{id}[]"));
    }
    assert_eq!(server.app.handled("echo"), 8, "each once");
    // Of 14 events 2 are done; as the app does 2 at a time, it is not sent all of the rest each time.
    let batches = server.app.batches("/");
    assert_eq!(sizes(&batches[3..]), [14, 4, 2, 8, 4, 2, 2]);
    let sequences: Vec<u64> = batches.iter().map(|batch| batch.sequence).collect();
    assert!(sequences.is_sorted_by(|a, b| a < b), "{sequences:?}");
}

#[tokio::test]
async fn who_was_judged_is_not_judged_again_when_the_rest_of_a_batch_is_sent() {
    let server = start().await;
    let (mut a, _) = WebSocket::connect(server.address).await;
    let mut others = Vec::new();
    for _ in 0..4 {
        others.push(WebSocket::open(server.address).await.0);
    }
    server.app.hold();
    a.send("42[\"echo\"]").await;
    server.app.batch("/", 1).await;
    server.app.handle_at_once(1);
    for other in &mut others {
        other.send("40").await;
    }
    let mut sockets: Vec<&mut WebSocket> = others.iter_mut().collect();
    all_read(&server, &mut sockets).await;
    server.app.resume();
    for other in &mut others {
        let text = text(other).await;
        assert!(text.starts_with("40{\"sid\""), "{text}");
    }
    let batches = server.app.batches("/");
    let to_judge = |batch: &Batch| {
        batch.headers["parlour-connects"]
            .to_str()
            .unwrap()
            .to_owned()
    };
    let said: Vec<_> = batches[2..].iter().map(to_judge).collect();
    assert_eq!(said, ["4", "0", "0", "0"]);
    for batch in &batches[3..] {
        for event in batch.events() {
            assert_eq!(event["connect"]["progress"], json!({ "judged": true }));
        }
    }
}

/// A client whose session can be recovered has gone, and has missed these.
async fn gone_and_missed(server: &Server, missed: usize) -> (WebSocket, String) {
    let (mut socket, _) = WebSocket::open(server.address).await;
    let (connect, _) = socket.enter_with(json!({ "pid": "mine" })).await;
    assert_eq!(socket.call(1, "[\"join\",\"r\"]").await, json!([]));
    drop(socket);
    let id = connect["sid"].as_str().unwrap().to_owned();
    server.app.disconnect_of(&id).await;
    let (mut other, _) = WebSocket::connect(server.address).await;
    for number in 1..=missed {
        other.send(&format!("42[\"room\",\"r\",{number}]")).await;
    }
    assert_eq!(other.call(1, "[\"echo\"]").await, json!([]));
    (other, id)
}

#[tokio::test]
async fn who_has_missed_much_is_given_it_in_pages_and_is_let_in_with_the_last() {
    let server = start().await;
    let (mut other, id) = gone_and_missed(&server, 5).await;
    server.app.page(2);
    let before = server.app.batches("/").len();
    let (mut socket, _) = WebSocket::open(server.address).await;
    let (connect, events) = socket
        .enter_with(json!({ "pid": "mine", "offset": "1" }))
        .await;
    let expected: Vec<String> = (2..=5)
        .map(|n| format!("42[\"room\",\"r\",{n},\"{n}\"]"))
        .collect();
    assert_eq!(events, expected);
    assert_eq!(connect["sid"], json!(id));
    let batches = server.app.batches("/");
    let connects = |batch: &Batch| batch.events()[0]["connect"]["progress"].clone();
    let progress: Vec<Value> = batches[before..].iter().map(connects).collect();
    assert_eq!(progress, [Value::Null, json!({ "after": 3 })]);
    assert_eq!(batches[before + 1].headers["parlour-connects"], "0");
    other.send("42[\"room\",\"r\",6]").await;
    assert_eq!(socket.text().await, "42[\"room\",\"r\",6,\"6\"]");
}

#[tokio::test]
async fn who_goes_between_two_pages_has_not_come_back() {
    let server = start().await;
    let (mut other, _) = gone_and_missed(&server, 5).await;
    server.app.page(2);
    let before = server.app.batches("/").len();
    let (mut socket, _) = WebSocket::open(server.address).await;
    server.app.hold();
    socket.send(r#"40{"pid":"mine","offset":"0"}"#).await;
    server.app.batch("/", before).await;
    socket.leave().await;
    server.app.resume();
    // The app changes nothing before the last page, so it need not hear of it.
    assert_eq!(other.call(2, "[\"echo\"]").await, json!([]));
    let batches = server.app.batches("/");
    let kinds: Vec<&str> = batches[before..]
        .iter()
        .flat_map(Batch::events)
        .map(|event| event.as_object().unwrap().keys().next().unwrap().as_str())
        .collect();
    assert_eq!(kinds, ["connect", "packet"]);
    // The session is still there.
    let (mut socket, _) = WebSocket::open(server.address).await;
    let (_, events) = socket
        .enter_with(json!({ "pid": "mine", "offset": "0" }))
        .await;
    assert_eq!(events.len(), 5);
}

#[tokio::test]
async fn while_those_who_are_back_do_not_read_the_next_ones_wait_and_nobody_else_does() {
    const CLIENTS: usize = 3;
    /// Of 200 kB: more than the buffers of a connection take.
    const MISSED: usize = 60;
    let server = start_with(parlour_relay::Config {
        max_recovery_bytes: 1024 * 1024,
        ..config()
    })
    .await;
    let mut gone = Vec::new();
    for n in 0..CLIENTS {
        let (mut socket, _) = WebSocket::open(server.address).await;
        socket.enter_with(json!({ "pid": n.to_string() })).await;
        assert_eq!(socket.call(1, "[\"join\",\"r\"]").await, json!([]));
        gone.push(socket);
    }
    for socket in &mut gone {
        socket.leave().await;
    }
    let (mut other, _) = WebSocket::connect(server.address).await;
    let text = "x".repeat(200_000);
    for n in 1..=MISSED {
        assert_eq!(
            other
                .call(n as u64, &format!("[\"room\",\"r\",\"{text}\"]"))
                .await,
            json!([])
        );
    }
    // 12 MB for each of them, and none reads.
    server.app.handle_at_once(1);
    let before = server.app.batches("/").len();
    let mut back = Vec::new();
    for n in 0..CLIENTS {
        let (mut socket, _) = WebSocket::open(server.address).await;
        socket
            .send(&format!("40{{\"pid\":\"{n}\",\"offset\":\"0\"}}"))
            .await;
        // Nobody else waits, and who need not wait was served when the second of these is.
        for _ in 0..2 {
            assert_eq!(other.call(1, "[\"echo\",1]").await, json!([1]));
        }
        back.push(socket);
    }
    let is_recovery = |batch: &&Batch| batch.events()[0]["connect"].is_object();
    let served = || {
        server.app.batches("/")[before..]
            .iter()
            .filter(is_recovery)
            .count()
    };
    let early = served();
    assert!(
        (1..CLIENTS).contains(&early),
        "{early} of {CLIENTS} were served"
    );
    let reads = back.into_iter().map(|mut socket| async move {
        for _ in 0..MISSED {
            assert!(socket.text().await.starts_with("42[\"room\""));
        }
        assert!(socket.text().await.starts_with("40{"));
    });
    for read in reads.map(tokio::spawn).collect::<Vec<_>>() {
        read.await.unwrap();
    }
    assert_eq!(served(), CLIENTS);
}

#[tokio::test]
async fn what_the_app_leaves_of_one_client_is_not_before_what_came_later_of_another() {
    let server = start().await;
    let (mut a, mut b) = two_clients_at_once(&server).await;
    server.app.handle_at_once(2);
    for id in 1..=20 {
        a.send(&format!("42{id}[\"echo\",{id}]")).await;
    }
    all_read(&server, &mut [&mut a]).await;
    let first = server.app.batch("/", 2).await;
    server.app.let_go(&first);
    assert_eq!(server.app.batch("/", 3).await.events().len(), 20);
    // The app is at these 20, and will do two of them. Meanwhile there come:
    b.send("421[\"echo\",\"b\"]").await;
    a.send("4221[\"echo\",21]").await;
    b.send("422[\"echo\",\"c\"]").await;
    for (name, socket) in [("/n-a", &mut a), ("/n-b", &mut b)] {
        socket.send(&format!("40{name},")).await;
        server.app.batch(name, 0).await;
    }
    server.app.resume();
    assert_eq!(text(&mut b).await, "431[\"b\"]");
    assert_eq!(text(&mut b).await, "432[\"c\"]");
    for id in 1..=21 {
        assert_eq!(text(&mut a).await, format!("43{id}[{id}]"));
    }
    let batches = server.app.batches("/");
    assert_eq!(sizes(&batches[3..6]), [20, 2, 4]);
    assert_eq!(batches.last().unwrap().events()[0]["packet"]["id"], 21);
}
