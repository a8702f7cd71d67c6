//! Which pages may connect: those of the origins that are allowed. Everything else is decided by the namespaces.

use std::borrow::Cow;

use parlour_envelope::Failure;
use parlour_protocol::relay::{
    self, Admit, Batch, Command, Event, Handshake, Open, Reject, Response,
};

/// Engine.IO's error code for a client that is not wanted.
const FORBIDDEN: u8 = 4;

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
    allowed
        .split(',')
        .map(|entry| entry.trim().trim_end_matches('/'))
        .any(|entry| entry == "*" || entry.eq_ignore_ascii_case(origin))
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
    fn a_client_without_an_origin_is_no_page() {
        let response = opened("[]", "https://other.example");
        assert!(response["commands"][0]["admit"].is_object());
    }

    #[test]
    fn a_body_that_is_no_batch_is_the_relays_mistake() {
        assert_eq!(answer(b"{}", "*").unwrap_err().status(), 400);
    }
}
