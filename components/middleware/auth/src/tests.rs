//! Tokens, good and forged, against the whole decision.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::{Signer as _, SigningKey};
use futures::executor::block_on;
use hmac::{Hmac, Mac as _};
use p256::ecdsa::signature::SignatureEncoding as _;
use rsa::traits::PublicKeyParts as _;
use serde_json::{Value, json};
use sha2::Sha256;
use spin_sdk::http::HeaderMap;

use crate::refusal::Refusal;
use crate::settings::{Settings, Texts};

const SECRET: &str = "a secret of the tests, and a long one";
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

/// The whole decision. Nothing in it waits for anything, unless there is a URL.
fn admit(headers: &HeaderMap, texts: &Texts) -> Result<Value, Refusal> {
    let settings = Settings::parse(texts).unwrap();
    let claims = block_on(crate::admit(headers, &settings, NOW))?;
    let json = URL_SAFE_NO_PAD.decode(claims.as_bytes()).unwrap();
    Ok(serde_json::from_slice(&json).unwrap())
}

fn judge_by(token: &str, texts: &Texts) -> Result<Value, Refusal> {
    admit(&headers(&format!("Bearer {token}")), texts)
}

fn judge_with(token: &str, secret: &str, public_key: &str) -> Result<Value, Refusal> {
    let texts = Texts {
        secret: secret.into(),
        public_key: public_key.into(),
        allow_unlimited: "true".into(),
        ..Texts::default()
    };
    judge_by(token, &texts)
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
fn a_token_must_end_unless_it_is_said_that_it_need_not() {
    let unlimited = hs256(&json!({"sub": "ann"}));
    let limited = hs256(&json!({"sub": "ann", "exp": NOW + 1.0}));
    for (allow, expected) in [("", false), ("false", false), ("true", true)] {
        let texts = Texts {
            secret: SECRET.into(),
            allow_unlimited: allow.into(),
            ..Texts::default()
        };
        assert!(judge_by(&limited, &texts).is_ok());
        let judged = judge_by(&unlimited, &texts);
        assert_eq!(judged.is_ok(), expected, "{allow:?}");
        if let Err(refusal) = judged {
            assert!(refusal.to_string().contains("no exp"), "{refusal}");
        }
    }
}

#[test]
fn a_token_is_from_the_issuer_and_for_the_audience_that_are_set() {
    let texts = Texts {
        secret: SECRET.into(),
        issuer: "https://id.example".into(),
        audience: "chat".into(),
        ..Texts::default()
    };
    let judge = |iss: Value, aud: Value| {
        let claims = json!({"sub": "ann", "exp": NOW + 1.0, "iss": iss, "aud": aud});
        judge_by(&hs256(&claims), &texts).is_ok()
    };
    let issuer = || json!("https://id.example");
    assert!(judge(issuer(), json!("chat")));
    assert!(judge(issuer(), json!(["mail", "chat"])));
    assert!(!judge(issuer(), json!("chats")));
    assert!(!judge(issuer(), json!(["mail"])));
    assert!(!judge(issuer(), json!(null)));
    assert!(!judge(json!("https://id.example/"), json!("chat")));
    assert!(!judge(json!(["https://id.example"]), json!("chat")));
    assert!(!judge(json!(null), json!("chat")));
}

/// A set of a P-256, an RSA and an Ed25519 key, and by which names.
fn key_set() -> (p256::ecdsa::SigningKey, rsa::RsaPrivateKey, Value) {
    let p256 = p256::ecdsa::SigningKey::from_slice(&[9; 32]).unwrap();
    let point = p256.verifying_key().to_encoded_point(false);
    let rsa = rsa_key();
    let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let set = json!({ "keys": [
        { "kty": "EC", "crv": "P-256", "kid": "ec", "alg": "ES256",
          "x": part(point.x().unwrap()), "y": part(point.y().unwrap()) },
        { "kty": "RSA", "kid": "rsa", "use": "sig",
          "n": part(&rsa.n().to_bytes_be()), "e": part(&rsa.e().to_bytes_be()) },
        { "kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": public_key() },
    ]});
    (p256, rsa, set)
}

/// A key of 2048 bits that everybody has seen: that of RFC 7515, appendix A.2.
fn rsa_key() -> rsa::RsaPrivateKey {
    let number = |text: &str| rsa::BigUint::from_bytes_be(&URL_SAFE_NO_PAD.decode(text).unwrap());
    let n = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";
    let d = "Eq5xpGnNCivDflJsRQBXHx1hdR1k6Ulwe2JZD50LpXyWPEAeP88vLNO97IjlA7_GQ5sLKMgvfTeXZx9SE-7YwVol2NXOoAJe46sui395IW_GO-pWJ1O0BkTGoVEn2bKVRUCgu-GjBVaYLU6f3l9kJfFNS3E0QbVdxzubSu3Mkqzjkn439X0M_V51gfpRLI9JYanrC4D4qAdGcopV_0ZHHzQlBjudU2QvXt4ehNYTCBr6XCLQUShb1juUO1ZdiYoFaFQT5Tw8bGUl_x_jTj3ccPDVZFD9pIuhLhBOneufuBiB4cS98l2SR_RQyGWSeWjnczT0QU91p1DhOVRuOopznQ";
    let p = "4BzEEOtIpmVdVEZNCqS7baC4crd0pqnRH_5IB3jw3bcxGn6QLvnEtfdUdiYrqBdss1l58BQ3KhooKeQTa9AB0Hw_Py5PJdTJNPY8cQn7ouZ2KKDcmnPGBY5t7yLc1QlQ5xHdwW1VhvKn-nXqhJTBgIPgtldC-KDV5z-y2XDwGUc";
    let q = "uQPEfgmVtjL0Uyyx88GZFF1fOunH3-7cepKmtH4pxhtCoHqpWmT8YAmZxaewHgHAjLYsp1ZSe7zFYHj7C6ul7TjeLQeZD_YwD66t62wDmpe_HlB-TnBA-njbglfIsRLtXlnDzQkv5dTltRJ11BKBBypeeF6689rjcJIDEz9RWdc";
    let primes = vec![number(p), number(q)];
    rsa::RsaPrivateKey::from_components(number(n), number("AQAB"), number(d), primes).unwrap()
}

#[test]
fn a_token_is_checked_by_the_key_that_it_names() {
    let (p256, rsa, set) = key_set();
    let texts = Texts {
        jwks: set.to_string(),
        ..Texts::default()
    };
    let claims = json!({"sub": "ann", "exp": NOW + 1.0});
    let es256 = |kid: Value| {
        token(&json!({"alg": "ES256", "kid": kid}), &claims, |signed| {
            let signature: p256::ecdsa::Signature = p256.sign(signed.as_bytes());
            signature.to_bytes().to_vec()
        })
    };
    let rs256 = |kid: Value| {
        let key = rsa::pkcs1v15::SigningKey::<Sha256>::new(rsa.clone());
        token(&json!({"alg": "RS256", "kid": kid}), &claims, |signed| {
            key.sign(signed.as_bytes()).to_vec()
        })
    };
    let eddsa = |kid: Value| {
        token(&json!({"alg": "EdDSA", "kid": kid}), &claims, |signed| {
            signing_key().sign(signed.as_bytes()).to_vec()
        })
    };
    let is_good = |token: String| judge_by(&token, &texts).is_ok();
    assert!(is_good(es256(json!("ec"))) && is_good(rs256(json!("rsa"))));
    assert!(is_good(eddsa(json!("ed"))));
    // Without a name each that fits is tried.
    assert!(is_good(es256(json!(null))) && is_good(rs256(json!(null))));
    for kid in ["rsa", "ed", "unknown", ""] {
        assert!(!is_good(es256(json!(kid))), "{kid}");
    }
    for forged in [es256(json!("ec")), rs256(json!("rsa"))] {
        let (signed, _) = forged.rsplit_once('.').unwrap();
        for length in [0, 64, 256] {
            let signature = URL_SAFE_NO_PAD.encode(vec![1; length]);
            assert!(!is_good(format!("{signed}.{signature}")));
        }
    }
    // A public key is no secret, whatever the token says.
    let forged = token(&json!({"alg": "HS256", "kid": "rsa"}), &claims, |signed| {
        hmac(&rsa.n().to_bytes_be(), signed)
    });
    assert!(!is_good(forged));
}

#[test]
fn a_secret_may_have_a_name_and_a_name_is_no_hindrance_to_one_that_has_none() {
    let claims = json!({"sub": "ann", "exp": NOW + 1.0});
    let named = |secret: &[u8], kid: &str| {
        let secret = secret.to_vec();
        token(
            &json!({"alg": "HS256", "kid": kid}),
            &claims,
            move |signed| hmac(&secret, signed),
        )
    };
    let (old, new) = ([1; 32], [2; 32]);
    let key = |kid: &str, secret: &[u8]| json!({"kty": "oct", "kid": kid, "k": URL_SAFE_NO_PAD.encode(secret)});
    let texts = Texts {
        secret: SECRET.into(),
        jwks: json!({"keys": [key("old", &old), key("new", &new)]}).to_string(),
        ..Texts::default()
    };
    let is_good = |token: String| judge_by(&token, &texts).is_ok();
    assert!(is_good(named(&old, "old")) && is_good(named(&new, "new")));
    assert!(!is_good(named(&old, "new")) && !is_good(named(SECRET.as_bytes(), "new")));
    assert!(is_good(named(SECRET.as_bytes(), "anything")));
    assert!(!is_good(named(&old, "anything")));
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
fn a_bearer_is_taken_as_clients_send_it() {
    for value in [
        "Bearer t",
        "bearer  t ",
        "BEARER\tt",
        "Bearer Bearer t",
        " Bearer bearer\tt",
    ] {
        assert_eq!(crate::token::bearer(&headers(value)), Ok("t"), "{value:?}");
    }
    assert_eq!(
        crate::token::bearer(&headers("Bearer bearert")),
        Ok("bearert")
    );
}

#[test]
fn without_a_bearer_the_token_is_missing() {
    let texts = Texts {
        secret: SECRET.into(),
        ..Texts::default()
    };
    let missing = |headers: &HeaderMap| admit(headers, &texts).unwrap_err();
    assert_eq!(missing(&HeaderMap::new()), Refusal::MissingToken);
    for value in [
        "Bearer ",
        "Bearer",
        "Bearer Bearer",
        "Bearert",
        "Basic YTpi",
        "",
    ] {
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
