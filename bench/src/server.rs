//! The servers that are measured: how each is started on its core, asked for its memory, and stopped.
//! Owns their processes; never speaks Socket.IO with them.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use clap::ValueEnum;
use rustix::process::{Pid, Signal, kill_process};

use crate::machine::{self, Cores};

/// How long a server may take to say that it listens. The first start of Parlour compiles its app.
const START_TIMEOUT: Duration = Duration::from_secs(120);
/// How long it may take to stop before it is killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
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
    pub address: SocketAddr,
    pub cores: Cores,
    child: Child,
}

impl Server {
    /// Starts a server and waits until it listens.
    pub fn start(kind: Kind, setup: &Setup) -> Result<Self> {
        let folder = setup.folder(kind);
        let log = folder.join("log");
        let mut command = command(kind, setup, &folder);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&log).with_context(|| format!("cannot write {}", log.display()))?);
        // A child starts on the core that its parent has at that moment.
        machine::pin(setup.cores.server)?;
        let child = command.spawn();
        machine::pin(setup.cores.generator)?;
        let mut child = child.with_context(|| format!("cannot start {command:?}"))?;
        match listening(&mut child) {
            Ok(address) => Ok(Self {
                kind,
                address,
                cores: setup.cores,
                child,
            }),
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(error.context(format!("{command:?} did not start; see {}", log.display())))
            }
        }
    }

    pub fn cpu(&self) -> Result<Duration> {
        machine::cpu_of(self.child.id())
    }

    pub fn memory(&self) -> Result<u64> {
        machine::memory_of(self.child.id())
    }

    /// Asks a server that has one to run its garbage collector.
    pub fn collect_garbage(&self) -> Result<()> {
        match self.kind {
            Kind::Parlour => Ok(()),
            Kind::Node | Kind::NodeSqlite => Ok(kill_process(self.pid(), Signal::USR2)?),
        }
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = kill_process(self.pid(), Signal::TERM);
        let begin = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && begin.elapsed() < STOP_TIMEOUT {
            thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(kind: Kind, setup: &Setup, folder: &Path) -> Command {
    let mut command;
    match kind {
        Kind::Parlour => {
            command = Command::new(&setup.parlour);
            command.args(["up", "--listen", "127.0.0.1:0", "--file"]);
            command.arg(&setup.manifest).arg("--state-dir").arg(folder);
            // The peers log no connections either.
            command.env("RUST_LOG", "warn");
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
