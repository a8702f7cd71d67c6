//! By what a client wants its session back: the part of `auth` that is Socket.IO's own. It does not judge it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::value::{RawValue, to_raw_value};

/// What a client that comes back says in `auth`.
pub struct Claim<'a> {
    pub offset: String,
    auth: BTreeMap<Cow<'a, str>, Box<RawValue>>,
}

impl<'a> Claim<'a> {
    pub fn read(auth: &'a str) -> Option<Claim<'a>> {
        if !auth.contains("\"offset\"") {
            return None;
        }
        let auth: BTreeMap<Cow<'_, str>, Box<RawValue>> = serde_json::from_str(auth).ok()?;
        let offset = serde_json::from_str(auth.get("offset")?.get()).ok()?;
        Some(Claim { offset, auth })
    }

    pub fn with_offset(mut self, offset: u64) -> String {
        if let Ok(offset) = to_raw_value(&offset.to_string()) {
            self.auth.insert("offset".into(), offset);
        }
        self.json()
    }

    pub fn without_session(mut self) -> String {
        for key in ["pid", "offset"] {
            self.auth.remove(key);
        }
        self.json()
    }

    fn json(&self) -> String {
        serde_json::to_string(&self.auth).unwrap_or_else(|_| "{}".into())
    }
}
