//! JSON Web Key Sets (RFC 7517): the keys in them that can check signatures here. What a set has besides, keys
//! for encryption or of other kinds, is nobody's mistake and left out.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use p256::EncodedPoint;
use rsa::traits::PublicKeyParts as _;
use rsa::{BigUint, RsaPublicKey, pkcs1v15};
use serde::Deserialize;

use super::{Key, Kind, MIN_SECRET_BYTES, ed25519};

/// Bits of an RSA key that are enough (RFC 7518, section 3.3).
const MIN_RSA_BITS: usize = 2048;

/// The most keys of one set.
const MAX_KEYS: usize = 64;

/// Where a set is from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Source {
    /// It may have secret keys, which sign as well, and a mistake in it is ours.
    Variable,
    /// It is somebody else's: one bad key must not shut out all users of the others.
    Published,
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
    n: Option<String>,
    e: Option<String>,
    k: Option<String>,
}

/// The keys of a set. The error is the end of a sentence about the set.
pub fn set(json: &[u8], source: Source) -> Result<Vec<Key>, String> {
    let set: Set = serde_json::from_slice(json)
        .map_err(|error| format!("is no JSON Web Key Set, {{\"keys\": […]}}: {error}"))?;
    if set.keys.len() > MAX_KEYS {
        return Err(format!("has more than {MAX_KEYS} keys"));
    }
    let mut keys = Vec::new();
    for value in set.keys {
        match key(value, source) {
            Ok(key) => keys.extend(key),
            Err(problem) if source == Source::Published => {
                eprintln!("auth: the key set at auth_jwks_url {problem}");
            }
            Err(problem) => return Err(problem),
        }
    }
    if keys.is_empty() {
        return Err("has no key for EdDSA, ES256 or RS256 signatures".to_owned());
    }
    Ok(keys)
}

fn key(value: serde_json::Value, source: Source) -> Result<Option<Key>, String> {
    let jwk: Jwk = serde_json::from_value(value)
        .map_err(|error| format!("has a key that is none: {error}"))?;
    let name = jwk.kid.clone();
    let kind = jwk
        .kind(source)
        .map_err(|problem| format!("has a key {name:?} that is none: {problem}"))?;
    Ok(kind.map(|kind| Key { name, kind }))
}

impl Jwk {
    /// None: it is not for signatures, or of a kind that is not known here.
    fn kind(self, source: Source) -> Result<Option<Kind>, String> {
        if self.usage.as_deref().is_some_and(|usage| usage != "sig") {
            return Ok(None);
        }
        let kind = match (&*self.kty, self.crv.as_deref()) {
            ("OKP", Some("Ed25519")) => Kind::EdDsa(ed25519(&bytes(&self.x, "x")?)?),
            ("EC", Some("P-256")) => Kind::Es256(self.p256()?),
            ("RSA", _) => Kind::Rs256(pkcs1v15::VerifyingKey::new(self.rsa()?)),
            ("oct", _) if source == Source::Variable => {
                let secret = bytes(&self.k, "k")?;
                if secret.len() < MIN_SECRET_BYTES {
                    return Err(format!("its k has less than {MIN_SECRET_BYTES} bytes"));
                }
                Kind::Hs256(secret)
            }
            _ => return Ok(None),
        };
        let is_for_it = self.alg.is_none_or(|alg| alg == kind.algorithm());
        Ok(is_for_it.then_some(kind))
    }

    fn p256(&self) -> Result<p256::ecdsa::VerifyingKey, String> {
        let coordinate = |text, name| -> Result<[u8; 32], String> {
            let bytes = bytes(text, name)?;
            bytes
                .try_into()
                .map_err(|_| format!("its {name} has not 32 bytes"))
        };
        let (x, y) = (coordinate(&self.x, "x")?, coordinate(&self.y, "y")?);
        let point = EncodedPoint::from_affine_coordinates(&x.into(), &y.into(), false);
        p256::ecdsa::VerifyingKey::from_encoded_point(&point)
            .map_err(|_| "its x and y are no point of P-256".to_owned())
    }

    fn rsa(&self) -> Result<RsaPublicKey, String> {
        let number = |text, name| bytes(text, name).map(|bytes| BigUint::from_bytes_be(&bytes));
        let key = RsaPublicKey::new(number(&self.n, "n")?, number(&self.e, "e")?)
            .map_err(|error| error.to_string())?;
        if key.n().bits() < MIN_RSA_BITS {
            return Err(format!("it has less than {MIN_RSA_BITS} bits"));
        }
        Ok(key)
    }
}

fn bytes(text: &Option<String>, name: &str) -> Result<Vec<u8>, String> {
    let text = text.as_ref().ok_or_else(|| format!("it has no {name}"))?;
    URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|error| format!("its {name} is no base64url: {error}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// RFC 8037, appendix A; RFC 7517, appendix A.1; RFC 7515, appendix A.3.
    const ED25519: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

    fn names(keys: serde_json::Value, source: Source) -> Result<Vec<String>, String> {
        let keys = set(json!({ "keys": keys }).to_string().as_bytes(), source)?;
        Ok(keys.into_iter().map(|key| key.name.unwrap()).collect())
    }

    #[test]
    fn what_is_not_for_signatures_is_left_out() {
        let good = json!({ "kty": "OKP", "crv": "Ed25519", "x": ED25519, "kid": "good" });
        let secret = json!({ "kty": "oct", "kid": "secret", "k": "A".repeat(43) });
        let others = json!([
            good,
            { "kty": "OKP", "crv": "Ed25519", "x": ED25519, "kid": "1", "use": "enc" },
            { "kty": "OKP", "crv": "X25519", "x": ED25519, "kid": "2" },
            { "kty": "OKP", "crv": "Ed25519", "x": ED25519, "kid": "3", "alg": "RS256" },
            { "kty": "EC", "crv": "P-521", "kid": "4" },
            { "kty": "new", "kid": "5" },
            secret,
        ]);
        assert_eq!(names(others.clone(), Source::Published).unwrap(), ["good"]);
        assert_eq!(names(others, Source::Variable).unwrap(), ["good", "secret"]);
    }

    #[test]
    fn a_key_that_is_none_is_named() {
        for (key, said) in [
            (json!({ "kid": "a" }), "kty"),
            (
                json!({ "kty": "OKP", "crv": "Ed25519", "kid": "a" }),
                "\"a\"",
            ),
            (
                json!({ "kty": "EC", "crv": "P-256", "kid": "a", "x": ED25519, "y": ED25519 }),
                "no point of P-256",
            ),
            (
                json!({ "kty": "RSA", "kid": "a", "n": "AQAB".repeat(40), "e": "AQAB" }),
                "less than 2048 bits",
            ),
            (
                json!({ "kty": "oct", "kid": "a", "k": "AQAB" }),
                "less than 32 bytes",
            ),
        ] {
            let problem = names(json!([key]), Source::Variable).unwrap_err();
            assert!(problem.contains(said), "{problem}");
            let good = json!({ "kty": "OKP", "crv": "Ed25519", "x": ED25519, "kid": "good" });
            assert_eq!(
                names(json!([key, good]), Source::Published).unwrap(),
                ["good"]
            );
        }
        assert!(set(b"<html>", Source::Published).is_err());
        assert!(set(b"{\"keys\":[]}", Source::Published).is_err());
    }
}
