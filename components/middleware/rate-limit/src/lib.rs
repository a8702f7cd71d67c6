//! A Spin HTTP middleware: lets only so many `POST /connect` of one client address through to the
//! component behind it, as the variable `rate_limit` says. Every other request, that is batches of
//! clients who are in, goes through untouched.

mod address;
mod buckets;
mod limit;
mod refusal;

use std::time::{SystemTime, UNIX_EPOCH};

use spin_sdk::http::{HeaderMap, HeaderValue, IntoResponse, Request, Response, Result, next};
use spin_sdk::http_service;
use spin_sdk::variables;
use spin_sdk::wasip3::http::types;

use buckets::Taken;
use limit::Limit;
use refusal::Refusal;

/// Where a namespace is asked whether a client may enter.
const CONNECT: &str = "/connect";

/// What this middleware is called: in manifests and in the header by which the router knows that it has judged.
const NAME: &str = "rate-limit";

/// That header, in the answer to a `POST /connect` (docs/http-contract.md).
const JUDGED: &str = "parlour-judged";

/// How often one address may connect: `none`, or a limit as [`Limit`] reads it.
const VARIABLE: &str = "rate_limit";

#[http_service]
async fn handle(request: Request) -> Result<types::Response> {
    let is_connect = request.uri().path() == CONNECT;
    if is_connect && let Err(refusal) = admit(request.headers()).await {
        return Ok(refusal.response().into_response()?);
    }
    let untouched = request.into_body().take_unstarted();
    let answer = next(untouched.expect("nobody has read the body yet")).await?;
    if is_connect {
        return proven(answer);
    }
    let mut body = answer.into_body();
    Ok(body.take_unstarted().expect("nobody has read the body yet"))
}

/// The answer of the component behind, and that this middleware stood before it.
fn proven(mut answer: Response) -> Result<types::Response> {
    let name = HeaderValue::from_static(NAME);
    answer.headers_mut().append(JUDGED, name);
    Ok(answer.into_response()?)
}

/// Takes one token for whoever asks. A limiter that is broken must not lock everyone out: where the
/// database fails, it says so in the log and lets the client in.
async fn admit(headers: &HeaderMap) -> Result<(), Refusal> {
    let Some(limit) = limit().await? else {
        return Ok(());
    };
    let address = address::last(headers).ok_or_else(|| {
        Refusal::Misconfigured(format!(
            "nothing says whose request this is: {} is missing, which the router sets",
            address::FORWARDED_FOR
        ))
    })?;
    match buckets::take(&limit, &address, now()).await {
        Ok(Taken::Yes) => Ok(()),
        Ok(Taken::NotFor(wait)) => Err(Refusal::TooMany { wait }),
        Err(problem) => {
            eprintln!("rate-limit: lets {address} in uncounted: {problem}");
            Ok(())
        }
    }
}

/// The limit there is, if there is one. A variable that is not there is one that says `none`.
async fn limit() -> Result<Option<Limit>, Refusal> {
    let text = match variables::get(VARIABLE).await {
        Ok(text) => text,
        Err(variables::Error::Undefined(_)) => return Ok(None),
        Err(error) => {
            return Err(Refusal::Misconfigured(format!(
                "the variable {VARIABLE} cannot be read: {error}"
            )));
        }
    };
    Limit::parse(&text)
        .map_err(|problem| Refusal::Misconfigured(format!("the variable {VARIABLE} {problem}")))
}

/// Microseconds since 1970.
fn now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_micros()).ok())
        .unwrap_or(0)
}
