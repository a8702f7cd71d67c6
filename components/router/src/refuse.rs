//! A namespace that no component is: its batch can only be clients that ask to enter, and they are
//! refused in Socket.IO's words.

use std::borrow::Cow;

use parlour_envelope::Failure;
use parlour_protocol::relay::{self, Batch, Command, Event, Refuse, Response};
use serde::de::Error as _;

const INVALID_NAMESPACE: &str = "Invalid namespace";

/// Refuses every `connect` of the batch.
pub fn everyone(body: &[u8]) -> Result<Vec<u8>, Failure> {
    let batch: Batch<'_> = relay::from_slice(body).map_err(Failure::Batch)?;
    let mut commands = Vec::new();
    for event in &batch.events {
        let Event::Connect(connect) = event else {
            continue;
        };
        let socket = batch.sockets.get(connect.socket).ok_or_else(no_socket)?;
        commands.push(Command::Refuse(Refuse {
            socket: Cow::Borrowed(&socket.id),
            message: Cow::Borrowed(INVALID_NAMESPACE),
            data: None,
        }));
    }
    let response = Response {
        commands,
        // Nothing is committed here, so whatever the relay withdraws has not happened.
        done: batch.events.is_empty().then_some(0),
        ..Response::default()
    };
    serde_json::to_vec(&response).map_err(Failure::Encode)
}

/// An event speaks of a socket that the batch does not describe.
pub fn no_socket() -> Failure {
    Failure::Batch(serde_json::Error::custom(
        "an event names a socket that is not in `sockets`",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_for_a_namespace_that_is_not_there_is_told_so() {
        let body = r#"{"sockets": [{"id": "s1", "connection": "c1"}], "events": [
            {"connect": {"socket": 0, "handshake": {"url": "/", "headers": [], "address": "::1", "time": 1}}},
            {"tick": {}}]}"#;
        let response = String::from_utf8(everyone(body.as_bytes()).unwrap()).unwrap();
        assert_eq!(
            response,
            r#"{"commands":[{"refuse":{"socket":"s1","message":"Invalid namespace"}}]}"#
        );
    }

    #[test]
    fn a_batch_without_events_is_told_that_nothing_was_done() {
        let response = String::from_utf8(everyone(br#"{"events":[]}"#).unwrap()).unwrap();
        assert_eq!(response, r#"{"commands":[],"done":0}"#);
    }

    #[test]
    fn a_socket_that_is_not_described_is_the_relays_mistake() {
        let body = r#"{"events": [{"connect": {"socket": 3, "handshake":
            {"url": "/", "headers": [], "address": "::1", "time": 1}}}]}"#;
        assert_eq!(everyone(body.as_bytes()).unwrap_err().status(), 400);
    }
}
