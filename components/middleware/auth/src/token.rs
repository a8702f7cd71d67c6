//! A JSON Web Token's outside: where it is in a request, and whether its signature is good (RFC 7515).
//! Exactly two algorithms exist here, HS256 (RFC 7518) and EdDSA with Ed25519 (RFC 8037), each with a
//! key of its own kind, so that no token can choose how it is checked.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::Signature;
use hmac::{Hmac, Mac as _};
use serde::Deserialize;
use sha2::Sha256;
use spin_sdk::http::HeaderMap;

use crate::keys::Keys;
use crate::refusal::Refusal;

/// The most bytes a token has.
const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// The token of `authorization: Bearer …`.
pub fn bearer(headers: &HeaderMap) -> Result<&str, Refusal> {
    let mut values = headers.get_all("authorization").iter();
    let value = values.next().ok_or(Refusal::MissingToken)?;
    if values.next().is_some() {
        return Err(Refusal::InvalidToken("there is more than one"));
    }
    let value = value
        .to_str()
        .map_err(|_| Refusal::InvalidToken("it is not ASCII"))?;
    match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => match token.trim() {
            "" => Err(Refusal::MissingToken),
            token => Ok(token),
        },
        _ => Err(Refusal::MissingToken),
    }
}

#[derive(Deserialize)]
struct Header<'a> {
    alg: &'a str,
    /// Extensions that must be understood; there are none that we do.
    crit: Option<serde::de::IgnoredAny>,
}

/// The payload of a token whose signature is good.
pub fn verify(token: &str, keys: &Keys) -> Result<Vec<u8>, Refusal> {
    if token.len() > MAX_TOKEN_BYTES {
        return Err(Refusal::InvalidToken("it is too long"));
    }
    let malformed = Refusal::InvalidToken("it is not three parts of base64url");
    let parts: Vec<&str> = token.split('.').collect();
    let [header, payload, signature] = parts[..] else {
        return Err(malformed);
    };
    let signed = &token[..header.len() + 1 + payload.len()];
    let decode = |part| URL_SAFE_NO_PAD.decode(part).ok();
    let (Some(header), Some(payload), Some(signature)) =
        (decode(header), decode(payload), decode(signature))
    else {
        return Err(malformed);
    };
    let header: Header<'_> = serde_json::from_slice(&header)
        .map_err(|_| Refusal::InvalidToken("its header is not JSON with an alg"))?;
    if header.crit.is_some() {
        return Err(Refusal::InvalidToken("its header asks for an extension"));
    }
    if is_signed(header.alg, signed.as_bytes(), &signature, keys)? {
        Ok(payload)
    } else {
        Err(Refusal::InvalidToken("its signature is wrong"))
    }
}

fn is_signed(alg: &str, signed: &[u8], signature: &[u8], keys: &Keys) -> Result<bool, Refusal> {
    match (alg, &keys.secret, &keys.public) {
        ("HS256", Some(secret), _) => {
            let mut mac =
                Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
            mac.update(signed);
            // Compares the whole signature, in constant time.
            Ok(mac.verify_slice(signature).is_ok())
        }
        ("EdDSA", _, Some(key)) => Ok(Signature::from_slice(signature)
            .is_ok_and(|signature| key.verify_strict(signed, &signature).is_ok())),
        _ => Err(Refusal::InvalidToken("its algorithm is not accepted here")),
    }
}
