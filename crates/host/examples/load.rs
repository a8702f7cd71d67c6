//! Runs a manifest and measures how long a request takes:
//! `load MANIFEST PATH BODY REQUESTS CONCURRENCY [HEADER:VALUE…]`. A body that begins with `@` is a file.

use std::{sync::Arc, time::Instant};

use http_body_util::{BodyExt, Full};
use parlour_host::{App, Body, Options};

fn request(path: &str, body: &str, headers: &[String]) -> http::Request<Body> {
    let body = Full::new(bytes::Bytes::from(body.to_owned()))
        .map_err(|never| match never {})
        .boxed_unsync();
    let mut request = http::Request::post(path).header("host", "localhost:3000");
    for (name, value) in headers.iter().filter_map(|header| header.split_once(':')) {
        request = request.header(name, value);
    }
    request.body(body).expect("the path is a valid URI")
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, manifest, path, body, requests, concurrency, headers @ ..] = arguments.as_slice()
    else {
        anyhow::bail!("load MANIFEST PATH BODY REQUESTS CONCURRENCY [HEADER:VALUE…]");
    };
    let body = match body.strip_prefix('@') {
        Some(file) => std::fs::read_to_string(file)?,
        None => body.clone(),
    };
    let begin = Instant::now();
    let app = App::load(Options {
        manifest: manifest.into(),
        ..Options::default()
    });
    let app = Arc::new(app.await?);
    eprintln!(
        "loaded in {:?}, cache {:?}",
        begin.elapsed(),
        app.cache_use()
    );
    let (requests, concurrency): (usize, usize) = (requests.parse()?, concurrency.parse()?);
    let first = app.handle(request(path, &body, headers)).await;
    let status = first.status();
    let answer = first.into_body().collect().await?.to_bytes();
    let shown = &answer[..answer.len().min(200)];
    eprintln!("{status} {}", String::from_utf8_lossy(shown));
    let begin = Instant::now();
    let mut tasks = Vec::new();
    for _ in 0..concurrency {
        let (app, path, body, headers) =
            (app.clone(), path.clone(), body.clone(), headers.to_vec());
        tasks.push(tokio::spawn(async move {
            let mut failed = 0;
            for _ in 0..requests / concurrency {
                let response = app.handle(request(&path, &body, &headers)).await;
                failed += usize::from(response.status() != 200);
                if response.into_body().collect().await.is_err() {
                    failed += 1;
                }
            }
            failed
        }));
    }
    let mut failed = 0;
    for task in tasks {
        failed += task.await?;
    }
    let took = begin.elapsed();
    let per = took / u32::try_from(requests)?;
    println!("{requests} requests, {concurrency} at once, {failed} failed: {per:?} each");
    let begin = Instant::now();
    app.shutdown().await;
    eprintln!("shut down in {:?}", begin.elapsed());
    Ok(())
}
