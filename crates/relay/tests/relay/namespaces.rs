//! Socket.IO: namespaces on one connection, rooms, acknowledgements, binary, disconnects.

use serde_json::json;

use crate::client::{Frame, WebSocket};
use crate::start;

#[tokio::test]
async fn a_client_enters_two_namespaces_on_one_connection() {
    let server = start().await;
    let (mut socket, open) = WebSocket::open(server.address).await;
    let main = socket.enter("").await;
    let custom = socket.enter("/custom,").await;
    assert_ne!(main, custom);
    socket.send("42/custom,5[\"whoami\"]").await;
    let answer = socket.text().await;
    let answer: serde_json::Value =
        serde_json::from_str(answer.strip_prefix("43/custom,5").unwrap()).unwrap();
    assert_eq!(answer[0]["id"], custom);
    assert_eq!(answer[0]["connection"], open["sid"]);
    assert_eq!(answer[0]["state"]["lane"], "/custom");
    assert_eq!(socket.call(6, "[\"whoami\"]").await[0]["id"], main);
}

#[tokio::test]
async fn a_namespace_can_have_any_name() {
    let server = start().await;
    let (mut socket, _) = WebSocket::open(server.address).await;
    socket.send("40/räume,").await;
    assert!(socket.text().await.starts_with("40/räume,{"));
    assert_eq!(server.app.batches("/r%C3%A4ume").len(), 1);
    socket.send("40/nowhere,").await;
    assert_eq!(
        socket.text().await,
        r#"44/nowhere,{"message":"Invalid namespace"}"#
    );
    let long = "x".repeat(5000);
    socket.send(&format!("40/{long},")).await;
    assert_eq!(
        socket.text().await,
        format!(r#"44/{long},{{"message":"Invalid namespace"}}"#)
    );
}

#[tokio::test]
async fn a_connection_asks_for_so_many_namespaces_only() {
    let server = start().await;
    let (mut socket, _) = WebSocket::open(server.address).await;
    server.app.hold();
    for number in 0..=256 {
        socket.enter_later(&format!("/{number},")).await;
    }
    assert_eq!(
        socket.text().await,
        r#"44/256,{"message":"Too many namespaces"}"#
    );
    server.app.resume();
    for _ in 0..256 {
        assert!(
            socket
                .text()
                .await
                .ends_with(r#"{"message":"Invalid namespace"}"#)
        );
    }
    socket.enter("").await;
}

#[tokio::test]
async fn auth_and_handshake_reach_the_app_and_a_refusal_the_client() {
    let server = start().await;
    let (mut socket, _) = WebSocket::open(server.address).await;
    socket.send("40{\"refuse\":true,\"n\":1.50}").await;
    assert_eq!(
        socket.text().await,
        r#"44{"message":"no","data":{"code":7}}"#
    );
    let batch = server.app.batch("/", 0).await;
    let connect = &batch.events()[0]["connect"];
    assert_eq!(connect["auth"], json!({"refuse": true, "n": 1.5}));
    assert_eq!(connect["handshake"]["address"], "127.0.0.1");
    assert_eq!(batch.headers["parlour-connects"], "1");
    assert_eq!(batch.headers["parlour-relay"], "test");
    // It may try again.
    socket.enter("").await;
}

#[tokio::test]
async fn a_connect_that_the_app_forgets_is_refused() {
    let server = start().await;
    let (mut socket, _) = WebSocket::open(server.address).await;
    socket.send("40{\"silent\":true}").await;
    assert_eq!(socket.text().await, r#"44{"message":"internal"}"#);
}

#[tokio::test]
async fn an_emit_reaches_a_room_everyone_or_the_others() {
    let server = start().await;
    let (mut a, _) = WebSocket::connect(server.address).await;
    let (mut b, _) = WebSocket::connect(server.address).await;
    let (mut c, _) = WebSocket::connect(server.address).await;
    assert_eq!(a.call(1, "[\"join\",\"r\"]").await, json!([]));
    assert_eq!(b.call(1, "[\"join\",\"r\"]").await, json!([]));
    c.send("42[\"room\",\"r\",1]").await;
    assert_eq!(a.text().await, "42[\"room\",\"r\",1]");
    assert_eq!(b.text().await, "42[\"room\",\"r\",1]");
    a.send("42[\"others\"]").await;
    assert_eq!(b.text().await, "42[\"others\"]");
    assert_eq!(c.text().await, "42[\"others\"]", "and not the room's");
    assert_eq!(b.call(2, "[\"leave\",\"r\"]").await, json!([]));
    c.send("42[\"room\",\"r\",2]").await;
    c.send("42[\"all\"]").await;
    assert_eq!(a.text().await, "42[\"room\",\"r\",2]", "and not its own");
    for client in [&mut a, &mut b, &mut c] {
        assert_eq!(client.text().await, "42[\"all\"]");
    }
}

#[tokio::test]
async fn state_and_rooms_come_back_with_the_next_event() {
    let server = start().await;
    let (mut socket, _) = WebSocket::connect(server.address).await;
    socket.call(1, "[\"join\",\"r \\\"1\\\"\"]").await;
    socket.call(2, "[\"join\",\"s\"]").await;
    socket.call(3, "[\"state\",{\"n\":2}]").await;
    let me = &socket.call(4, "[\"whoami\"]").await[0];
    assert_eq!(me["state"], json!({"n": 2}));
    assert_eq!(me["rooms"], json!(["r \"1\"", "s"]));
}

#[tokio::test]
async fn binary_goes_both_ways() {
    let server = start().await;
    let (mut a, _) = WebSocket::connect(server.address).await;
    let (mut b, _) = WebSocket::connect(server.address).await;
    let data = "[\"echo\",{\"x\":[{\"_placeholder\":true,\"num\":0}],\"y\":{\"_placeholder\":true,\"num\":1}}]";
    a.send(&format!("452-9{data}")).await;
    a.send_binary(&[1, 2, 3]).await;
    a.send_binary(&[]).await;
    assert_eq!(
        a.text().await,
        format!("462-9[{}]", &data[8..data.len() - 1])
    );
    assert_eq!(a.next().await, Frame::Binary(vec![1, 2, 3]));
    assert_eq!(a.next().await, Frame::Binary(vec![]));
    let large = vec![7; 100_000];
    a.send("451-[\"others\",{\"_placeholder\":true,\"num\":0}]")
        .await;
    a.send_binary(&large).await;
    assert_eq!(
        b.text().await,
        "451-[\"others\",{\"_placeholder\":true,\"num\":0}]"
    );
    assert_eq!(b.next().await, Frame::Binary(large));
}

#[tokio::test]
async fn acknowledgement_ids_are_javascripts_numbers() {
    let server = start().await;
    let (mut socket, _) = WebSocket::connect(server.address).await;
    for (id, answered) in [
        ("0", "0".to_string()),
        ("007", "7".into()),
        ("9007199254740991", "9007199254740991".into()),
        ("18446744073709551616", "18446744073709552000".into()),
        ("99999999999999999999999999", "1e+26".into()),
        (&"9".repeat(400), "Infinity".into()),
    ] {
        socket.send(&format!("42{id}[\"echo\",1]")).await;
        assert_eq!(socket.text().await, format!("43{answered}[1]"));
    }
}

#[tokio::test]
async fn a_client_leaves_one_namespace_and_keeps_the_other() {
    let server = start().await;
    let (mut socket, _) = WebSocket::open(server.address).await;
    let main = socket.enter("").await;
    let custom = socket.enter("/custom,").await;
    socket.call(1, "[\"join\",\"r\"]").await;
    socket.send("41").await;
    let (reason, record) = server.app.disconnect_of(&main).await;
    assert_eq!(reason, "client namespace disconnect");
    assert_eq!(record["rooms"], json!(["r"]));
    socket.send("42/custom,1[\"echo\",1]").await;
    assert_eq!(socket.text().await, "43/custom,1[1]");
    drop(socket);
    assert_eq!(server.app.disconnect_of(&custom).await.0, "transport close");
}

#[tokio::test]
async fn the_app_disconnects_a_socket_or_the_whole_connection() {
    let server = start().await;
    let (mut socket, _) = WebSocket::open(server.address).await;
    let main = socket.enter("").await;
    let custom = socket.enter("/custom,").await;
    socket.send("42[\"kick\",false]").await;
    assert_eq!(socket.text().await, "41");
    assert_eq!(
        server.app.disconnect_of(&main).await.0,
        "server namespace disconnect"
    );
    let again = socket.enter("").await;
    socket.send("42[\"kick\",true]").await;
    let mut said = [socket.text().await, socket.text().await];
    said.sort();
    assert_eq!(said, ["41", "41/custom,"]);
    assert_eq!(socket.closed().await, None);
    assert_eq!(
        server.app.disconnect_of(&again).await.0,
        "server namespace disconnect"
    );
    assert_eq!(
        server.app.disconnect_of(&custom).await.0,
        "server namespace disconnect"
    );
}

#[tokio::test]
async fn events_before_the_answer_to_connect_are_held_back() {
    let server = start().await;
    let (mut socket, _) = WebSocket::open(server.address).await;
    server.app.hold();
    socket.send("40").await;
    socket.send("421[\"echo\",1]").await;
    socket.send("422[\"echo\",2]").await;
    let connect = server.app.batch("/", 0).await;
    assert_eq!(connect.events().len(), 1);
    server.app.resume();
    assert!(socket.text().await.starts_with("40{"));
    assert_eq!(
        [socket.text().await, socket.text().await],
        ["431[1]", "432[2]"]
    );
}

#[tokio::test]
async fn a_client_that_goes_before_it_is_let_in_is_reported_gone() {
    let server = start().await;
    let (mut socket, _) = WebSocket::open(server.address).await;
    server.app.hold();
    socket.send("40").await;
    let connect = server.app.batch("/", 0).await;
    let id = connect.body["sockets"][0]["id"]
        .as_str()
        .unwrap()
        .to_string();
    drop(socket);
    let (mut other, _) = {
        server.app.resume();
        WebSocket::open(server.address).await
    };
    assert_eq!(server.app.disconnect_of(&id).await.0, "transport close");
    other.enter("").await;
}

#[tokio::test]
async fn a_lane_without_sockets_ends_and_begins_again() {
    let server = start().await;
    let (mut socket, _) = WebSocket::open(server.address).await;
    let mut last = 0;
    for _ in 0..3 {
        let id = socket.enter("/custom,").await;
        socket.send("41/custom,").await;
        server.app.disconnect_of(&id).await;
        let sequence = server.app.batches("/custom").last().unwrap().sequence;
        assert!(sequence > last, "sequences rise: {last}, then {sequence}");
        last = sequence;
    }
}

#[tokio::test]
async fn names_that_nobody_is_in_do_not_occupy_the_app() {
    /// As in the relay.
    const AT_ONCE: usize = 8;
    const NAMES: usize = 50;
    let server = start().await;
    let (mut member, _) = WebSocket::connect(server.address).await;
    let (mut stranger, _) = WebSocket::open(server.address).await;
    server.app.hold();
    for number in 0..NAMES {
        stranger.enter_later(&format!("/{number},")).await;
    }
    stranger.is_read().await;
    // Somebody is in this one: it waits for none of them.
    member.send("421[\"echo\",1]").await;
    let batch = server.app.batch("/", 1).await;
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    assert_eq!(server.app.other_lanes("/"), AT_ONCE);
    server.app.let_go(&batch);
    assert_eq!(member.text().await, "431[1]");
    server.app.resume();
    for _ in 0..NAMES {
        assert!(stranger.text().await.starts_with("44/"));
    }
    assert_eq!(server.app.other_lanes("/"), NAMES);
}

#[tokio::test]
async fn who_asks_twice_is_answered_twice_and_is_in_once() {
    let server = start().await;
    let (mut client, lobby) = WebSocket::connect(server.address).await;
    server.app.hold();
    client.enter_later("/custom,").await;
    client.enter_later("/custom,").await;
    client.is_read().await;
    server.app.resume();
    let mut ids = Vec::new();
    for _ in 0..2 {
        let answer = client.text().await;
        let connect = answer.strip_prefix("40/custom,").unwrap();
        let connect: serde_json::Value = serde_json::from_str(connect).unwrap();
        ids.push(connect["sid"].as_str().unwrap().to_string());
    }
    assert_ne!(ids[0], ids[1]);
    let (reason, _) = server.app.disconnect_of(&ids[0]).await;
    assert_eq!(reason, "client namespace disconnect");
    // It is the last one that its events are of, and it hears each thing once.
    client.send("42/custom,1[\"whoami\"]").await;
    let answer = client.text().await;
    assert!(answer.contains(&ids[1]), "{answer}");
    client.send("42/custom,[\"all\",1]").await;
    assert_eq!(client.text().await, "42/custom,[\"all\",1]");
    assert!(client.has_nothing().await);
    assert!(!server.app.has_left(&lobby) && !server.app.has_left(&ids[1]));
    // Now it is in, and a third time is a mistake, as with the reference.
    client.enter_later("/custom,").await;
    assert_eq!(client.closed().await, None);
}

#[tokio::test]
async fn each_of_several_requests_has_its_own_answer() {
    let server = start().await;
    let (mut client, _) = WebSocket::connect(server.address).await;
    let (refuse, admit) = ("40/custom,{\"refuse\":true}", "40/custom,{}");
    for (asked, is_in) in [
        ([refuse, refuse, refuse], false),
        ([refuse, admit, refuse], true),
        ([admit, refuse, refuse], true),
        ([refuse, refuse, admit], true),
    ] {
        server.app.hold();
        for packet in asked {
            client.send(packet).await;
        }
        client.is_read().await;
        server.app.resume();
        for packet in asked {
            let answer = client.text().await;
            let expected = if packet == refuse {
                "44/custom,"
            } else {
                "40/custom,"
            };
            assert!(answer.starts_with(expected), "{asked:?}: {answer}");
        }
        if is_in {
            client.send("42/custom,7[\"echo\",1]").await;
            assert_eq!(client.text().await, "43/custom,7[1]");
            client.send("41/custom,").await;
        }
    }
    assert_eq!(client.call(1, "[\"echo\",1]").await, json!([1]));
}

#[tokio::test]
async fn who_leaves_before_it_is_answered_is_not_answered_however_often_it_has_asked() {
    let server = start().await;
    let (mut client, _) = WebSocket::connect(server.address).await;
    server.app.hold();
    for packet in ["40/custom,", "40/custom,", "41/custom,", "40/custom,"] {
        client.send(packet).await;
    }
    client.is_read().await;
    server.app.resume();
    assert!(client.text().await.starts_with("40/custom,{"));
    assert_eq!(client.call(1, "[\"echo\",1]").await, json!([1]));
    client.send("42/custom,7[\"echo\",1]").await;
    assert_eq!(client.text().await, "43/custom,7[1]");
    assert!(client.has_nothing().await);
}

#[tokio::test]
async fn who_asks_again_for_its_session_has_it_from_the_first_time() {
    let server = start().await;
    let (mut before, _) = WebSocket::open(server.address).await;
    let (connect, _) = before.enter_with(json!({ "pid": "p" })).await;
    before.leave().await;
    let (mut client, _) = WebSocket::open(server.address).await;
    server.app.hold();
    client.send("40{\"pid\":\"p\"}").await;
    client.send("40{\"pid\":\"p\",\"anew\":true}").await;
    client.is_read().await;
    server.app.resume();
    let first = client.text().await;
    assert!(first.contains(connect["sid"].as_str().unwrap()), "{first}");
    assert!(client.text().await.starts_with("40{"));
    // The app was told at once that whoever has the session is there.
    let batches = server.app.batches("/");
    let connects = batches.iter().flat_map(|batch| batch.events().clone());
    let again = connects.filter(|event| event["connect"]["auth"]["anew"] == true);
    let owners: Vec<_> = again.map(|it| it["connect"]["owner"].clone()).collect();
    assert_eq!(owners, ["answers"]);
}

#[tokio::test]
async fn an_event_of_the_first_socket_is_acknowledged_although_the_second_is_in() {
    let server = start().await;
    let (mut client, _) = WebSocket::connect(server.address).await;
    server.app.hold();
    for packet in ["40/custom,", "42/custom,7[\"echo\",1]", "40/custom,"] {
        client.send(packet).await;
    }
    client.is_read().await;
    server.app.resume();
    for _ in 0..2 {
        assert!(client.text().await.starts_with("40/custom,{"));
    }
    assert_eq!(client.text().await, "43/custom,7[1]");
}
