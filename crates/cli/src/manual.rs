//! What shells and `man` know of the command, made from its flags.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::{Args, Command};
use clap_complete::Shell;

#[derive(Args)]
pub struct Completions {
    /// Which shell
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    pub fn print(&self, mut command: Command) -> Result<()> {
        clap_complete::generate(self.shell, &mut command, "parlour", &mut std::io::stdout());
        Ok(())
    }
}

#[derive(Args)]
pub struct Man {
    /// Where to: parlour.1, and a page for each command
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

impl Man {
    pub fn write(&self, command: Command) -> Result<()> {
        let write = || {
            std::fs::create_dir_all(&self.folder)?;
            clap_mangen::generate_to(command, &self.folder)
        };
        write().with_context(|| format!("cannot write manual pages into {}", self.folder.display()))
    }
}
