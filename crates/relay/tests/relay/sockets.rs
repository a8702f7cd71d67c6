//! What the app does to many sockets at once, and to those of another namespace.

use serde_json::{Value, json};

use crate::client::WebSocket;
use crate::start;

/// Has the app give the relay this command.
async fn give(socket: &mut WebSocket, command: Value) {
    let call = format!("[\"do\",{command}]");
    assert_eq!(socket.call(50, &call).await, json!([]));
}

#[tokio::test]
async fn many_sockets_join_and_leave_at_once() {
    let server = start().await;
    let (mut a, _) = WebSocket::connect(server.address).await;
    let (mut b, b_id) = WebSocket::connect(server.address).await;
    let (mut c, c_id) = WebSocket::connect(server.address).await;
    a.call(1, "[\"join\",\"r\"]").await;
    b.call(1, "[\"join\",\"r\"]").await;
    // In a room, by the id of a socket, but not who is excepted.
    give(
        &mut c,
        json!({"sockets": {"rooms": ["r", c_id], "except": [b_id], "join": ["s", "t"]}}),
    )
    .await;
    for (client, rooms) in [
        (&mut a, json!(["r", "s", "t"])),
        (&mut c, json!(["s", "t"])),
    ] {
        assert_eq!(client.call(2, "[\"whoami\"]").await[0]["rooms"], rooms);
    }
    assert_eq!(b.call(2, "[\"whoami\"]").await[0]["rooms"], json!(["r"]));
    // All of the namespace. Who is reached was decided before anyone moved.
    give(
        &mut c,
        json!({"sockets": {"join": ["u"], "leave": ["r", "s"]}}),
    )
    .await;
    for (client, rooms) in [
        (&mut a, json!(["t", "u"])),
        (&mut b, json!(["u"])),
        (&mut c, json!(["t", "u"])),
    ] {
        assert_eq!(client.call(3, "[\"whoami\"]").await[0]["rooms"], rooms);
    }
    give(&mut c, json!({"sockets": {"rooms": ["t"], "leave": ["t"]}})).await;
    c.send("42[\"room\",\"t\"]").await;
    c.send("42[\"room\",\"u\"]").await;
    for client in [&mut a, &mut b, &mut c] {
        assert_eq!(client.text().await, "42[\"room\",\"u\"]");
    }
}

#[tokio::test]
async fn many_sockets_are_disconnected_at_once() {
    let server = start().await;
    let (mut a, a_id) = WebSocket::connect(server.address).await;
    let (mut b, b_id) = WebSocket::connect(server.address).await;
    let (mut c, c_id) = WebSocket::connect(server.address).await;
    give(
        &mut c,
        json!({"sockets": {"except": [c_id], "join": ["last"], "disconnect": false}}),
    )
    .await;
    for (client, id) in [(&mut a, &a_id), (&mut b, &b_id)] {
        assert_eq!(client.text().await, "41");
        let (reason, record) = server.app.disconnect_of(id).await;
        assert_eq!(reason, "server namespace disconnect");
        assert_eq!(record["rooms"], json!(["last"]));
        // The connection is still good.
        client.enter("").await;
    }
    c.send("42[\"do\",{\"sockets\":{\"disconnect\":true}}]")
        .await;
    for client in [&mut a, &mut b, &mut c] {
        assert_eq!(client.text().await, "41");
        assert_eq!(client.closed().await, None);
    }
}

#[tokio::test]
async fn an_event_for_another_namespace_reaches_its_sockets_only() {
    let server = start().await;
    let (mut a, _) = WebSocket::connect(server.address).await;
    let (mut b, _) = WebSocket::open(server.address).await;
    b.send("40/custom,{\"pid\":\"new\"}").await;
    assert!(b.text().await.starts_with("40/custom,{"));
    b.send("42/custom,1[\"join\",\"r\"]").await;
    assert_eq!(b.text().await, "43/custom,1[]");
    let emit = |data: Value, namespace: &str| json!({"emit": {"rooms": ["r"], "data": data, "namespace": namespace, "offset": 9}});
    give(&mut a, emit(json!(["hello"]), "/custom")).await;
    assert_eq!(b.text().await, "42/custom,[\"hello\",\"9\"]");
    // Nobody is there: that is nothing.
    give(&mut a, emit(json!(["hello"]), "/nowhere")).await;
    // Its own is no other.
    a.call(1, "[\"join\",\"r\"]").await;
    a.send(&format!("42[\"do\",{}]", emit(json!(["mine"]), "/")))
        .await;
    assert_eq!(a.text().await, "42[\"mine\"]");
    // Nobody could be told what came of it.
    let mut ask = emit(json!(["ask"]), "/custom");
    ask["emit"]["ack"] = json!({"handler": "h", "timeout": 1000});
    give(&mut a, ask).await;
    assert!(a.has_nothing().await && b.has_nothing().await);
}
