//! The `parlour` binary. It reads flags, finds secrets, starts the parts and stops them in order;
//! what the parts do is in their own crates.

mod backup;
mod descriptors;
mod embedded;
mod flags;
mod guard;
mod guests;
mod identity;
mod limits;
mod run;
mod secrets;
mod signals;
mod telemetry;
mod token;
mod variables;

use std::io::IsTerminal as _;

use clap::Parser;
use flags::{Cli, Command, LogFormat};
use telemetry::Telemetry;

fn main() -> std::process::ExitCode {
    let cli = Cli::parse();
    start_logging(cli.log_format);
    let done = match cli.command {
        Command::Token(flags) => token::print(&flags),
        Command::Backup(flags) => flags.back_up(),
        Command::Restore(flags) => flags.restore(),
        Command::Up(flags) => traced(run::up(flags)),
        Command::App(flags) => block_on(run::app(flags)),
        Command::Relay(flags) => traced(run::relay(flags)),
    };
    match done {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            match cli.log_format {
                LogFormat::Text => eprintln!("parlour: {error:#}"),
                LogFormat::Json => tracing::error!("{error:#}"),
            }
            std::process::ExitCode::FAILURE
        }
    }
}

/// For what has a relay: the relay makes the traces.
fn traced(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let telemetry = Telemetry::start()?;
    let done = block_on(work);
    telemetry.stop();
    done
}

fn block_on(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(work)
}

/// What is logged, unless RUST_LOG says otherwise. The client of NATS leaves it to us to say what it means; of
/// OpenTelemetry only its troubles are news.
const LOGGED: &str = "info,async_nats=off,opentelemetry=warn";

/// Logs go to standard error, so that standard output has only what a script wants to read.
fn start_logging(format: LogFormat) {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(LOGGED));
    let no_colour = std::env::var_os("NO_COLOR").is_some_and(|it| !it.is_empty());
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal() && !no_colour)
        .with_target(false)
        // A full disk under the log: the complaint about it would go there, too, and panic.
        .log_internal_errors(false);
    match format {
        LogFormat::Text => log.init(),
        // One object a line: timestamp, level, message, and the fields of the event beside them.
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
}
