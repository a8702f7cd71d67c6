//! How a relay is set up, and every limit it has, each with its unit. Nothing here does anything.

use std::time::Duration;

use crate::core::limits::Limits;
use crate::wire::tls::Tls;

/// A relay's settings. `Default` has Socket.IO's values; `secret` must be set.
#[derive(Clone)]
pub struct Config {
    /// The relay's name in the relay protocol: 1 to 64 of `A–Z a–z 0–9 _ - .`, the same after a restart.
    pub relay: String,
    /// Shared with the app; also what `POST /publish` asks for.
    pub secret: String,
    /// Where Engine.IO lives, without a trailing slash.
    pub path: String,
    /// How long the server waits after a pong before it sends the next ping.
    pub ping_interval: Duration,
    /// How long a client may take to answer a ping.
    pub ping_timeout: Duration,
    /// Bytes of one WebSocket message or one polling request.
    pub max_payload: usize,
    /// A connection that has joined no namespace after this is closed.
    pub connect_timeout: Duration,
    /// A WebSocket that wants to take over from polling must have done so after this.
    pub upgrade_timeout: Duration,
    /// What clients may connect with.
    pub transports: Transports,
    /// Whether a client that polls is offered WebSocket.
    pub allow_upgrades: bool,
    /// How long the app may take to answer a batch. Then the batch is withdrawn, and its events are sent
    /// anew in smaller ones.
    pub answer_timeout: Duration,
    /// Bytes of what clients have missed that may wait until they read it. While there are more, nobody else who
    /// comes back is given theirs.
    pub max_recovery_bytes: usize,
    /// Cross-origin requests from browsers. `None` sends no CORS headers, as Socket.IO by default.
    pub cors: Option<Cors>,
    /// How long an HTTP exchange may stall: a client with its request's headers or body or with reading the
    /// answer, the app with its answer. Who moves at least 1 KiB for each second of it gets the same time again.
    pub stall_timeout: Duration,
    /// Clients come by TLS.
    pub tls: Option<Tls>,
    /// There are other relays before the app, and no bus to them: how often a namespace in which nothing happens asks
    /// the app what they have emitted.
    pub relays_without_bus: Option<Duration>,
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            relay: "relay".into(),
            secret: String::new(),
            path: "/socket.io".into(),
            ping_interval: Duration::from_millis(25_000),
            ping_timeout: Duration::from_millis(20_000),
            max_payload: 1_000_000,
            connect_timeout: Duration::from_millis(45_000),
            upgrade_timeout: Duration::from_millis(10_000),
            transports: Transports::default(),
            allow_upgrades: true,
            answer_timeout: Duration::from_millis(30_000),
            max_recovery_bytes: 64 * 1024 * 1024,
            cors: None,
            stall_timeout: Duration::from_millis(30_000),
            tls: None,
            relays_without_bus: None,
            limits: Limits::default(),
        }
    }
}

/// Never shows the secret.
impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("relay", &self.relay)
            .field("path", &self.path)
            .field("ping_interval", &self.ping_interval)
            .field("ping_timeout", &self.ping_timeout)
            .field("max_payload", &self.max_payload)
            .field("connect_timeout", &self.connect_timeout)
            .field("upgrade_timeout", &self.upgrade_timeout)
            .field("transports", &self.transports)
            .field("allow_upgrades", &self.allow_upgrades)
            .field("answer_timeout", &self.answer_timeout)
            .field("max_recovery_bytes", &self.max_recovery_bytes)
            .field("cors", &self.cors)
            .field("stall_timeout", &self.stall_timeout)
            .field("tls", &self.tls)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// Socket.IO's option `transports`: one of them at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transports {
    pub polling: bool,
    pub websocket: bool,
}

impl Default for Transports {
    fn default() -> Transports {
        Transports {
            polling: true,
            websocket: true,
        }
    }
}

impl Transports {
    /// Whether this is the name of one that is allowed.
    pub(crate) fn allow(self, name: &str) -> bool {
        match name {
            "polling" => self.polling,
            "websocket" => self.websocket,
            _ => false,
        }
    }
}

/// What Socket.IO's option `cors` says: which pages of other origins may connect.
#[derive(Debug, Clone)]
pub struct Cors {
    pub origins: AllowedOrigins,
    /// Whether such a page's cookies come along. Not with [`AllowedOrigins::Any`]: browsers refuse it.
    pub credentials: bool,
}

#[derive(Debug, Clone)]
pub enum AllowedOrigins {
    /// `*`
    Any,
    /// Each as a browser sends it: scheme, host and port.
    These(Vec<String>),
}

/// Bytes that may wait for a namespace's next batches; then the sockets that write to it are not read.
pub(crate) const MAX_PENDING_BYTES: usize = 8 * 1024 * 1024;

/// Events, and bytes of their payloads, that one socket may have in a batch that waits. Then it is not read until
/// the batch has left: one client cannot fill a batch that others wait in.
pub(crate) const MAX_SHARE_EVENTS: u32 = 256;
pub(crate) const MAX_SHARE_BYTES: usize = 512 * 1024;

/// How long a packet may wait for its next attachment. It is looked at with every heartbeat.
pub(crate) const ATTACHMENTS_WAIT: Duration = Duration::from_secs(30);

/// Bytes of a namespace's name. It travels in a header of every batch, percent-encoded.
pub(crate) const MAX_NAMESPACE_BYTES: usize = 1024;

/// Acknowledgement ids beyond JavaScript's exact numbers that are remembered for one socket.
pub(crate) const MAX_ODD_ACKS: usize = 32;

/// Bytes of one answer of the app. Its own limit is far lower: `parlour_protocol::relay::MAX_ANSWER_BYTES`.
pub(crate) const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;

/// The most clients that resume their sessions in one batch. The app does a few statements for each, so more
/// would only be put off.
pub(crate) const RECOVERIES_AT_ONCE: usize = 64;

/// How long a namespace whose clients are to read first waits before it looks again.
pub(crate) const RECOVERY_PAUSE: Duration = Duration::from_millis(20);

/// The first wait before a batch is sent again; it doubles up to [`MAX_BACKOFF`].
pub(crate) const MIN_BACKOFF: Duration = Duration::from_millis(50);
pub(crate) const MAX_BACKOFF: Duration = Duration::from_secs(2);

/// How often the app may fail at one event before the event is given up.
pub(crate) const MAX_FAILURES: u32 = 3;

/// A namespace that was busy and then had nothing for this long sends one `tick`.
pub(crate) const TICK_AFTER: Duration = Duration::from_secs(60);

/// A namespace that has sockets sends one at least this often: the app gives up a relay that it has not heard
/// for long.
pub(crate) const TICK_EVERY: Duration = Duration::from_secs(60 * 60);

/// A namespace that had nothing for this long gives its buffers back.
pub(crate) const TRIM_AFTER: Duration = Duration::from_secs(1);

/// How long the end of the relay waits for the app to take the last events.
pub(crate) const SHUTDOWN_WAIT: Duration = Duration::from_secs(10);

/// How long a closed WebSocket may take to close its side.
pub(crate) const LINGER: Duration = Duration::from_secs(5);

/// How long a closed polling session waits for a poll that it can tell so (engine.io's `closeTimeout`).
pub(crate) const POLLING_CLOSE_WAIT: Duration = Duration::from_secs(30);

/// How often the poll of a client that wants to change over to WebSocket is ended, as engine.io does.
pub(crate) const RELEASE_EVERY: Duration = Duration::from_millis(100);

/// Headers of an HTTP request: twice as many as Node.js reads.
pub(crate) const MAX_HEADERS: usize = 2000;

/// Bytes of an HTTP request's headers, and of an answer that wait to be written.
pub(crate) const MAX_HTTP_BUFFER: usize = 32 * 1024;

/// Requests that the app works on for clients at once, batches aside: each is a request of the app, a
/// descriptor on the way there and buffers on both.
pub(crate) const MAX_EXCHANGES: usize = 128;

/// How many of them may be at their beginning: until the app's answer begins, or this time is over. So a crowd of
/// requests comes to the app one after the other, and batches are not behind all of them.
pub(crate) const MAX_STARTING: usize = 4;
pub(crate) const STARTING: Duration = Duration::from_millis(20);

/// How many batches of namespaces in which nobody is may be at the app at once, and for how long one counts. A client
/// can ask for any number of names, and who is in a namespace would share the app with all of them.
pub(crate) const MAX_NAMES_ASKED: usize = 8;
pub(crate) const NAME_ASKED: Duration = Duration::from_secs(5);

/// How long a request waits until fewer are under way. Then it is turned down with 503.
pub(crate) const EXCHANGE_WAIT: Duration = Duration::from_secs(5);

/// How long the app and its databases may take to show that they are there: longer than the 5 s for which
/// SQLite waits for a lock, so that SQLite can say so itself.
pub(crate) const PROBE_TIMEOUT: Duration = Duration::from_secs(8);

/// How long the answer to such a question is good for everybody who asks.
pub(crate) const PROBE_LASTS: Duration = Duration::from_secs(1);

/// How often the runtime shows that it is alive, and after how long without that it counts as stuck.
pub(crate) const PULSE_EVERY: Duration = Duration::from_secs(1);
pub(crate) const PULSE_LATE: Duration = Duration::from_secs(10);

/// What a TCP connection is counted for while it is served as HTTP: its buffers, first of all.
pub(crate) const HTTP_CONNECTION_BYTES: usize = 12 * 1024;

/// A client that sends more events than it may, or pings without reading the pongs, is not read for this long,
/// again and again.
pub(crate) const SLOWED_FOR: Duration = Duration::from_millis(100);

/// After this many times in a row its connection is closed: it has sent more than it may for a minute.
pub(crate) const MAX_SLOWED: u32 = 600;

/// How often the clients for whom most is kept are closed while all is too much.
pub(crate) const RELIEF_INTERVAL: Duration = Duration::from_millis(50);

/// How often a namespace in which nothing happens asks the app what others have emitted while the bus is away.
pub(crate) const ASK_EVERY: Duration = Duration::from_secs(1);

/// Bytes of a namespace's log that are kept until it is their turn. Beyond that the app is asked for them later.
pub(crate) const MAX_EARLY_BYTES: usize = 16 * 1024 * 1024;

/// Bytes of a namespace's log that other relays are told in one message, unless one command is larger.
pub(crate) const MAX_SEGMENT_BYTES: usize = 1024 * 1024;

/// Bytes of replies in one report to another relay, unless one is larger; and ids.
pub(crate) const MAX_REPORT_BYTES: usize = 1024 * 1024;
pub(crate) const MAX_REPORTED_IDS: usize = 10_000;

/// How long a client that has a session may take to answer a ping when somebody else wants that session; not
/// longer than to answer any other ping.
pub(crate) const OWNER_WAIT: Duration = Duration::from_secs(1);

/// How long its connection is not given up for a missing pong after that, because the app is about to give the
/// session away.
pub(crate) const TAKE_OVER: Duration = Duration::from_secs(2);

/// The longest timer for a token's end: clocks are set, and a timer outlives its connection.
pub(crate) const EXPIRY_LOOK: Duration = Duration::from_secs(600);

/// How long after the time to acknowledge is over other relays may take to report.
pub(crate) const REPORT_WAIT: Duration = Duration::from_secs(1);
