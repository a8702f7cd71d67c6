//! The flags of every subcommand, with Spin's names where Spin has the flag and Socket.IO's where
//! Socket.IO has the option. Nothing is started here.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use parlour_relay::{AllowedOrigins, Cors, Tls, Transports};

use crate::address::address;
use crate::duration::{milliseconds, seconds, ten_milliseconds};
use crate::limits::LimitFlags;
use crate::variables::Source;
use crate::version;

/// A Socket.IO server whose logic is a Spin application.
#[derive(Parser)]
#[command(name = "parlour", version, long_version = version::long(), max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
    /// How the log, on standard error, is written
    #[arg(
        long,
        global = true,
        value_enum,
        default_value = "text",
        value_name = "FORMAT"
    )]
    pub log_format: LogFormat,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Text,
    /// An object a line
    Json,
}

#[derive(Subcommand)]
pub enum Command {
    /// Make a project of your own: a namespace, a page, a test, and all that they need of Parlour
    New(crate::new::Flags),
    /// Build and run a project, and do so again whenever its files change: no client is disconnected
    Dev(Up),
    /// Bring what a project has from Parlour, its folder parlour/, to what this binary has
    Components(crate::components::Flags),
    /// Run the relay and the app in this one process
    Up(Up),
    /// Run the app alone, on an HTTP port, as `spin up` would
    App(App),
    /// Run the relay alone, in front of an app that runs elsewhere
    Relay(Relay),
    /// Say whether an app is set up as it must be
    Check(Check),
    /// Copy the database of a server, which may be running, into a file
    Backup(crate::backup::Flags),
    /// Put a backup in the place of a stopped server's database
    Restore(crate::backup::Flags),
    /// Print a token that admits to namespaces for authorised users, for development
    Token(Token),
    /// Print what has a shell complete this command's words
    Completions(crate::manual::Completions),
    /// Write manual pages into a folder
    Man(crate::manual::Man),
}

#[derive(Args)]
pub struct Up {
    #[command(flatten)]
    pub application: Application,
    /// Where clients connect: an address or a name with a port, or a port alone, which is 127.0.0.1's; port 0 picks a
    /// free one
    #[arg(long, default_value = "127.0.0.1:3000", value_name = "ADDRESS", value_parser = address)]
    pub listen: SocketAddr,
    /// A private listener for /healthz, /readyz, /metrics and /publish
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    pub control: Option<SocketAddr>,
    /// First run the commands that build its components, as the manifest has them; dev always does
    #[arg(long)]
    pub build: bool,
    #[command(flatten)]
    pub bus: Bus,
    #[command(flatten)]
    pub engine: Engine,
}

#[derive(Args)]
pub struct App {
    #[command(flatten)]
    pub application: Application,
    /// Where the app answers HTTP; port 0 picks a free one
    #[arg(long, default_value = "127.0.0.1:3000", value_name = "ADDRESS", value_parser = address)]
    pub listen: SocketAddr,
    #[command(flatten)]
    pub stall: Stall,
}

#[derive(Args)]
pub struct Stall {
    /// How long an HTTP exchange may stall, be it the request, the app, or who should read the answer
    #[arg(id = "stall_timeout", long = "stall-timeout", default_value = "30000", value_name = "TIME", value_parser = milliseconds)]
    millis: u64,
}

impl Stall {
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.millis)
    }
}

#[derive(Args)]
pub struct Relay {
    /// Where the app answers: http://host:port, or https://host
    #[arg(long, value_name = "URL")]
    pub origin: String,
    /// The authorities that may vouch for an app at https://…, in PEM, instead of those that this machine trusts
    #[arg(long, value_name = "FILE")]
    pub origin_ca: Option<PathBuf>,
    /// Where clients connect; port 0 picks a free one
    #[arg(long, default_value = "127.0.0.1:8000", value_name = "ADDRESS", value_parser = address)]
    pub listen: SocketAddr,
    /// A private listener for /healthz, /readyz, /metrics and /publish
    #[arg(long, default_value = "127.0.0.1:8001", value_name = "ADDRESS", value_parser = address)]
    pub control: SocketAddr,
    /// A directory whose kept secrets are used where SPIN_VARIABLE_RELAY_SECRET is not set
    #[arg(long, default_value = ".spin", value_name = "DIR")]
    pub state_dir: PathBuf,
    #[command(flatten)]
    pub bus: Bus,
    #[command(flatten)]
    pub engine: Engine,
}

#[derive(Args)]
pub struct Check {
    #[command(flatten)]
    pub origin: Elsewhere,
    #[command(flatten)]
    pub application: Application,
}

/// An app that runs already.
#[derive(Args)]
pub struct Elsewhere {
    /// Where the app answers: http://host:port, or https://host. Without it, the app of the manifest is loaded and asked
    #[arg(long = "origin", value_name = "URL", conflicts_with_all = ["manifest", "variables", "runtime_config"])]
    pub url: Option<String>,
    /// The authorities that may vouch for an app at https://…, in PEM, instead of those that this machine trusts
    #[arg(long = "origin-ca", value_name = "FILE", requires = "url")]
    pub authorities: Option<PathBuf>,
}

/// How several relays of one app are one server.
#[derive(Args)]
pub struct Bus {
    /// A NATS broker by which relays tell each other: nats://host:4222, or tls://…; where it has a password,
    /// better by the environment
    #[arg(
        long = "bus",
        value_name = "URL",
        env = "PARLOUR_BUS",
        hide_env_values = true
    )]
    pub url: Option<String>,
    /// What the names of its subjects begin with: the same for all relays of an app, and for no other's
    #[arg(
        long = "bus-subject",
        value_name = "SUBJECT",
        default_value = "parlour"
    )]
    pub subject: String,
    /// There are other relays before the app, and no broker: ask the app what they have emitted, when it has not
    /// said so for this long [default: 1s]
    #[arg(
        id = "relays_without_bus",
        long = "relays-without-bus",
        value_name = "TIME",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "1s",
        conflicts_with = "url",
        value_parser = ten_milliseconds
    )]
    ask_every: Option<u64>,
}

impl Bus {
    /// How often the app is asked what other relays have emitted, where there is no bus to them.
    pub fn relays_without_bus(&self) -> Option<Duration> {
        self.ask_every.map(Duration::from_millis)
    }

    /// Whether other processes may serve the same application.
    pub fn is_shared(&self) -> bool {
        self.url.is_some() || self.ask_every.is_some()
    }
}

#[derive(Args)]
pub struct Token {
    /// Who it is for: the member's id
    #[arg(long)]
    pub sub: String,
    /// The member's name
    #[arg(long)]
    pub name: Option<String>,
    /// How long it is good: 15m, 30d, …; a bare number is in seconds
    #[arg(
        long,
        default_value = "24h",
        value_name = "TIME",
        allow_hyphen_values = true,
        value_parser = seconds
    )]
    pub ttl: i64,
    /// A token that never expires, which auth refuses unless auth_allow_unlimited is true
    #[arg(long, conflicts_with = "ttl")]
    pub no_exp: bool,
    /// Who makes it (iss), where the application has auth_issuer
    #[arg(long, value_name = "ISSUER")]
    pub iss: Option<String>,
    /// Whom it is for (aud), where the application has auth_audience
    #[arg(long, value_name = "AUDIENCE")]
    pub aud: Option<String>,
    /// A directory whose kept secrets are used where SPIN_VARIABLE_AUTH_SECRET is not set
    #[arg(long, default_value = ".spin", value_name = "DIR")]
    pub state_dir: PathBuf,
}

/// Which application to run; names and meaning are Spin's.
#[derive(Args)]
pub struct Application {
    /// The application's manifest
    #[arg(
        short = 'f',
        long = "from",
        alias = "file",
        default_value = "spin.toml",
        value_name = "FILE"
    )]
    pub manifest: PathBuf,
    /// Where the application's state is kept, its database first of all [default: .spin beside the manifest]
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Sets a variable of the application: KEY=VALUE, KEY=@FILE for a file's content, or @FILE.json or
    /// @FILE.toml for all that it has
    #[arg(long = "variable", value_name = "KEY=VALUE | @FILE")]
    pub variables: Vec<Source>,
    /// Spin's runtime configuration
    #[arg(long = "runtime-config-file", value_name = "FILE")]
    pub runtime_config: Option<PathBuf>,
    #[command(flatten)]
    pub guests: crate::guests::Guests,
}

/// Options of the Socket.IO server, with its names and defaults.
#[derive(Args)]
pub struct Engine {
    /// The time between the server's pings: 25s, 500ms, 2m, …; here as for the other times, a bare number is in
    /// milliseconds
    #[arg(long, default_value = "25000", value_name = "TIME", value_parser = milliseconds)]
    pub ping_interval: u64,
    /// How long a pong is waited for before the connection counts as lost
    #[arg(long, default_value = "20000", value_name = "TIME", value_parser = milliseconds)]
    pub ping_timeout: u64,
    /// The most bytes one message may have
    #[arg(long, default_value_t = 1_000_000, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(1..))]
    pub max_payload: u64,
    /// The time within which a client must have joined a namespace
    #[arg(long, default_value = "45000", value_name = "TIME", value_parser = milliseconds)]
    pub connect_timeout: u64,
    /// The time within which a transport upgrade must be complete
    #[arg(long, default_value = "10000", value_name = "TIME", value_parser = milliseconds)]
    pub upgrade_timeout: u64,
    /// What clients may connect with: polling, websocket, or both
    #[arg(long, default_value = "polling,websocket", value_name = "TRANSPORTS", value_parser = transports)]
    pub transports: Transports,
    /// Whether clients that poll are offered WebSocket
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, value_name = "BOOL")]
    pub allow_upgrades: bool,
    /// The path that Socket.IO clients connect to
    #[arg(long, default_value = "/socket.io", value_name = "PATH", value_parser = absolute_path)]
    pub path: String,
    /// Pages of which origins may connect: *, none, or origins separated by commas
    #[arg(long, default_value = "*", value_name = "ORIGINS", value_parser = cors_origins)]
    pub cors_origin: CorsOrigins,
    /// Let those pages' cookies come along; not with *, which browsers refuse
    #[arg(long)]
    pub cors_credentials: bool,
    /// The relay's name, the same after a restart and unlike every other relay's
    /// [default: made of the host's name and the port]
    #[arg(long, value_name = "NAME", value_parser = relay_id)]
    pub relay_id: Option<String>,
    /// Serve clients by TLS with this certificate: a PEM file with its chain. A changed file is read again
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// The private key of that certificate: a PEM file
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    #[command(flatten)]
    pub stall: Stall,
    #[command(flatten)]
    pub limits: LimitFlags,
}

/// The value of `--cors-origin`; none: no page of another origin.
#[derive(Clone, Debug)]
pub struct CorsOrigins(Option<AllowedOrigins>);

impl Engine {
    pub fn config(&self, relay: String, secret: String) -> anyhow::Result<parlour_relay::Config> {
        if self.cors_credentials && !matches!(self.cors_origin.0, Some(AllowedOrigins::These(_))) {
            anyhow::bail!("--cors-credentials needs --cors-origin with the origins it is for");
        }
        let cors = |origins: AllowedOrigins| Cors {
            origins,
            credentials: self.cors_credentials,
        };
        let tls = match (&self.tls_cert, &self.tls_key) {
            (Some(cert), Some(key)) => Some(Tls::load(cert, key)?),
            _ => None,
        };
        let max_payload = usize::try_from(self.max_payload).unwrap_or(usize::MAX);
        let limits = self.limits.limits(max_payload)?;
        Ok(parlour_relay::Config {
            tls,
            stall_timeout: self.stall.timeout(),
            cors: self.cors_origin.0.clone().map(cors),
            relay,
            secret,
            path: self.path.clone(),
            ping_interval: Duration::from_millis(self.ping_interval),
            ping_timeout: Duration::from_millis(self.ping_timeout),
            max_payload,
            connect_timeout: Duration::from_millis(self.connect_timeout),
            upgrade_timeout: Duration::from_millis(self.upgrade_timeout),
            transports: self.transports,
            allow_upgrades: self.allow_upgrades,
            // Who comes back must leave room for those who are here.
            max_recovery_bytes: limits.memory / 8,
            limits,
            ..parlour_relay::Config::default()
        })
    }
}

fn absolute_path(text: &str) -> Result<String, String> {
    let path = text.strip_suffix('/').unwrap_or(text);
    if path.len() > 1 && path.starts_with('/') && !path.contains(['?', '#', ' ']) {
        Ok(path.to_owned())
    } else {
        Err("write it as /PATH".to_owned())
    }
}

fn transports(text: &str) -> Result<Transports, String> {
    let mut transports = Transports {
        polling: false,
        websocket: false,
    };
    for name in text.split(',') {
        match name.trim() {
            "polling" => transports.polling = true,
            "websocket" => transports.websocket = true,
            other => {
                return Err(format!(
                    "{other:?} is no transport: there are polling and websocket"
                ));
            }
        }
    }
    Ok(transports)
}

fn cors_origins(text: &str) -> Result<CorsOrigins, String> {
    let origins = match text.trim() {
        "*" => Some(AllowedOrigins::Any),
        "none" => None,
        list => {
            let origins: Vec<String> = list.split(',').map(|it| it.trim().to_owned()).collect();
            if !origins.iter().all(|origin| is_origin(origin)) {
                return Err(
                    "write *, none, or origins such as https://example.com, separated by commas"
                        .to_owned(),
                );
            }
            Some(AllowedOrigins::These(origins))
        }
    };
    Ok(CorsOrigins(origins))
}

/// Scheme, host and perhaps port, as a browser sends it: no path.
fn is_origin(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, host)| {
        !scheme.is_empty() && !host.is_empty() && !host.contains(['/', '?', '#', ' ', '*'])
    })
}

pub fn relay_id(text: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if (1..=64).contains(&text.len()) && text.chars().all(allowed) {
        Ok(text.to_owned())
    } else {
        Err("use 1 to 64 of A-Z a-z 0-9 _ - .".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_flags_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn origins_are_any_none_or_a_list() {
        assert!(matches!(
            cors_origins("*"),
            Ok(CorsOrigins(Some(AllowedOrigins::Any)))
        ));
        assert!(matches!(cors_origins("none"), Ok(CorsOrigins(None))));
        let two = cors_origins("https://a.example, http://b.example:8080").unwrap();
        assert!(matches!(two.0, Some(AllowedOrigins::These(list)) if list.len() == 2));
        assert!(cors_origins("https://a.example/path").is_err());
        assert!(cors_origins("").is_err());
    }

    #[test]
    fn a_path_is_absolute_and_a_relay_id_is_plain() {
        assert_eq!(absolute_path("/socket.io/"), Ok("/socket.io".into()));
        assert!(absolute_path("socket.io").is_err());
        assert!(absolute_path("/").is_err());
        assert!(relay_id("host-3000").is_ok());
        assert!(relay_id("höst").is_err());
        assert!(relay_id("").is_err());
    }
}
