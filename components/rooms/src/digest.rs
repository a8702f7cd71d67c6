//! What is kept of a secret: enough to know it again, and nothing that would let a reader of the database
//! pass for a client. The secrets are random and long, so one round of SHA-256 without salt will do.

use sha2::{Digest as _, Sha256};

/// In hexadecimal digits.
pub fn digest(secret: &str) -> String {
    format!("{:x}", Sha256::digest(secret))
}
