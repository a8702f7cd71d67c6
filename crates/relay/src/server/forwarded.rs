//! Who a request is from when a proxy has passed it on: `X-Forwarded-For` and `X-Forwarded-Proto` count if
//! they come from a trusted proxy, and only as far as the proxies that wrote them are trusted. The app is told
//! what came of it.

use std::borrow::Cow;
use std::net::IpAddr;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use ipnet::IpNet;
use parlour_protocol::latin1;

const FOR: &str = "x-forwarded-for";
const PROTO: &str = "x-forwarded-proto";
const HOST: &str = "x-forwarded-host";

/// Headers by which proxies say who a client is and what it asked for, besides those that begin with
/// [`PREFIX`].
const OTHERS: [&str; 2] = ["forwarded", "x-real-ip"];
const PREFIX: &str = "x-forwarded-";

/// Who a request comes from.
#[derive(Debug, Clone, Copy)]
pub struct Peer {
    pub address: IpAddr,
    /// It came by TLS.
    pub is_secure: bool,
}

pub fn is_trusted(peer: IpAddr, trusted: &[IpNet]) -> bool {
    let peer = peer.to_canonical();
    trusted.iter().any(|network| network.contains(&peer))
}

/// Who has sent the request that `peer` passes on, unless that is who sent it.
pub fn sender(peer: Peer, headers: &HeaderMap, trusted: &[IpNet]) -> Peer {
    if !is_trusted(peer.address, trusted) {
        return peer;
    }
    let mut sender = peer;
    // Each proxy adds whom it has the request from at the end. So they are believed from the end, until one
    // names somebody who is no trusted proxy: that is the client.
    let mut proxies = 1;
    for address in list(headers, FOR).iter().rev() {
        let Some(address) = parse(address) else { break };
        sender.address = address;
        if !is_trusted(address, trusted) {
            break;
        }
        proxies += 1;
    }
    // Of schemes there is one from each proxy, or one in all from the first.
    let schemes = list(headers, PROTO);
    if let Some(scheme) = schemes.get(schemes.len().saturating_sub(proxies)) {
        sender.is_secure = matches!(&*scheme.to_ascii_lowercase(), "https" | "wss");
    }
    sender
}

/// Says in the headers of a request whose it is, in place of what the client says of that. What a trusted proxy
/// says besides (the port, a prefix of the path) is left to it.
pub fn tell(headers: &mut HeaderMap, peer: Peer, trusted: &[IpNet]) {
    let sender = sender(peer, headers, trusted);
    if !is_trusted(peer.address, trusted) {
        let is_claim = |name: &&HeaderName| {
            name.as_str().starts_with(PREFIX) || OTHERS.contains(&name.as_str())
        };
        let claims: Vec<HeaderName> = headers.keys().filter(is_claim).cloned().collect();
        for name in claims {
            headers.remove(name);
        }
    }
    // One address, so that who takes the first and who takes the last of a list have the same.
    if let Ok(address) = HeaderValue::from_str(&sender.address.to_string()) {
        headers.insert(FOR, address);
    }
    let scheme = if sender.is_secure { "https" } else { "http" };
    headers.insert(PROTO, HeaderValue::from_static(scheme));
    if let Some(host) = headers.get(header::HOST).cloned() {
        headers.entry(HOST).or_insert(host);
    }
}

/// The values of a header that is a list, of all its lines.
fn list<'a>(headers: &'a HeaderMap, name: &str) -> Vec<Cow<'a, str>> {
    let lines = headers.get_all(name).iter();
    lines
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .map(|value| latin1::decode(value.trim_ascii()))
        .filter(|value| !value.is_empty())
        .collect()
}

/// An address as proxies write it: some add the port, some write IPv6 in brackets.
fn parse(text: &str) -> Option<IpAddr> {
    let address = text.parse::<IpAddr>().ok();
    let with_port = || text.parse::<std::net::SocketAddr>().ok().map(|it| it.ip());
    let in_brackets = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let address = address.or_else(with_port).or_else(in_brackets)?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let lines = lines.iter().map(|(name, value)| {
            let name = http::HeaderName::from_static(name);
            (name, HeaderValue::from_bytes(value.as_bytes()).unwrap())
        });
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name, value);
        }
        headers
    }

    /// The address and whether it is secure, as seen by a relay that trusts 127.0.0.1 and 10.0.0.0/8.
    fn seen(peer: &str, lines: &[(&'static str, &str)]) -> (String, bool) {
        let trusted = ["127.0.0.1/32", "10.0.0.0/8", "fd00::/8"].map(|it| it.parse().unwrap());
        let peer = Peer {
            address: peer.parse().unwrap(),
            is_secure: false,
        };
        let sender = sender(peer, &headers(lines), &trusted);
        (sender.address.to_string(), sender.is_secure)
    }

    #[test]
    fn strangers_are_not_believed() {
        let lines = [(FOR, "1.2.3.4"), (PROTO, "https")];
        assert_eq!(seen("9.9.9.9", &lines), ("9.9.9.9".into(), false));
    }

    #[test]
    fn a_trusted_proxy_is_believed_as_far_as_it_knows() {
        let lines = [(FOR, "1.2.3.4"), (PROTO, "https")];
        assert_eq!(seen("127.0.0.1", &lines), ("1.2.3.4".into(), true));
        assert_eq!(seen("::ffff:127.0.0.1", &lines), ("1.2.3.4".into(), true));
        // The client has sent a header of its own, and the proxy has added to it.
        let lines = [(FOR, "6.6.6.6, 1.2.3.4")];
        assert_eq!(seen("127.0.0.1", &lines), ("1.2.3.4".into(), false));
        let lines = [(FOR, "6.6.6.6"), (FOR, "1.2.3.4")];
        assert_eq!(seen("127.0.0.1", &lines), ("1.2.3.4".into(), false));
    }

    #[test]
    fn a_chain_of_trusted_proxies_is_followed_to_the_first_stranger() {
        let lines = [
            (FOR, "6.6.6.6, 1.2.3.4, 10.0.0.7"),
            (PROTO, "wss, https, http"),
        ];
        assert_eq!(seen("10.1.1.1", &lines), ("1.2.3.4".into(), true));
        // All are ours: the request began at the farthest.
        let lines = [(FOR, "10.0.0.5, 10.0.0.7")];
        assert_eq!(seen("10.1.1.1", &lines), ("10.0.0.5".into(), false));
    }

    /// What the app is told of a request from `peer` to a relay that trusts 10.0.0.0/8.
    fn told(peer: &str, is_secure: bool, lines: &[(&'static str, &str)]) -> HeaderMap {
        let address = peer.parse().unwrap();
        let mut headers = headers(lines);
        headers.insert(header::HOST, HeaderValue::from_static("chat.example"));
        tell(
            &mut headers,
            Peer { address, is_secure },
            &["10.0.0.0/8".parse().unwrap()],
        );
        headers
    }

    const CLAIMS: [(&str, &str); 7] = [
        (FOR, "10.0.0.1"),
        (FOR, "1.2.3.4"),
        (PROTO, "https"),
        (HOST, "bank.example"),
        ("x-forwarded-port", "443"),
        ("x-real-ip", "10.0.0.1"),
        ("forwarded", "for=10.0.0.1;proto=https"),
    ];

    #[test]
    fn the_app_is_told_nothing_that_a_stranger_claims() {
        let headers = told("9.9.9.9", false, &CLAIMS);
        let all: Vec<_> = headers
            .iter()
            .map(|(name, it)| (name.as_str(), it))
            .collect();
        assert_eq!(all.len(), 4, "{all:?}");
        assert_eq!(headers[FOR], "9.9.9.9");
        assert_eq!(headers[PROTO], "http");
        assert_eq!(headers[HOST], "chat.example");
        assert_eq!(told("9.9.9.9", true, &[(PROTO, "http")])[PROTO], "https");
    }

    #[test]
    fn the_app_is_told_what_a_trusted_proxy_knows() {
        let headers = told("10.0.0.7", false, &CLAIMS);
        assert_eq!(headers.get_all(FOR).iter().collect::<Vec<_>>(), ["1.2.3.4"]);
        assert_eq!(headers[PROTO], "https");
        assert_eq!(headers[HOST], "bank.example");
        assert_eq!(headers["x-forwarded-port"], "443");
    }

    #[test]
    fn what_is_no_address_ends_the_chain() {
        for (value, address) in [
            ("unknown", "10.1.1.1"),
            ("J\u{e9}r\u{f4}me, 1.2.3.4", "1.2.3.4"),
            ("1.2.3.4, unknown", "10.1.1.1"),
            ("1.2.3.4:5678", "1.2.3.4"),
            ("[2001:db8::1]:443", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("2001:db8::1", "2001:db8::1"),
            ("", "10.1.1.1"),
        ] {
            assert_eq!(seen("10.1.1.1", &[(FOR, value)]).0, address, "{value}");
        }
    }
}
