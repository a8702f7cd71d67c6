//! A JSON Web Token's outside: where it is in a request, and its parts (RFC 7515).

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;
use spin_sdk::http::HeaderMap;

use crate::refusal::Refusal;

/// The most bytes a token has.
const MAX_TOKEN_BYTES: usize = 8 * 1024;

const SCHEME: &str = "bearer";

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
    let mut token = after_scheme(value.trim()).ok_or(Refusal::MissingToken)?;
    // Clients that keep a token with its scheme add another one.
    while let Some(rest) = after_scheme(token) {
        token = rest;
    }
    match token {
        "" => Err(Refusal::MissingToken),
        token => Ok(token),
    }
}

/// What comes after `Bearer`, without the white space around it.
fn after_scheme(value: &str) -> Option<&str> {
    let (scheme, rest) = value.split_at_checked(SCHEME.len())?;
    let is_it = scheme.eq_ignore_ascii_case(SCHEME)
        && (rest.is_empty() || rest.starts_with(char::is_whitespace));
    is_it.then(|| rest.trim())
}

/// Its parts. Nothing is known yet of whether it is signed.
pub struct Token<'a> {
    header: Header,
    /// What the signature is of.
    pub signed: &'a [u8],
    payload: Vec<u8>,
    pub signature: Vec<u8>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    /// By which of several keys it is signed.
    kid: Option<String>,
    /// Extensions that must be understood; there are none that we do.
    crit: Option<serde::de::IgnoredAny>,
}

impl<'a> Token<'a> {
    pub fn read(token: &'a str) -> Result<Self, Refusal> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(Refusal::InvalidToken("it is too long"));
        }
        let malformed = Refusal::InvalidToken("it is not three parts of base64url");
        let parts: Vec<&str> = token.split('.').collect();
        let [header, payload, signature] = parts[..] else {
            return Err(malformed);
        };
        let signed = &token.as_bytes()[..header.len() + 1 + payload.len()];
        let decode = |part| URL_SAFE_NO_PAD.decode(part).ok();
        let (Some(header), Some(payload), Some(signature)) =
            (decode(header), decode(payload), decode(signature))
        else {
            return Err(malformed);
        };
        let header: Header = serde_json::from_slice(&header)
            .map_err(|_| Refusal::InvalidToken("its header is not JSON with an alg"))?;
        if header.crit.is_some() {
            return Err(Refusal::InvalidToken("its header asks for an extension"));
        }
        Ok(Self {
            header,
            signed,
            payload,
            signature,
        })
    }

    pub fn alg(&self) -> &str {
        &self.header.alg
    }

    pub fn kid(&self) -> Option<&str> {
        self.header.kid.as_deref()
    }

    /// Means something only once the signature is known to be good.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }
}
