use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::running::{start, start_with};

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_not_allowed_is_not_reached() {
    let app = start("app").await;
    for url in [
        "http://127.0.0.1:2/",
        "http://localhost:1/",
        "https://127.0.0.1:1/",
    ] {
        let answer = app.asked_to(&format!("get {url}")).await;
        assert!(answer.contains("HttpRequestDenied"), "{url}: {answer}");
    }
    let refused = app.asked_to("get http://127.0.0.1:1/").await;
    assert!(refused.contains("ConnectionRefused"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_allowed_host_is_asked_over_the_network() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 4096];
        let read = stream.read(&mut request).await.unwrap();
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nthere";
        stream.write_all(answer).await.unwrap();
        String::from_utf8_lossy(&request[..read]).into_owned()
    });
    let app = start_with("app", |options| {
        options.variables = vec![("port".to_owned(), port.to_string())];
    })
    .await;
    let answer = app
        .asked_to(&format!("get http://127.0.0.1:{port}/path?query"))
        .await;
    assert_eq!(answer, "200 OK [] there");
    let request = server.await.unwrap();
    assert!(
        request.starts_with("GET /path?query HTTP/1.1\r\n"),
        "{request}"
    );
    assert!(
        request.contains(&format!("host: 127.0.0.1:{port}\r\n")),
        "{request}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_asks_itself_if_it_may() {
    let app = start("app").await;
    let headers = [("x-do", "get http://self.alt/again"), ("x-then", "uri")];
    let answer = app.ask("/", &headers, "").await;
    assert_eq!(answer.body, "200 OK [] http://localhost/again");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_there_to_be_read() {
    let app = start("app").await;
    assert_eq!(app.asked_to("read /data/hello.txt").await, r#"Ok("hello")"#);
    assert_eq!(app.asked_to("read /note.txt").await, r#"Ok("note")"#);
    assert!(
        app.asked_to("read /data/secret.txt")
            .await
            .starts_with("Err")
    );
    assert!(app.asked_to("read /spin.toml").await.starts_with("Err"));
    assert!(app.asked_to("read /../etc/passwd").await.starts_with("Err"));
    assert_eq!(app.asked_to("write /data/hello.txt").await, "false");
}
