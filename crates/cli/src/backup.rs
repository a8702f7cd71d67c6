//! `parlour backup` and `parlour restore`: flags, and what is said when it is done. The work is the
//! host's.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use parlour_host::Copied;

#[derive(Args)]
pub struct Flags {
    /// The backup: of the default database; those that the runtime configuration names are in FILE.LABEL
    file: PathBuf,
    /// The state directory of the server
    #[arg(long, default_value = ".spin", value_name = "DIR")]
    state_dir: PathBuf,
    /// The runtime configuration of the server, if it has one
    #[arg(long = "runtime-config-file", value_name = "FILE")]
    runtime_config: Option<PathBuf>,
}

/// From the state directory, by the runtime configuration, the backup.
type Work = fn(&Path, Option<&Path>, &Path) -> Result<Vec<Copied>>;

impl Flags {
    pub fn back_up(&self) -> Result<()> {
        for copied in self.call(parlour_host::back_up)? {
            let bytes = copied.backup.metadata()?.len();
            let (from, to) = (copied.database.display(), copied.backup.display());
            println!("{from} is backed up to {to} ({bytes} bytes)");
        }
        Ok(())
    }

    pub fn restore(&self) -> Result<()> {
        for copied in self.call(parlour_host::restore)? {
            let (to, from) = (copied.database.display(), copied.backup.display());
            println!("{to} is restored from {from}");
            if let Some(kept) = copied.kept {
                println!("what was there is kept as {}", kept.display());
            }
        }
        Ok(())
    }

    fn call(&self, work: Work) -> Result<Vec<Copied>> {
        work(&self.state_dir, self.runtime_config.as_deref(), &self.file)
    }
}
