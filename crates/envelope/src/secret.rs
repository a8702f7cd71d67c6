//! Who may send batches: who knows the secret.

use spin_sdk::http::HeaderMap;
use subtle::ConstantTimeEq as _;

use crate::Failure;

/// Checks `authorization: Bearer <secret>`. Takes the same time wherever the two differ.
pub fn check(headers: &HeaderMap, secret: &str) -> Result<(), Failure> {
    if secret.is_empty() {
        return Err(Failure::Variable {
            name: "relay_secret",
            problem: "is empty: set the secret that the relay sends".to_owned(),
        });
    }
    let sent = headers
        .get("authorization")
        .and_then(|value| value.as_bytes().split_at_checked("Bearer ".len()))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"Bearer "))
        .map(|(_, secret)| secret)
        .ok_or(Failure::Secret)?;
    if bool::from(sent.ct_eq(secret.as_bytes())) {
        Ok(())
    } else {
        Err(Failure::Secret)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_secret_admits_a_relay() {
        let with = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("authorization", value.parse().unwrap());
            headers
        };
        assert!(check(&with("Bearer hunter2"), "hunter2").is_ok());
        assert!(check(&with("bearer hunter2"), "hunter2").is_ok());
        for wrong in [
            "Bearer hunter",
            "Bearer hunter22",
            "Bearer ",
            "Bearer",
            "hunter2",
            "Basic hunter2",
        ] {
            let failure = check(&with(wrong), "hunter2").unwrap_err();
            assert_eq!(failure.status(), 401, "{wrong}");
        }
        let failure = check(&HeaderMap::new(), "hunter2").unwrap_err();
        assert_eq!(failure.status(), 401);
    }

    #[test]
    fn an_empty_secret_admits_nobody() {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", "Bearer ".parse().unwrap());
        assert_eq!(check(&headers, "").unwrap_err().status(), 500);
    }
}
