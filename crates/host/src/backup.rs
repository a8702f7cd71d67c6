//! A backup of all databases of a state directory, from a process of its own while servers write,
//! and the way back. The default database is the file that the user names; where the runtime
//! configuration names others, each is beside it with its label appended.

use std::{
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Result, bail};

use crate::{
    runtime_config::RuntimeConfig,
    sqlite::{self, DEFAULT_LABEL, Databases},
    state_dir::{self, Alone},
};

/// A database that was copied, one way or the other.
pub struct Copied {
    pub database: PathBuf,
    pub backup: PathBuf,
    /// Where the database that a restore has replaced is now.
    pub kept: Option<PathBuf>,
}

/// Writes a backup of each database. None of its files may be there before; if one cannot be
/// written, none is left behind.
pub fn back_up(
    state_dir: &Path,
    runtime_config: Option<&Path>,
    file: &Path,
) -> Result<Vec<Copied>> {
    let pairs = pairs(state_dir, runtime_config, file)?;
    let pairs: Vec<_> = pairs
        .into_iter()
        .filter(|it| it.database.exists())
        .collect();
    if pairs.is_empty() {
        bail!(
            "there is no database in {}: name the server's --state-dir",
            state_dir.display()
        );
    }
    if let Some(pair) = pairs.iter().find(|pair| pair.backup.exists()) {
        bail!("{} exists, and is not overwritten", pair.backup.display());
    }
    for (done, pair) in pairs.iter().enumerate() {
        if let Err(error) = sqlite::back_up(&pair.database, &pair.backup) {
            for made in &pairs[..done] {
                let _ = std::fs::remove_file(&made.backup);
            }
            return Err(error);
        }
    }
    Ok(pairs)
}

/// Puts a backup in the place of the databases, which are kept under other names. Refuses while a
/// server uses the state directory, and touches nothing unless the whole backup is sound.
pub fn restore(
    state_dir: &Path,
    runtime_config: Option<&Path>,
    file: &Path,
) -> Result<Vec<Copied>> {
    let mut pairs = pairs(state_dir, runtime_config, file)?;
    pairs.retain(|pair| pair.backup.exists() || pair.database.exists());
    if let Some(pair) = pairs.iter().find(|pair| !pair.backup.exists()) {
        bail!(
            "there is no {}, which would take the place of {}",
            pair.backup.display(),
            pair.database.display()
        );
    }
    if pairs.is_empty() {
        bail!("there is no {}", file.display());
    }
    state_dir::prepare(state_dir)?;
    let alone = Alone::begin(state_dir)?;
    for pair in &pairs {
        sqlite::verify(&pair.backup)?;
    }
    let suffix = unused_suffix(&pairs)?;
    for pair in &mut pairs {
        pair.kept = sqlite::restore(&pair.backup, &pair.database, &suffix)?;
    }
    alone.leave_in_good_order();
    Ok(pairs)
}

/// What the names of the present databases get, so that they can be kept: the time, and a number where
/// databases of the same second are there already.
fn unused_suffix(pairs: &[Copied]) -> Result<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let numbered = (2..).map(|number| format!(".before-restore-{now}-{number}"));
    let is_unused = |suffix: &String| {
        let mut kept = pairs
            .iter()
            .map(|pair| sqlite::beside(&pair.database, suffix));
        !kept.any(|kept| kept.exists())
    };
    let mut suffixes = [format!(".before-restore-{now}")]
        .into_iter()
        .chain(numbered);
    Ok(suffixes.find(is_unused).expect("numbers do not end"))
}

/// Each database of the directory and its place in a backup, whether they exist or not.
fn pairs(state_dir: &Path, runtime_config: Option<&Path>, file: &Path) -> Result<Vec<Copied>> {
    let config = RuntimeConfig::read(runtime_config)?;
    let databases = Databases::new(state_dir, config.sqlite_database)?;
    let pairs = databases.files().map(|(label, database)| Copied {
        database: database.to_owned(),
        backup: match label {
            DEFAULT_LABEL => file.to_owned(),
            _ => sqlite::beside(file, &format!(".{label}")),
        },
        kept: None,
    });
    Ok(pairs.collect())
}
