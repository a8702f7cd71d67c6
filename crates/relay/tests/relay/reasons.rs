//! Every reason for which Socket.IO's server says that a socket left: what the app is told, of all the
//! connection's sockets, and what the client gets.

use parlour_relay::Config;
use serde_json::json;

use crate::client::{Frame, Polling, WebSocket, read_answer};
use crate::{Server, config, ms, start, start_with};

/// A client in two namespaces.
struct Client {
    socket: WebSocket,
    main: String,
    custom: String,
}

async fn client(server: &Server) -> Client {
    let (mut socket, _) = WebSocket::open(server.address).await;
    let (main, custom) = (socket.enter("").await, socket.enter("/custom,").await);
    Client {
        socket,
        main,
        custom,
    }
}

impl Client {
    /// All that comes until the TCP connection ends.
    async fn ends(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        loop {
            match self.socket.next().await {
                Frame::End => return frames,
                frame => frames.push(frame),
            }
        }
    }
}

/// What the app is told of both sockets.
async fn told(server: &Server, client: &Client) -> [String; 2] {
    let of = async |id: &str| server.app.disconnect_of(id).await.0;
    [of(&client.main).await, of(&client.custom).await]
}

#[tokio::test]
async fn a_client_that_closes_its_connection_is_a_transport_close() {
    let server = start().await;
    let mut client = client(&server).await;
    client.socket.send_frame(0x88, &1001u16.to_be_bytes()).await;
    assert_eq!(client.ends().await, [Frame::Close(Some(1001))]);
    assert_eq!(told(&server, &client).await, ["transport close"; 2]);
}

#[tokio::test]
async fn a_client_that_breaks_its_transports_rules_is_a_transport_error() {
    let server = start().await;
    // A frame without a mask.
    let mut wrong = client(&server).await;
    wrong.socket.send_raw(&[0x81, 0x01, b'2']).await;
    assert_eq!(wrong.ends().await, [Frame::Close(Some(1002))]);
    assert_eq!(told(&server, &wrong).await, ["transport error"; 2]);
    // A client must not ping.
    let mut pings = client(&server).await;
    pings.socket.send("2").await;
    assert_eq!(pings.ends().await, [Frame::Close(None)]);
    assert_eq!(told(&server, &pings).await, ["transport error"; 2]);
    // A poll beside another one.
    let (session, id) = polling(&server).await;
    let mut first = session.begin_poll().await;
    // The relay reads in order.
    assert_eq!(session.post("3").await.status, 200);
    assert_eq!(session.poll().await.status, 400);
    assert_eq!(read_answer(&mut first).await.body, "1");
    assert_eq!(server.app.disconnect_of(&id).await.0, "transport error");
}

/// A client in the main namespace that polls, and its socket's id.
async fn polling(server: &Server) -> (Polling, String) {
    let session = Polling::open(server.address).await;
    session.post("40").await;
    let connected = session.poll().await.body;
    let id = connected.split('"').nth(3).unwrap().into();
    (session, id)
}

#[tokio::test]
async fn a_client_that_does_not_answer_a_ping_is_a_ping_timeout() {
    let server = start_with(Config {
        ping_interval: ms(80),
        ping_timeout: ms(60),
        ..config()
    })
    .await;
    let mut client = client(&server).await;
    client.socket.answers_pings = false;
    let ping = Frame::Text("2".into());
    assert_eq!(client.ends().await, [ping, Frame::Close(None)]);
    assert_eq!(told(&server, &client).await, ["ping timeout"; 2]);
}

#[tokio::test]
async fn what_is_no_engine_io_is_a_parse_error() {
    let server = start().await;
    let mut client = client(&server).await;
    client.socket.send("abc").await;
    assert_eq!(client.ends().await, [Frame::Close(None)]);
    assert_eq!(told(&server, &client).await, ["parse error"; 2]);
    let (session, id) = polling(&server).await;
    assert_eq!(session.post("abc").await.status, 400);
    assert_eq!(server.app.disconnect_of(&id).await.0, "parse error");
}

#[tokio::test]
async fn a_client_that_leaves_a_namespace_is_a_client_namespace_disconnect() {
    let server = start().await;
    let mut client = client(&server).await;
    client.socket.send("41/custom,").await;
    let (reason, _) = server.app.disconnect_of(&client.custom).await;
    assert_eq!(reason, "client namespace disconnect");
    // It gets nothing, and keeps the other one.
    assert!(client.socket.has_nothing().await);
    assert_eq!(client.socket.call(1, "[\"echo\"]").await, json!([]));
}

#[tokio::test]
async fn a_socket_that_the_app_disconnects_is_a_server_namespace_disconnect() {
    let server = start().await;
    let mut one = client(&server).await;
    one.socket.send("42/custom,[\"kick\",false]").await;
    assert_eq!(one.socket.text().await, "41/custom,");
    let (reason, _) = server.app.disconnect_of(&one.custom).await;
    assert_eq!(reason, "server namespace disconnect");
    assert_eq!(one.socket.call(1, "[\"echo\"]").await, json!([]));
    // With its whole connection.
    let mut all = client(&server).await;
    all.socket.send("42/custom,[\"kick\",true]").await;
    let packet = |text: &str| Frame::Text(text.into());
    let goodbyes = [packet("41/custom,"), packet("41"), Frame::Close(None)];
    assert_eq!(all.ends().await, goodbyes);
    assert_eq!(
        told(&server, &all).await,
        ["server namespace disconnect"; 2]
    );
}

#[tokio::test]
async fn what_is_no_socket_io_is_a_forced_close() {
    let server = start().await;
    for message in ["4abc", "42{}", "42/nowhere,[\"a\"]"] {
        let mut client = client(&server).await;
        client.socket.send(message).await;
        assert_eq!(client.ends().await, [Frame::Close(None)], "{message}");
        assert_eq!(
            told(&server, &client).await,
            ["forced close"; 2],
            "{message}"
        );
    }
    // Who polls gets it with the poll.
    let (session, id) = polling(&server).await;
    assert_eq!(session.post("4abc").await.status, 400);
    assert_eq!(session.poll().await.body, "1");
    assert_eq!(server.app.disconnect_of(&id).await.0, "forced close");
}

#[tokio::test]
async fn a_packet_that_may_not_come_from_a_client_that_cannot_be_told_at_once_is_a_forced_server_close()
 {
    let server = start().await;
    let (session, id) = polling(&server).await;
    assert_eq!(session.post("42/nowhere,[\"a\"]").await.status, 400);
    assert_eq!(session.poll().await.body, "1");
    assert_eq!(server.app.disconnect_of(&id).await.0, "forced server close");
}

#[tokio::test]
async fn a_relay_that_stops_is_a_server_that_shuts_down() {
    let mut server = start().await;
    let mut client = client(&server).await;
    let (session, id) = polling(&server).await;
    let mut poll = session.begin_poll().await;
    assert_eq!(session.post("3").await.status, 200);
    server.stop();
    // No DISCONNECT: the client must see a transport close, and come back.
    assert_eq!(client.socket.next().await, Frame::Close(None));
    assert_eq!(read_answer(&mut poll).await.body, "1");
    assert_eq!(told(&server, &client).await, ["server shutting down"; 2]);
    assert_eq!(
        server.app.disconnect_of(&id).await.0,
        "server shutting down"
    );
}
