//! The `parlour` binary. It reads flags, finds secrets, starts the parts and stops them in order;
//! what the parts do is in their own crates.

mod address;
mod backup;
mod build;
mod check;
mod components;
mod descriptors;
mod dev;
mod duration;
mod embedded;
mod flags;
mod guard;
mod guests;
mod identity;
mod kit;
mod limits;
mod logging;
mod manual;
mod nearest;
mod new;
mod run;
mod secrets;
mod setup;
mod signals;
mod telemetry;
mod token;
mod variables;
mod version;

use clap::{CommandFactory as _, Parser};
use flags::{Cli, Command, LogFormat};
use telemetry::Telemetry;

fn main() -> std::process::ExitCode {
    let cli = Cli::parse();
    if let Err(error) = logging::start(cli.log_format) {
        eprintln!("parlour: {error:#}");
        return std::process::ExitCode::FAILURE;
    }
    let done = match cli.command {
        Command::New(flags) => flags.make(),
        Command::Components(flags) => flags.update(),
        Command::Completions(flags) => flags.print(Cli::command()),
        Command::Man(flags) => flags.write(Cli::command()),
        Command::Token(flags) => token::print(&flags),
        Command::Backup(flags) => flags.back_up(),
        Command::Restore(flags) => flags.restore(),
        Command::Up(flags) => traced(run::up(flags)),
        Command::Dev(flags) => traced(dev::run(flags)),
        Command::App(flags) => block_on(run::app(flags)),
        Command::Relay(flags) => traced(run::relay(flags)),
        Command::Check(flags) => block_on(check::check(flags)),
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
