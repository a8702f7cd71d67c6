use std::{sync::Arc, time::Duration};

use http_body_util::{BodyExt, Empty};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use parlour_host::{App, serve};
use tokio::{net::TcpListener, sync::oneshot};

use crate::running::{Running, options, start};

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
