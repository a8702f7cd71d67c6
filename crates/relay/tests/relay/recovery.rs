//! Sessions that are taken up again by another connection: what the client gets, who it is then, and what
//! becomes of the socket that had the session before.

use serde_json::{Value, json};

use crate::app::Batch;
use crate::client::{Frame, Polling, WebSocket};
use crate::{Server, start};

/// A client in the main namespace and in room `r`, whose session can be recovered.
struct Client {
    socket: WebSocket,
    id: String,
    /// The Engine.IO session.
    connection: String,
}

async fn client(server: &Server) -> Client {
    let mut client = back(server, None).await.0;
    assert_eq!(client.socket.call(1, "[\"join\",\"r\"]").await, json!([]));
    assert_eq!(
        client.socket.call(2, "[\"state\",{\"n\":1}]").await,
        json!([])
    );
    client
}

/// The client connects, again if it gives the offset that it has seen. Gives what it gets before CONNECT.
async fn back(server: &Server, offset: Option<&str>) -> (Client, Vec<String>) {
    let (mut socket, open) = WebSocket::open(server.address).await;
    let auth = json!({ "pid": "mine", "offset": offset });
    let (connect, before) = socket.enter_with(auth).await;
    assert_eq!(connect["pid"], "mine");
    let client = Client {
        socket,
        id: text(&connect["sid"]),
        connection: text(&open["sid"]),
    };
    (client, before)
}

fn text(json: &Value) -> String {
    json.as_str().unwrap().into()
}

/// That this client is the socket `id`, by itself and in its rooms.
async fn is_socket(client: &mut Client, id: &str, other: &mut WebSocket) {
    let me = client.socket.call(90, "[\"whoami\"]").await;
    assert_eq!(client.id, id);
    assert_eq!(me[0]["id"], id);
    assert_eq!(me[0]["connection"], client.connection);
    assert_eq!(me[0]["rooms"], json!(["r"]));
    assert_eq!(me[0]["state"], json!({"n": 1}));
    for room in ["r", id] {
        let emit = json!({"emit": {"rooms": [room], "data": ["to", room]}});
        other.send(&format!("42[\"do\",{emit}]")).await;
        let event = format!("42[\"to\",\"{room}\",0]");
        assert_eq!(client.socket.text().await, event);
    }
}

#[tokio::test]
async fn a_client_gets_what_it_missed_and_then_is_who_it_was() {
    let server = start().await;
    let Client { mut socket, id, .. } = client(&server).await;
    let (mut other, _) = WebSocket::connect(server.address).await;
    other.send("42[\"room\",\"r\",\"seen\"]").await;
    assert_eq!(socket.text().await, "42[\"room\",\"r\",\"seen\",\"1\"]");
    drop(socket);
    let (reason, record) = server.app.disconnect_of(&id).await;
    assert_eq!(
        (reason.as_str(), &record["rooms"]),
        ("transport close", &json!(["r"]))
    );
    other.send("42[\"room\",\"r\",\"one\"]").await;
    other.send("42[\"room\",\"elsewhere\"]").await;
    other
        .send("451-[\"others\",{\"_placeholder\":true,\"num\":0}]")
        .await;
    other.send_binary(&[7]).await;
    assert_eq!(other.call(1, "[\"echo\"]").await, json!([]));

    let (mut socket, open) = WebSocket::open(server.address).await;
    socket.send(r#"40{"pid":"mine","offset":"1"}"#).await;
    assert_eq!(socket.text().await, "42[\"room\",\"r\",\"one\",\"2\"]");
    assert_eq!(
        socket.text().await,
        "451-[\"others\",{\"_placeholder\":true,\"num\":0},\"4\"]"
    );
    assert_eq!(socket.next().await, Frame::Binary(vec![7]));
    assert_eq!(
        socket.text().await,
        format!(r#"40{{"sid":"{id}","pid":"mine"}}"#)
    );
    let connection = text(&open["sid"]);
    let mut again = Client {
        socket,
        id: id.clone(),
        connection,
    };
    is_socket(&mut again, &id, &mut other).await;
    other.send("42[\"room\",\"r\",\"next\"]").await;
    assert_eq!(
        again.socket.text().await,
        "42[\"room\",\"r\",\"next\",\"5\"]"
    );
    // As any socket it leaves, and comes again.
    drop(again.socket);
    server.app.disconnect_from(&again.connection).await;
    let (mut third, before) = back(&server, Some("5")).await;
    assert_eq!(before, [] as [String; 0]);
    is_socket(&mut third, &id, &mut other).await;
}

#[tokio::test]
async fn a_client_that_polls_gets_all_of_it_at_once() {
    let server = start().await;
    let Client { socket, id, .. } = client(&server).await;
    drop(socket);
    server.app.disconnect_of(&id).await;
    let (mut other, _) = WebSocket::connect(server.address).await;
    other.send("42[\"room\",\"r\",1]").await;
    other.send("42[\"room\",\"r\",2]").await;
    assert_eq!(other.call(1, "[\"echo\"]").await, json!([]));
    let session = Polling::open(server.address).await;
    session.post(r#"40{"pid":"mine"}"#).await;
    let events = "42[\"room\",\"r\",1,\"1\"]\x1e42[\"room\",\"r\",2,\"2\"]";
    assert_eq!(
        session.poll().await.body,
        format!("{events}\x1e40{{\"sid\":\"{id}\",\"pid\":\"mine\"}}")
    );
}

#[tokio::test]
async fn a_half_open_socket_gives_way_to_the_one_that_recovers() {
    let server = start().await;
    let mut first = client(&server).await;
    first.socket.enter("/custom,").await;
    let (mut other, _) = WebSocket::connect(server.address).await;
    let (mut second, _) = back(&server, None).await;
    let id = first.id.clone();
    let (reason, record) = server.app.disconnect_from(&first.connection).await;
    assert_eq!(reason, "transport close");
    assert_eq!(
        (&record["id"], &record["rooms"]),
        (&json!(id), &json!(["r"]))
    );
    // The answer to that changes nothing for the second.
    assert_eq!(second.socket.call(1, "[\"echo\"]").await, json!([]));
    is_socket(&mut second, &id, &mut other).await;
    other.send("42[\"all\"]").await;
    assert_eq!(second.socket.text().await, "42[\"all\",\"1\"]");
    assert!(
        first.socket.has_nothing().await,
        "nothing is sent to the first"
    );
    first.socket.send("42/custom,1[\"echo\"]").await;
    assert_eq!(first.socket.text().await, "43/custom,1[]");
    // It is not in the main namespace any more.
    first.socket.send("42[\"all\"]").await;
    assert_eq!(first.socket.closed().await, None);
    assert_eq!(second.socket.call(2, "[\"echo\"]").await, json!([]));
    is_socket(&mut second, &id, &mut other).await;
}

#[tokio::test]
async fn what_the_app_asked_of_a_socket_that_gives_way_is_missing() {
    let server = start().await;
    let mut first = client(&server).await;
    let (mut other, _) = WebSocket::connect(server.address).await;
    let ask = json!({"emit": {"rooms": ["r"], "data": ["q"], "ack": {"handler": "h", "timeout": 60_000}}});
    other.send(&format!("42[\"do\",{ask}]")).await;
    assert_eq!(first.socket.text().await, "420[\"q\"]");
    let (mut second, _) = back(&server, None).await;
    let acks = server.app.acks().await;
    assert_eq!(acks["replies"], json!([]));
    assert_eq!(acks["missing"], json!([first.id]));
    // What the second is asked is another matter.
    second.socket.send("430[\"late\"]").await;
    is_socket(&mut second, &first.id, &mut other).await;
}

#[tokio::test]
async fn a_session_is_recovered_while_its_disconnect_is_under_way() {
    for leaves_first in [true, false] {
        let server = start().await;
        let (mut other, _) = WebSocket::connect(server.address).await;
        let mut first = client(&server).await;
        let (mut socket, open) = WebSocket::open(server.address).await;
        // One batch is in flight while the rest comes: the disconnect is before the connect in the next
        // batch, or in a later one.
        let next = server.app.batches("/").len();
        server.app.hold();
        if leaves_first {
            other.send("42[\"echo\"]").await;
            server.app.batch("/", next).await;
            first.socket.leave().await;
        }
        socket.send(r#"40{"pid":"mine"}"#).await;
        if !leaves_first {
            server.app.batch("/", next).await;
            first.socket.leave().await;
        }
        server.app.resume();
        let kinds = |batch: &Batch| -> Vec<String> {
            let kind = |event: &Value| event.as_object().unwrap().keys().next().cloned();
            batch.events().iter().filter_map(kind).collect()
        };
        let batches = [
            kinds(&server.app.batch("/", next).await),
            kinds(&server.app.batch("/", next + 1).await),
        ];
        let expected: [&[&str]; 2] = if leaves_first {
            [&["packet"], &["disconnect", "connect"]]
        } else {
            [&["connect"], &["disconnect"]]
        };
        assert_eq!(batches, expected);
        let connect = socket.text().await;
        assert_eq!(
            connect,
            format!(r#"40{{"sid":"{}","pid":"mine"}}"#, first.id)
        );
        let (reason, record) = server.app.disconnect_from(&first.connection).await;
        assert_eq!(
            (reason.as_str(), &record["id"]),
            ("transport close", &json!(first.id))
        );
        assert_eq!(record["rooms"], json!(["r"]));
        let connection = text(&open["sid"]);
        let mut second = Client {
            socket,
            id: first.id.clone(),
            connection,
        };
        assert_eq!(second.socket.call(1, "[\"echo\"]").await, json!([]));
        is_socket(&mut second, &first.id, &mut other).await;
    }
}

#[tokio::test]
async fn a_client_that_goes_while_it_recovers_is_reported_with_its_session() {
    let server = start().await;
    let (mut other, _) = WebSocket::connect(server.address).await;
    let mut first = client(&server).await;
    first.socket.leave().await;
    server.app.disconnect_from(&first.connection).await;
    other.send("42[\"room\",\"r\",1]").await;
    assert_eq!(other.call(1, "[\"echo\"]").await, json!([]));
    let (mut second, open) = WebSocket::open(server.address).await;
    let next = server.app.batches("/").len();
    server.app.hold();
    second.send(r#"40{"pid":"mine"}"#).await;
    server.app.batch("/", next).await;
    second.leave().await;
    server.app.resume();
    let (reason, record) = server.app.disconnect_from(&text(&open["sid"])).await;
    assert_eq!(reason, "transport close");
    assert_eq!(record["id"], first.id);
    assert_eq!(record["rooms"], json!(["r"]));
    assert_eq!(record["state"], json!({"n": 1}));
    let (mut third, before) = back(&server, None).await;
    assert_eq!(before, ["42[\"room\",\"r\",1,\"1\"]"]);
    is_socket(&mut third, &first.id, &mut other).await;
}

#[tokio::test]
async fn an_id_that_is_none_cannot_be_recovered() {
    let server = start().await;
    let mut first = client(&server).await;
    first.socket.leave().await;
    let (mut socket, _) = WebSocket::open(server.address).await;
    socket.send(r#"40{"pid":"mine","as":"nobody's id"}"#).await;
    assert_eq!(socket.text().await, r#"44{"message":"internal"}"#);
    socket.enter("").await;
}
