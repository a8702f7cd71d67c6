//! An app that fails, is away or is silent: what it could not take waits, what it fails at is found by halving,
//! and nothing happens twice.

use std::time::Duration;

use serde_json::json;

use crate::app::{Batch, Fault};
use crate::client::WebSocket;
use crate::{Server, config, ms, start, start_with};

/// Does not take long to find that the app is silent.
async fn impatient() -> Server {
    start_with(parlour_relay::Config {
        answer_timeout: ms(300),
        ..config()
    })
    .await
}

/// Sends these as one batch: the app is held until the relay has all of them.
async fn at_once(server: &Server, socket: &mut WebSocket, packets: &[String]) {
    let before = server.app.batches("/").len();
    server.app.hold();
    socket.send("42[\"echo\",0]").await;
    server.app.batch("/", before).await;
    for packet in packets {
        socket.send(packet).await;
    }
    let others = server.app.batches("/custom").len();
    socket.send("40/custom,").await;
    server.app.batch("/custom", others).await;
}

/// What comes, but for the answer of the other namespace.
async fn texts(socket: &mut WebSocket, count: usize) -> Vec<String> {
    let mut texts = Vec::new();
    while texts.len() < count {
        let text = socket.text().await;
        if !text.starts_with("40/custom") {
            texts.push(text);
        }
    }
    texts
}

#[tokio::test]
async fn one_poisonous_event_among_many_is_found_by_halving() {
    let server = start().await;
    let (mut socket, _) = WebSocket::connect(server.address).await;
    let packet = |id: usize| match id {
        77 => "4277[\"poison\"]".to_owned(),
        id => format!("42{id}[\"echo\",{id}]"),
    };
    let packets: Vec<String> = (1..=128).map(packet).collect();
    at_once(&server, &mut socket, &packets).await;
    server.app.resume();
    for (id, text) in (1..).zip(texts(&mut socket, 128).await) {
        match id {
            77 => assert!(text.starts_with("4377[{\"error\""), "{text}"),
            id => assert_eq!(text, format!("43{id}[{id}]")),
        }
    }
    assert_eq!(server.app.handled("echo"), 128, "each once");
    // One, then 128 in seven steps: what fails, its withdrawal, and the other half; at last three tries.
    let requests = server.app.batches("/").len();
    assert!(requests < 40, "{requests} requests for one of 128");
}

#[tokio::test]
async fn while_the_app_is_away_nothing_is_given_up_however_long_it_takes() {
    let server = start().await;
    let (mut socket, _) = WebSocket::connect(server.address).await;
    let faults = [
        Fault::Status(503),
        Fault::Status(503),
        Fault::Status(502),
        Fault::Away,
        Fault::Away,
        Fault::Status(503),
    ];
    server.app.order_for("/", &faults);
    assert_eq!(socket.call(1, "[\"echo\",1]").await, json!([1]));
    let batches = server.app.batches("/");
    let tried: Vec<_> = batches[1..].iter().map(|batch| batch.attempt).collect();
    assert_eq!(tried, [1, 2, 3, 4, 5, 6, 7]);
}

#[tokio::test]
async fn a_batch_that_is_not_answered_in_time_is_withdrawn_before_its_events_are_sent_again() {
    let server = impatient().await;
    let (mut socket, _) = WebSocket::connect(server.address).await;
    let packets: Vec<String> = (1..=4).map(|id| format!("42{id}[\"echo\",{id}]")).collect();
    at_once(&server, &mut socket, &packets).await;
    server.app.order_for("/", &[Fault::None, Fault::Silence]);
    server.app.resume();
    assert_eq!(
        texts(&mut socket, 4).await,
        ["431[1]", "432[2]", "433[3]", "434[4]"]
    );
    let batches = server.app.batches("/");
    let seen: Vec<_> = batches[2..]
        .iter()
        .map(|batch| (batch.events().len(), batch.attempt))
        .collect();
    assert_eq!(seen, [(4, 1), (0, 2), (2, 1), (2, 1)]);
    assert_eq!(batches[2].sequence, batches[3].sequence);
    assert_eq!(server.app.handled("echo"), 5, "each once");
}

#[tokio::test]
async fn what_was_committed_and_not_answered_in_time_does_not_happen_again() {
    let server = impatient().await;
    let (mut socket, _) = WebSocket::connect(server.address).await;
    let packets: Vec<String> = (1..=4).map(|id| format!("42{id}[\"echo\",{id}]")).collect();
    at_once(&server, &mut socket, &packets).await;
    server
        .app
        .order_for("/", &[Fault::None, Fault::SilenceAfterwards]);
    server.app.resume();
    assert_eq!(
        texts(&mut socket, 4).await,
        ["431[1]", "432[2]", "433[3]", "434[4]"]
    );
    assert_eq!(server.app.handled("echo"), 5, "each once");
}

#[tokio::test]
async fn an_event_that_gets_no_answer_is_given_up_where_the_app_answers_otherwise() {
    let server = impatient().await;
    let (mut socket, _) = WebSocket::connect(server.address).await;
    let (mut other, _) = WebSocket::connect(server.address).await;
    let mut faults = Vec::new();
    for _ in 0..3 {
        faults.extend([Fault::Silence, Fault::None]);
    }
    server.app.order_for("/", &faults);
    socket.send("421[\"loop\"]").await;
    // Another namespace does not wait for it.
    other.enter("/custom,").await;
    let text = socket.text().await;
    assert!(text.contains("the app did not answer in time"), "{text}");
    assert_eq!(server.app.handled("loop"), 0);
    assert_eq!(socket.call(2, "[\"echo\",2]").await, json!([2]));
}

#[tokio::test]
async fn an_app_that_answers_nothing_at_all_is_away_and_nothing_is_given_up() {
    let server = impatient().await;
    let (mut socket, _) = WebSocket::connect(server.address).await;
    server.app.order_for("/", &[Fault::Silence; 5]);
    assert_eq!(socket.call(1, "[\"echo\",1]").await, json!([1]));
    let batches = server.app.batches("/");
    let sizes: Vec<_> = batches[1..]
        .iter()
        .map(|batch| batch.events().len())
        .collect();
    assert_eq!(
        sizes,
        [1, 0, 0, 0, 0, 0, 1],
        "one event, and then the question"
    );
}

#[tokio::test]
async fn an_answer_that_is_too_large_does_not_come_again_and_again() {
    let server = start().await;
    let (mut socket, _) = WebSocket::connect(server.address).await;
    let packets = ["421[\"echo\",1]", "422[\"echo\",2]"].map(String::from);
    at_once(&server, &mut socket, &packets).await;
    server.app.order_for("/", &[Fault::None, Fault::TooMuch]);
    server.app.resume();
    // The app has committed it, so its events cannot be sent again; but their senders hear of it.
    for id in 1..=2 {
        let text = texts(&mut socket, 1).await.remove(0);
        assert!(text.starts_with(&format!("43{id}[{{\"error\"")), "{text}");
    }
    assert_eq!(socket.call(3, "[\"echo\",3]").await, json!([3]));
}

#[tokio::test]
async fn that_a_socket_has_left_is_never_given_up() {
    let server = start().await;
    let (gone, id) = WebSocket::connect(server.address).await;
    let (mut other, _) = WebSocket::connect(server.address).await;
    server.app.poison("disconnect");
    drop(gone);
    let (reason, _) = server.app.disconnect_of(&id).await;
    assert_eq!(reason, "transport close");
    let is_unhandled = |batch: &Batch| {
        batch
            .events()
            .first()
            .map(|it| it["disconnect"]["unhandled"] == true)
    };
    let seen: Vec<_> = server.app.batches("/")[2..]
        .iter()
        .map(is_unhandled)
        .collect();
    // Three tries, the withdrawal, and then without handlers.
    assert_eq!(
        seen,
        [Some(false), Some(false), Some(false), None, Some(true)]
    );
    assert_eq!(other.call(1, "[\"echo\",1]").await, json!([1]));
}

#[tokio::test]
async fn a_leaving_that_fails_even_so_holds_up_nobody() {
    let server = start().await;
    let (gone, id) = WebSocket::connect(server.address).await;
    let (mut other, _) = WebSocket::connect(server.address).await;
    // Three tries and the withdrawal, twice.
    let three = [Fault::Status(500); 3];
    let faults: Vec<Fault> = [&three[..], &[Fault::None], &three, &[Fault::None]].concat();
    server.app.order_for("/", &faults);
    drop(gone);
    let (reason, _) = server.app.disconnect_of(&id).await;
    assert_eq!(reason, "transport close");
    assert_eq!(other.call(1, "[\"echo\",1]").await, json!([1]));
    tokio::time::timeout(Duration::from_secs(10), async {
        while !server.relay.is_idle() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("nothing is left");
}
