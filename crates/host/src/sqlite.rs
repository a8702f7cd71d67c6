//! `spin:sqlite`: which databases there are, who may open them, and how guests reach them. The SQL
//! is `connection`'s business.

mod connection;
mod host;
mod keeper;
mod statement;

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use sqlx::{
    Connection as _, Row,
    sqlite::{SqliteConnectOptions, SqliteConnection},
};

pub use connection::OpenConnection;
pub use host::{SqliteData, SqliteState, SqliteView};
use keeper::Keeper;

/// The label that needs no configuration.
const DEFAULT_LABEL: &str = "default";
/// The default database's file in the state directory.
const DEFAULT_FILE: &str = "sqlite_db.db";
/// How long a statement waits for another connection's lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// All databases of an application, by label.
#[derive(Debug)]
pub struct Databases {
    by_label: BTreeMap<String, Database>,
    /// Files that were opened: kept open meanwhile, checkpointed at the end.
    opened: Mutex<HashMap<PathBuf, Arc<Keeper>>>,
}

#[derive(Clone, Debug)]
struct Database {
    /// None is in memory, for each connection anew.
    path: Option<PathBuf>,
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
        let mut by_label = BTreeMap::from([(
            DEFAULT_LABEL.to_owned(),
            Database {
                path: Some(state_dir.join(DEFAULT_FILE)),
                allow_attach_file: false,
            },
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
            by_label.insert(
                label,
                Database {
                    path: config.path,
                    allow_attach_file: config.allow_attach_file,
                },
            );
        }
        Ok(Databases {
            by_label,
            opened: Mutex::default(),
        })
    }

    pub fn contains(&self, label: &str) -> bool {
        self.by_label.contains_key(label)
    }

    /// A new connection; the file is opened at its first statement.
    fn open(&self, label: &str) -> Option<Result<OpenConnection>> {
        let database = self.by_label.get(label)?;
        Some(self.connect(database))
    }

    fn connect(&self, database: &Database) -> Result<OpenConnection> {
        let (options, keeper) = match &database.path {
            Some(path) => {
                if let Some(parent) = path.parent() {
                    std::fs::create_dir_all(parent)
                        .with_context(|| format!("cannot create {}", parent.display()))?;
                }
                (options(path), self.keeper(path))
            }
            None => (SqliteConnectOptions::new().in_memory(true), None),
        };
        Ok(OpenConnection::new(
            options,
            database.allow_attach_file,
            keeper,
        ))
    }

    fn keeper(&self, path: &Path) -> Option<Arc<Keeper>> {
        let mut opened = self.opened.lock().ok()?;
        if let Some(keeper) = opened.get(path) {
            return Some(keeper.clone());
        }
        let options = options(path)
            .create_if_missing(false)
            .busy_timeout(Duration::ZERO);
        let keeper = Arc::new(Keeper::new(options));
        opened.insert(path.to_owned(), keeper.clone());
        Some(keeper)
    }

    /// Moves what is in write-ahead logs into the database files.
    pub async fn checkpoint(&self) {
        let opened = match self.opened.lock() {
            Ok(mut opened) => std::mem::take(&mut *opened),
            Err(_) => return,
        };
        for (path, keeper) in opened {
            keeper.release().await;
            if let Err(error) = checkpoint(&path).await {
                tracing::warn!(database = %path.display(), "cannot checkpoint: {error:#}");
            }
        }
    }
}

/// What Spin's connections are like: foreign keys on, everything else as SQLite has it.
fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
}

async fn checkpoint(path: &Path) -> Result<()> {
    if !path.exists() {
        return Ok(());
    }
    let mut connection =
        SqliteConnection::connect_with(&options(path).create_if_missing(false)).await?;
    let mode: String = sqlx::query("PRAGMA journal_mode")
        .fetch_one(&mut connection)
        .await?
        .try_get(0)?;
    if mode == "wal" {
        sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
            .execute(&mut connection)
            .await?;
    }
    connection.close().await?;
    Ok(())
}
