//! Too much in one direction: senders are slowed down, readers that do not read are closed.

use parlour_relay::Config;
use serde_json::json;

use crate::client::{Frame, WebSocket};
use crate::{config, ms, start, start_with};

/// More than a lane keeps waiting (8 MiB), and than the sockets' buffers.
const FLOOD: usize = 40_000_000;

#[tokio::test]
async fn who_sends_to_a_full_lane_is_not_read_and_lives() {
    let heartbeat = Config {
        ping_interval: ms(200),
        ping_timeout: ms(400),
        ..config()
    };
    let server = start_with(heartbeat).await;
    let (mut socket, _) = WebSocket::connect(server.address).await;
    let mut probe = WebSocket::open(server.address).await.0;
    server.app.hold();
    let text = "x".repeat(500_000);
    let message = format!("42[\"flood me\",\"{text}\"]");
    let count = FLOOD / text.len();
    let app = server.app.clone();
    // It answers pings between its messages. While it cannot send, it cannot answer either.
    let sending = tokio::spawn(async move {
        for _ in 0..count {
            socket.send_frame_slowly("3").await;
            socket.send_frame_slowly(&message).await;
        }
        socket
    });
    // For longer than a client may be silent, the lane takes no more.
    for _ in 0..5 {
        assert_eq!(probe.next_ping().await, "2");
    }
    assert!(
        !sending.is_finished(),
        "the relay took {FLOOD} bytes although the app is away"
    );
    app.resume();
    let mut socket = crate::client::patiently("the flood to be taken", sending)
        .await
        .unwrap();
    assert_eq!(socket.call(1, "[\"echo\",1]").await, json!([1]));
    assert_eq!(app.handled("flood me"), count);
}

/// Events of one socket that one batch has at most, if others come meanwhile or not.
const SHARE: usize = 256;

#[tokio::test]
async fn a_client_that_sends_much_has_its_share_of_a_batch_and_no_more() {
    let server = start().await;
    let (mut busy, busy_id) = WebSocket::connect(server.address).await;
    let (mut other, other_id) = WebSocket::connect(server.address).await;
    server.app.hold();
    let before = server.app.batches("/").len();
    other.send("42[\"echo\",0]").await;
    server.app.batch("/", before).await;
    let count = 1000;
    for id in 1..=count {
        busy.send(&format!("42{id}[\"echo\",{id}]")).await;
    }
    // Its first events wait now, and no more are read; but those of the other one are.
    other.send("421[\"echo\",1]").await;
    other.is_read().await;
    server.app.resume();
    assert_eq!(other.text().await, "431[1]");
    for id in 1..=count {
        assert_eq!(busy.text().await, format!("43{id}[{id}]"), "in order");
    }
    let batches = server.app.batches("/");
    let mut shares = Vec::new();
    let mut waited = 0;
    for batch in &batches[before + 1..] {
        let sockets = batch.body["sockets"].as_array().unwrap();
        let ids = batch.events().iter().map(|event| {
            let place = event["packet"]["socket"].as_u64().unwrap();
            sockets[place as usize]["id"].as_str().unwrap().to_owned()
        });
        let ids: Vec<String> = ids.collect();
        let share = ids.iter().filter(|id| **id == busy_id).count();
        if shares.iter().all(|(_, has_other)| !has_other) {
            waited += share;
        }
        shares.push((share, ids.contains(&other_id)));
    }
    assert!(
        shares.iter().all(|(share, _)| *share <= SHARE),
        "{shares:?}"
    );
    assert!(
        waited <= SHARE,
        "one event waited for {waited} of another client's: {shares:?}"
    );
}

#[tokio::test]
async fn large_events_use_up_a_share_sooner() {
    let server = start().await;
    let (mut busy, _) = WebSocket::connect(server.address).await;
    server.app.hold();
    let before = server.app.batches("/").len();
    busy.send("42[\"echo\",0]").await;
    server.app.batch("/", before).await;
    let text = "x".repeat(300_000);
    for id in 1..=5 {
        busy.send(&format!("42{id}[\"echo\",\"{text}\"]")).await;
    }
    server.app.resume();
    for id in 1..=5 {
        assert!(busy.text().await.starts_with(&format!("43{id}")));
    }
    for batch in &server.app.batches("/")[before..] {
        assert!(batch.events().len() <= 2);
    }
}

#[tokio::test]
async fn who_does_not_read_gets_all_once_it_does() {
    let server = start().await;
    let (mut slow, _) = WebSocket::connect(server.address).await;
    let (mut other, _) = WebSocket::connect(server.address).await;
    slow.send("421[\"flood\",50000,200]").await;
    for _ in 0..3 {
        assert_eq!(
            other.call(1, "[\"echo\",1]").await,
            json!([1]),
            "others are not held up"
        );
    }
    // Volatile packets are dropped for a client that does not take what it has.
    other.send("42[\"volatile\",1]").await;
    assert_eq!(other.text().await, "42[\"volatile\",1]");
    other.send("42[\"others\",1]").await;
    assert_eq!(other.call(2, "[\"echo\",1]").await, json!([1]));
    for number in 0..200 {
        let text = slow.text().await;
        assert!(
            text.starts_with(&format!("42[\"flood\",{number},\"xxx")),
            "{}",
            &text[..30]
        );
        assert_eq!(
            text.len(),
            50_000 + format!("42[\"flood\",{number},\"\"]").len()
        );
    }
    assert_eq!(
        slow.text().await,
        "42[\"others\",1]",
        "and not the volatile one"
    );
}

#[tokio::test]
async fn who_never_reads_is_closed() {
    let server = start().await;
    let (mut slow, id) = WebSocket::connect(server.address).await;
    let (mut other, _) = WebSocket::connect(server.address).await;
    slow.send("42[\"flood\",100000,400]").await;
    assert_eq!(server.app.disconnect_of(&id).await.0, "transport error");
    assert_eq!(other.call(1, "[\"echo\",1]").await, json!([1]));
    loop {
        match slow.next().await {
            Frame::Text(_) => {}
            end => break assert_eq!(end, Frame::End),
        }
    }
}
