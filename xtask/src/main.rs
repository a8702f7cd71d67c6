//! `cargo xtask`: builds, starts, tests and measures Parlour, from a fresh clone, and says what it
//! is doing. It only starts other programs.

mod build;
mod dist;
mod fuzz;
mod kit;
mod needs;
mod tools;
mod torture;
mod verify;

use std::process::ExitCode;

use anyhow::{Result, bail};

const HELP: &str = "\
cargo xtask build               build target/release/parlour, the components and the web client
cargo xtask up [-- OPTIONS]     build, then run `parlour up OPTIONS`
cargo xtask test                every test: unit, end to end, in a browser
cargo xtask dist                what one would download, in target/dist: the binary, small, and what goes with it
cargo xtask bench [-- OPTIONS]  measure Parlour and its peers, side by side
cargo xtask torture [OPTIONS]   faults of every kind under load: --minutes N --seed S, and --help
cargo xtask fuzz [--seconds N] [--keep] [TARGET…]
                                every fuzz target, or those named, for N seconds (60) each
cargo xtask deny                licences, sources and known vulnerabilities of the dependencies
cargo xtask ci                  formatting, lints, every test, torture, a little fuzzing, dependencies";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    std::env::set_current_dir(tools::root()?)?;
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next();
    let rest: Vec<String> = arguments.skip_while(|argument| argument == "--").collect();
    let takes_options = matches!(
        command.as_deref(),
        Some("up" | "dist" | "bench" | "torture" | "fuzz")
    );
    if !rest.is_empty() && !takes_options {
        bail!("unexpected {:?}\n\n{HELP}", rest[0]);
    }
    match command.as_deref() {
        Some("build") => build::everything(),
        Some("up") => {
            build::everything()?;
            build::start(&rest)
        }
        Some("test") => verify::test(),
        Some("bench") => verify::bench(&rest),
        Some("torture") => {
            let options: Vec<&str> = rest.iter().map(String::as_str).collect();
            torture::run(&options)
        }
        Some("fuzz") => fuzz::run(&rest),
        Some("dist") => dist::run(&rest),
        Some("deny") => verify::deny(),
        Some("ci") => verify::ci(),
        Some("help" | "--help" | "-h") => {
            println!("{HELP}");
            Ok(())
        }
        Some(other) => bail!("unknown command {other:?}\n\n{HELP}"),
        None => bail!("which command?\n\n{HELP}"),
    }
}
