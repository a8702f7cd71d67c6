//! Secrets by which clients recover their sessions: twenty characters that cannot be guessed, as
//! Node's `base64id` makes them.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

/// Bytes of randomness.
const BYTES: usize = 15;

pub(crate) fn random() -> String {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes).expect("the host has random numbers");
    URL_SAFE_NO_PAD.encode(bytes)
}
