//! Whose request it is: the last address in `x-forwarded-for`, which the router has put there. Those
//! before it are whatever the client likes to say.

use std::net::{IpAddr, Ipv6Addr};

use spin_sdk::http::HeaderMap;

pub const FORWARDED_FOR: &str = "x-forwarded-for";

/// The bits of an IPv6 address that tell one client from another: a client is given the rest to choose.
const IPV6_BITS: u32 = 64;

/// The last address, as far as it tells clients apart.
pub fn last(headers: &HeaderMap) -> Option<String> {
    let value = headers.get_all(FORWARDED_FOR).iter().next_back()?;
    let entry = value.as_bytes().rsplit(|byte| *byte == b',').next()?;
    let entry = std::str::from_utf8(entry.trim_ascii()).ok()?;
    match entry
        .parse::<IpAddr>()
        .map(|address| address.to_canonical())
    {
        Ok(IpAddr::V4(address)) => Some(address.to_string()),
        Ok(IpAddr::V6(address)) => Some(network(address)),
        Err(_) if entry.is_empty() => None,
        Err(_) => Some(entry.to_owned()),
    }
}

fn network(address: Ipv6Addr) -> String {
    let prefix = address.to_bits() >> (128 - IPV6_BITS) << (128 - IPV6_BITS);
    format!("{}/{IPV6_BITS}", Ipv6Addr::from_bits(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use spin_sdk::http::HeaderValue;

    fn address(values: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for value in values {
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            headers.append(FORWARDED_FOR, value);
        }
        last(&headers)
    }

    #[test]
    fn only_the_last_address_counts() {
        for values in [
            &["203.0.113.9"][..],
            &["10.0.0.1, 10.0.0.2,203.0.113.9"],
            &["10.0.0.1", "10.0.0.2, 203.0.113.9 "],
            &["::ffff:203.0.113.9"],
            &["caf\u{e9}, 203.0.113.9"],
        ] {
            assert_eq!(
                address(values).as_deref(),
                Some("203.0.113.9"),
                "{values:?}"
            );
        }
    }

    #[test]
    fn a_client_has_a_whole_network_of_ipv6_to_itself() {
        let network = address(&["2001:db8:1:2:3:4:5:6"]);
        assert_eq!(network.as_deref(), Some("2001:db8:1:2::/64"));
        assert_eq!(network, address(&["2001:db8:1:2:ffff::1"]));
        assert_ne!(network, address(&["2001:db8:1:3:3:4:5:6"]));
    }

    #[test]
    fn a_name_is_taken_as_it_is_and_nothing_is_nobody() {
        assert_eq!(address(&["10.0.0.1, unknown"]).as_deref(), Some("unknown"));
        for values in [&[][..], &[""], &["10.0.0.1, "]] {
            assert_eq!(address(values), None, "{values:?}");
        }
    }
}
