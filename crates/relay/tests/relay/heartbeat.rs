//! How a connection ends by itself: heartbeats, limits, violations, timeouts.

use std::time::Instant;

use parlour_relay::Config;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::client::{Frame, Polling, WebSocket, frame, read_answer, send_head};
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

/// Times that a slow client is far beyond.
fn hasty() -> Config {
    Config {
        ping_interval: ms(200),
        ping_timeout: ms(500),
        ..config()
    }
}

/// How long a slow client takes for a piece, of which it has many.
const PIECE: std::time::Duration = ms(100);

#[tokio::test]
async fn who_sends_a_large_message_slowly_is_alive() {
    let server = start_with(hasty()).await;
    let (mut slow, _) = WebSocket::connect(server.address).await;
    slow.answers_pings = false;
    let text = "x".repeat(60_000);
    let event = frame(0x81, format!("421[\"echo\",\"{text}\"]").as_bytes());
    for piece in event.chunks(2000) {
        slow.send_raw(piece).await;
        tokio::time::sleep(PIECE).await;
    }
    loop {
        match &*slow.text().await {
            "2" => {}
            answer => break assert!(answer.starts_with("431[\"xxx"), "{answer:.30}"),
        }
    }
}

#[tokio::test]
async fn who_sends_a_byte_now_and_then_and_no_pong_is_gone() {
    let server = start_with(hasty()).await;
    let (mut slow, id) = WebSocket::connect(server.address).await;
    let event = frame(0x81, &[b'4'; 60_000]);
    slow.send_raw(&event[..20]).await;
    let trickle = async {
        for byte in &event[20..] {
            slow.send_raw(&[*byte]).await;
            tokio::time::sleep(ms(50)).await;
        }
    };
    tokio::select! {
        (reason, _) = server.app.disconnect_of(&id) => assert_eq!(reason, "ping timeout"),
        () = trickle => panic!("nobody ended it"),
    }
}

#[tokio::test]
async fn who_reads_slowly_what_waits_for_it_is_alive() {
    // The kernel says only now and then that its buffer has room again, which is large here.
    let server = start_with(Config {
        ping_timeout: ms(2000),
        ..hasty()
    })
    .await;
    let (mut slow, id) = WebSocket::connect(server.address).await;
    slow.answers_pings = false;
    slow.send("42[\"flood\",50000,280]").await;
    for _ in 0..50 {
        slow.read_at_most(150_000).await;
        tokio::time::sleep(PIECE).await;
    }
    assert!(!server.app.has_left(&id));
    slow.answers_pings = true;
    for number in 0..280 {
        let text = slow.text().await;
        assert!(
            text.starts_with(&format!("42[\"flood\",{number},")),
            "{text:.30}"
        );
    }
    assert_eq!(slow.call(1, "[\"echo\",1]").await, json!([1]));
}

#[tokio::test]
async fn who_polls_is_alive_while_it_sends_or_reads_much_slowly() {
    let server = start_with(hasty()).await;
    let session = Polling::open(server.address).await;
    session.post("40").await;
    session.poll().await;
    let text = "x".repeat(60_000);
    let payload = format!("42[\"flood\",50000,280]\u{1e}421[\"echo\",\"{text}\"]");
    let mut post = send_head(server.address, "POST", &session.path, "", payload.len()).await;
    for piece in payload.as_bytes().chunks(2000) {
        post.write_all(piece).await.unwrap();
        tokio::time::sleep(PIECE).await;
    }
    assert_eq!(read_answer(&mut post).await.body, "ok");
    // The ping that waited, perhaps by itself, and then much that it reads slowly.
    let mut buffer = vec![0; 100_000];
    let (mut poll, mut read) = loop {
        let mut poll = session.begin_poll().await;
        let count = poll.read(&mut buffer).await.unwrap();
        if count > 10_000 {
            break (poll, count);
        }
    };
    for _ in 0..30 {
        read += poll.read(&mut buffer).await.unwrap();
        tokio::time::sleep(PIECE).await;
    }
    assert!(read > 200_000, "that was not much: {read}");
    assert_eq!(server.app.handled("echo"), 1);
    while read < 280 * 50_000 {
        read += poll.read(&mut buffer).await.unwrap();
    }
    assert_eq!(session.post("3\u{1e}422[\"echo\",2]").await.body, "ok");
    while !session.poll().await.body.contains("432[2]") {}
}
