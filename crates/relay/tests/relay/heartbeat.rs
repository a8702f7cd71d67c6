//! How a connection ends by itself: heartbeats, limits, violations, timeouts.

use std::time::Instant;

use parlour_relay::Config;
use serde_json::json;

use crate::client::{Frame, Polling, WebSocket};
use crate::{config, ms, start, start_with};

#[tokio::test]
async fn the_server_pings_and_who_answers_stays() {
    let server = start_with(Config {
        ping_interval: ms(60),
        ping_timeout: ms(400),
        ..config()
    })
    .await;
    let (mut socket, _) = WebSocket::open(server.address).await;
    socket.answers_pings = false;
    for _ in 0..4 {
        assert_eq!(socket.text().await, "2");
        socket.send("3").await;
    }
    let session = Polling::open(server.address).await;
    for _ in 0..3 {
        assert_eq!(session.poll().await.body, "2");
        assert_eq!(session.post("3").await.body, "ok");
    }
}

#[tokio::test]
async fn who_does_not_answer_a_ping_is_gone() {
    let server = start_with(Config {
        ping_interval: ms(80),
        ping_timeout: ms(60),
        ..config()
    })
    .await;
    let (mut socket, id) = WebSocket::connect(server.address).await;
    socket.answers_pings = false;
    let begin = Instant::now();
    assert_eq!(socket.next().await, Frame::Text("2".into()));
    assert_eq!(socket.next().await, Frame::Close(None));
    assert!(
        begin.elapsed() >= ms(100),
        "closed after {:?}",
        begin.elapsed()
    );
    assert_eq!(server.app.disconnect_of(&id).await.0, "ping timeout");
    let session = Polling::open(server.address).await;
    assert_eq!(session.poll().await.body, "2");
    let mut answer = session.poll().await;
    if answer.status == 200 {
        assert_eq!(answer.body, "1");
        answer = session.poll().await;
    }
    assert_eq!(answer.status, 400);
}

#[tokio::test]
async fn a_client_must_not_ping() {
    let server = start().await;
    let (mut socket, id) = WebSocket::connect(server.address).await;
    socket.send("2").await;
    assert_eq!(socket.closed().await, None);
    assert_eq!(server.app.disconnect_of(&id).await.0, "transport error");
}

#[tokio::test]
async fn a_message_beyond_the_limit_closes_with_1009() {
    let server = start_with(Config {
        max_payload: 1000,
        ..config()
    })
    .await;
    let (mut socket, id) = WebSocket::connect(server.address).await;
    let fits = format!("421[\"echo\",\"{}\"]", "x".repeat(1000 - 14));
    assert_eq!(fits.len(), 1000);
    socket.send(&fits).await;
    assert!(socket.text().await.starts_with("431["));
    socket.send(&"x".repeat(1001)).await;
    assert_eq!(socket.closed().await, Some(1009));
    assert_eq!(server.app.disconnect_of(&id).await.0, "transport error");
}

#[tokio::test]
async fn websocket_violations_close_with_their_code() {
    let server = start().await;
    let (mut bystander, _) = WebSocket::connect(server.address).await;
    let cases: [(&[u8], u16); 4] = [
        (&[0x81, 0x01, b'2'], 1002),
        (&[0xc1, 0x80, 0, 0, 0, 0], 1002),
        (&[0x83, 0x80, 0, 0, 0, 0], 1002),
        (&[0x81, 0x81, 0, 0, 0, 0, 0xff], 1007),
    ];
    for (bytes, code) in cases {
        let (mut socket, id) = WebSocket::connect(server.address).await;
        socket.send_raw(bytes).await;
        assert_eq!(socket.closed().await, Some(code), "{bytes:x?}");
        assert_eq!(server.app.disconnect_of(&id).await.0, "transport error");
    }
    assert_eq!(bystander.call(1, "[\"echo\",1]").await, json!([1]));
}

#[tokio::test]
async fn closes_and_pings_of_websocket_itself_are_answered() {
    let server = start().await;
    let (mut socket, id) = WebSocket::connect(server.address).await;
    socket.send_frame(0x89, b"hi").await;
    assert_eq!(socket.next().await, Frame::Pong(b"hi".into()));
    socket.send_frame(0x01, b"421[\"ec").await;
    socket.send_frame(0x80, b"ho\",7]").await;
    assert_eq!(socket.text().await, "431[7]");
    socket.send_frame(0x88, &1000u16.to_be_bytes()).await;
    assert_eq!(socket.closed().await, Some(1000));
    assert_eq!(server.app.disconnect_of(&id).await.0, "transport close");
}

#[tokio::test]
async fn a_connection_that_just_ends_is_a_transport_close() {
    let server = start().await;
    let (socket, id) = WebSocket::connect(server.address).await;
    drop(socket);
    assert_eq!(server.app.disconnect_of(&id).await.0, "transport close");
}

#[tokio::test]
async fn who_joins_no_namespace_is_closed() {
    let server = start_with(Config {
        connect_timeout: ms(60),
        ..config()
    })
    .await;
    let (mut joined, _) = WebSocket::connect(server.address).await;
    let (mut idle, _) = WebSocket::open(server.address).await;
    assert_eq!(idle.closed().await, None);
    assert_eq!(joined.call(1, "[\"echo\",1]").await, json!([1]));
}
