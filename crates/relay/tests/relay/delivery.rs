//! Batches: one in flight, sent again until answered, split where the app fails at one event.

use parlour_relay::Relay;
use serde_json::json;
use tokio::net::TcpListener;

use crate::app::{App, Fault};
use crate::client::{WebSocket, request};
use crate::{config, start};

#[tokio::test]
async fn what_comes_while_a_batch_is_in_flight_is_the_next_batch() {
    let server = start().await;
    let (mut a, _) = WebSocket::connect(server.address).await;
    let (mut b, _) = WebSocket::connect(server.address).await;
    server.app.hold();
    a.send("421[\"echo\",1]").await;
    server.app.batch("/", 2).await;
    for id in 2..50 {
        a.send(&format!("42{id}[\"echo\",{id}]")).await;
    }
    b.send("421[\"echo\",1]").await;
    // Another namespace is not held up: it has a lane of its own, which is asked at once.
    b.send("40/custom,").await;
    server.app.batch("/custom", 0).await;
    server.app.resume();
    for id in 1..50 {
        assert_eq!(a.text().await, format!("43{id}[{id}]"), "in order");
    }
    let mut texts = [b.text().await, b.text().await];
    texts.sort();
    assert!(
        texts[0].starts_with("40/custom,") && texts[1] == "431[1]",
        "{texts:?}"
    );
    let batches = server.app.batches("/");
    let sizes: Vec<usize> = batches[2..]
        .iter()
        .map(|batch| batch.events().len())
        .collect();
    assert_eq!(sizes[0], 1);
    assert_eq!(sizes.iter().sum::<usize>(), 50);
    assert!(sizes.len() < 10, "{sizes:?}");
    let sockets = batches.last().unwrap().body["sockets"].as_array().unwrap();
    assert!(
        sockets.len() <= 2,
        "each socket is described once: {sockets:?}"
    );
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again_and_nothing_happens_twice() {
    let server = start().await;
    let (mut a, _) = WebSocket::connect(server.address).await;
    let (mut b, _) = WebSocket::connect(server.address).await;
    server.app.order(&[
        Fault::LoseAnswer,
        Fault::Away,
        Fault::Status(503),
        Fault::Status(401),
    ]);
    a.send("42[\"others\",1]").await;
    assert_eq!(b.text().await, "42[\"others\",1]");
    assert_eq!(server.app.handled("others"), 1);
    let batches = server.app.batches("/");
    let last: Vec<_> = batches[2..]
        .iter()
        .map(|batch| (batch.sequence, batch.attempt))
        .collect();
    let sequence = last[0].0;
    assert_eq!(
        last,
        (1..=5)
            .map(|attempt| (sequence, attempt))
            .collect::<Vec<_>>()
    );
    assert_eq!(batches[2].body, batches[6].body);
    a.send("42[\"others\",2]").await;
    assert_eq!(
        b.text().await,
        "42[\"others\",2]",
        "and the first was not repeated"
    );
}

#[tokio::test]
async fn an_event_that_the_app_fails_at_is_isolated() {
    let server = start().await;
    let (mut a, _) = WebSocket::connect(server.address).await;
    let (mut b, _) = WebSocket::connect(server.address).await;
    server.app.hold();
    a.send("42[\"echo\",0]").await;
    server.app.batch("/", 2).await;
    a.send("421[\"echo\",1]").await;
    a.send("422[\"poison\"]").await;
    a.send("423[\"join\",\"r\"]").await;
    b.send("421[\"echo\",1]").await;
    b.send("40/custom,").await;
    server.app.batch("/custom", 0).await;
    server.app.resume();
    assert_eq!(a.text().await, "431[1]");
    let error = r#"432[{"error":{"code":"internal","message":"the app failed at this event"}}]"#;
    assert_eq!(a.text().await, error);
    assert_eq!(a.text().await, "433[]");
    let me = a.call(4, "[\"whoami\"]").await;
    assert_eq!(me[0]["rooms"], json!(["r"]), "described as of then");
    let mut texts = [b.text().await, b.text().await];
    texts.sort();
    assert_eq!(texts[1], "431[1]");
    assert_eq!(server.app.handled("poison"), 0);
    assert_eq!(server.app.handled("echo"), 3, "each once");
    assert_eq!(a.call(9, "[\"echo\",9]").await, json!([9]));
}

#[tokio::test]
async fn a_handshake_or_a_connect_that_the_app_fails_at_is_refused() {
    let server = start().await;
    let (mut socket, _) = WebSocket::open(server.address).await;
    server
        .app
        .order(&[Fault::Garbage, Fault::Status(500), Fault::Status(500)]);
    socket.send("40").await;
    assert_eq!(socket.text().await, r#"44{"message":"internal"}"#);
    socket.enter("").await;
    server.app.order(&[Fault::Status(400)]);
    let answer = request(
        server.address,
        "GET",
        "/socket.io/?EIO=4&transport=polling",
        "",
        "",
    )
    .await;
    assert_eq!(answer.body, r#"{"code":3,"message":"Bad request"}"#);
}

#[tokio::test]
async fn a_batch_that_is_too_large_is_withdrawn_and_sent_in_halves() {
    let server = start().await;
    let (mut socket, _) = WebSocket::connect(server.address).await;
    server.app.hold();
    socket.send("421[\"echo\",1]").await;
    server.app.batch("/", 1).await;
    socket.send("422[\"echo\",2]").await;
    socket.send("423[\"echo\",3]").await;
    socket.enter_later("/custom,").await;
    server.app.batch("/custom", 0).await;
    server
        .app
        .order_for("/", &[Fault::None, Fault::Status(413)]);
    server.app.resume();
    let mut texts = Vec::new();
    for _ in 0..4 {
        texts.push(socket.text().await);
    }
    texts.retain(|text| !text.starts_with("40"));
    assert_eq!(texts, ["431[1]", "432[2]", "433[3]"]);
    let sizes: Vec<_> = server.app.batches("/")[1..]
        .iter()
        .map(|batch| batch.events().len())
        .collect();
    assert_eq!(sizes, [1, 2, 0, 1, 1]);
}

#[tokio::test]
async fn a_batch_never_exceeds_four_mebibytes() {
    let server = start().await;
    // One client has only its share of a batch.
    let mut sockets = Vec::new();
    for _ in 0..10 {
        sockets.push(WebSocket::connect(server.address).await.0);
    }
    server.app.hold();
    let before = server.app.batches("/").len();
    sockets[0].send("42[\"echo\",0]").await;
    server.app.batch("/", before).await;
    let text = "x".repeat(500_000);
    for socket in &mut sockets {
        socket.send(&format!("421[\"echo\",\"{text}\"]")).await;
        socket.is_read().await;
    }
    server.app.resume();
    for socket in &mut sockets {
        assert!(socket.text().await.starts_with("431"));
    }
    let batches = server.app.batches("/");
    let sizes: Vec<usize> = batches
        .iter()
        .map(|batch| batch.body.to_string().len())
        .collect();
    assert!(
        sizes.iter().all(|size| *size <= 4 * 1024 * 1024),
        "{sizes:?}"
    );
    assert!(sizes.iter().any(|size| *size > 3_000_000), "{sizes:?}");
}

#[tokio::test]
async fn a_younger_epoch_ends_the_relay() {
    let mut server = start().await;
    let (mut socket, _) = WebSocket::connect(server.address).await;
    server.app.order(&[Fault::Status(409)]);
    socket.send("42[\"echo\"]").await;
    assert_eq!(socket.closed().await, None);
    server.stop_later();
    let error = server.ended().await.unwrap_err().to_string();
    assert!(
        error.contains("another relay named \"test\" has started"),
        "{error}"
    );
}

#[tokio::test]
async fn a_relay_needs_a_legal_name() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = parlour_relay::Config {
        relay: "a b".into(),
        ..config()
    };
    let error = Relay::new(config, App::new())
        .serve(listener, std::future::pending())
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("cannot be a relay's name"),
        "{error}"
    );
}
