//! Which databases an application has, by label, and what is done with all of them.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::{
    check::{Health, check},
    connection::OpenConnection,
    file::{DatabaseFile, beside},
};
use crate::state_dir;

/// The label that needs no configuration.
pub const DEFAULT_LABEL: &str = "default";
/// The default database's file in the state directory.
const DEFAULT_FILE: &str = "sqlite_db.db";
/// How long a database is checked after a crash. A disk reads some gigabytes meanwhile.
const CHECK_LIMIT: Duration = Duration::from_secs(20);

/// All databases of an application, by label.
#[derive(Debug)]
pub struct Databases {
    by_label: BTreeMap<String, Database>,
}

#[derive(Debug)]
struct Database {
    /// None is in memory, for each connection anew.
    file: Option<Arc<DatabaseFile>>,
    allow_attach_file: bool,
}

/// `[sqlite_database.LABEL]` of a runtime configuration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseConfig {
    #[serde(rename = "type")]
    kind: String,
    path: Option<PathBuf>,
    #[serde(default)]
    allow_attach_file: bool,
    /// Of libSQL, which is not supported here; read to say so.
    #[serde(default, rename = "url")]
    _url: Option<String>,
    #[serde(default, rename = "token")]
    _token: Option<String>,
}

impl Databases {
    pub fn new(
        state_dir: &Path,
        configured: BTreeMap<String, DatabaseConfig>,
    ) -> Result<Databases> {
        let in_file = |path, allow_attach_file| Database {
            file: Some(Arc::new(DatabaseFile::new(path))),
            allow_attach_file,
        };
        let mut by_label = BTreeMap::from([(
            DEFAULT_LABEL.to_owned(),
            in_file(state_dir.join(DEFAULT_FILE), false),
        )]);
        for (label, config) in configured {
            match config.kind.as_str() {
                "spin" => {}
                "libsql" => bail!(
                    "[sqlite_database.{label}] type = \"libsql\": this host has SQLite files only; \
                     use type = \"spin\", or run the application on Spin"
                ),
                other => bail!("[sqlite_database.{label}] type = {other:?}: unknown database kind"),
            }
            let allow_attach_file = config.allow_attach_file;
            let database = match config.path {
                Some(path) => in_file(path, allow_attach_file),
                None => Database {
                    file: None,
                    allow_attach_file,
                },
            };
            by_label.insert(label, database);
        }
        Ok(Databases { by_label })
    }

    pub fn contains(&self, label: &str) -> bool {
        self.by_label.contains_key(label)
    }

    /// The databases that are files, whether these exist yet or not.
    pub fn files(&self) -> impl Iterator<Item = (&str, &Path)> {
        self.by_label.iter().filter_map(|(label, database)| {
            let file = database.file.as_ref()?;
            Some((label.as_str(), file.path()))
        })
    }

    /// A new connection; the file is opened at its first statement. `gone` is set when the instance
    /// that it is for is no more.
    pub fn open(&self, label: &str, gone: Arc<AtomicBool>) -> Option<Result<OpenConnection>> {
        let database = self.by_label.get(label)?;
        let parent = database.file.as_ref().and_then(|file| file.path().parent());
        if let Some(parent) = parent
            && let Err(error) = std::fs::create_dir_all(parent)
        {
            return Some(Err(error).with_context(|| format!("cannot create {}", parent.display())));
        }
        Some(Ok(OpenConnection::new(
            database.file.clone(),
            database.allow_attach_file,
            gone,
        )))
    }

    /// Keeps others out of the files that are in the state directory.
    pub fn close_to_others(&self, state_dir: &Path) {
        for (_, path) in self.files().filter(|(_, path)| path.starts_with(state_dir)) {
            for journal in ["", "-wal", "-shm", "-journal"] {
                state_dir::tighten(&beside(path, journal), state_dir::FILE_MODE);
            }
        }
    }

    /// Looks at every file after a crash. Fails at a malformed one, unless that is allowed.
    pub fn check(&self, allow_malformed: bool) -> Result<()> {
        for (_, path) in self.files().filter(|(_, path)| path.exists()) {
            let database = path.display();
            tracing::info!(%database, "the last server did not end in good order: checking its database");
            match check(path, CHECK_LIMIT) {
                Ok(Health::Sound) => {}
                Ok(Health::Unfinished) => tracing::warn!(
                    %database,
                    "not all of the database could be checked within {CHECK_LIMIT:?}"
                ),
                Ok(Health::Malformed(finding)) if allow_malformed => {
                    tracing::error!(%database, "the database is malformed: {finding}");
                }
                Ok(Health::Malformed(finding)) => bail!(
                    "the database {database} is malformed: {finding}. Restore a backup (`parlour \
                     restore`), or serve what can be read of it with --allow-malformed-database"
                ),
                // Another process has it locked, or the disk is away: requests will say so.
                Err(error) => tracing::warn!("{error:#}"),
            }
        }
        Ok(())
    }

    /// Whether SQLite has called one of the databases malformed.
    pub fn any_is_damaged(&self) -> bool {
        let mut files = self.by_label.values().filter_map(|it| it.file.as_ref());
        files.any(|file| file.is_damaged())
    }

    /// Moves what is in write-ahead logs into the database files. Blocks.
    pub fn checkpoint(&self) {
        for file in self.by_label.values().filter_map(|it| it.file.as_ref()) {
            if let Err(error) = file.checkpoint() {
                tracing::warn!(database = %file.path().display(), "cannot checkpoint: {error:#}");
            }
        }
    }
}
