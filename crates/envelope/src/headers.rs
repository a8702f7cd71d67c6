//! The headers of a batch (docs/relay-protocol.md, "A batch"), checked before its body is touched.

use std::fmt::Display;
use std::str::FromStr;

use parlour_protocol::relay::{
    CHECK_LANE, HANDSHAKE_LANE, HANDSHAKE_PATH, PATH, PROBE_LANE, VERSION, header,
};
use percent_encoding::percent_decode_str;
use spin_sdk::http::HeaderMap;

use crate::Failure;

/// The most characters of a relay's name.
const MAX_RELAY_CHARS: usize = 64;

/// Whose events a batch has.
#[derive(Debug, PartialEq)]
pub enum Lane {
    /// Clients that want to connect at all.
    Handshake,
    /// None: the relay asks whether the component can do its work.
    Probe,
    /// None: somebody asks whether the application is set up as it must be.
    Check,
    Namespace(String),
}

impl Lane {
    /// The failure of a batch that another component is there for.
    pub fn elsewhere(&self) -> Failure {
        let (whose, path) = match self {
            Self::Handshake => ("handshakes".to_owned(), HANDSHAKE_PATH),
            Self::Probe => ("a probe".to_owned(), PATH),
            Self::Check => ("a check".to_owned(), PATH),
            Self::Namespace(name) => (format!("the namespace {name:?}"), PATH),
        };
        Failure::Elsewhere { whose, path }
    }
}

/// What a component needs of a batch's headers; the others are only checked.
#[derive(Debug)]
pub struct Envelope {
    pub lane: Lane,
    /// How many of the batch's events are `connect`.
    pub connects: usize,
}

impl Envelope {
    pub(crate) fn read(headers: &HeaderMap) -> Result<Self, Failure> {
        let version = text(headers, header::PROTOCOL)?;
        if version != VERSION {
            return Err(wrong(
                header::PROTOCOL,
                format!(
                    "is {version:?}, but this app speaks version {VERSION}: use a relay and an app of one release"
                ),
            ));
        }
        let relay = text(headers, header::RELAY)?;
        if !is_relay(relay) {
            return Err(wrong(
                header::RELAY,
                format!("is {relay:?}, not 1 to {MAX_RELAY_CHARS} of A–Z a–z 0–9 _ - ."),
            ));
        }
        number::<u64>(headers, header::EPOCH)?;
        number::<u64>(headers, header::SEQUENCE)?;
        if number::<u32>(headers, header::ATTEMPT)? == 0 {
            return Err(wrong(header::ATTEMPT, "is 0, but the first is 1"));
        }
        Ok(Self {
            lane: lane(text(headers, header::LANE)?)?,
            connects: number(headers, header::CONNECTS)?,
        })
    }
}

fn lane(value: &str) -> Result<Lane, Failure> {
    match value {
        HANDSHAKE_LANE => return Ok(Lane::Handshake),
        PROBE_LANE => return Ok(Lane::Probe),
        CHECK_LANE => return Ok(Lane::Check),
        _ => {}
    }
    let namespace = percent_decode_str(value)
        .decode_utf8()
        .map_err(|_| wrong(header::LANE, format!("is {value:?}, which is no UTF-8")))?;
    if !namespace.starts_with('/') {
        return Err(wrong(
            header::LANE,
            format!(
                "is {value:?}: neither {HANDSHAKE_LANE}, {PROBE_LANE} nor {CHECK_LANE}, nor a namespace, which begins \
                 with /"
            ),
        ));
    }
    Ok(Lane::Namespace(namespace.into_owned()))
}

fn is_relay(name: &str) -> bool {
    (1..=MAX_RELAY_CHARS).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
}

fn text<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<&'a str, Failure> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().ok_or_else(|| wrong(name, "is missing"))?;
    if values.next().is_some() {
        return Err(wrong(name, "is there more than once"));
    }
    value
        .to_str()
        .map_err(|_| wrong(name, "has characters that are not ASCII"))
}

fn number<T: FromStr<Err: Display>>(headers: &HeaderMap, name: &'static str) -> Result<T, Failure> {
    let value = text(headers, name)?;
    value
        .parse()
        .map_err(|error| wrong(name, format!("is {value:?}, not a number: {error}")))
}

fn wrong(name: &'static str, problem: impl Into<String>) -> Failure {
    Failure::Header {
        name,
        problem: problem.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(changed: &str, value: Option<&str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, good) in [
            (header::PROTOCOL, "1"),
            (header::RELAY, "laptop-1.local"),
            (header::EPOCH, "1764000000000"),
            (header::LANE, "/caf%C3%A9"),
            (header::SEQUENCE, "12"),
            (header::ATTEMPT, "1"),
            (header::CONNECTS, "3"),
        ] {
            match value {
                Some(value) if name == changed => headers.insert(name, value.parse().unwrap()),
                None if name == changed => None,
                _ => headers.insert(name, good.parse().unwrap()),
            };
        }
        headers
    }

    #[test]
    fn a_namespace_is_percent_encoded() {
        let envelope = Envelope::read(&headers("", None)).unwrap();
        assert_eq!(envelope.lane, Lane::Namespace("/café".to_owned()));
        assert_eq!(envelope.connects, 3);
    }

    #[test]
    fn handshakes_have_a_lane_of_their_own() {
        let envelope = Envelope::read(&headers(header::LANE, Some("handshake"))).unwrap();
        assert_eq!(envelope.lane, Lane::Handshake);
    }

    #[test]
    fn probes_and_checks_have_one_too() {
        let envelope = Envelope::read(&headers(header::LANE, Some("probe"))).unwrap();
        assert_eq!(envelope.lane, Lane::Probe);
        let envelope = Envelope::read(&headers(header::LANE, Some("check"))).unwrap();
        assert_eq!(envelope.lane, Lane::Check);
    }

    #[test]
    fn a_batch_of_another_component_is_told_where_it_belongs() {
        for (lane, said) in [
            (
                Lane::Handshake,
                "a batch of handshakes is sent to /relay/handshake",
            ),
            (
                Lane::Namespace("/members".to_owned()),
                "a batch of the namespace \"/members\" is sent to /relay",
            ),
        ] {
            let failure = lane.elsewhere();
            assert_eq!((failure.status().as_u16(), failure.code()), (400, "lane"));
            assert_eq!(failure.to_string(), said);
        }
    }

    #[test]
    fn a_wrong_header_is_named() {
        for (name, value, said) in [
            (header::PROTOCOL, Some("2"), "this app speaks version 1"),
            (header::PROTOCOL, None, "is missing"),
            (header::RELAY, Some("a relay"), "not 1 to 64"),
            (header::RELAY, Some(""), "not 1 to 64"),
            (header::EPOCH, Some("yesterday"), "not a number"),
            (header::SEQUENCE, Some("-1"), "not a number"),
            (header::ATTEMPT, Some("0"), "the first is 1"),
            (header::CONNECTS, None, "is missing"),
            (
                header::LANE,
                Some("lobby"),
                "neither handshake, probe nor check",
            ),
            (header::LANE, Some("/%FF"), "no UTF-8"),
        ] {
            let failure = Envelope::read(&headers(name, value)).unwrap_err();
            assert_eq!(failure.status(), 400);
            let message = failure.to_string();
            assert!(message.contains(name), "{message}");
            assert!(message.contains(said), "{message}");
        }
    }

    #[test]
    fn a_header_sent_twice_is_refused() {
        let mut headers = headers("", None);
        headers.append(header::RELAY, "another".parse().unwrap());
        let failure = Envelope::read(&headers).unwrap_err();
        assert!(failure.to_string().contains("more than once"));
    }
}
