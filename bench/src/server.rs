//! The servers that are measured: how each is started on its core, asked for its memory, and stopped.
//! Owns their processes; never speaks Socket.IO with them.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use clap::ValueEnum;
use rustix::process::{Pid, Signal, kill_process};

use crate::machine::{self, Cores};

/// How long a server may take to say that it listens. The first start of Parlour compiles its app.
const START_TIMEOUT: Duration = Duration::from_secs(120);
/// How long it may take to stop before it is killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// Of Parlour's processes. The peers log no connections either.
const ENVIRONMENT: [(&str, &str); 2] = [
    ("RUST_LOG", "warn"),
    (
        "SPIN_VARIABLE_RELAY_SECRET",
        "a secret of the benchmark, and of nobody else",
    ),
];
/// What every server prints, followed by its address, when it answers.
const LISTENING: &str = "Listening on http://";

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Kind {
    Parlour,
    Node,
    NodeSqlite,
}

impl Kind {
    pub fn label(self) -> &'static str {
        match self {
            Self::Parlour => "Parlour",
            Self::Node => "Node",
            Self::NodeSqlite => "Node+SQLite",
        }
    }
}

/// Where things are, and which core is whose.
#[derive(Debug)]
pub struct Setup {
    pub parlour: PathBuf,
    pub manifest: PathBuf,
    pub peers: PathBuf,
    /// Databases and logs; on the disk that is to be measured.
    pub state: PathBuf,
    pub cores: Cores,
}

impl Setup {
    /// The database and the log of one server.
    pub fn folder(&self, kind: Kind) -> PathBuf {
        let name = match kind {
            Kind::Parlour => "parlour",
            Kind::Node => "node",
            Kind::NodeSqlite => "node-sqlite",
        };
        self.state.join(name)
    }
}

#[derive(Debug)]
pub struct Server {
    pub kind: Kind,
    /// Where clients connect: one for each relay.
    pub addresses: Vec<SocketAddr>,
    pub cores: Cores,
    /// The last one that was started is the first to stop.
    processes: Vec<Process>,
}

impl Server {
    /// Starts a server and waits until it listens. With several relays it is the app, a broker and the relays, all
    /// on the servers' core.
    pub fn start(kind: Kind, setup: &Setup, relays: usize) -> Result<Self> {
        let mut server = Self {
            kind,
            addresses: Vec::new(),
            cores: setup.cores,
            processes: Vec::new(),
        };
        let folder = setup.folder(kind);
        if relays == 1 {
            let address = server.add(command(kind, setup, &folder), &folder, "log")?;
            server.addresses.push(address);
            return Ok(server);
        }
        let broker = server.broker(&folder)?;
        let app = server.add(app(setup, &folder), &folder, "app.log")?;
        for number in 1..=relays {
            let name = format!("relay-{number}");
            let mut relay = Command::new(&setup.parlour);
            relay.args([
                "relay",
                "--listen",
                "127.0.0.1:0",
                "--control",
                "127.0.0.1:0",
            ]);
            relay.args(["--origin", &format!("http://{app}"), "--relay-id", &name]);
            relay
                .args(["--bus", &format!("nats://{broker}"), "--state-dir"])
                .arg(&folder);
            relay.envs(ENVIRONMENT);
            let address = server.add(relay, &folder, &format!("{name}.log"))?;
            server.addresses.push(address);
        }
        Ok(server)
    }

    /// Starts a NATS broker.
    fn broker(&mut self, folder: &Path) -> Result<SocketAddr> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let configuration = folder.join("nats.conf");
        let text = format!("listen: \"{address}\"\nmax_payload: 4MB\n");
        fs::write(&configuration, text)
            .with_context(|| format!("cannot write {}", configuration.display()))?;
        let mut broker = Command::new("nats-server");
        broker.arg("--config").arg(&configuration);
        self.spawn(broker, folder, "nats.log")
            .context("two relays need a broker: install nats-server")?;
        let begin = Instant::now();
        while TcpStream::connect(address).is_err() {
            ensure!(
                begin.elapsed() < START_TIMEOUT,
                "the broker does not answer at {address}"
            );
            thread::sleep(Duration::from_millis(10));
        }
        Ok(address)
    }

    /// Starts a process that says where it listens.
    fn add(&mut self, command: Command, folder: &Path, log: &str) -> Result<SocketAddr> {
        let process = self.spawn(command, folder, log)?;
        listening(&mut process.0)
            .with_context(|| format!("it did not start; see {}", folder.join(log).display()))
    }

    fn spawn(&mut self, mut command: Command, folder: &Path, log: &str) -> Result<&mut Process> {
        let log = folder.join(log);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&log).with_context(|| format!("cannot write {}", log.display()))?);
        // A child starts on the core that its parent has at that moment.
        machine::pin(self.cores.server)?;
        let child = command.spawn();
        machine::pin(self.cores.generator)?;
        let child = child.with_context(|| format!("cannot start {command:?}"))?;
        self.processes.push(Process(child));
        Ok(self.processes.last_mut().expect("it was just added"))
    }

    pub fn cpu(&self) -> Result<Duration> {
        self.processes
            .iter()
            .map(|it| machine::cpu_of(it.0.id()))
            .sum()
    }

    pub fn memory(&self) -> Result<u64> {
        self.processes
            .iter()
            .map(|it| machine::memory_of(it.0.id()))
            .sum()
    }

    /// Asks a server that has one to run its garbage collector.
    pub fn collect_garbage(&self) -> Result<()> {
        match self.kind {
            Kind::Parlour => Ok(()),
            Kind::Node | Kind::NodeSqlite => self
                .processes
                .iter()
                .try_for_each(|it| it.signal(Signal::USR2)),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        while self.processes.pop().is_some() {}
    }
}

/// It is stopped when it is not needed any more.
#[derive(Debug)]
struct Process(Child);

impl Process {
    fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill_process(Pid::from_child(&self.0), signal)?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.signal(Signal::TERM);
        let begin = Instant::now();
        while matches!(self.0.try_wait(), Ok(None)) && begin.elapsed() < STOP_TIMEOUT {
            thread::sleep(Duration::from_millis(10));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The app of several relays.
fn app(setup: &Setup, folder: &Path) -> Command {
    let mut command = Command::new(&setup.parlour);
    command.args(["app", "--listen", "127.0.0.1:0", "--file"]);
    command.arg(&setup.manifest).arg("--state-dir").arg(folder);
    command.envs(ENVIRONMENT);
    command
}

fn command(kind: Kind, setup: &Setup, folder: &Path) -> Command {
    let mut command;
    match kind {
        Kind::Parlour => {
            command = Command::new(&setup.parlour);
            command.args(["up", "--listen", "127.0.0.1:0", "--file"]);
            command.arg(&setup.manifest).arg("--state-dir").arg(folder);
            command.envs(ENVIRONMENT);
        }
        Kind::Node | Kind::NodeSqlite => {
            command = Command::new("node");
            command
                .arg("--expose-gc")
                .arg(setup.peers.join("server.mjs"));
            command.env("NODE_ENV", "production");
            if kind == Kind::NodeSqlite {
                command.arg("--database").arg(folder.join("messages.db"));
            }
        }
    }
    command
}

/// Waits for the line that names the address, then lets a thread swallow the rest.
fn listening(child: &mut Child) -> Result<SocketAddr> {
    let output = child.stdout.take().context("no standard output")?;
    let (found, address) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if let Some(address) = line.trim().strip_prefix(LISTENING) {
                let _ = found.send(address.trim_end_matches('/').to_owned());
            }
        }
    });
    let address = address
        .recv_timeout(START_TIMEOUT)
        .map_err(|_| anyhow!("it ended, or was silent for {START_TIMEOUT:?}"))?;
    address
        .parse()
        .with_context(|| format!("{address:?} is no address"))
}
