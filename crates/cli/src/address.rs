//! Addresses to listen on, as people write them. A port alone is one of this machine only: whoever means all
//! interfaces says so, `0.0.0.0:3000`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs as _};

/// `3000`, `:3000`, `127.0.0.1:3000`, `[::1]:3000`, or a name of this machine such as `localhost:3000`.
pub fn address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
    let port: u16 = port
        .parse()
        .map_err(|_| "write it as 3000, 127.0.0.1:3000, localhost:3000 or [::1]:3000".to_owned())?;
    if host.is_empty() {
        return Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
    }
    let found = (host, port)
        .to_socket_addrs()
        .map_err(|error| format!("the name {host} has no address here: {error}"))?;
    let mut found: Vec<SocketAddr> = found.collect();
    // What `localhost` is first differs from machine to machine; most clients try IPv4.
    found.sort_by_key(SocketAddr::is_ipv6);
    found
        .first()
        .copied()
        .ok_or_else(|| format!("the name {host} has no address here"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_be_a_port_or_have_a_name() {
        for (text, expected) in [
            ("3000", "127.0.0.1:3000"),
            (":3000", "127.0.0.1:3000"),
            ("0", "127.0.0.1:0"),
            ("127.0.0.1:3000", "127.0.0.1:3000"),
            ("0.0.0.0:3000", "0.0.0.0:3000"),
            ("[::1]:3000", "[::1]:3000"),
            ("localhost:3000", "127.0.0.1:3000"),
        ] {
            assert_eq!(address(text), Ok(expected.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_said_with_the_ways_to_write_one() {
        for text in ["", ":", "localhost", "70000", "localhost:http", "127.0.0.1"] {
            let problem = address(text).unwrap_err();
            assert!(problem.contains("localhost:3000"), "{text}: {problem}");
        }
        let problem = address("no.such.host.invalid:1").unwrap_err();
        assert!(problem.contains("no.such.host.invalid"), "{problem}");
    }
}
