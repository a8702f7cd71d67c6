//! What tokens are checked with: the shared secret of HS256, an Ed25519 public key, or both.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::VerifyingKey;
use ed25519_dalek::pkcs8::DecodePublicKey as _;

/// The bytes of an Ed25519 public key (RFC 8032).
const PUBLIC_KEY_BYTES: usize = 32;

pub struct Keys {
    /// For HS256, where one is configured.
    pub secret: Option<Vec<u8>>,
    /// For EdDSA, where one is configured.
    pub public: Option<VerifyingKey>,
}

impl Keys {
    /// From the variables `auth_secret` and `auth_public_key`; an empty one is none.
    pub fn parse(secret: &str, public_key: &str) -> Result<Self, String> {
        let keys = Self {
            secret: (!secret.is_empty()).then(|| secret.as_bytes().to_vec()),
            public: match public_key.trim() {
                "" => None,
                text => Some(public(text)?),
            },
        };
        if keys.secret.is_none() && keys.public.is_none() {
            return Err(
                "there is nothing to check tokens with: set the variable auth_secret (HS256) or \
                 auth_public_key (EdDSA)"
                    .to_owned(),
            );
        }
        Ok(keys)
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
    let bytes: [u8; PUBLIC_KEY_BYTES] = bytes
        .try_into()
        .map_err(|bytes: Vec<u8>| problem(format!("it has {} bytes", bytes.len())))?;
    let key = VerifyingKey::from_bytes(&bytes).map_err(|error| problem(error.to_string()))?;
    if key.is_weak() {
        return Err(problem(
            "it is a weak key, which verifies anything".to_owned(),
        ));
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
        let raw = Keys::parse("", RAW).unwrap().public.unwrap();
        let pem = Keys::parse("", PEM).unwrap().public.unwrap();
        assert_eq!(raw, pem);
        assert_eq!(URL_SAFE_NO_PAD.encode(raw.as_bytes()), RAW);
    }

    #[test]
    fn what_is_no_key_is_said() {
        let private = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
        // All zero bytes: a point of small order.
        let weak = "A".repeat(43);
        for wrong in ["hello", "AAAA", "!", private, &weak] {
            let problem = Keys::parse("", wrong).err().unwrap();
            assert!(problem.contains("auth_public_key"), "{problem}");
        }
    }

    #[test]
    fn without_any_key_nothing_is_checked_and_nobody_admitted() {
        let problem = Keys::parse("", " ").err().unwrap();
        assert!(problem.contains("auth_secret") && problem.contains("auth_public_key"));
    }
}
