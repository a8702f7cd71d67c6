use std::{
    os::unix::fs::{FileExt as _, PermissionsExt as _},
    path::Path,
    sync::Arc,
    time::Duration,
};

use http_body_util::{BodyExt, Empty};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use parlour_host::{App, serve};
use tokio::{net::TcpListener, sync::oneshot};

use crate::running::{Running, databases_config, options, start};

#[tokio::test(flavor = "multi_thread")]
async fn the_second_start_compiles_nothing() {
    let cache = tempfile::tempdir().unwrap();
    let mut hits = Vec::new();
    for _ in 0..2 {
        let state = tempfile::tempdir().unwrap();
        let mut options = options("dependencies", state.path());
        options.cache_dir = Some(cache.path().to_owned());
        let app = App::load(options).await.unwrap();
        hits.push(app.cache_use());
        let app = Running { app, state };
        assert!(
            app.ask("/sqlite", &[], "sqlite")
                .await
                .body
                .contains("opened")
        );
    }
    assert_eq!(hits, [(0, 3), (3, 0)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_that_cannot_be_written_is_no_obstacle() {
    let state = tempfile::tempdir().unwrap();
    let file = state.path().join("not-a-directory");
    std::fs::write(&file, "").unwrap();
    let mut options = options("app", state.path());
    options.cache_dir = Some(file.join("cache"));
    let app = App::load(options).await.unwrap();
    assert_eq!(app.cache_use(), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_components_print_is_kept() {
    let app = start("app").await;
    app.asked_to("print remember this").await;
    app.app.shutdown().await;
    for stream in ["stdout", "stderr"] {
        let path = app.state.path().join(format!("logs/app_{stream}.txt"));
        assert_eq!(std::fs::read_to_string(path).unwrap(), "remember this\n");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_may_print_though_the_disk_is_full() {
    let state = tempfile::tempdir().unwrap();
    let logs = state.path().join("logs");
    std::fs::create_dir(&logs).unwrap();
    for stream in ["stdout", "stderr"] {
        std::os::unix::fs::symlink("/dev/full", logs.join(format!("app_{stream}.txt"))).unwrap();
    }
    let app = App::load(options("app", state.path())).await.unwrap();
    let app = Running { app, state };
    for _ in 0..3 {
        let answer = app.ask("/", &[("x-do", "print to nowhere")], "").await;
        assert_eq!(answer.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_state_directory_is_for_its_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let config = databases_config();
    let mut options = options("databases", &state);
    options.runtime_config = Some(config.path().to_owned());
    let app = App::load(options).await.unwrap();
    let app = Running { app, state: folder };
    let script =
        "open default\nrun PRAGMA journal_mode=WAL\nrun CREATE TABLE t(a)\nrun BEGIN IMMEDIATE";
    app.ask("/", &[("x-do", "sql")], script).await;
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&state), 0o700);
    assert_eq!(mode(&state.join("logs")), 0o700);
    for name in [
        "sqlite_db.db",
        "sqlite_db.db-wal",
        "sqlite_db.db-shm",
        "logs/app_stdout.txt",
        "in-use.lock",
        "running",
    ] {
        assert_eq!(mode(&state.join(name)), 0o600, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_crash_a_malformed_database_is_not_served_unless_told_so() {
    let state = tempfile::tempdir().unwrap();
    let config = databases_config();
    let load = |allow| {
        let mut options = options("databases", state.path());
        options.runtime_config = Some(config.path().to_owned());
        options.allow_malformed_database = allow;
        App::load(options)
    };
    let app = load(false).await.unwrap();
    let request = |script: &'static str| {
        http::Request::post("http://localhost/")
            .header("x-do", "sql")
            .body(
                http_body_util::Full::from(script)
                    .map_err(|never| match never {})
                    .boxed_unsync(),
            )
            .unwrap()
    };
    let script = "open default\nrun CREATE TABLE t AS WITH RECURSIVE n(i) AS \
        (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9999) SELECT i FROM n";
    assert_eq!(app.handle(request(script)).await.status(), 200);
    drop(app);
    let database = state.path().join("sqlite_db.db");
    let overwrite = std::fs::OpenOptions::new()
        .write(true)
        .open(&database)
        .unwrap();
    overwrite.write_all_at(&[0x5a; 16 << 10], 8 << 10).unwrap();
    let error = format!("{:#}", load(false).await.err().unwrap());
    for word in ["sqlite_db.db", "malformed", "parlour restore"] {
        assert!(error.contains(word), "{word} is not in: {error}");
    }
    // A second attempt does not help.
    assert!(load(false).await.is_err());
    let app = load(true).await.unwrap();
    let answer = app
        .handle(request("open default\nrun SELECT 1 AS well"))
        .await;
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "opened\nwell [1]\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_is_served_on_a_port_until_it_is_stopped() {
    let Running { app, state: _state } = start("routes").await;
    let app = Arc::new(app);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(serve(
        app.clone(),
        listener,
        Duration::from_secs(30),
        async {
            let _ = stopped.await;
        },
    ));
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<bytes::Bytes>>();
    let request = http::Request::get(format!("http://{address}/things/a"))
        .header("x-do", "headers")
        .body(Empty::new())
        .unwrap();
    let response = client.request(request).await.unwrap();
    assert_eq!(response.status(), 200);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let body = String::from_utf8_lossy(&body).into_owned();
    assert!(body.contains("spin-client-addr: 127.0.0.1:"), "{body}");
    assert!(
        body.contains(&format!("spin-full-url: http://{address}/things/a")),
        "{body}"
    );
    stop.send(()).unwrap();
    server.await.unwrap().unwrap();
    app.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_for_wasi_0_2_is_run_too() {
    let app = start("older").await;
    for path in ["/a", "/b?c"] {
        let answer = app.ask(path, &[], "").await;
        assert_eq!(answer.body, format!("WASI 0.2 at {path}"));
    }
}
