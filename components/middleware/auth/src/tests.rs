//! Tokens, good and forged, against the whole decision.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::{Signer as _, SigningKey};
use hmac::{Hmac, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use spin_sdk::http::HeaderMap;

use crate::admit;
use crate::keys::Keys;
use crate::refusal::Refusal;

const SECRET: &str = "a secret of the tests";
const NOW: f64 = 1_764_000_000.5;

fn signing_key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

fn public_key() -> String {
    URL_SAFE_NO_PAD.encode(signing_key().verifying_key().as_bytes())
}

fn hmac(secret: &[u8], signed: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap();
    mac.update(signed.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn token(header: &Value, claims: &Value, sign: impl Fn(&str) -> Vec<u8>) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(header), part(claims));
    let signature = URL_SAFE_NO_PAD.encode(sign(&signed));
    format!("{signed}.{signature}")
}

fn hs256(claims: &Value) -> String {
    token(&json!({"alg": "HS256", "typ": "JWT"}), claims, |signed| {
        hmac(SECRET.as_bytes(), signed)
    })
}

fn eddsa(claims: &Value) -> String {
    token(&json!({"alg": "EdDSA"}), claims, |signed| {
        signing_key().sign(signed.as_bytes()).to_vec()
    })
}

fn headers(authorization: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("authorization", authorization.parse().unwrap());
    headers
}

fn judge_with(token: &str, secret: &str, public_key: &str) -> Result<Value, Refusal> {
    let keys = Keys::parse(secret, public_key).unwrap();
    let claims = admit(&headers(&format!("Bearer {token}")), &keys, NOW)?;
    let json = URL_SAFE_NO_PAD.decode(claims.as_bytes()).unwrap();
    Ok(serde_json::from_slice(&json).unwrap())
}

fn judge(token: &str) -> Result<Value, Refusal> {
    judge_with(token, SECRET, &public_key())
}

fn code(token: &str) -> &'static str {
    judge(token).expect_err("admitted").code()
}

#[test]
fn a_good_token_admits_with_all_its_claims() {
    let claims = json!({"sub": "ann", "name": "Ann", "exp": 1_764_000_001, "role": ["admin"]});
    assert_eq!(judge(&hs256(&claims)).unwrap(), claims);
    assert_eq!(judge(&eddsa(&claims)).unwrap(), claims);
}

#[test]
fn a_token_need_not_expire() {
    assert!(judge(&hs256(&json!({"sub": "ann"}))).is_ok());
}

#[test]
fn a_token_is_good_between_its_times_to_the_second() {
    let at = |claims: Value| judge(&hs256(&claims)).map(|_| ());
    assert_eq!(
        at(json!({"sub": "ann", "exp": NOW})),
        Err(Refusal::ExpiredToken)
    );
    assert_eq!(at(json!({"sub": "ann", "exp": NOW + 0.5})), Ok(()));
    assert_eq!(at(json!({"sub": "ann", "nbf": NOW})), Ok(()));
    assert_eq!(
        at(json!({"sub": "ann", "nbf": NOW + 0.5})),
        Err(Refusal::NotYetValid)
    );
    assert_eq!(
        code(&hs256(&json!({"sub": "ann", "exp": "1764000001"}))),
        "invalid_token"
    );
    assert_eq!(
        code(&hs256(&json!({"sub": "ann", "nbf": null}))),
        "invalid_token"
    );
}

#[test]
fn a_forged_signature_is_refused() {
    let claims = json!({"sub": "ann"});
    let forged = token(&json!({"alg": "HS256"}), &claims, |signed| {
        hmac(b"another secret", signed)
    });
    assert_eq!(code(&forged), "invalid_token");
    let forged = token(&json!({"alg": "EdDSA"}), &claims, |signed| {
        SigningKey::from_bytes(&[8; 32])
            .sign(signed.as_bytes())
            .to_vec()
    });
    assert_eq!(code(&forged), "invalid_token");
    for good in [hs256(&claims), eddsa(&claims)] {
        let (signed, signature) = good.rsplit_once('.').unwrap();
        let other = URL_SAFE_NO_PAD.encode(json!({"sub": "root"}).to_string());
        let header = signed.split_once('.').unwrap().0;
        assert_eq!(
            code(&format!("{header}.{other}.{signature}")),
            "invalid_token"
        );
        assert_eq!(code(&format!("{signed}.")), "invalid_token");
        let cut = &signature[..signature.len() - 4];
        assert_eq!(code(&format!("{signed}.{cut}")), "invalid_token");
    }
}

#[test]
fn no_other_algorithm_is_accepted_and_never_none() {
    let claims = json!({"sub": "ann"});
    for alg in [
        "none", "None", "NONE", "", "HS384", "RS256", "hs256", "ES256",
    ] {
        let header = json!({"alg": alg});
        assert_eq!(
            code(&token(&header, &claims, |_| Vec::new())),
            "invalid_token"
        );
        let signed = token(&header, &claims, |signed| hmac(SECRET.as_bytes(), signed));
        assert_eq!(code(&signed), "invalid_token", "{alg}");
    }
}

#[test]
fn a_public_key_is_no_secret() {
    let claims = json!({"sub": "ann"});
    let public = signing_key().verifying_key();
    for secret in [public.as_bytes().to_vec(), public_key().into_bytes()] {
        let forged = token(&json!({"alg": "HS256"}), &claims, |signed| {
            hmac(&secret, signed)
        });
        assert!(judge_with(&forged, "", &public_key()).is_err());
        assert!(judge(&forged).is_err());
    }
    let relabelled = token(&json!({"alg": "EdDSA"}), &claims, |signed| {
        hmac(SECRET.as_bytes(), signed)
    });
    assert_eq!(code(&relabelled), "invalid_token");
}

#[test]
fn an_algorithm_needs_a_key_of_its_own() {
    let claims = json!({"sub": "ann"});
    assert!(judge_with(&hs256(&claims), "", &public_key()).is_err());
    assert!(judge_with(&eddsa(&claims), SECRET, "").is_err());
    assert!(judge_with(&eddsa(&claims), "", &public_key()).is_ok());
}

#[test]
fn who_it_is_must_be_said() {
    for claims in [
        json!({}),
        json!({"sub": ""}),
        json!({"sub": 7}),
        json!({"sub": "x".repeat(129)}),
        json!({"sub": "ann", "name": ["Ann"]}),
        json!([1]),
    ] {
        assert_eq!(code(&hs256(&claims)), "invalid_token", "{claims}");
    }
    assert!(judge(&hs256(&json!({"sub": "é".repeat(128)}))).is_ok());
}

#[test]
fn what_is_no_token_is_refused() {
    let good = hs256(&json!({"sub": "ann"}));
    let critical = token(
        &json!({"alg": "HS256", "crit": ["b64"], "b64": false}),
        &json!({"sub": "ann"}),
        |signed| hmac(SECRET.as_bytes(), signed),
    );
    for wrong in [
        "x",
        "..",
        "a.b.c",
        "e30.e30.",
        &format!("{good}."),
        &format!("{good}="),
        &good.replace('.', ".."),
        &"x".repeat(9000),
        &critical,
    ] {
        assert_eq!(code(wrong), "invalid_token", "{wrong}");
    }
}

#[test]
fn without_a_bearer_the_token_is_missing() {
    let keys = Keys::parse(SECRET, "").unwrap();
    let missing = |headers: &HeaderMap| admit(headers, &keys, NOW).unwrap_err();
    assert_eq!(missing(&HeaderMap::new()), Refusal::MissingToken);
    for value in ["Bearer ", "Bearer", "Basic YTpi", ""] {
        assert_eq!(missing(&headers(value)), Refusal::MissingToken, "{value:?}");
    }
    let mut two = headers("Bearer a");
    two.append("authorization", "Bearer b".parse().unwrap());
    assert_eq!(missing(&two).code(), "invalid_token");
}

#[test]
fn a_refusal_is_what_a_connect_error_carries() {
    let body: Value = serde_json::from_str(&Refusal::ExpiredToken.body()).unwrap();
    assert_eq!(
        body,
        json!({"message": "The token has expired: sign in again", "data": {"code": "expired_token"}})
    );
}
