//! A Spin HTTP middleware: lets `POST /connect` through to the component behind it only with a valid
//! JSON Web Token, and says there what the token claims, in the header `parlour-claims`. Every other
//! request, that is batches whose clients were judged before, goes through untouched.

mod claims;
mod keys;
mod refusal;
mod token;

use std::time::{SystemTime, UNIX_EPOCH};

use spin_sdk::http::{HeaderMap, HeaderValue, IntoResponse, Request, Result, next};
use spin_sdk::http_service;
use spin_sdk::variables;
use spin_sdk::wasip3::http::types;

use keys::Keys;
use refusal::Refusal;

/// Where a namespace is asked whether a client may enter.
const CONNECT: &str = "/connect";

/// Carries the token's claims to the component: base64url of their JSON. What a client sends under
/// this name is removed.
const CLAIMS: &str = "parlour-claims";

#[http_service]
async fn handle(mut request: Request) -> Result<types::Response> {
    if request.uri().path() == CONNECT {
        let keys = match keys().await {
            Ok(keys) => keys,
            Err(problem) => return Ok(refusal::misconfigured(&problem).into_response()?),
        };
        match admit(request.headers(), &keys, now()) {
            Ok(claims) => request.headers_mut().insert(CLAIMS, claims),
            Err(refusal) => return Ok(refusal.response().into_response()?),
        };
        return pass(request).await;
    }
    let untouched = request.into_body().take_unstarted();
    pass(untouched.expect("nobody has read the body yet")).await
}

/// The answer of the component behind goes back as it comes.
async fn pass(request: impl spin_sdk::http::IntoRequest) -> Result<types::Response> {
    let mut body = next(request).await?.into_body();
    Ok(body.take_unstarted().expect("nobody has read the body yet"))
}

/// The claims of the request's bearer, as the header's value.
fn admit(headers: &HeaderMap, keys: &Keys, now: f64) -> Result<HeaderValue, Refusal> {
    let token = token::bearer(headers)?;
    let payload = token::verify(token, keys)?;
    claims::checked(&payload, now)
}

async fn keys() -> Result<Keys, String> {
    let secret = variable("auth_secret").await?;
    let public_key = variable("auth_public_key").await?;
    Keys::parse(&secret, &public_key)
}

/// A variable that is not there is one that is empty.
async fn variable(name: &str) -> Result<String, String> {
    match variables::get(name).await {
        Ok(value) => Ok(value),
        Err(variables::Error::Undefined(_)) => Ok(String::new()),
        Err(error) => Err(format!("the variable {name} cannot be read: {error}")),
    }
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64())
}

#[cfg(test)]
mod tests;
