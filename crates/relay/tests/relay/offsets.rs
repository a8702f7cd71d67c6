//! The offset at the end of an event, for clients that can recover: on every transport, and what events
//! without one look like.

use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::client::{Frame, Polling, WebSocket, request};
use crate::start;

/// The payload of a CONNECT that asks for a new session.
fn new() -> Value {
    json!({ "pid": "new" })
}

#[tokio::test]
async fn who_cannot_recover_is_sent_what_was_emitted_and_nothing_else() {
    let server = start().await;
    let (mut a, _) = WebSocket::connect(server.address).await;
    a.send("42[\"all\",1]").await;
    a.send("42[\"all\",\"text\"]").await;
    a.send("42[\"volatile\",\"text\"]").await;
    assert_eq!(a.text().await, "42[\"all\",1]");
    assert_eq!(a.text().await, "42[\"all\",\"text\"]");
    assert_eq!(a.text().await, "42[\"volatile\",\"text\"]");
    // Another namespace is another matter.
    let (mut b, _) = WebSocket::open(server.address).await;
    b.send("40/custom,{\"pid\":\"new\"}").await;
    assert!(b.text().await.contains("\"pid\":\"new\""));
    a.send("42[\"all\",2]").await;
    assert_eq!(a.text().await, "42[\"all\",2]");
    b.send("42/custom,[\"all\",3]").await;
    assert_eq!(b.text().await, "42/custom,[\"all\",3,\"4\"]");
    b.enter_with(json!({ "pid": "other" })).await;
    // Of one emission each gets the text that is for it.
    a.send("42[\"all\"]").await;
    assert_eq!(a.text().await, "42[\"all\"]");
    assert_eq!(b.text().await, "42[\"all\",\"5\"]");
    a.send("42[\"volatile\",\"text\"]").await;
    assert_eq!(a.text().await, "42[\"volatile\",\"text\"]");
    assert_eq!(b.text().await, "42[\"volatile\",\"text\",0]");
    let large = "x".repeat(100_000);
    a.send(&format!("42[\"all\",\"{large}\"]")).await;
    assert_eq!(a.text().await, format!("42[\"all\",\"{large}\"]"));
    assert_eq!(b.text().await, format!("42[\"all\",\"{large}\",\"6\"]"));
}

#[tokio::test]
async fn who_polls_and_cannot_recover_gets_no_offset_beside_one_who_can() {
    let server = start().await;
    let (mut other, _) = WebSocket::open(server.address).await;
    other.enter_with(new()).await;
    let session = Polling::open(server.address).await;
    session.post("40").await;
    session.poll().await;
    session.post("42[\"all\",{\"n\":1}]").await;
    assert_eq!(session.poll().await.body, "42[\"all\",{\"n\":1}]");
    assert_eq!(other.text().await, "42[\"all\",{\"n\":1},\"1\"]");
}

#[tokio::test]
async fn a_websocket_gets_offsets_with_text_and_binary_small_and_large() {
    let server = start().await;
    let (mut socket, _) = WebSocket::open(server.address).await;
    let connect = socket.enter_with(new()).await.0;
    assert_eq!(connect["pid"], "new");
    socket.send("42[\"back\",{\"n\":1.5}]").await;
    assert_eq!(socket.text().await, "42[\"back\",{\"n\":1.5},\"1\"]");
    socket
        .send("451-[\"back\",{\"_placeholder\":true,\"num\":0}]")
        .await;
    socket.send_binary(&[1, 2]).await;
    assert_eq!(
        socket.text().await,
        "451-[\"back\",{\"_placeholder\":true,\"num\":0},\"2\"]"
    );
    assert_eq!(socket.next().await, Frame::Binary(vec![1, 2]));
    // Large enough to be shared by its receivers.
    let text = "x".repeat(100_000);
    socket.send(&format!("42[\"all\",\"{text}\"]")).await;
    assert_eq!(socket.text().await, format!("42[\"all\",\"{text}\",\"3\"]"));
}

#[tokio::test]
async fn a_client_that_polls_gets_offsets_with_text_and_binary() {
    let server = start().await;
    let session = Polling::open(server.address).await;
    session.post("40{\"pid\":\"new\"}").await;
    assert!(session.poll().await.body.contains("\"pid\":\"new\""));
    session.post("42[\"back\"]").await;
    assert_eq!(session.poll().await.body, "42[\"back\",\"1\"]");
    session
        .post("451-[\"back\",{\"_placeholder\":true,\"num\":0}]\x1ebAQI=")
        .await;
    assert_eq!(
        session.poll().await.body,
        "451-[\"back\",{\"_placeholder\":true,\"num\":0},\"2\"]\x1ebAQI="
    );
}

#[tokio::test]
async fn an_event_that_is_to_be_acknowledged_has_no_offset() {
    let server = start().await;
    let (mut socket, _) = WebSocket::open(server.address).await;
    socket.enter_with(new()).await;
    let ask = json!({"emit": {"data": ["q", "text"], "offset": 7, "ack": {"handler": "h", "timeout": 60_000}}});
    socket.send(&format!("42[\"do\",{ask}]")).await;
    assert_eq!(socket.text().await, "420[\"q\",\"text\"]");
    socket.send("430[1]").await;
    assert_eq!(server.app.acks().await["replies"][0]["data"], json!([1]));
}

#[tokio::test]
async fn an_event_without_an_offset_leaves_alone_what_the_client_remembers() {
    let server = start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let control = listener.local_addr().unwrap();
    let relay = server.relay.clone();
    tokio::spawn(async move { relay.serve_control(listener, std::future::pending()).await });
    let (mut socket, _) = WebSocket::open(server.address).await;
    socket.enter_with(new()).await;
    for (sent, received) in [
        ("[\"volatile\"]", "[\"volatile\",0]"),
        ("[\"volatile\",\"a\"]", "[\"volatile\",\"a\",0]"),
        (
            "[\"volatile\",{\"a\":\"b\"}]",
            "[\"volatile\",{\"a\":\"b\"}]",
        ),
        ("[\"volatile\",\"a\",1]", "[\"volatile\",\"a\",1]"),
        (
            "[\"do\",{\"emit\":{\"data\":[\"l\",\"a\"],\"local\":true}}]",
            "[\"l\",\"a\",0]",
        ),
    ] {
        socket.send(&format!("42{sent}")).await;
        assert_eq!(socket.text().await, format!("42{received}"));
    }
    let body = r#"{"namespace":"/","data":["news","text"]}"#;
    let secret = "authorization: Bearer secret\r\n";
    request(control, "POST", "/publish", secret, body).await;
    assert_eq!(socket.text().await, "42[\"news\",\"text\",0]");
}
