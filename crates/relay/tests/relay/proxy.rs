//! Requests that are not Engine.IO's go to the app.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use parlour_relay::{Body, Config, Origin, OriginError, Relay};
use tokio::net::TcpListener;

use crate::client::request;
use crate::{config, ms, start, start_with};

#[tokio::test]
async fn other_requests_reach_the_app_and_its_answer_the_client() {
    let server = start().await;
    let headers = "connection: x-mine\r\nx-mine: 1\r\nx-kept: 2\r\nspin-full-url: forged\r\nparlour-lane: forged\r\n";
    let answer = request(server.address, "POST", "/some/page?a=b", headers, "hello").await;
    assert_eq!(answer.status, 200);
    let (first, rest) = answer.body.split_once('\n').unwrap();
    assert_eq!(first, "POST /some/page?a=b");
    assert!(rest.ends_with("\n\nhello"), "{rest}");
    for line in [
        "x-kept: 2",
        "x-forwarded-for: 127.0.0.1",
        "x-forwarded-proto: http",
        "x-forwarded-host: relay.test",
    ] {
        assert!(rest.lines().any(|it| it == line), "{line} is not in {rest}");
    }
    for gone in ["x-mine", "spin-", "parlour-"] {
        assert!(!rest.contains(gone), "{gone} is in {rest}");
    }
    assert_eq!(answer.header("x-between"), None);
}

#[tokio::test]
async fn the_app_is_told_who_a_client_is_and_not_what_it_claims() {
    let claims =
        "x-forwarded-for: 192.0.2.1\r\nx-forwarded-proto: https\r\nx-real-ip: 192.0.2.1\r\n";
    let seen = async |config| {
        let server = start_with(config).await;
        let answer = request(server.address, "GET", "/who", claims, "").await;
        answer.body
    };
    let wary = seen(config()).await;
    for line in ["x-forwarded-for: 127.0.0.1", "x-forwarded-proto: http"] {
        assert!(wary.lines().any(|it| it == line), "{line} is not in {wary}");
    }
    assert!(!wary.contains("192.0.2.1"), "{wary}");
    let mut trusting = config();
    trusting.limits.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
    let trusting = seen(trusting).await;
    for line in ["x-forwarded-for: 192.0.2.1", "x-forwarded-proto: https"] {
        assert!(
            trusting.lines().any(|it| it == line),
            "{line} is not in {trusting}"
        );
    }
}

/// An app that takes its time for each request, and counts how many it has at once.
struct Busy {
    takes: Duration,
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Origin for Busy {
    fn call(
        &self,
        request: Request<Body>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Body>, OriginError>> + Send + '_>> {
        let is_page = request.uri().path() == "/page";
        Box::pin(async move {
            if is_page {
                let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
                self.most.fetch_max(now, Ordering::SeqCst);
                tokio::time::sleep(self.takes).await;
                self.now.fetch_sub(1, Ordering::SeqCst);
            }
            let body = Empty::new().map_err(|never| match never {});
            Ok(Response::new(body.boxed_unsync()))
        })
    }
}

/// The most of 40 requests that such an app has at once.
async fn most_at_once(takes: Duration) -> usize {
    let app = Arc::new(Busy {
        takes,
        now: AtomicUsize::new(0),
        most: AtomicUsize::new(0),
    });
    let relay = Relay::new(config(), app.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { relay.serve(listener, std::future::pending()).await });
    let asked: Vec<_> = (0..40)
        .map(|_| tokio::spawn(request(address, "GET", "/page", "", "")))
        .collect();
    for answer in asked {
        assert_eq!(answer.await.unwrap().status, 200);
    }
    app.most.load(Ordering::SeqCst)
}

#[tokio::test]
async fn a_crowd_of_requests_comes_to_the_app_a_few_at_a_time() {
    let most = most_at_once(ms(10)).await;
    // 4, and some more where the machine is so busy that 10 ms take longer than 20.
    assert!(most <= 16, "{most} at once");
}

#[tokio::test]
async fn requests_that_wait_in_the_app_do_not_keep_others_from_it() {
    let most = most_at_once(ms(1000)).await;
    assert_eq!(most, 40);
}

#[tokio::test]
async fn the_clients_files_come_from_the_app() {
    let server = start().await;
    for path in [
        "/socket.io/socket.io.js",
        "/socket.io/socket.io.esm.min.js.map",
        "/socket.io",
        "/",
    ] {
        let answer = request(server.address, "GET", path, "", "").await;
        assert!(
            answer.body.starts_with(&format!("GET {path}\n")),
            "{path}: {}",
            answer.body
        );
    }
}

#[tokio::test]
async fn the_clients_files_are_below_the_path_that_clients_connect_to() {
    let path = "/chat/live".to_owned();
    let server = start_with(Config { path, ..config() }).await;
    for (asked, there) in [
        ("/chat/live/socket.io.js?v=1", "/socket.io/socket.io.js?v=1"),
        (
            "/chat/live/socket.io.min.js.map",
            "/socket.io/socket.io.min.js.map",
        ),
        ("/socket.io/socket.io.js", "/socket.io/socket.io.js"),
    ] {
        let answer = request(server.address, "GET", asked, "", "").await;
        assert!(
            answer.body.starts_with(&format!("GET {there}\n")),
            "{}",
            answer.body
        );
    }
}

#[tokio::test]
async fn the_relays_own_paths_are_closed_to_the_outside() {
    let server = start().await;
    for path in [
        "/relay",
        "/relay/",
        "/relay?x",
        "//relay",
        "/%72%65lay",
        "/relay/handshake",
        "/relay/handshake?x",
        "/relay//handshake",
        "/relay/%68andshake",
    ] {
        assert_eq!(
            request(server.address, "POST", path, "", "{}").await.status,
            404,
            "{path}"
        );
    }
}
