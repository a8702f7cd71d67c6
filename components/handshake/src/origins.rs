//! Which pages may connect: those of the origins that are allowed. Everything else is decided by the namespaces.

use std::borrow::Cow;

use parlour_envelope::Failure;
use parlour_protocol::relay::check::Finding;
use parlour_protocol::relay::{
    self, Admit, Batch, Command, Event, Handshake, Open, Reject, Response,
};

/// Engine.IO's error code for a client that is not wanted.
const FORBIDDEN: u8 = 4;

/// What `allowed_origins` says where every page may connect: also where there is no such variable.
pub const ANY: &str = "*";

/// Answers every `open` of the batch. `allowed` is the variable `allowed_origins`.
pub fn answer(body: &[u8], allowed: &str) -> Result<Vec<u8>, Failure> {
    let batch: Batch<'_> = relay::from_slice(body).map_err(Failure::Batch)?;
    let commands = batch
        .events
        .into_iter()
        .filter_map(|event| match event {
            Event::Open(open) => Some(decide(open, allowed)),
            _ => None,
        })
        .collect();
    let response = Response {
        commands,
        ..Response::default()
    };
    serde_json::to_vec(&response).map_err(Failure::Encode)
}

fn decide<'a>(open: Open<'a>, allowed: &str) -> Command<'a> {
    let connection = open.connection;
    if origin(&open.handshake).is_none_or(|origin| is_allowed(origin, allowed)) {
        return Command::Admit(Admit { connection });
    }
    Command::Reject(Reject {
        connection,
        code: FORBIDDEN,
        message: Cow::Borrowed("Forbidden"),
    })
}

/// Only browsers send an origin; a client that is no browser could send any.
fn origin<'h>(handshake: &'h Handshake<'_>) -> Option<&'h str> {
    handshake
        .headers
        .iter()
        .find(|(name, _)| name == "origin")
        .map(|(_, value)| value.as_ref())
}

fn is_allowed(origin: &str, allowed: &str) -> bool {
    entries(allowed).any(|entry| entry == ANY || entry.eq_ignore_ascii_case(origin))
}

fn entries(allowed: &str) -> impl Iterator<Item = &str> {
    let entries = allowed.split(',');
    entries.map(|entry| entry.trim().trim_end_matches('/'))
}

/// What of `allowed_origins` no browser ever sends.
pub fn findings(allowed: &str) -> Vec<Finding> {
    let is_origin = |entry: &str| {
        let host = entry.split_once("://").map_or("", |(_, host)| host);
        !host.is_empty() && !host.contains(['/', '?', '#', '*', ' '])
    };
    let wrong =
        entries(allowed).filter(|entry| !entry.is_empty() && *entry != ANY && !is_origin(entry));
    let wrong: Vec<String> = wrong.map(|entry| format!("{entry:?}")).collect();
    if wrong.is_empty() {
        return Vec::new();
    }
    vec![Finding::error(format!(
        "the variable allowed_origins has {}, which no browser sends as its origin: write *, or origins such as \
         https://chat.example, separated by commas",
        wrong.join(" and ")
    ))]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(headers: &str, allowed: &str) -> serde_json::Value {
        let body = format!(
            r#"{{"events": [{{"open": {{"connection": "c1", "handshake":
                {{"url": "/socket.io/?EIO=4", "headers": {headers}, "address": "127.0.0.1", "time": 1}}}}}}]}}"#
        );
        let answer = answer(body.as_bytes(), allowed).unwrap();
        serde_json::from_slice(&answer).unwrap()
    }

    const PAGE: &str = r#"[["origin", "https://chat.example"]]"#;

    #[test]
    fn any_page_may_connect_by_default() {
        let response = opened(PAGE, "*");
        assert_eq!(
            response,
            serde_json::json!({"commands": [{"admit": {"connection": "c1"}}]})
        );
    }

    #[test]
    fn a_list_of_origins_admits_those_pages_only() {
        let list = "https://other.example, https://chat.example/";
        assert!(opened(PAGE, list)["commands"][0]["admit"].is_object());
        let reject = &opened(PAGE, "https://other.example")["commands"][0]["reject"];
        assert_eq!(
            *reject,
            serde_json::json!({"connection": "c1", "code": 4, "message": "Forbidden"})
        );
        assert!(opened(PAGE, "https://chat.example.evil")["commands"][0]["reject"].is_object());
        assert!(opened(PAGE, "")["commands"][0]["reject"].is_object());
    }

    #[test]
    fn what_is_no_origin_is_named() {
        for good in [
            "*",
            "",
            "https://a.example, http://b.example:8080/",
            "null://x",
        ] {
            assert_eq!(findings(good), [], "{good}");
        }
        let all = findings("https://a.example,chat.example, https://*.b.example");
        let [finding] = &all[..] else {
            panic!("{all:?}");
        };
        assert!(
            finding
                .message
                .contains("\"chat.example\" and \"https://*.b.example\""),
            "{}",
            finding.message
        );
    }

    #[test]
    fn a_client_without_an_origin_is_no_page() {
        let response = opened("[]", "https://other.example");
        assert!(response["commands"][0]["admit"].is_object());
    }

    #[test]
    fn a_body_that_is_no_batch_is_the_relays_mistake() {
        assert_eq!(answer(b"{}", "*").unwrap_err().status(), 400);
    }
}
