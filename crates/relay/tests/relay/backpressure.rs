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
