//! A token of a client: nothing panics, and none is taken for good whose signature is not ours.
//! Three lines: a token, and the header and the payload of one that is signed here.
//! The files are compiled in as they are, because the component's crate only links for Wasm.
#![no_main]

#[path = "../../components/middleware/auth/src"]
mod auth {
    pub mod claims;
    pub mod keys;
    pub mod refusal;
    pub mod token;
}

use auth::{claims, keys, refusal, token};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac as _};
use libfuzzer_sys::fuzz_target;
use sha2::Sha256;

const SECRET: &str = "the secret of the fuzz target, long enough for HS256";

fn verify(token: &str) -> Option<Vec<u8>> {
    let keys = keys::Keys::parse(SECRET, "", "").expect("a secret is enough");
    let token = token::Token::read(token).ok()?;
    keys.verify(&token).ok().map(|()| token.payload().to_vec())
}

fn sign(signed: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("any length will do");
    mac.update(signed.as_bytes());
    URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
}

fuzz_target!(|input: &[u8]| {
    let mut lines = input.splitn(3, |byte| *byte == b'\n');
    let mut line = || lines.next().unwrap_or_default();
    let (token, header, payload) = (line(), line(), line());
    // A token as it comes: good only with the signature that the secret gives.
    let token = String::from_utf8_lossy(token);
    if verify(&token).is_some() {
        // White space and the word Bearer may stand around it.
        let bare = token.split_whitespace().last().unwrap_or_default();
        let (signed, signature) = bare.rsplit_once('.').expect("a token has three parts");
        assert_eq!(signature, sign(signed));
    }
    // Signed well, so that header and payload are read.
    let signed = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(payload)
    );
    if let Some(read) = verify(&format!("{signed}.{}", sign(&signed))) {
        assert_eq!(read, payload);
    }
    let rules = claims::Rules {
        issuer: Some("i".into()),
        audience: Some("a".into()),
        allow_unlimited: false,
    };
    for rules in [rules, claims::Rules::default()] {
        let _ = claims::checked(payload, &rules, 1_764_000_000.0);
    }
    // Keys that somebody publishes.
    let _ = keys::Keys::published(payload);
});
