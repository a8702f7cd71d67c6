//! The flags that limit what clients may make the relay keep and do.

use std::net::IpAddr;

use clap::Args;
use parlour_relay::{IpNet, Limits, Rate};

/// What clients may make the relay keep and do.
#[derive(Args)]
#[command(next_help_heading = "Limits")]
pub struct LimitFlags {
    /// The most memory to keep for all clients together, such as 1GiB. When most of it is taken, new clients
    /// are refused (503); when all is, those for whom most is kept are closed
    /// [default: 512MiB, or what 8 clients may have]
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub max_memory: Option<usize>,
    /// The most memory to keep for one client. Above a quarter of it the client is not read, above all of it
    /// it is closed [default: 16MiB, or 16 messages of --max-payload]
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub max_client_memory: Option<usize>,
    /// The most clients' connections; one more is refused (503). Each is an open file of the process
    /// [default: 100000]
    #[arg(long, value_name = "COUNT", value_parser = at_least_one())]
    pub max_connections: Option<u64>,
    /// The most of them from one address, or one /64 of IPv6; one more is refused (429). Behind a proxy, see
    /// --trust-proxy
    #[arg(long, default_value_t = 50_000, value_name = "COUNT", value_parser = at_least_one())]
    pub max_connections_per_address: u64,
    /// How many connections an address, or a /64, may open a second, after ten times as many at once; more are
    /// refused (429). 0: any
    #[arg(long, default_value_t = 5_000, value_name = "COUNT")]
    pub handshakes_per_second: u32,
    /// How many events a socket may send a second, after twice as many at once. A client that sends more is
    /// read more slowly, and after a minute of that it is closed. 0: any
    #[arg(long, default_value_t = 10_000, value_name = "COUNT")]
    pub events_per_second: u32,
    /// How many rooms a socket may be in: join is an error in the application then
    #[arg(long, default_value_t = 1_000, value_name = "COUNT", value_parser = at_least_one())]
    pub max_rooms_per_socket: u64,
    /// How many namespaces a connection may be in or ask for
    #[arg(long, default_value_t = 256, value_name = "COUNT", value_parser = at_least_one())]
    pub max_namespaces_per_connection: u64,
    /// The most bytes of the request that opens a connection: its line and its headers. They are kept as long
    /// as the connection
    #[arg(long, default_value = "16KiB", value_name = "BYTES", value_parser = bytes)]
    pub max_handshake: usize,
    /// A proxy in front, whose X-Forwarded-For and X-Forwarded-Proto say who a client is: an address or a
    /// network such as 10.0.0.0/8. May be given several times, or several separated by commas
    #[arg(long = "trust-proxy", value_name = "CIDR", value_delimiter = ',', value_parser = network)]
    pub trusted_proxies: Vec<IpNet>,
}

fn at_least_one() -> clap::builder::RangedU64ValueParser<u64> {
    clap::value_parser!(u64).range(1..)
}

/// What a client must be allowed, in messages of the greatest size: a quarter of it holds one.
const LEAST_MESSAGES: usize = 4;

/// What it is allowed at least if nothing is said: a binary packet has up to ten attachments, and is a third
/// longer on its way to the app.
const USUAL_MESSAGES: usize = 16;

/// How many clients with all they may have must have room.
const LEAST_CLIENTS: usize = 2;
const USUAL_CLIENTS: usize = 8;

impl LimitFlags {
    pub fn limits(&self, max_payload: usize) -> anyhow::Result<Limits> {
        let usual = Limits::default();
        let client_memory = self.max_client_memory.unwrap_or_else(|| {
            let messages = max_payload.saturating_mul(USUAL_MESSAGES);
            usual.client_memory.max(messages)
        });
        if client_memory / LEAST_MESSAGES < max_payload {
            anyhow::bail!(
                "--max-client-memory must be at least {LEAST_MESSAGES} times --max-payload: {} bytes or more",
                max_payload.saturating_mul(LEAST_MESSAGES)
            );
        }
        let memory = self.max_memory.unwrap_or_else(|| {
            let clients = client_memory.saturating_mul(USUAL_CLIENTS);
            usual.memory.max(clients)
        });
        if memory / LEAST_CLIENTS < client_memory {
            anyhow::bail!(
                "--max-memory must be at least {LEAST_CLIENTS} times --max-client-memory: {} bytes or more",
                client_memory.saturating_mul(LEAST_CLIENTS)
            );
        }
        Ok(Limits {
            memory,
            client_memory,
            connections: self.max_connections.map_or(usual.connections, count),
            connections_per_address: count(self.max_connections_per_address),
            handshakes: rate(self.handshakes_per_second, 10),
            events: rate(self.events_per_second, 2),
            rooms_per_socket: count(self.max_rooms_per_socket),
            namespaces_per_connection: count(self.max_namespaces_per_connection),
            header_bytes: self.max_handshake,
            trusted_proxies: self.trusted_proxies.clone(),
        })
    }
}

fn count(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// None if it is 0. `burst`: how many seconds' worth may come at once.
fn rate(per_second: u32, burst: u32) -> Option<Rate> {
    (per_second > 0).then(|| Rate::new(per_second, per_second.saturating_mul(burst)))
}

fn network(text: &str) -> Result<IpNet, String> {
    let address = |text: &str| text.parse::<IpAddr>().map(IpNet::from);
    text.parse::<IpNet>()
        .or_else(|_| address(text))
        .map_err(|_| "write it as 10.0.0.7, 10.0.0.0/8 or fd00::/8".to_owned())
}

/// A number of bytes, perhaps with a unit: `1000000`, `64kB`, `512MiB`.
fn bytes(text: &str) -> Result<usize, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor: usize = match unit.trim_start() {
        "" | "B" => 1,
        "kB" | "KB" => 1000,
        "KiB" => 1 << 10,
        "MB" => 1_000_000,
        "MiB" => 1 << 20,
        "GB" => 1_000_000_000,
        "GiB" => 1 << 30,
        _ => return Err("write it as 1000000, 64KiB, 512MiB or 2GiB".to_owned()),
    };
    let number: usize = number
        .parse()
        .map_err(|_| "write it as 1000000, 64KiB, 512MiB or 2GiB".to_owned())?;
    number
        .checked_mul(factor)
        .ok_or_else(|| "that is too many".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The flags as they are if nothing is said.
    fn usual() -> LimitFlags {
        #[derive(clap::Parser)]
        struct Alone {
            #[command(flatten)]
            limits: LimitFlags,
        }
        <Alone as clap::Parser>::parse_from(["parlour"]).limits
    }

    #[test]
    fn a_proxy_is_an_address_or_a_network() {
        assert_eq!(network("10.0.0.0/8").unwrap().to_string(), "10.0.0.0/8");
        assert_eq!(network("127.0.0.1").unwrap().to_string(), "127.0.0.1/32");
        assert_eq!(network("::1").unwrap().to_string(), "::1/128");
        assert!(network("localhost").is_err() && network("10.0.0.0/33").is_err());
    }

    #[test]
    fn bytes_have_units() {
        for (text, expected) in [
            ("0", 0),
            ("4096", 4096),
            ("64KiB", 65_536),
            ("64kB", 64_000),
            ("512MiB", 512 << 20),
            ("2 GiB", 2 << 30),
        ] {
            assert_eq!(bytes(text), Ok(expected), "{text}");
        }
        for text in ["", "MiB", "-1", "1.5MiB", "12 parsecs", "99999999999GiB"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_client_may_send_the_greatest_message() {
        let limits = |max_memory, max_client_memory, max_payload| {
            let flags = LimitFlags {
                max_memory,
                max_client_memory,
                ..usual()
            };
            flags.limits(max_payload)
        };
        assert!(limits(Some(1 << 29), Some(1 << 24), 1_000_000).is_ok());
        assert!(limits(Some(1 << 29), Some(1 << 20), 1_000_000).is_err());
        assert!(limits(Some(1 << 24), Some(1 << 24), 1_000_000).is_err());
        let usual = limits(None, None, 1_000_000).unwrap();
        assert_eq!((usual.memory, usual.client_memory), (512 << 20, 16 << 20));
        let large = limits(None, None, 100_000_000).unwrap();
        assert!(large.client_memory >= 1_600_000_000 && large.memory >= 8 * large.client_memory);
    }
}
