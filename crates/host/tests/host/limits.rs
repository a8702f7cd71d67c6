//! What a component does without end is ended.

use std::{sync::Arc, time::Duration};

use tokio::{io::AsyncReadExt, net::TcpListener};

use crate::running::{Running, databases_config, start_with};

/// Long enough for every honest request of a busy machine.
const TIMEOUT: Duration = Duration::from_secs(2);

async fn start(name: &str) -> Arc<Running> {
    let app = start_with(name, |options| {
        options.request_timeout = Some(TIMEOUT);
        options.max_instance_memory = Some(64 << 20);
    });
    Arc::new(app.await)
}

async fn is_well(app: &Running) {
    let answer = app.ask("/", &[("x-do", "echo")], "well").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "well"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_component_that_loops_fails_its_request_and_holds_up_no_other() {
    let app = start("chaining").await;
    is_well(&app).await;
    // More loops than threads: each must give way to others.
    let loops: Vec<_> = (0..4)
        .map(|_| {
            let app = app.clone();
            tokio::spawn(async move { app.ask("/", &[("x-do", "loop")], "").await })
        })
        .collect();
    tokio::task::yield_now().await;
    for _ in 0..20 {
        // Another component: an instance that loops takes its other requests with it.
        let answer = app.ask("/bypassed", &[("x-do", "echo")], "well").await;
        assert_eq!((answer.status, answer.body.as_str()), (200, "well"));
    }
    for task in loops {
        let failed = task.await.unwrap();
        assert_eq!((failed.status, failed.body.as_str()), (500, ""));
    }
    is_well(&app).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_component_that_allocates_without_end_fails_its_request_and_not_the_next() {
    let app = start("app").await;
    let failed = app.ask("/", &[("x-do", "allocate")], "").await;
    assert_eq!((failed.status, failed.body.as_str()), (500, ""));
    is_well(&app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_memory_of_an_instance_can_be_set_as_in_spin() {
    let config = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(config.path(), "max_instance_memory = 65536\n").unwrap();
    let app = start_with("app", |options| {
        options.runtime_config = Some(config.path().to_owned());
    });
    let answer = app.await.ask("/", &[("x-do", "echo")], "").await;
    assert_eq!(
        answer.status, 500,
        "one page is too little for any component"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_that_waits_for_ever_fails_its_request() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let app = start_with("app", |options| {
        options.request_timeout = Some(TIMEOUT);
        options.variables = vec![("port".to_owned(), port.to_string())];
    });
    let app = app.await;
    let silent = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        stream.read_to_end(&mut request).await.unwrap();
    });
    let task = format!("get http://127.0.0.1:{port}/");
    assert_eq!(app.ask("/", &[("x-do", &task)], "").await.status, 500);
    // What it waited for is let go.
    silent.await.unwrap();
    is_well(&app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chained_component_that_loops_is_the_one_that_fails() {
    let app = start("chaining").await;
    let task = "get http://plain.spin.internal/";
    let answer = app
        .ask("/", &[("x-do", task), ("x-then", "loop")], "")
        .await;
    assert_eq!(answer.status, 200, "the caller lives");
    assert!(answer.body.starts_with("500"), "{}", answer.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_ends_with_its_instance() {
    let config = databases_config();
    let app = start_with("databases", |options| {
        options.request_timeout = Some(TIMEOUT);
        options.runtime_config = Some(config.path().to_owned());
    });
    let app = Arc::new(app.await);
    let sql = |script: &'static str| {
        let app = app.clone();
        async move { app.ask("/", &[("x-do", "sql")], script).await }
    };
    assert_eq!(sql("open default\nrun CREATE TABLE t(a)").await.status, 200);
    let endless = "open default\nrun INSERT INTO t WITH RECURSIVE n(i) AS \
        (SELECT 1 UNION ALL SELECT i FROM n) SELECT i FROM n WHERE i = 0";
    assert_eq!(sql(endless).await.status, 500);
    // It held the write lock; nothing of it is left.
    let answer = sql("open default\nrun INSERT INTO t VALUES (7)\nrun SELECT a FROM t").await;
    assert_eq!(answer.body, "opened\n []\na [7]\n");
}
