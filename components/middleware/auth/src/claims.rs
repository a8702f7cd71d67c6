//! A token's inside: when it is good, for whom it is, and whom it speaks of (RFC 7519). Only read once the
//! signature is known to be good.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};
use spin_sdk::http::HeaderValue;

use crate::refusal::Refusal;

/// The most characters of `sub`.
const MAX_SUB_CHARS: usize = 128;

/// What a token must be, besides signed and in time.
#[derive(Debug, Default)]
pub struct Rules {
    /// Its `iss`.
    pub issuer: Option<String>,
    /// In its `aud`.
    pub audience: Option<String>,
    /// It need not have an `exp`.
    pub allow_unlimited: bool,
}

/// Checks the claims at this time (seconds since 1970, no leeway) and gives them as a header's value.
pub fn checked(payload: &[u8], rules: &Rules, now: f64) -> Result<HeaderValue, Refusal> {
    let claims: Map<String, Value> = serde_json::from_slice(payload)
        .map_err(|_| Refusal::InvalidToken("its payload is no JSON object"))?;
    check_times(&claims, rules, now)?;
    check_parties(&claims, rules)?;
    match claims.get("sub") {
        Some(Value::String(sub)) if (1..=MAX_SUB_CHARS).contains(&sub.chars().count()) => {}
        _ => {
            return Err(Refusal::InvalidToken(
                "its sub is not a text of 1 to 128 characters",
            ));
        }
    }
    if !matches!(claims.get("name"), None | Some(Value::String(_))) {
        return Err(Refusal::InvalidToken("its name is no text"));
    }
    let json = Value::Object(claims).to_string();
    Ok(HeaderValue::try_from(URL_SAFE_NO_PAD.encode(json)).expect("base64url is a header's value"))
}

fn check_times(claims: &Map<String, Value>, rules: &Rules, now: f64) -> Result<(), Refusal> {
    match time(claims, "exp", "its exp is no number")? {
        Some(exp) if now >= exp => return Err(Refusal::ExpiredToken),
        None if !rules.allow_unlimited => {
            return Err(Refusal::InvalidToken(
                "it has no exp, so it would never end",
            ));
        }
        _ => {}
    }
    if time(claims, "nbf", "its nbf is no number")?.is_some_and(|nbf| now < nbf) {
        return Err(Refusal::NotYetValid);
    }
    Ok(())
}

/// Who has made the token, and for whom.
fn check_parties(claims: &Map<String, Value>, rules: &Rules) -> Result<(), Refusal> {
    if let Some(issuer) = &rules.issuer
        && claims.get("iss").and_then(Value::as_str) != Some(issuer)
    {
        return Err(Refusal::InvalidToken("its iss is another issuer"));
    }
    if let Some(audience) = &rules.audience {
        let is_it = |one: &Value| one.as_str() == Some(audience);
        let is_meant = match claims.get("aud") {
            Some(Value::Array(several)) => several.iter().any(is_it),
            Some(one) => is_it(one),
            None => false,
        };
        if !is_meant {
            return Err(Refusal::InvalidToken("its aud is another audience"));
        }
    }
    Ok(())
}

/// A NumericDate: seconds since 1970, maybe with a fraction.
fn time(
    claims: &Map<String, Value>,
    name: &str,
    problem: &'static str,
) -> Result<Option<f64>, Refusal> {
    match claims.get(name) {
        None => Ok(None),
        Some(value) => value
            .as_f64()
            .map(Some)
            .ok_or(Refusal::InvalidToken(problem)),
    }
}
