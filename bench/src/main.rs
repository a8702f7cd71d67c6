//! `parlour-bench`: Parlour and its peers, side by side, on one machine. Owns the options and the order
//! of the runs; exits with 1 if a server lost, repeated or reordered anything. See bench/README.md.

mod audit;
mod fleet;
mod frame;
mod machine;
mod report;
mod server;
mod work;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};

use crate::machine::Cores;
use crate::report::Report;
use crate::server::{Server, Setup};

/// Open files that the generator needs besides its sockets.
const OTHER_FILES: u64 = 100;

/// Measures `parlour up` beside a chat server on npm's socket.io.
#[derive(Debug, Parser)]
struct Options {
    /// What to measure.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [
        work::Kind::Echo, work::Kind::Fanout, work::Kind::Rooms, work::Kind::Relays,
        work::Kind::Connects, work::Kind::Memory, work::Kind::Latency,
    ])]
    only: Vec<work::Kind>,
    /// Which servers take part.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [
        server::Kind::Parlour, server::Kind::Node, server::Kind::NodeSqlite,
    ])]
    servers: Vec<server::Kind>,
    /// How often each server is measured; the figures are medians.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// How long each measurement takes, after a second to warm up.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// µs that clients sleep before they look for more, under load: 0 reads at once.
    #[arg(long, value_delimiter = ',', default_values_t = [0, 100])]
    think: Vec<u64>,
    /// The servers' core and the load generator's.
    #[arg(long, value_delimiter = ',', num_args = 1, default_values_t = [0, 1])]
    cores: Vec<usize>,
    /// Also write every figure of every round here.
    #[arg(long)]
    json: Option<PathBuf>,
    /// The `parlour` program.
    #[arg(long, default_value = "target/release/parlour")]
    parlour: PathBuf,
    /// The application that `parlour up` runs.
    #[arg(long, default_value = "tests/conformance/spin.toml")]
    manifest: PathBuf,
    /// Where the peers are installed.
    #[arg(long, default_value = "bench/peers")]
    peers: PathBuf,
    /// Databases and logs, on the disk that is to be measured; those of the last time are removed.
    #[arg(long, default_value = "target/bench")]
    state: PathBuf,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("parlour-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<bool> {
    let &[server, generator] = options.cores.as_slice() else {
        anyhow::bail!("--cores takes two numbers, such as 0,1");
    };
    let setup = Setup {
        parlour: options.parlour.clone(),
        manifest: options.manifest.clone(),
        peers: options.peers.clone(),
        state: options.state.clone(),
        cores: Cores { server, generator },
    };
    let machine = machine::describe();
    machine::pin(generator)?;
    machine::allow_sockets(work::connects::MOST as u64 + OTHER_FILES)?;
    empty(&setup)?;
    let sync = machine::sync_time(&setup.state)?;
    println!("{machine}; servers on core {server}, load generator on core {generator}");
    println!("fdatasync of 4 KiB: {} µs (median)\n", sync.as_micros());

    let (report, failures) = rounds(options, &setup);
    println!("\n{}", report.table(&options.servers));
    println!(
        "Medians of {} rounds. Parlour stores every message before it is seen or acked.",
        options.rounds
    );
    if let Some(path) = &options.json {
        let json = report.json(&machine, sync.as_secs_f64() * 1e6);
        fs::write(path, format!("{json:#}\n"))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    for failure in &failures {
        println!("FAILED: {failure}");
    }
    Ok(failures.is_empty())
}

/// Every server in turn, in every round, so that a change of the machine's mood meets all of them.
fn rounds(options: &Options, setup: &Setup) -> (Report, Vec<String>) {
    let (mut report, mut failures) = (Report::default(), Vec::new());
    let time = Duration::from_secs_f64(options.seconds);
    for round in 1..=options.rounds {
        for &work in &options.only {
            let thinks = if work.is_load() {
                options.think.as_slice()
            } else {
                &[0]
            };
            for &think in thinks {
                for &kind in options.servers.iter().filter(|kind| work.is_for(**kind)) {
                    let place = format!("round {round}, {}", kind.label());
                    match measure(kind, work, time, think, setup) {
                        Ok(sample) => {
                            println!("{place}: {}", report::line((work, think), &sample));
                            report.add((work, think), kind, sample);
                        }
                        Err(error) => {
                            let failure = format!("{place}, {work:?} at {think} µs: {error:#}");
                            println!("{failure}");
                            failures.push(failure);
                        }
                    }
                }
            }
        }
    }
    (report, failures)
}

fn measure(
    kind: server::Kind,
    work: work::Kind,
    time: Duration,
    think: u64,
    setup: &Setup,
) -> Result<work::Sample> {
    let server = Server::start(kind, setup, work.relays())?;
    work::run(work, &server, time, Duration::from_micros(think))
}

/// A fresh database for each server, of which all its rounds are part.
fn empty(setup: &Setup) -> Result<()> {
    for kind in server::Kind::value_variants() {
        let folder = setup.folder(*kind);
        if folder.exists() {
            fs::remove_dir_all(&folder)
                .with_context(|| format!("cannot remove {}", folder.display()))?;
        }
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    Ok(())
}
