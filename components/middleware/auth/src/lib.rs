//! A Spin HTTP middleware: lets `POST /connect` through to the component behind it only with a valid
//! JSON Web Token, and says there what the token claims, in the header `parlour-claims`. Every other
//! request, that is batches whose clients were judged before, goes through untouched.

mod claims;
mod keys;
mod published;
mod refusal;
mod settings;
mod token;

use std::time::{SystemTime, UNIX_EPOCH};

use spin_sdk::http::{HeaderMap, HeaderValue, IntoResponse, Request, Response, Result, next};
use spin_sdk::http_service;
use spin_sdk::wasip3::http::types;

use refusal::Refusal;
use settings::Settings;
use token::Token;

/// Where a namespace is asked whether a client may enter.
const CONNECT: &str = "/connect";

/// Carries the token's claims to the component: base64url of their JSON. What a client sends under
/// this name is removed.
const CLAIMS: &str = "parlour-claims";

/// What this middleware is called: in manifests and in the header by which the router knows that it has judged.
const NAME: &str = "auth";

/// That header, in the answer to a `POST /connect` (docs/http-contract.md).
const JUDGED: &str = "parlour-judged";

#[http_service]
async fn handle(mut request: Request) -> Result<types::Response> {
    if request.uri().path() == CONNECT {
        let settings = match settings::read().await {
            Ok(settings) => settings,
            Err(problem) => return Ok(refusal::misconfigured(&problem).into_response()?),
        };
        match admit(request.headers(), &settings, now()).await {
            Ok(claims) => request.headers_mut().insert(CLAIMS, claims),
            Err(refusal) => return Ok(refusal.response().into_response()?),
        };
        return proven(next(request).await?);
    }
    let untouched = request.into_body().take_unstarted();
    let answer = next(untouched.expect("nobody has read the body yet")).await?;
    let mut body = answer.into_body();
    Ok(body.take_unstarted().expect("nobody has read the body yet"))
}

/// The answer of the component behind, and that this middleware stood before it.
fn proven(mut answer: Response) -> Result<types::Response> {
    let name = HeaderValue::from_static(NAME);
    answer.headers_mut().append(JUDGED, name);
    Ok(answer.into_response()?)
}

/// The claims of the request's bearer, as the header's value.
async fn admit(headers: &HeaderMap, settings: &Settings, now: f64) -> Result<HeaderValue, Refusal> {
    let token = Token::read(token::bearer(headers)?)?;
    // Keys that are given here come first: nobody has to be asked for them.
    let own = settings.keys.verify(&token);
    if own.is_err()
        && let Some(published) = &settings.published
    {
        let keys = published::keys(published, token.kid(), now).await?;
        keys.verify(&token)?;
    } else {
        own?;
    }
    claims::checked(token.payload(), &settings.rules, now)
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64())
}

#[cfg(test)]
mod tests;
