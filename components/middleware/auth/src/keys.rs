//! What tokens are checked with. Each kind of key has one algorithm, so that no token can choose how it is
//! checked: HS256 and RS256 (RFC 7518), ES256 with P-256, EdDSA with Ed25519 (RFC 8037).

mod jwk;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::VerifyingKey;
use ed25519_dalek::pkcs8::DecodePublicKey as _;
use hmac::{Hmac, Mac as _};
use p256::ecdsa::signature::Verifier as _;
use rsa::pkcs1v15;
use sha2::Sha256;

use crate::refusal::Refusal;
use crate::token::Token;

/// The bytes of an Ed25519 public key (RFC 8032).
const PUBLIC_KEY_BYTES: usize = 32;

/// Bytes of a secret that are enough (RFC 7518, section 3.2).
const MIN_SECRET_BYTES: usize = 32;

/// Keys that are tried for a token which does not say by which it is signed.
const MAX_TRIED: usize = 8;

/// Keys, of which some have names.
#[derive(Debug, Default)]
pub struct Keys(Vec<Key>);

#[derive(Debug)]
pub struct Key {
    /// Its name, `kid`.
    name: Option<String>,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Hs256(Vec<u8>),
    EdDsa(VerifyingKey),
    Es256(p256::ecdsa::VerifyingKey),
    Rs256(pkcs1v15::VerifyingKey<Sha256>),
}

impl Keys {
    /// From the variables `auth_secret`, `auth_public_key` and `auth_jwks`; an empty one is none.
    pub fn parse(secret: &str, public_key: &str, jwks: &str) -> Result<Self, String> {
        let unnamed = |kind| Key { name: None, kind };
        let mut keys = Vec::new();
        if !secret.is_empty() {
            if secret.len() < MIN_SECRET_BYTES {
                return Err(format!(
                    "the variable auth_secret has {} bytes, and HS256 needs {MIN_SECRET_BYTES} at least, or it can be \
                     guessed: make one with `openssl rand -base64 32`",
                    secret.len()
                ));
            }
            keys.push(unnamed(Kind::Hs256(secret.as_bytes().to_vec())));
        }
        if !public_key.trim().is_empty() {
            keys.push(unnamed(Kind::EdDsa(public(public_key.trim())?)));
        }
        if !jwks.trim().is_empty() {
            let set = jwk::set(jwks.as_bytes(), jwk::Source::Variable);
            keys.extend(set.map_err(|problem| format!("the variable auth_jwks {problem}"))?);
        }
        Ok(Self(keys))
    }

    /// From a set that was published: a key that everybody can read is no secret.
    pub fn published(json: &[u8]) -> Result<Self, String> {
        jwk::set(json, jwk::Source::Published).map(Self)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether there is a key of this name.
    pub fn has(&self, kid: &str) -> bool {
        self.0.iter().any(|key| key.name.as_deref() == Some(kid))
    }

    /// Checks the signature: by the key that the token names, else by those without a name, or all where it
    /// names none.
    pub fn verify(&self, token: &Token<'_>) -> Result<(), Refusal> {
        let named = token.kid().filter(|kid| self.has(kid));
        let is_meant = |key: &&Key| match (named, token.kid()) {
            (Some(name), _) => key.name.as_deref() == Some(name),
            (None, Some(_)) => key.name.is_none(),
            (None, None) => true,
        };
        let keys = self.0.iter().filter(is_meant);
        let fitting = keys.filter(|key| key.kind.algorithm() == token.alg());
        let mut tried = false;
        for key in fitting.take(MAX_TRIED) {
            tried = true;
            if key.kind.has_signed(token.signed, &token.signature) {
                return Ok(());
            }
        }
        Err(Refusal::InvalidToken(if tried {
            "its signature is wrong"
        } else if named.is_none() && token.kid().is_some() {
            "its key is not known here, or not for its algorithm"
        } else {
            "its algorithm is not accepted here"
        }))
    }
}

impl Kind {
    fn algorithm(&self) -> &'static str {
        match self {
            Self::Hs256(_) => "HS256",
            Self::EdDsa(_) => "EdDSA",
            Self::Es256(_) => "ES256",
            Self::Rs256(_) => "RS256",
        }
    }

    fn has_signed(&self, signed: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Hs256(secret) => {
                let mut mac =
                    Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
                mac.update(signed);
                // Compares the whole signature, in constant time.
                mac.verify_slice(signature).is_ok()
            }
            Self::EdDsa(key) => ed25519_dalek::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify_strict(signed, &signature).is_ok()),
            Self::Es256(key) => p256::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify(signed, &signature).is_ok()),
            Self::Rs256(key) => pkcs1v15::Signature::try_from(signature)
                .is_ok_and(|signature| key.verify(signed, &signature).is_ok()),
        }
    }
}

fn public(text: &str) -> Result<VerifyingKey, String> {
    let problem = |what: String| {
        format!(
            "the variable auth_public_key is no Ed25519 public key, neither PEM nor {PUBLIC_KEY_BYTES} bytes in \
             base64url: {what}"
        )
    };
    if text.starts_with("-----BEGIN") {
        return VerifyingKey::from_public_key_pem(text).map_err(|error| problem(error.to_string()));
    }
    let bytes = URL_SAFE_NO_PAD
        .decode(text.trim_end_matches('='))
        .map_err(|error| problem(error.to_string()))?;
    ed25519(&bytes).map_err(problem)
}

fn ed25519(bytes: &[u8]) -> Result<VerifyingKey, String> {
    let bytes: [u8; PUBLIC_KEY_BYTES] = bytes
        .try_into()
        .map_err(|_| format!("it has {} bytes", bytes.len()))?;
    let key = VerifyingKey::from_bytes(&bytes).map_err(|error| error.to_string())?;
    if key.is_weak() {
        return Err("it is a weak key, which verifies anything".to_owned());
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    // The key of RFC 8037, appendix A.
    const RAW: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
    const PEM: &str = "-----BEGIN PUBLIC KEY-----\n\
        MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n\
        -----END PUBLIC KEY-----\n";

    #[test]
    fn a_public_key_may_be_pem_or_base64url() {
        let (raw, pem) = (public(RAW).unwrap(), public(PEM.trim()).unwrap());
        assert_eq!(raw, pem);
        assert_eq!(URL_SAFE_NO_PAD.encode(raw.as_bytes()), RAW);
    }

    #[test]
    fn what_is_no_key_is_said() {
        let private = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        // All zero bytes: a point of small order.
        let weak = "A".repeat(43);
        for wrong in ["hello", "AAAA", "!", private, &weak] {
            let problem = Keys::parse("", wrong, "").err().unwrap();
            assert!(problem.contains("auth_public_key"), "{problem}");
        }
    }

    #[test]
    fn a_secret_that_could_be_guessed_is_refused_with_the_way_to_make_one() {
        let problem = Keys::parse(&"x".repeat(31), "", "").err().unwrap();
        assert!(
            problem.contains("auth_secret has 31 bytes") && problem.contains("openssl rand"),
            "{problem}"
        );
        assert!(Keys::parse(&"x".repeat(32), "", "").is_ok());
    }

    #[test]
    fn empty_variables_are_no_keys() {
        assert!(Keys::parse("", " ", " ").unwrap().is_empty());
    }
}
