//! What is not Socket.IO closes its connection, with the reference's reason, and hurts nobody else.

use serde_json::json;

use crate::client::{Polling, WebSocket};
use crate::start;

#[tokio::test]
async fn malformed_packets_close_their_connection_only() {
    let server = start().await;
    let (mut bystander, _) = WebSocket::connect(server.address).await;
    let packets: [(&[&str], &str); 17] = [
        (&["4abc"], "forced close"),
        (&["47"], "forced close"),
        (&["42{}"], "forced close"),
        (&["42[\"a\""], "forced close"),
        (&["42[]"], "forced close"),
        (&["42abc[\"a\"]"], "forced close"),
        (&["42[\"disconnecting\"]"], "forced close"),
        (&["41{}"], "forced close"),
        (&["45[\"a\"]"], "forced close"),
        (&["45x-[\"a\"]"], "forced close"),
        (&["4511-[\"a\"]"], "forced close"),
        (
            &["451-[\"a\",{\"_placeholder\":true,\"num\":0}]", "42[\"b\"]"],
            "forced close",
        ),
        (&["450-[\"a\"]", "42[\"b\"]"], "forced close"),
        // Not now: the client is not in that namespace, or is in it already.
        (&["42/nowhere,[\"a\"]"], "forced close"),
        (&["40"], "forced close"),
        (&["44{\"message\":\"a\"}"], "forced close"),
        // Not even Engine.IO.
        (&["abc"], "parse error"),
    ];
    for (messages, reason) in packets {
        let (mut socket, id) = WebSocket::connect(server.address).await;
        for message in messages {
            socket.send(message).await;
        }
        assert_eq!(socket.closed().await, None, "{messages:?}");
        assert_eq!(
            server.app.disconnect_of(&id).await.0,
            reason,
            "{messages:?}"
        );
        assert_eq!(bystander.call(1, "[\"echo\",1]").await, json!([1]));
    }
}

#[tokio::test]
async fn binary_that_nobody_announced_or_placeholders_without_it_close_the_connection() {
    let server = start().await;
    let (mut socket, id) = WebSocket::connect(server.address).await;
    socket.send_binary(&[1]).await;
    assert_eq!(socket.closed().await, None);
    assert_eq!(server.app.disconnect_of(&id).await.0, "forced close");
    let (mut socket, id) = WebSocket::connect(server.address).await;
    socket
        .send("451-[\"a\",{\"_placeholder\":true,\"num\":1}]")
        .await;
    socket.send_binary(&[1]).await;
    assert_eq!(socket.closed().await, None);
    assert_eq!(server.app.disconnect_of(&id).await.0, "forced close");
}

#[tokio::test]
async fn what_the_reference_ignores_is_ignored() {
    let server = start().await;
    let (mut socket, _) = WebSocket::connect(server.address).await;
    for packet in [
        "42",
        "421",
        "43",
        "431[\"nobody asked\"]",
        "0",
        "6",
        "5",
        "3",
    ] {
        socket.send(packet).await;
    }
    assert_eq!(socket.call(1, "[\"echo\",1]").await, json!([1]));
    assert_eq!(
        server
            .app
            .batches("/")
            .iter()
            .map(|it| it.events().len())
            .sum::<usize>(),
        2
    );
}

#[tokio::test]
async fn polling_is_told_of_the_close_when_it_polls() {
    let server = start().await;
    for (payload, reason) in [
        ("4abc", "forced close"),
        ("42/nowhere,[\"a\"]", "forced server close"),
    ] {
        let session = Polling::open(server.address).await;
        session.post("40").await;
        let connected = session.poll().await.body;
        let id = connected.split('"').nth(3).unwrap();
        assert_eq!(session.post(payload).await.status, 400);
        assert_eq!(session.poll().await.body, "1");
        assert_eq!(session.poll().await.status, 400);
        assert_eq!(server.app.disconnect_of(id).await.0, reason);
    }
    let session = Polling::open(server.address).await;
    assert_eq!(session.post("abc").await.status, 400);
    assert_eq!(session.poll().await.status, 400);
}
