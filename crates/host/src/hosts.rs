//! `allowed_outbound_hosts`: which requests a component may send. Decides; sends nothing.

use std::net::IpAddr;

use anyhow::{Context, Result, bail, ensure};
use url::Host;

use crate::{names::ComponentId, variables::Variables};

/// The domain of service chaining: `<component>.spin.internal`.
const CHAINING_SUFFIX: &str = ".spin.internal";
/// The authority SDKs use for a request to the application itself.
pub const SELF_HOST: &str = "self.alt";

/// What one component may reach.
#[derive(Debug, Default)]
pub struct AllowedHosts(Vec<AllowedHost>);

#[derive(Clone, Debug, PartialEq)]
struct AllowedHost {
    /// None is any.
    scheme: Option<String>,
    host: HostPattern,
    port: PortPattern,
}

#[derive(Clone, Debug, PartialEq)]
enum HostPattern {
    Any,
    /// With its leading dot.
    AnySubdomain(String),
    /// The application itself.
    ToSelf,
    Literal(Host),
    Network(IpAddr, u8),
}

#[derive(Clone, Debug, PartialEq)]
enum PortPattern {
    Any,
    /// First to last, the last not included.
    Range(u16, u32),
}

impl AllowedHosts {
    /// Parses a component's list. A wildcard over `spin.internal` means the components there are.
    pub fn parse(
        hosts: &[String],
        variables: &Variables,
        components: &[ComponentId],
    ) -> Result<AllowedHosts> {
        let mut allowed = Vec::new();
        for host in hosts {
            // Also if a variable is empty: there are releases of Spin that do not start then.
            let filled = variables.fill(host)?;
            let host = AllowedHost::parse(&filled)
                .with_context(|| format!("{host:?}, with its variables filled in"))?;
            if host.host == HostPattern::AnySubdomain(CHAINING_SUFFIX.to_owned()) {
                allowed.extend(components.iter().map(|id| AllowedHost {
                    host: HostPattern::Literal(Host::Domain(format!("{id}{CHAINING_SUFFIX}"))),
                    ..host.clone()
                }));
            } else {
                allowed.push(host);
            }
        }
        Ok(AllowedHosts(allowed))
    }

    /// Whether a request may be sent to that place.
    pub fn allows(&self, scheme: &str, host: &str, port: Option<u16>) -> bool {
        let Ok(host) = Host::parse(host) else {
            return false;
        };
        let Some(port) = port.or_else(|| well_known_port(scheme)) else {
            return false;
        };
        self.0.iter().any(|allowed| {
            allowed.scheme.as_deref().is_none_or(|s| s == scheme)
                && allowed.host.allows(&host)
                && allowed.port.allows(port)
        })
    }

    /// Whether the application may send requests to itself.
    pub fn allows_self(&self) -> bool {
        self.0.iter().any(|allowed| {
            allowed
                .scheme
                .as_deref()
                .is_none_or(|s| s == "http" || s == "https")
                && matches!(allowed.host, HostPattern::Any | HostPattern::ToSelf)
        })
    }
}

impl AllowedHost {
    fn parse(text: &str) -> Result<AllowedHost> {
        let text = text.trim();
        let Some((scheme, rest)) = text.split_once("://") else {
            bail!(
                "{text:?} is not an allowed outbound host: write <scheme>://<host>[:<port>], like \
                 \"http://example.com:8080\""
            );
        };
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if HostPattern::parse(rest).is_err() => {
                let port = port.strip_suffix('/').unwrap_or(port);
                ensure!(
                    !port.contains('/'),
                    "{text:?} has a path but is not allowed to"
                );
                (host, port)
            }
            _ => (rest, ""),
        };
        ensure!(
            scheme == "*" || scheme.chars().all(char::is_alphabetic),
            "{text:?}: the scheme must be letters, or `*`"
        );
        Ok(AllowedHost {
            port: PortPattern::parse(port, scheme).with_context(|| format!("{text:?}: port"))?,
            host: HostPattern::parse(host).with_context(|| format!("{text:?}: host"))?,
            scheme: (scheme != "*").then(|| scheme.to_owned()),
        })
    }
}

impl HostPattern {
    fn parse(host: &str) -> Result<HostPattern> {
        let host = host.trim();
        match host {
            "*" => return Ok(HostPattern::Any),
            "self" | SELF_HOST => return Ok(HostPattern::ToSelf),
            _ => {}
        }
        ensure!(!host.starts_with('{'), "host lists are not supported");
        if let Some(network) = parse_network(host) {
            return Ok(network);
        }
        let host = host.strip_suffix('/').unwrap_or(host);
        ensure!(!host.contains('/'), "must not include a path");
        if let Some(domain) = host.strip_prefix("*.") {
            ensure!(
                !domain.contains('*'),
                "wildcards are allowed only as prefixes"
            );
            let Host::Domain(domain) = Host::parse(domain)? else {
                bail!("a wildcard's suffix must be a domain");
            };
            return Ok(HostPattern::AnySubdomain(format!(".{domain}")));
        }
        ensure!(
            !host.contains('*'),
            "wildcards are allowed only as subdomains"
        );
        Ok(HostPattern::Literal(Host::parse(host)?))
    }

    fn allows(&self, host: &Host) -> bool {
        match (self, host) {
            (HostPattern::Any, _) => true,
            (HostPattern::AnySubdomain(suffix), Host::Domain(domain)) => domain.ends_with(suffix),
            (HostPattern::Literal(literal), host) => literal == host,
            (HostPattern::Network(net, bits), Host::Ipv4(ip)) => within(*net, *bits, (*ip).into()),
            (HostPattern::Network(net, bits), Host::Ipv6(ip)) => within(*net, *bits, (*ip).into()),
            _ => false,
        }
    }
}

impl PortPattern {
    fn parse(port: &str, scheme: &str) -> Result<PortPattern> {
        let single = |port: u16| PortPattern::Range(port, u32::from(port) + 1);
        match port {
            "" => well_known_port(scheme).map(single).with_context(|| {
                format!("no port was given and the scheme {scheme:?} has no known default")
            }),
            "*" => Ok(PortPattern::Any),
            _ => match port.split_once("..") {
                Some((start, end)) => Ok(PortPattern::Range(start.parse()?, end.parse()?)),
                None => Ok(single(port.parse().with_context(|| format!("{port:?}"))?)),
            },
        }
    }

    fn allows(&self, port: u16) -> bool {
        match self {
            PortPattern::Any => true,
            PortPattern::Range(start, end) => *start <= port && u32::from(port) < *end,
        }
    }
}

/// The component that a host of service chaining names.
pub fn chained_component(host: &str) -> Option<&str> {
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host).trim();
    let component = host.strip_suffix(CHAINING_SUFFIX)?;
    (!component.contains('.')).then_some(component)
}

fn parse_network(text: &str) -> Option<HostPattern> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits.parse::<u8>().ok()?)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let all = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.unwrap_or(all);
    (bits <= all).then_some(HostPattern::Network(address, bits))
}

fn within(network: IpAddr, bits: u8, ip: IpAddr) -> bool {
    let prefix = |value: u128, width: u32| {
        value
            .checked_shr(width - u32::from(bits))
            .unwrap_or_default()
    };
    match (network, ip) {
        (IpAddr::V4(net), IpAddr::V4(ip)) => {
            prefix(u32::from(net).into(), 32) == prefix(u32::from(ip).into(), 32)
        }
        (IpAddr::V6(net), IpAddr::V6(ip)) => prefix(net.into(), 128) == prefix(ip.into(), 128),
        _ => false,
    }
}

fn well_known_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        "postgres" => Some(5432),
        "mysql" => Some(3306),
        "redis" => Some(6379),
        "mqtt" => Some(1883),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{manifest::Manifest, plan::Plan, variables::Given};

    fn allowed(hosts: &[&str]) -> AllowedHosts {
        let hosts: Vec<String> = hosts.iter().map(|h| (*h).to_owned()).collect();
        let components = [ComponentId::synthetic("lobby".to_owned())];
        AllowedHosts::parse(&hosts, &Variables::default(), &components).unwrap()
    }

    #[test]
    fn scheme_host_and_port_must_all_fit() {
        let hosts = allowed(&["http://a.com", "https://*.b.com:8443", "*://c.com:*"]);
        assert!(hosts.allows("http", "a.com", None));
        assert!(hosts.allows("http", "a.com", Some(80)));
        assert!(!hosts.allows("https", "a.com", None));
        assert!(!hosts.allows("http", "a.com", Some(8080)));
        assert!(hosts.allows("https", "x.b.com", Some(8443)));
        assert!(!hosts.allows("https", "b.com", Some(8443)));
        assert!(hosts.allows("http", "c.com", Some(1)));
        assert!(!hosts.allows("http", "d.com", None));
    }

    #[test]
    fn addresses_are_matched_by_network() {
        let hosts = allowed(&[
            "http://10.0.0.0/8:8080",
            "http://[::1]",
            "http://127.0.0.1:0..9",
        ]);
        assert!(hosts.allows("http", "10.1.2.3", Some(8080)));
        assert!(!hosts.allows("http", "11.1.2.3", Some(8080)));
        assert!(hosts.allows("http", "[::1]", None));
        assert!(hosts.allows("http", "127.0.0.1", Some(8)));
        assert!(!hosts.allows("http", "127.0.0.1", Some(9)));
    }

    #[test]
    fn a_chaining_wildcard_reaches_only_components_that_exist() {
        let hosts = allowed(&["http://*.spin.internal"]);
        assert!(hosts.allows("http", "lobby.spin.internal", None));
        assert!(!hosts.allows("http", "nobody.spin.internal", None));
        assert_eq!(chained_component("lobby.spin.internal"), Some("lobby"));
        assert_eq!(chained_component("a.lobby.spin.internal"), None);
    }

    #[test]
    fn self_is_asked_for_separately() {
        assert!(allowed(&["http://self"]).allows_self());
        assert!(!allowed(&["http://a.com"]).allows_self());
        assert!(!allowed(&["http://self"]).allows("http", "self", None));
    }

    #[test]
    fn an_entry_whose_variable_is_empty_is_refused_by_name() {
        let manifest = r#"
            spin_manifest_version = 2
            [application]
            name = "test"
            [variables]
            endpoint = { default = "" }
        "#;
        let plan = Plan::new(Manifest::parse(manifest).unwrap()).unwrap();
        let given = Given {
            flags: &[],
            environment: &|_| None,
            fallbacks: &[],
        };
        let variables = Variables::resolve(&plan, &given).unwrap();
        for entry in ["{{ endpoint }}", "https://{{ endpoint }}"] {
            let hosts = ["https://a.com".to_owned(), entry.to_owned()];
            let error = AllowedHosts::parse(&hosts, &variables, &[]).unwrap_err();
            assert!(format!("{error:#}").contains(entry), "{error:#}");
        }
    }

    #[test]
    fn a_malformed_host_is_refused() {
        for host in [
            "*",
            "a.com",
            "http://a.com/path",
            "http://a*.com",
            "foo://a.com",
        ] {
            assert!(AllowedHost::parse(host).is_err(), "{host}");
        }
    }
}
