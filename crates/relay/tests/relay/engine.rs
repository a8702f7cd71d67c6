//! Engine.IO: handshakes, errors, both transports, the upgrade, CORS.

use parlour_relay::{AllowedOrigins, Config, Cors, Transports};
use serde_json::{Value, json};

use crate::client::{Polling, WebSocket, read_answer, request};
use crate::{config, ms, start, start_with};

#[tokio::test]
async fn a_polling_handshake_tells_everything() {
    let server = start().await;
    let answer = request(
        server.address,
        "GET",
        "/socket.io/?EIO=4&transport=polling",
        "",
        "",
    )
    .await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.header("content-type"),
        Some("text/plain; charset=UTF-8")
    );
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("access-control-allow-origin"), None);
    let open: Value = serde_json::from_str(answer.body.strip_prefix('0').unwrap()).unwrap();
    assert_eq!(open["sid"].as_str().unwrap().len(), 20);
    let rest = json!({"sid": open["sid"], "upgrades": ["websocket"], "pingInterval": 25000,
                      "pingTimeout": 20000, "maxPayload": 1000000});
    assert_eq!(open, rest);
}

#[tokio::test]
async fn a_websocket_handshake_offers_no_upgrades() {
    let server = start().await;
    let (_socket, open) = WebSocket::open(server.address).await;
    assert_eq!(open["upgrades"], json!([]));
    let batch = server.app.batch("handshake", 0).await;
    let handshake = &batch.events()[0]["open"]["handshake"];
    assert_eq!(batch.events()[0]["open"]["connection"], open["sid"]);
    assert_eq!(handshake["url"], "/socket.io/?EIO=4&transport=websocket");
    assert_eq!(handshake["address"], "127.0.0.1");
    assert_eq!(handshake["secure"], false);
    assert!(
        handshake["headers"]
            .as_array()
            .unwrap()
            .contains(&json!(["user-agent", "test"]))
    );
}

#[tokio::test]
async fn errors_are_the_references() {
    let server = start().await;
    let session = Polling::open(server.address).await;
    let (mut socket, open) = WebSocket::open(server.address).await;
    let websocket_session = format!(
        "EIO=4&transport=polling&sid={}",
        open["sid"].as_str().unwrap()
    );
    let mismatch = format!("EIO=4&transport=websocket&sid={}", session.sid());
    let cases = [
        ("GET", "EIO=4", 400, 0, "Transport unknown"),
        ("GET", "EIO=4&transport=abc", 400, 0, "Transport unknown"),
        (
            "GET",
            "EIO=4&transport=webtransport",
            400,
            0,
            "Transport unknown",
        ),
        (
            "GET",
            "EIO=4&transport=polling&sid=abc",
            400,
            1,
            "Session ID unknown",
        ),
        (
            "POST",
            "EIO=4&transport=polling",
            400,
            2,
            "Bad handshake method",
        ),
        (
            "PUT",
            "EIO=4&transport=polling",
            400,
            2,
            "Bad handshake method",
        ),
        (
            "OPTIONS",
            "EIO=4&transport=polling",
            400,
            2,
            "Bad handshake method",
        ),
        ("GET", "EIO=4&transport=websocket", 400, 3, "Bad request"),
        ("GET", &mismatch, 400, 3, "Bad request"),
        ("GET", &websocket_session, 400, 3, "Bad request"),
        (
            "GET",
            "EIO=4&transport=polling&forbidden=1",
            403,
            4,
            "no entry",
        ),
        (
            "GET",
            "transport=polling",
            400,
            5,
            "Unsupported protocol version",
        ),
        (
            "GET",
            "EIO=3&transport=polling",
            400,
            5,
            "Unsupported protocol version",
        ),
    ];
    for (method, query, status, code, message) in cases {
        let path = format!("/socket.io/?{query}");
        let answer = request(server.address, method, &path, "", "").await;
        assert_eq!(answer.status, status, "{method} {query}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(
            answer.body,
            format!(r#"{{"code":{code},"message":"{message}"}}"#),
            "{method} {query}"
        );
    }
    // None of it hurt anyone.
    socket.enter("").await;
    assert_eq!(session.post("40").await.body, "ok");
}

#[tokio::test]
async fn a_websocket_that_is_refused_gets_the_bare_message() {
    let server = start().await;
    let upgrade = "connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                   sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    for (query, message) in [
        ("EIO=4&transport=abc", "Transport unknown"),
        ("EIO=4&transport=websocket&sid=abc", "Session ID unknown"),
        ("EIO=3&transport=websocket", "Unsupported protocol version"),
        ("EIO=4&transport=websocket&forbidden=1", "no entry"),
    ] {
        let path = format!("/socket.io/?{query}");
        let answer = request(server.address, "GET", &path, upgrade, "").await;
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (400, message),
            "{query}"
        );
    }
}

#[tokio::test]
async fn polling_carries_packets_both_ways() {
    let server = start().await;
    let session = Polling::open(server.address).await;
    let mut waiting = session.begin_poll().await;
    let posted = session.post("40").await;
    assert_eq!((posted.status, posted.body.as_str()), (200, "ok"));
    assert_eq!(posted.header("content-type"), Some("text/html"));
    assert!(
        read_answer(&mut waiting)
            .await
            .body
            .starts_with(r#"40{"sid":""#)
    );
    let mut waiting = session.begin_poll().await;
    let payload =
        "420[\"echo\",\"a€\"]\x1e451-1[\"echo\",{\"_placeholder\":true,\"num\":0}]\x1ebAQIDBA==";
    assert_eq!(session.post(payload).await.body, "ok");
    let mut received = read_answer(&mut waiting).await.body;
    if !received.contains('b') {
        received = format!("{received}\x1e{}", session.poll().await.body);
    }
    let expected = "430[\"a€\"]\x1e461-1[{\"_placeholder\":true,\"num\":0}]\x1ebAQIDBA==";
    assert_eq!(received, expected);
}

#[tokio::test]
async fn two_polls_at_once_close_the_session() {
    let server = start().await;
    let session = Polling::open(server.address).await;
    session.post("40").await;
    let connected = session.poll().await.body;
    let id = connected.split('"').nth(3).unwrap();
    let mut first = session.begin_poll().await;
    relay_has_read(&session).await;
    let second = session.poll().await;
    assert_eq!(second.status, 400);
    assert_eq!(read_answer(&mut first).await.body, "1");
    assert_eq!(
        session.poll().await.body,
        r#"{"code":1,"message":"Session ID unknown"}"#
    );
    assert_eq!(server.app.disconnect_of(id).await.0, "transport error");
}

/// Returns when the relay has read what was sent before: it has one thread here and reads in order, so a
/// later connection's request is answered later.
async fn relay_has_read(session: &Polling) {
    let answer = request(session.address, "GET", "/socket.io/?EIO=4", "", "").await;
    assert_eq!(answer.status, 400);
}

#[tokio::test]
async fn a_poll_that_is_taken_back_closes_the_session() {
    let server = start().await;
    let session = Polling::open(server.address).await;
    session.post("40").await;
    let connected = session.poll().await.body;
    let id = connected.split('"').nth(3).unwrap();
    drop(session.begin_poll().await);
    assert_eq!(server.app.disconnect_of(id).await.0, "transport error");
    assert_eq!(session.poll().await.status, 400);
}

#[tokio::test]
async fn a_close_packet_ends_polling() {
    let server = start().await;
    let session = Polling::open(server.address).await;
    session.post("40").await;
    let connected = session.poll().await.body;
    let id = connected.split('"').nth(3).unwrap();
    let mut waiting = session.begin_poll().await;
    relay_has_read(&session).await;
    assert_eq!(session.post("1").await.body, "ok");
    assert_eq!(read_answer(&mut waiting).await.body, "6");
    assert_eq!(session.poll().await.status, 400);
    assert_eq!(server.app.disconnect_of(id).await.0, "transport close");
}

#[tokio::test]
async fn a_payload_beyond_the_limit_is_refused_and_the_session_lives() {
    let server = start_with(Config {
        max_payload: 1000,
        ..config()
    })
    .await;
    let session = Polling::open(server.address).await;
    let answer = session.post(&format!("4{}", "x".repeat(1000))).await;
    assert_eq!(answer.status, 413);
    assert_eq!(session.post("40").await.status, 200);
}

#[tokio::test]
async fn binary_posts_are_no_polling() {
    let server = start().await;
    let session = Polling::open(server.address).await;
    let header = "content-type: application/octet-stream\r\n";
    let answer = request(server.address, "POST", &session.path, header, "40").await;
    assert_eq!(answer.status, 400);
    assert_eq!(session.poll().await.status, 400);
}

#[tokio::test]
async fn other_methods_on_a_session_are_errors_of_the_server() {
    let server = start().await;
    let session = Polling::open(server.address).await;
    assert_eq!(
        request(server.address, "PUT", &session.path, "", "")
            .await
            .status,
        500
    );
    assert_eq!(session.post("40").await.status, 200);
}

#[tokio::test]
async fn polling_upgrades_to_websocket_and_loses_nothing() {
    let server = start().await;
    let session = Polling::open(server.address).await;
    let mut waiting = session.begin_poll().await;
    let path = session.path.replace("polling", "websocket");
    let mut socket = WebSocket::bare(server.address, &path).await;
    socket.send("2probe").await;
    assert_eq!(socket.text().await, "3probe");
    assert_eq!(read_answer(&mut waiting).await.body, "6");
    // What is said before the upgrade is complete still goes by polling, or waits.
    session.post("40").await;
    session.post("421[\"echo\",1]").await;
    server.app.batch("/", 1).await;
    socket.send("5").await;
    socket.send("422[\"echo\",2]").await;
    let mut texts = Vec::new();
    while texts.len() < 3 {
        texts.push(socket.text().await);
    }
    assert!(texts[0].starts_with("40{"), "{texts:?}");
    assert_eq!(texts[1..], ["431[1]", "432[2]"]);
    assert_eq!(
        session.poll().await.body,
        r#"{"code":3,"message":"Bad request"}"#
    );
    let mut second = WebSocket::bare(server.address, &path).await;
    second.closed().await;
    socket.send("423[\"echo\",3]").await;
    assert_eq!(socket.text().await, "433[3]");
}

#[tokio::test]
async fn a_websocket_that_does_not_probe_is_turned_away_and_polling_goes_on() {
    let server = start_with(Config {
        upgrade_timeout: ms(50),
        ..config()
    })
    .await;
    let session = Polling::open(server.address).await;
    let path = session.path.replace("polling", "websocket");
    let mut silent = WebSocket::bare(server.address, &path).await;
    silent.closed().await;
    let mut wrong = WebSocket::bare(server.address, &path).await;
    wrong.send("4hello").await;
    wrong.closed().await;
    session.post("40").await;
    assert!(session.poll().await.body.starts_with("40{"));
}

#[tokio::test]
async fn cors_headers_are_sent_where_they_are_wanted() {
    let any = Cors {
        origins: AllowedOrigins::Any,
        credentials: false,
    };
    let server = start_with(Config {
        cors: Some(any),
        ..config()
    })
    .await;
    let path = "/socket.io/?EIO=4&transport=polling";
    let origin = "origin: http://page.test\r\n";
    let answer = request(server.address, "GET", path, origin, "").await;
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    let asked = format!("{origin}access-control-request-headers: x-mine\r\n");
    let preflight = request(server.address, "OPTIONS", path, &asked, "").await;
    assert_eq!(preflight.status, 204);
    assert_eq!(
        preflight.header("access-control-allow-methods"),
        Some("GET,HEAD,PUT,PATCH,POST,DELETE")
    );
    assert_eq!(
        preflight.header("access-control-allow-headers"),
        Some("x-mine")
    );

    let these = Cors {
        origins: AllowedOrigins::These(vec!["http://page.test".into()]),
        credentials: true,
    };
    let server = start_with(Config {
        cors: Some(these),
        ..config()
    })
    .await;
    let answer = request(server.address, "GET", path, origin, "").await;
    assert_eq!(
        answer.header("access-control-allow-origin"),
        Some("http://page.test")
    );
    assert_eq!(
        answer.header("access-control-allow-credentials"),
        Some("true")
    );
    assert_eq!(answer.header("vary"), Some("Origin"));
    let other = request(
        server.address,
        "GET",
        path,
        "origin: http://other.test\r\n",
        "",
    )
    .await;
    assert_eq!(other.header("access-control-allow-origin"), None);
}

#[tokio::test]
async fn transports_can_be_taken_away_and_upgrades_not_offered() {
    let unknown = r#"{"code":0,"message":"Transport unknown"}"#;
    let handshake = |transport: &str| format!("/socket.io/?EIO=4&transport={transport}");
    let only = |polling, websocket, allow_upgrades| Config {
        transports: Transports { polling, websocket },
        allow_upgrades,
        ..config()
    };
    let server = start_with(only(true, false, true)).await;
    let answer = request(server.address, "GET", &handshake("polling"), "", "").await;
    assert!(answer.body.contains(r#""upgrades":[]"#), "{}", answer.body);
    let answer = request(server.address, "GET", &handshake("websocket"), "", "").await;
    assert_eq!((answer.status, &*answer.body), (400, unknown));

    let server = start_with(only(false, true, true)).await;
    let answer = request(server.address, "GET", &handshake("polling"), "", "").await;
    assert_eq!((answer.status, &*answer.body), (400, unknown));
    let (mut socket, _) = WebSocket::open(server.address).await;
    socket.enter("").await;

    let server = start_with(only(true, true, false)).await;
    let answer = request(server.address, "GET", &handshake("polling"), "", "").await;
    assert!(answer.body.contains(r#""upgrades":[]"#), "{}", answer.body);
}
