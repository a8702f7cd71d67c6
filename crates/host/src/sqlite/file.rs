//! One database file: opened as Spin opens it and for its owner alone, and its write-ahead log kept
//! between instances. When SQLite's last connection to a file closes, it checkpoints, syncs and
//! deletes the log, and the next connection makes it anew: some 40 ms each time an instance is
//! replaced. The connection kept here against that never writes, and holds no lock others wait for.
//!
//! The kept connection also shows whether somebody has deleted a file under it. SQLite would go on:
//! connections that are open with the files that have no name any more, new ones with new files, and
//! what the first write the others never see.

use std::{
    fs::OpenOptions,
    io::ErrorKind,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use rusqlite::{Connection, OpenFlags};

use crate::state_dir::FILE_MODE;

/// A file that guests' connections open.
#[derive(Debug)]
pub struct DatabaseFile {
    path: PathBuf,
    opened: AtomicBool,
    damaged: AtomicBool,
    /// Open from when the file is found to have a write-ahead log.
    held: Mutex<Option<Held>>,
    /// Grows when files were deleted: connections of before may not be used any more.
    generation: AtomicU64,
}

#[derive(Debug)]
struct Held {
    connection: Connection,
    files: Files,
}

/// Which files a database consists of, by their numbers in the file system.
#[derive(Debug, PartialEq)]
struct Files {
    database: Option<u64>,
    log: Option<u64>,
    index: Option<u64>,
}

impl Files {
    fn of(database: &Path) -> Files {
        let number = |path: &Path| path.metadata().ok().map(|it| it.ino());
        Files {
            database: number(database),
            log: number(&beside(database, "-wal")),
            index: number(&beside(database, "-shm")),
        }
    }
}

impl DatabaseFile {
    pub fn new(path: PathBuf) -> DatabaseFile {
        DatabaseFile {
            path,
            opened: AtomicBool::new(false),
            damaged: AtomicBool::new(false),
            held: Mutex::default(),
            generation: AtomicU64::new(0),
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A new connection for a guest. SQLite gives its journals the mode of the database file.
    pub fn connect(&self) -> rusqlite::Result<Connection> {
        self.opened.store(true, Relaxed);
        if let Err(error) = create_private(&self.path) {
            // SQLite will fail, too, and its message is the one that Spin gives.
            tracing::warn!(database = %self.path.display(), "cannot create the database: {error}");
        }
        Connection::open(&self.path)
    }

    /// To be told when SQLite says that the file is malformed: then the next start checks it.
    pub fn found_damaged(&self) {
        if !self.damaged.swap(true, Relaxed) {
            tracing::error!(
                database = %self.path.display(),
                "the database is malformed; stop the server and restore a backup (`parlour restore`)"
            );
        }
    }

    pub fn is_damaged(&self) -> bool {
        self.damaged.load(Relaxed)
    }

    /// Holds the log from now on, if there is one. To be called before a connection closes. Blocks.
    pub fn hold(&self) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.is_some() {
            return;
        }
        match self.user_of_the_log() {
            Ok(Some(connection)) => {
                let files = Files::of(&self.path);
                *held = Some(Held { connection, files });
            }
            Ok(None) => {}
            Err(error) => tracing::debug!(%error, "cannot keep a write-ahead log open"),
        }
    }

    fn user_of_the_log(&self) -> rusqlite::Result<Option<Connection>> {
        let connection = open_existing(&self.path)?;
        connection.busy_timeout(Duration::ZERO)?;
        if !has_log(&connection)? {
            return Ok(None);
        }
        // Only a connection that has read counts as a user of the log.
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        Ok(Some(connection))
    }

    /// Which connections may be used: those that were opened when this was the same. Fails while
    /// files are missing. Blocks.
    pub fn generation(&self) -> Result<u64> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = &*held {
            let files = Files::of(&self.path);
            if files != known.files {
                self.generation.fetch_add(1, Relaxed);
                self.rescue(known, &files)?;
                *held = None;
            }
        }
        Ok(self.generation.load(Relaxed))
    }

    /// Moves what is in a deleted write-ahead log, which the kept connection still has open, into the
    /// database.
    fn rescue(&self, known: &Held, files: &Files) -> Result<()> {
        let database = self.path.display();
        if files.database != known.files.database {
            bail!(
                "the database {database} was deleted or replaced while it was open: put it back and \
                 start the server again"
            );
        }
        let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
        let busy: bool = known
            .connection
            .query_row(checkpoint, [], |row| row.get(0))?;
        if busy {
            bail!("the write-ahead log of {database} was deleted while it was open");
        }
        tracing::error!(
            %database,
            "the write-ahead log was deleted while it was open; what was in it is now in the database"
        );
        Ok(())
    }

    /// Lets go and moves what is in the write-ahead log into the database file. Blocks.
    pub fn checkpoint(&self) -> Result<()> {
        let held = self
            .held
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        drop(held);
        if !self.opened.load(Relaxed) || !self.path.exists() {
            return Ok(());
        }
        let connection = open_existing(&self.path)?;
        if has_log(&connection)? {
            connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        }
        connection
            .close()
            .map_err(|(_, error)| error)
            .context("closing the database")
    }
}

/// Makes an empty file, which SQLite takes for a new database, that only its owner can read.
fn create_private(path: &Path) -> std::io::Result<()> {
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(FILE_MODE)
        .open(path);
    match made {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// A connection to a file that must be there.
pub fn open_existing(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(path, flags)
}

fn has_log(connection: &Connection) -> rusqlite::Result<bool> {
    let mode: String = connection.query_row("PRAGMA journal_mode", [], |row| row.get(0))?;
    Ok(mode == "wal")
}

/// The path with something appended to its last part, as SQLite names journals.
pub fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn holds(file: &DatabaseFile) -> bool {
        file.held.lock().is_ok_and(|held| held.is_some())
    }

    #[test]
    fn a_log_outlives_the_last_connection_until_it_is_released() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let file = DatabaseFile::new(folder.path().join("db"));
        let log = folder.path().join("db-wal");

        let guest = file.connect()?;
        file.hold();
        assert!(!holds(&file), "there is no log yet");
        guest.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
        guest.execute("CREATE TABLE t (a)", [])?;
        file.hold();
        assert!(holds(&file));
        drop(guest);
        assert!(log.exists(), "the file's own connection uses the log");
        file.checkpoint()?;
        assert!(!log.exists(), "nobody does");
        Ok(())
    }

    #[test]
    fn what_was_in_a_deleted_log_is_rescued() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let file = DatabaseFile::new(folder.path().join("db"));
        let guest = file.connect()?;
        guest.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
        guest.execute_batch("CREATE TABLE t (a); INSERT INTO t VALUES (1)")?;
        file.hold();
        let generation = file.generation()?;
        assert_eq!(file.generation()?, generation);
        for name in ["db-wal", "db-shm"] {
            std::fs::remove_file(folder.path().join(name))?;
        }
        guest
            .execute_batch("INSERT INTO t VALUES (2); BEGIN IMMEDIATE; INSERT INTO t VALUES (3)")?;
        assert!(file.generation().is_err(), "somebody still writes");
        drop(guest);
        assert!(file.generation()? > generation);
        let count = file
            .connect()?
            .query_row("SELECT count(*) FROM t", [], |row| row.get(0));
        assert_eq!(count, Ok(2), "what was committed");
        Ok(())
    }

    #[test]
    fn a_deleted_database_is_not_made_anew() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let file = DatabaseFile::new(folder.path().join("db"));
        let guest = file.connect()?;
        guest.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
        file.hold();
        std::fs::remove_file(folder.path().join("db"))?;
        for _ in 0..2 {
            let error = file.generation().err().context("it is gone")?.to_string();
            assert!(error.contains("deleted or replaced"), "{error}");
        }
        Ok(())
    }

    #[test]
    fn a_database_and_its_journals_are_their_owners_alone() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let file = DatabaseFile::new(folder.path().join("db"));
        let guest = file.connect()?;
        guest.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
        guest.execute("CREATE TABLE t (a)", [])?;
        for name in ["db", "db-wal", "db-shm"] {
            let mode = folder.path().join(name).metadata()?.permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        Ok(())
    }
}
