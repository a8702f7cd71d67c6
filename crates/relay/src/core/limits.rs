//! What clients may make the relay keep and do, as a relay is set up: docs/operations.md has the table.

use ipnet::IpNet;

use crate::core::pace::Rate;

/// The limits that flags set, and whose word counts for the addresses that some of them are for.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes that the relay keeps for all clients together. Above nine tenths of it new ones are refused;
    /// above all of it, those for whom most is kept are closed.
    pub memory: usize,
    /// Bytes that it keeps for one client. Above a quarter of it the client is not read; above all of it, it
    /// is closed.
    pub client_memory: usize,
    /// Engine.IO connections, and TCP connections that are no WebSockets.
    pub connections: usize,
    /// The same from one address, or one /64 of IPv6.
    pub connections_per_address: usize,
    /// Engine.IO connections that are opened from one address.
    pub handshakes: Option<Rate>,
    /// Events of one socket.
    pub events: Option<Rate>,
    /// Rooms that the app should let one socket be in: it is told.
    pub rooms_per_socket: usize,
    /// Namespaces that one connection is in or asks for.
    pub namespaces_per_connection: usize,
    /// Bytes of a request's line and headers.
    pub header_bytes: usize,
    /// Whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed.
    pub trusted_proxies: Vec<IpNet>,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            memory: 512 * MIB,
            client_memory: 16 * MIB,
            connections: 100_000,
            connections_per_address: 50_000,
            handshakes: None,
            events: None,
            rooms_per_socket: 1000,
            namespaces_per_connection: 256,
            header_bytes: 16 * 1024,
            trusted_proxies: Vec::new(),
        }
    }
}

const MIB: usize = 1024 * 1024;
