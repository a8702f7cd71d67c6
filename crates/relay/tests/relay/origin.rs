//! `HttpOrigin` against servers that behave as Spin does, and worse.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use parlour_relay::{Body, HttpOrigin, Origin};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

fn body(text: &'static str) -> Body {
    Full::new(Bytes::from_static(text.as_bytes()))
        .map_err(|never| match never {})
        .boxed_unsync()
}

async fn ask(origin: &HttpOrigin) -> Result<String, parlour_relay::OriginError> {
    let request = Request::post("/relay")
        .header("content-length", "2")
        .body(body("{}"))
        .unwrap();
    let response = origin.call(request).await?;
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Reads one request. False at the end of the connection.
async fn read_request(stream: &mut TcpStream) -> bool {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n{}") {
        if !matches!(stream.read_buf(&mut bytes).await, Ok(1..)) {
            return false;
        }
    }
    true
}

/// Answers as Spin does: Nagle's algorithm on, head and body written apart. `requests` per connection.
async fn spin(requests: usize) -> (HttpOrigin, mpsc::UnboundedReceiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = HttpOrigin::new(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let (accepted, connections) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(false).unwrap();
            accepted.send(()).unwrap();
            tokio::spawn(async move {
                for _ in 0..requests {
                    if !read_request(&mut stream).await {
                        return;
                    }
                    stream
                        .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 15\r\n\r\n")
                        .await
                        .unwrap();
                    stream.write_all(b"{\"commands\":[]}").await.unwrap();
                }
            });
        }
    });
    (origin, connections)
}

#[tokio::test]
async fn fifty_requests_to_a_server_like_spin_meet_no_delayed_ack() {
    let (origin, mut connections) = spin(usize::MAX).await;
    let begin = Instant::now();
    for _ in 0..50 {
        assert_eq!(ask(&origin).await.unwrap(), "{\"commands\":[]}");
    }
    let took = begin.elapsed();
    // With delayed ACKs, each but the first few takes 40 ms or more: 2 s.
    assert!(took < Duration::from_secs(1), "50 requests took {took:?}");
    connections.recv().await.unwrap();
    assert!(connections.try_recv().is_err(), "one connection was kept");
}

#[tokio::test]
async fn a_kept_connection_that_the_server_closed_is_replaced() {
    let (origin, _connections) = spin(1).await;
    for _ in 0..20 {
        assert_eq!(ask(&origin).await.unwrap(), "{\"commands\":[]}");
        // The server's close may or may not have been noticed: both must do.
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn no_server_is_an_error_that_names_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = ask(&HttpOrigin::new(&format!("http://{address}")).unwrap())
        .await
        .unwrap_err();
    assert!(error.to_string().contains(&address.to_string()), "{error}");
}

#[test]
fn an_origin_is_http_or_https_a_host_and_perhaps_a_port() {
    for wrong in [
        "",
        "127.0.0.1:3000",
        "ftp://a.test",
        "https://a.test/path",
        "https://a.test?query",
        "http://a.test/path",
        "not a uri",
    ] {
        assert!(HttpOrigin::new(wrong).is_err(), "{wrong}");
    }
    assert!(HttpOrigin::trusting("http://a.test", Some(Path::new("ca.pem"))).is_err());
    let error = HttpOrigin::trusting("https://a.test", Some(Path::new("/no/ca.pem")));
    assert!(error.err().unwrap().to_string().contains("/no/ca.pem"));
    let origin: Arc<dyn Origin> = Arc::new(HttpOrigin::new("http://a.test").unwrap());
    drop(origin);
}
