//! The request that asks a namespace's middleware about one client: the client's own handshake
//! headers and whose request it is, its token as a bearer, its `auth` payload in the body.

use parlour_envelope::Failure;
use parlour_protocol::relay::Handshake;
use parlour_protocol::{json, latin1};
use serde::de::Error as _;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use spin_sdk::http::{HeaderMap, HeaderName, HeaderValue};

use super::decision::Decision;

/// The most bytes of `auth.token`: what usual HTTP servers take as one header.
const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// The most bytes of headers that go along, names and values: Wasmtime takes 128 KiB.
const MAX_HEADER_BYTES: usize = 64 * 1024;

/// Whose request it is, as proxies say it: the last entry is the address that the relay saw.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// Whether the client came over TLS: `https` or `http`.
const FORWARDED_PROTO: &str = "x-forwarded-proto";

/// Headers that belong to one hop, or that the router sets itself.
const OWN_HEADERS: &[&str] = &[
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// `POST /connect`.
#[derive(Debug)]
pub struct Question {
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

#[derive(Serialize)]
struct Body<'a> {
    namespace: &'a str,
    socket: &'a str,
    handshake: &'a Handshake<'a>,
    auth: Option<&'a RawValue>,
}

/// What to ask about this client, or its refusal where HTTP could not carry the question.
pub fn about(
    handshake: &Handshake<'_>,
    auth: Option<&RawValue>,
    socket: &str,
    namespace: &str,
) -> Result<Result<Question, Decision>, Failure> {
    let mut headers = client_headers(handshake);
    say_whose_it_is(&mut headers, handshake)?;
    if let Some(token) = token(auth) {
        match bearer(&token) {
            Ok(value) => headers.insert("authorization", value),
            Err(refused) => return Ok(Err(refused)),
        };
    }
    let size = |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len();
    if headers.iter().map(size).sum::<usize>() > MAX_HEADER_BYTES {
        return Ok(Err(Decision::refused(
            "The handshake's headers are too large",
            "headers_too_large",
        )));
    }
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    let body = serde_json::to_vec(&Body {
        namespace,
        socket,
        handshake,
        auth,
    })
    .map_err(Failure::Encode)?;
    headers.insert("content-length", HeaderValue::from(body.len()));
    Ok(Ok(Question { headers, body }))
}

/// The same about nobody: a client that has nothing to show.
pub fn about_nobody(namespace: &str) -> Result<Result<Question, Decision>, Failure> {
    let handshake = Handshake {
        url: "/".into(),
        headers: Vec::new(),
        address: "0.0.0.0".into(),
        secure: false,
        time: 0,
    };
    about(&handshake, None, "", namespace)
}

fn client_headers(handshake: &Handshake<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in &handshake.headers {
        let name = name.to_ascii_lowercase();
        if OWN_HEADERS.contains(&name.as_str())
            || name.starts_with("parlour-")
            || name.starts_with("spin-")
        {
            continue;
        }
        let value = latin1::encode(value).map(|value| HeaderValue::from_bytes(&value));
        if let (Ok(name), Some(Ok(value))) = (name.parse::<HeaderName>(), value) {
            headers.append(name, value);
        }
    }
    headers
}

/// Adds the client's address to those that proxies before the relay have put there, or that the client
/// has made up, and says how it came to the relay.
fn say_whose_it_is(headers: &mut HeaderMap, handshake: &Handshake<'_>) -> Result<(), Failure> {
    let before = headers.get_all(FORWARDED_FOR).into_iter();
    let chain: Vec<&[u8]> = before
        .map(HeaderValue::as_bytes)
        .chain([handshake.address.as_bytes()])
        .collect();
    let chain = HeaderValue::try_from(chain.join(&b", "[..])).map_err(|_| {
        Failure::Batch(serde_json::Error::custom(format!(
            "the address {:?} of a handshake is none",
            handshake.address
        )))
    })?;
    headers.insert(FORWARDED_FOR, chain);
    let proto = if handshake.secure { "https" } else { "http" };
    headers.insert(FORWARDED_PROTO, HeaderValue::from_static(proto));
    Ok(())
}

/// `auth.token`, if the client sent one and it is a string: as clients send it, which is with `Bearer ` before it, as it
/// stands in a header, or with the line break of the file that it was read from.
fn token(auth: Option<&RawValue>) -> Option<String> {
    #[derive(Deserialize)]
    struct Auth<'a> {
        #[serde(borrow, default)]
        token: Option<&'a RawValue>,
    }
    let auth: Auth<'_> = json::decode(auth?).ok()?;
    let token: String = json::decode(auth.token?).ok()?;
    Some(bare(&token).to_owned())
}

/// A token without its scheme, and without white space around it.
fn bare(token: &str) -> &str {
    const SCHEME: &str = "bearer";
    let mut token = trimmed(token);
    while let Some((scheme, rest)) = token.split_at_checked(SCHEME.len())
        && scheme.eq_ignore_ascii_case(SCHEME)
        && (rest.is_empty() || rest.starts_with(is_space))
    {
        token = trimmed(rest);
    }
    token
}

fn trimmed(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// What JavaScript's `trim` takes away.
fn is_space(character: char) -> bool {
    character.is_whitespace() || character == '\u{feff}'
}

fn bearer(token: &str) -> Result<HeaderValue, Decision> {
    if token.len() > MAX_TOKEN_BYTES || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Decision::refused("auth.token is no token", "invalid_token"));
    }
    HeaderValue::try_from(format!("Bearer {token}"))
        .map_err(|_| Decision::refused("auth.token is no token", "invalid_token"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask_from(
        address: &str,
        secure: bool,
        headers: &str,
        auth: &str,
    ) -> Result<Result<Question, Decision>, Failure> {
        let handshake = format!(
            r#"{{"url": "/", "headers": {headers}, "address": "{address}", "secure": {secure}, "time": 1}}"#
        );
        let handshake: Handshake<'_> = serde_json::from_str(&handshake).unwrap();
        let auth: &RawValue = serde_json::from_str(auth).unwrap();
        about(&handshake, Some(auth), "s1", "/members")
    }

    fn ask(headers: &str, auth: &str) -> Result<Question, Decision> {
        ask_from("::1", false, headers, auth).unwrap()
    }

    #[test]
    fn the_clients_headers_go_along_and_the_routers_own_do_not() {
        let question = ask(
            r#"[["cookie", "a=1"], ["cookie", "b=2"], ["host", "evil"], ["parlour-claims", "e30"],
                ["Parlour-Lane", "/"], ["spin-full-url", "x"], ["upgrade", "websocket"],
                ["connection", "Upgrade"], ["content-length", "9"], ["authorization", "Bearer mine"]]"#,
            "null",
        )
        .unwrap();
        let mut names: Vec<_> = question.headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "authorization",
                "content-length",
                "content-type",
                "cookie",
                "x-forwarded-for",
                "x-forwarded-proto"
            ]
        );
        assert_eq!(question.headers.get_all("cookie").iter().count(), 2);
        assert_eq!(question.headers["authorization"], "Bearer mine");
        assert_eq!(
            question.headers["content-length"],
            question.body.len().to_string().as_str()
        );
    }

    #[test]
    fn a_header_has_the_bytes_that_the_client_has_sent() {
        let question = ask(
            r#"[["cookie", "name=Jos\u00e9; utf8=\u00c3\u00a9"], ["x", "\u20ac"]]"#,
            "null",
        );
        let headers = question.unwrap().headers;
        assert_eq!(headers["cookie"].as_bytes(), b"name=Jos\xe9; utf8=\xc3\xa9");
        assert!(!headers.contains_key("x"), "no relay says that");
    }

    #[test]
    fn nobody_has_nothing_to_show() {
        let question = about_nobody("/members").unwrap().unwrap();
        let mut names: Vec<_> = question.headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        let own = [
            "content-length",
            "content-type",
            "x-forwarded-for",
            "x-forwarded-proto",
        ];
        assert_eq!(names, own);
        let body: serde_json::Value = serde_json::from_slice(&question.body).unwrap();
        assert!(body["auth"].is_null());
    }

    #[test]
    fn the_last_address_is_the_one_that_the_relay_saw() {
        let ask = |secure, headers| {
            let question = ask_from("203.0.113.9", secure, headers, "null");
            question.unwrap().unwrap().headers
        };
        let headers = ask(false, "[]");
        assert_eq!(headers["x-forwarded-for"], "203.0.113.9");
        assert_eq!(headers["x-forwarded-proto"], "http");

        let headers = ask(
            true,
            r#"[["x-forwarded-for", "10.0.0.1, 10.0.0.2"], ["X-Forwarded-For", "10.0.0.3"],
                ["x-forwarded-proto", "gopher"], ["x-forwarded-proto", "http"]]"#,
        );
        assert_eq!(
            headers["x-forwarded-for"],
            "10.0.0.1, 10.0.0.2, 10.0.0.3, 203.0.113.9"
        );
        assert_eq!(headers.get_all("x-forwarded-for").iter().count(), 1);
        assert_eq!(headers["x-forwarded-proto"], "https");
        assert_eq!(headers.get_all("x-forwarded-proto").iter().count(), 1);
    }

    #[test]
    fn an_address_that_no_header_can_carry_is_the_relays_mistake() {
        let failure = ask_from(r"a\nb", false, "[]", "null").unwrap_err();
        assert_eq!(failure.status(), 400);
    }

    #[test]
    fn auth_token_wins_over_the_header() {
        let question = ask(
            r#"[["authorization", "Bearer header"]]"#,
            r#"{"token": "payload"}"#,
        )
        .unwrap();
        assert_eq!(question.headers["authorization"], "Bearer payload");
        assert_eq!(question.headers.get_all("authorization").iter().count(), 1);
    }

    #[test]
    fn a_token_is_taken_as_clients_send_it() {
        for token in [
            "t.o.k",
            "Bearer t.o.k",
            "bearer t.o.k",
            "BEARER \\t t.o.k",
            " \\n t.o.k\\r\\n",
            "\\ufeffBearer t.o.k\\u00a0",
            "Bearer Bearer t.o.k\\n",
        ] {
            let question = ask("[]", &format!(r#"{{"token":"old","token":"{token}"}}"#)).unwrap();
            assert_eq!(question.headers["authorization"], "Bearer t.o.k", "{token}");
        }
        for token in ["", " ", "Bearer", "bearer \\n"] {
            let question = ask("[]", &format!(r#"{{"token":"{token}"}}"#)).unwrap();
            assert_eq!(question.headers["authorization"], "Bearer ", "{token}");
        }
        // A token can begin with these letters.
        let question = ask("[]", r#"{"token":"bearert.o.k"}"#).unwrap();
        assert_eq!(question.headers["authorization"], "Bearer bearert.o.k");
    }

    #[test]
    fn a_token_that_is_no_string_is_none() {
        for auth in [r#"{"token": 7}"#, "{}", r#"{"token": null}"#] {
            let question = ask("[]", auth).unwrap();
            assert!(!question.headers.contains_key("authorization"), "{auth}");
        }
    }

    #[test]
    fn a_token_that_no_header_can_carry_is_refused_and_breaks_nothing() {
        let long = format!(r#"{{"token": "{}"}}"#, "x".repeat(MAX_TOKEN_BYTES + 1));
        for auth in [
            r#"{"token": "a\r\nhost: b"}"#,
            r#"{"token": "é"}"#,
            r#"{"token": "\ud83d"}"#,
            &long,
        ] {
            let Err(Decision::Refused(refusal)) = ask("[]", auth) else {
                panic!("{auth} was not refused");
            };
            assert!(refusal.get().contains("invalid_token"));
        }
    }

    #[test]
    fn headers_without_end_are_refused() {
        let header = format!(r#"[["x", "{}"]]"#, "y".repeat(MAX_HEADER_BYTES));
        assert!(matches!(ask(&header, "{}"), Err(Decision::Refused(_))));
    }

    #[test]
    fn the_body_says_who_asks_for_what() {
        let question = ask("[]", r#"{"name": "Ann"}"#).unwrap();
        let body: serde_json::Value = serde_json::from_slice(&question.body).unwrap();
        assert_eq!(body["namespace"], "/members");
        assert_eq!(body["socket"], "s1");
        assert_eq!(body["auth"]["name"], "Ann");
        assert_eq!(body["handshake"]["address"], "::1");
    }
}
