//! Mints a JSON Web Token (RFC 7519) with HS256, for development. In production tokens come from
//! whoever signs users in.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac as _};
use serde::Serialize;
use sha2::Sha256;

use crate::flags;
use crate::secrets::{self, Secret};

#[derive(Serialize)]
struct Claims<'a> {
    sub: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<&'a str>,
    iat: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    exp: Option<i64>,
}

pub fn print(flags: &flags::Token) -> Result<()> {
    if flags.sub.is_empty() {
        bail!("--sub is empty: name who the token is for");
    }
    let secret = secrets::find(Secret::Auth, &flags.state_dir)?;
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())?;
    let claims = Claims {
        sub: &flags.sub,
        name: flags.name.as_deref(),
        iss: flags.iss.as_deref(),
        aud: flags.aud.as_deref(),
        iat: now,
        exp: (!flags.no_exp).then(|| now.saturating_add(flags.ttl)),
    };
    println!("{}", sign(&claims, secret.as_bytes())?);
    Ok(())
}

fn sign(claims: &Claims<'_>, secret: &[u8]) -> Result<String> {
    let header = URL_SAFE_NO_PAD.encode(br#"{"alg":"HS256","typ":"JWT"}"#);
    let payload = URL_SAFE_NO_PAD.encode(serde_json::to_vec(claims)?);
    let signed = format!("{header}.{payload}");
    let mut mac = Hmac::<Sha256>::new_from_slice(secret)?;
    mac.update(signed.as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
    Ok(format!("{signed}.{signature}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_signed_over_its_header_and_claims() {
        let claims = Claims {
            sub: "ann",
            name: Some("Ann"),
            iss: None,
            aud: None,
            iat: 1,
            exp: Some(2),
        };
        let token = sign(&claims, b"secret").unwrap();
        let parts: Vec<&str> = token.split('.').collect();
        assert_eq!(parts.len(), 3);
        let payload = URL_SAFE_NO_PAD.decode(parts[1]).unwrap();
        assert_eq!(payload, br#"{"sub":"ann","name":"Ann","iat":1,"exp":2}"#);
        let mut mac = Hmac::<Sha256>::new_from_slice(b"secret").unwrap();
        mac.update(token.rsplit_once('.').unwrap().0.as_bytes());
        mac.verify_slice(&URL_SAFE_NO_PAD.decode(parts[2]).unwrap())
            .unwrap();
    }
}
