//! The answer to a WebSocket handshake, as `ws` gives it, which is the reference's WebSocket server.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

use crate::core::origin::Body;
use crate::server::respond::respond;
use crate::wire::ws;

/// The answer to a legal handshake, or what is wrong with it, in the words of `ws`.
pub fn switching_protocols(headers: &HeaderMap) -> Result<Response<Body>, &'static str> {
    const KEY: &str = "Missing or invalid Sec-WebSocket-Key header";
    const VERSION: &str = "Missing or invalid Sec-WebSocket-Version header";
    const PROTOCOL: &str = "Invalid Sec-WebSocket-Protocol header";
    let key = headers.get(header::SEC_WEBSOCKET_KEY).ok_or(KEY)?;
    if key.len() != 24 {
        return Err(KEY);
    }
    // Frames of version 8 are those of version 13.
    let version = headers.get(header::SEC_WEBSOCKET_VERSION);
    if !version.is_some_and(|version| version == "13" || version == "8") {
        return Err(VERSION);
    }
    let protocol = first_protocol(headers).map_err(|Invalid| PROTOCOL)?;
    let accept = HeaderValue::from_str(&ws::accept_key(key.as_bytes())).map_err(|_| KEY)?;
    let mut response = respond(StatusCode::SWITCHING_PROTOCOLS, "", Bytes::new());
    let headers = response.headers_mut();
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    if let Some(protocol) = protocol {
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    Ok(response)
}

/// Not a list of different tokens.
#[derive(Debug, PartialEq, Eq)]
struct Invalid;

/// The subprotocol that is selected: a browser that has asked for some fails if it gets none. They mean nothing to
/// Engine.IO, so it is the first.
fn first_protocol(headers: &HeaderMap) -> Result<Option<HeaderValue>, Invalid> {
    let mut asked: Vec<&[u8]> = Vec::new();
    let lines = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
    for protocol in lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b',')) {
        let protocol = protocol.trim_ascii();
        let is_token = !protocol.is_empty() && protocol.iter().all(|byte| is_in_tokens(*byte));
        if !is_token || asked.contains(&protocol) {
            return Err(Invalid);
        }
        asked.push(protocol);
    }
    let first = asked.first().map(|first| HeaderValue::from_bytes(first));
    first.transpose().map_err(|_| Invalid)
}

/// RFC 9110, section 5.6.2.
fn is_in_tokens(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(lines: &[&str]) -> Result<Option<HeaderValue>, Invalid> {
        let mut headers = HeaderMap::new();
        for line in lines {
            let line = HeaderValue::from_bytes(line.as_bytes()).unwrap();
            headers.append(header::SEC_WEBSOCKET_PROTOCOL, line);
        }
        first_protocol(&headers)
    }

    #[test]
    fn the_first_protocol_that_is_asked_for_is_selected() {
        assert_eq!(asked(&[]), Ok(None));
        for lines in [
            &["mqtt"][..],
            &["mqtt, amqp"],
            &[" mqtt\t,amqp"],
            &["mqtt", "amqp"],
        ] {
            let selected = asked(lines).unwrap().unwrap();
            assert_eq!(selected, "mqtt", "{lines:?}");
        }
        for line in [
            "",
            ",mqtt",
            "mqtt,",
            "mqtt, mqtt",
            "m q",
            "caf\u{e9}",
            "a;b",
        ] {
            assert_eq!(asked(&[line]), Err(Invalid), "{line:?}");
        }
    }

    #[test]
    fn a_handshake_that_is_none_is_refused_in_words() {
        let refused = |lines: &[(&'static str, &'static str)]| {
            let lines = lines.iter().map(|(name, value)| {
                let name = http::HeaderName::from_static(name);
                (name, HeaderValue::from_static(value))
            });
            switching_protocols(&lines.collect()).unwrap_err()
        };
        let key = ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
        let version = ("sec-websocket-version", "13");
        assert!(refused(&[]).contains("Sec-WebSocket-Key"));
        assert!(refused(&[("sec-websocket-key", "short"), version]).contains("Key"));
        assert!(refused(&[key]).contains("Sec-WebSocket-Version"));
        assert!(refused(&[key, ("sec-websocket-version", "7")]).contains("Version"));
        let protocol = ("sec-websocket-protocol", "a,a");
        assert!(refused(&[key, version, protocol]).contains("Sec-WebSocket-Protocol"));
        let mut headers: HeaderMap = HeaderMap::new();
        for (name, value) in [key, version, ("sec-websocket-protocol", "b, a")] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let response = switching_protocols(&headers).unwrap();
        assert_eq!(response.headers()["sec-websocket-protocol"], "b");
    }
}
