use crate::running::start;

#[tokio::test(flavor = "multi_thread")]
async fn the_most_specific_route_answers() {
    let app = start("routes").await;
    for (path, expected) in [
        ("/", "rest /... /"),
        ("/elsewhere/x", "rest /... /elsewhere/x"),
        ("/things", "things /things/... "),
        ("/things/a/b", "things /things/... /a/b"),
        ("/things/a", "thing /things/:id "),
        ("/things/first", "first /things/first "),
    ] {
        assert_eq!(app.ask(path, &[], "").await.body, expected, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn spins_headers_are_added_behind_the_clients_own() {
    let app = start("routes").await;
    let headers = [
        ("x-do", "headers"),
        ("spin-path-info", "forged"),
        ("connection", "close"),
    ];
    let body = app.ask("/things/a?b=c", &headers, "").await.body;
    let lines: Vec<&str> = body.lines().collect();
    for expected in [
        "host: example.com",
        "spin-full-url: http://example.com/things/a?b=c",
        "spin-matched-route: /things/:id",
        "spin-component-route: /things/:id",
        "spin-raw-component-route: /things/:id",
        "spin-base-path: /",
        "spin-path-match-id: a",
        "spin-client-addr: 0.0.0.0:0",
    ] {
        assert!(lines.contains(&expected), "{expected} is not in {body}");
    }
    let path_info: Vec<_> = lines
        .iter()
        .filter(|l| l.starts_with("spin-path-info"))
        .collect();
    assert_eq!(path_info, [&"spin-path-info: forged", &"spin-path-info: "]);
    assert!(!body.contains("connection:"), "{body}");
    let uri = app.ask("/things/a?b=c", &[("x-do", "uri")], "").await.body;
    assert_eq!(uri, "http://example.com/things/a?b=c");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_without_a_route_is_not_found() {
    let app = start("dependencies").await;
    assert_eq!(app.ask("/", &[], "").await.status, 404);
    assert_eq!(app.ask("/nothing/more", &[], "").await.status, 404);
    // The host's own paths.
    assert_eq!(
        app.ask("/.well-known/spin/health", &[], "").await.body,
        "OK"
    );
    let info = app.ask("/.well-known/spin/info", &[], "").await.body;
    assert!(
        info.contains("dependencies") && info.contains("1.2.3"),
        "{info}"
    );
    assert_eq!(
        app.ask("/.well-known/spin/other", &[], "").await.status,
        404
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_static_response_needs_no_component() {
    let answer = start("routes").await.ask("/fixed", &[], "").await;
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (418, "short and stout")
    );
    assert_eq!(answer.headers["x-kind"], "teapot");
}
