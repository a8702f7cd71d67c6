use crate::running::{Running, start};

async fn chained(app: &Running, url: &str, then: &str) -> (u16, String) {
    let task = format!("get {url}");
    let answer = app.ask("/", &[("x-do", &task), ("x-then", then)], "").await;
    (answer.status, answer.body)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_route_is_reached_only_by_chaining() {
    let app = start("chaining").await;
    assert_eq!(app.ask("/plain", &[], "").await.body, "front /... /plain");
    let (_, body) = chained(&app, "http://plain.spin.internal/a/b", "who").await;
    assert_eq!(body, "200 OK [] plain /... /a/b");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chained_request_passes_the_targets_middleware_in_order() {
    let app = start("chaining").await;
    let (_, body) = chained(&app, "http://guarded.spin.internal/", "headers").await;
    assert!(body.starts_with(r#"200 OK ["inner", "outer"]"#), "{body}");
    let passed: Vec<_> = body.lines().filter(|line| line.contains("x-in")).collect();
    assert_eq!(passed.len(), 2, "{body}");
    assert!(
        passed[0].ends_with("outer") && passed[1].ends_with("inner"),
        "{body}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_trigger_beside_a_guarded_one_lets_chained_requests_bypass_the_middleware() {
    let app = start("chaining").await;
    let (_, body) = chained(&app, "http://bypassed.spin.internal/", "who").await;
    assert_eq!(body, "200 OK [] bypassed /... /");
    let direct = app.ask("/bypassed-guarded", &[], "").await;
    assert_eq!(direct.headers["x-out"], "outer");
    assert_eq!(
        app.ask("/bypassed", &[], "").await.headers.get("x-out"),
        None
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn with_two_guarded_triggers_a_chained_request_fails_the_caller() {
    let app = start("chaining").await;
    assert_eq!(app.ask("/twice-2", &[], "").await.headers["x-out"], "inner");
    assert_eq!(
        chained(&app, "http://twice.spin.internal/", "who").await.0,
        500
    );
    assert_eq!(
        chained(&app, "http://nobody.spin.internal/", "who").await.0,
        500
    );
    // The caller's next instance is well.
    assert_eq!(app.ask("/x", &[], "").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_client_says_in_host_chains_nothing() {
    let app = start("chaining").await;
    let answer = app
        .ask("http://example.com/", &[("x-do", "headers")], "")
        .await;
    assert_eq!(answer.status, 200);
    let (status, body) = chained(&app, "http://elsewhere.spin.internal/", "who").await;
    // The wildcard means the components there are.
    assert_eq!(
        (status, body.contains("HttpRequestDenied")),
        (200, true),
        "{body}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn many_requests_are_answered_at_once() {
    let app = std::sync::Arc::new(start("chaining").await);
    let tasks: Vec<_> = (0..100)
        .map(|n| {
            let app = app.clone();
            tokio::spawn(async move {
                let url = format!("http://guarded.spin.internal/{n}");
                let (_, body) = chained(&app, &url, "who").await;
                assert!(body.ends_with(&format!("guarded /... /{n}")), "{body}");
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}
