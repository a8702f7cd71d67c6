//! The torture test: real processes that are killed and paused, a disk that loses power, a network that is cut.
//! The test itself is tests/torture; this builds what it needs and runs it.

use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::build;
use crate::tools::{self, say};

const FOLDER: &str = "tests";

/// What of it decides whether a change lands: the same schedule each time. The disk is not full yet: what the app
/// could not store is given up then, which can leave a ghost.
pub const IN_CI: &[&str] = &["--minutes", "2", "--seed", "1", "--without", "disk-full"];

pub fn run(options: &[&str]) -> Result<()> {
    tools::need_nats()?;
    need("cc", "compiles the library that loses power", "gcc")?;
    need("python3", "holds locks of the database", "python3")?;
    build::everything()?;
    tools::npm_install(FOLDER)?;
    say("Torture");
    let arguments: Vec<&str> = ["torture/torture.mjs"]
        .iter()
        .chain(options)
        .copied()
        .collect();
    tools::run(FOLDER, "node", &arguments)
}

fn need(program: &str, what_for: &str, package: &str) -> Result<()> {
    let mut command = Command::new(program);
    command.arg("--version").stdout(Stdio::null());
    if command.status().is_ok_and(|status| status.success()) {
        return Ok(());
    }
    bail!(
        "{program} is missing: it {what_for} in the torture test. Install it (Debian: apt-get install {package})"
    )
}
