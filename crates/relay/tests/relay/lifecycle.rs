//! The end of a relay, and its private listener.

use serde_json::json;
use tokio::net::TcpListener;

use crate::client::{Polling, WebSocket, read_answer, request};
use crate::start;

#[tokio::test]
async fn a_stopping_relay_closes_its_clients_and_tells_the_app() {
    let mut server = start().await;
    let (mut socket, id) = WebSocket::connect(server.address).await;
    socket.call(1, "[\"join\",\"r\"]").await;
    let session = Polling::open(server.address).await;
    session.post("40").await;
    let connected = session.poll().await.body;
    let polling_id = connected.split('"').nth(3).unwrap();
    let mut waiting = session.begin_poll().await;
    socket.call(2, "[\"echo\",1]").await;
    server.stop();
    // Not a Socket.IO DISCONNECT: the client must see `transport close` and come back.
    assert_eq!(socket.next().await, crate::client::Frame::Close(None));
    assert_eq!(read_answer(&mut waiting).await.body, "1");
    drop((socket, waiting));
    let app = server.app.clone();
    server.ended().await.unwrap();
    let (reason, record) = app.disconnect_of(&id).await;
    assert_eq!(reason, "server shutting down");
    assert_eq!(record["rooms"], json!(["r"]));
    assert_eq!(
        app.disconnect_of(polling_id).await.0,
        "server shutting down"
    );
}

#[tokio::test]
async fn the_control_listener_tells_and_publishes() {
    let server = start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let control = listener.local_addr().unwrap();
    let relay = server.relay.clone();
    tokio::spawn(async move { relay.serve_control(listener, std::future::pending()).await });
    assert_eq!(
        request(control, "GET", "/healthz", "", "").await.status,
        200
    );
    let (mut a, a_id) = WebSocket::connect(server.address).await;
    let (mut b, _) = WebSocket::connect(server.address).await;
    a.call(1, "[\"join\",\"r\"]").await;

    let body = json!({"namespace": "/", "rooms": ["r"], "data": ["news", {"n": 1}]}).to_string();
    let publish = async |authorization: &str, body: &str| {
        request(control, "POST", "/publish", authorization, body).await
    };
    for authorization in [
        "",
        "authorization: Bearer wrong!\r\n",
        "authorization: Bearer secrets\r\n",
    ] {
        assert_eq!(publish(authorization, &body).await.status, 401);
    }
    let secret = "authorization: Bearer secret\r\n";
    let answer = publish(secret, &body).await;
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (200, r#"{"receivers":1}"#)
    );
    assert_eq!(a.text().await, r#"42["news",{"n":1}]"#);
    let all = json!({"namespace": "/", "except": [a_id], "data": ["all"]}).to_string();
    assert_eq!(publish(secret, &all).await.body, r#"{"receivers":1}"#);
    assert_eq!(b.text().await, r#"42["all"]"#);
    let nobody = json!({"namespace": "/nowhere", "data": ["all"]}).to_string();
    assert_eq!(publish(secret, &nobody).await.body, r#"{"receivers":0}"#);
    for wrong in [
        "",
        "{}",
        r#"{"namespace":"/","data":{}}"#,
        r#"{"namespace":"/","data":["disconnect"]}"#,
    ] {
        assert_eq!(publish(secret, wrong).await.status, 400, "{wrong}");
    }

    let metrics = request(control, "GET", "/metrics", "", "").await.body;
    for line in [
        "parlour_connections 2",
        "parlour_sockets 2",
        "parlour_events_total 1",
        "parlour_retries_total 0",
    ] {
        assert!(
            metrics.lines().any(|it| it == line),
            "{line} is not in {metrics}"
        );
    }
    assert_eq!(
        request(control, "GET", "/publish", "", "").await.status,
        405
    );
    assert_eq!(request(control, "GET", "/x", "", "").await.status, 404);
}
