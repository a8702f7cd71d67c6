//! Middleware before the component `handshake` of the client suite's application. socket.io-client's test server lets every
//! handshake wait, so that its tests can see a client give up before; so does this.

use spin_sdk::http::{Request, Result, next};
use spin_sdk::http_service;
use spin_sdk::wasip3::clocks::monotonic_clock::wait_for;
use spin_sdk::wasip3::http::types;

/// How long a handshake waits, in nanoseconds.
const DELAY: u64 = 10_000_000;

#[http_service]
async fn handle(request: Request) -> Result<types::Response> {
    wait_for(DELAY).await;
    let untouched = request.into_body().take_unstarted();
    let answer = next(untouched.expect("nobody has read the body yet")).await?;
    let untouched = answer.into_body().take_unstarted();
    Ok(untouched.expect("nobody has read the body yet"))
}
