//! One GET of a small JSON document, within a time.

use std::time::Duration;

use bytes::BytesMut;
use futures::future::{Either, select};
use futures::pin_mut;
use http_body_util::BodyExt as _;
use spin_sdk::http::{self, EmptyBody};
use spin_sdk::wasip3::clocks::monotonic_clock;

/// The most bytes of a key set.
const MAX_BYTES: usize = 256 * 1024;

pub async fn get(url: &str, time: Duration) -> Result<String, String> {
    let answer = document(url);
    let over = monotonic_clock::wait_for(time.as_nanos() as u64);
    pin_mut!(answer, over);
    match select(answer, over).await {
        Either::Left((document, _)) => document,
        Either::Right(_) => Err(format!("no answer within {time:?}")),
    }
}

async fn document(url: &str) -> Result<String, String> {
    let request = http::Request::get(url)
        .header("accept", "application/json")
        .body(EmptyBody::new())
        .map_err(|error| error.to_string())?;
    let response = http::send(request).await.map_err(|error| {
        format!("{error:?}; is the host in the component's allowed_outbound_hosts, and does its middleware inherit them?")
    })?;
    if response.status() != http::StatusCode::OK {
        return Err(format!("the answer is {}", response.status()));
    }
    let mut body = response.into_body();
    let mut document = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| format!("the answer broke off: {error:?}"))?;
        if let Ok(data) = frame.into_data() {
            document.extend_from_slice(&data);
        }
        if document.len() > MAX_BYTES {
            return Err(format!("the answer has more than {MAX_BYTES} bytes"));
        }
    }
    String::from_utf8(document.into()).map_err(|_| "the answer is no text".to_owned())
}
