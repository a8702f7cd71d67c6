//! The torture test: real processes that are killed and paused, a disk that loses power, a network that is cut.
//! The test itself is tests/torture; this builds what it needs and runs it.

use anyhow::Result;

use crate::build;
use crate::needs;
use crate::tools::{self, say};

const FOLDER: &str = "tests";

/// What of it decides whether a change lands: the same schedule each time.
pub const IN_CI: &[&str] = &["--minutes", "2", "--seed", "1"];

pub fn run(options: &[&str]) -> Result<()> {
    needs::for_torture()?;
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
