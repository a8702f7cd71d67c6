//! Copies of databases: a backup of one that others write meanwhile, and a backup put in a
//! database's place. Each is whole or is not there; what was there before is never overwritten.

use std::{
    fs::{File, OpenOptions},
    io::ErrorKind,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use rusqlite::{
    Connection, ErrorCode,
    backup::{Backup, StepResult},
};

use super::{
    check,
    file::{beside, open_existing},
};
use crate::state_dir::FILE_MODE;

/// How long a backup waits for locks, in all.
const LOCK_WAIT: Duration = Duration::from_secs(30);
const LOCK_PAUSE: Duration = Duration::from_millis(50);
/// All pages at once: a backup in several steps begins again whenever another process writes.
const ALL_PAGES: i32 = -1;

/// Writes what a database holds at this moment into a new file, page by page, and checks that.
pub fn back_up(database: &Path, to: &Path) -> Result<()> {
    let attempt = || {
        let draft = Draft::beside(to)?;
        copy_pages(database, &draft.0)?;
        check::verify(&draft.0)?;
        File::open(&draft.0)?.sync_all()?;
        draft.place(to)
    };
    attempt().with_context(|| format!("cannot back up {} to {}", database.display(), to.display()))
}

fn copy_pages(from: &Path, to: &Path) -> Result<()> {
    let source = open_existing(from)?;
    let mut target = Connection::open(to)?;
    let backup = Backup::new(&source, &mut target)?;
    let end = std::time::Instant::now() + LOCK_WAIT;
    loop {
        match backup.step(ALL_PAGES)? {
            StepResult::Done => return Ok(()),
            StepResult::Busy | StepResult::Locked if std::time::Instant::now() > end => {
                bail!("another process has locked it for {LOCK_WAIT:?}")
            }
            _ => std::thread::sleep(LOCK_PAUSE),
        }
    }
}

/// Puts a backup in a database's place. The database that was there is kept under the path that is
/// returned. Nobody may be using either.
pub fn restore(backup: &Path, database: &Path, kept_suffix: &str) -> Result<Option<PathBuf>> {
    let attempt = || -> Result<Option<PathBuf>> {
        check::verify(backup)?;
        if let Some(parent) = database.parent() {
            std::fs::create_dir_all(parent)?;
        }
        let draft = Draft::beside(database)?;
        let mut source = File::open(backup)?;
        let mut target = OpenOptions::new().write(true).open(&draft.0)?;
        std::io::copy(&mut source, &mut target)?;
        target.sync_all()?;
        check::verify(&draft.0)?;
        let kept = put_aside(database, kept_suffix)?;
        draft.replace(database)?;
        Ok(kept)
    };
    attempt().with_context(|| {
        format!(
            "cannot restore {} to {}",
            backup.display(),
            database.display()
        )
    })
}

/// Gives a database a second name, under which it stays. Its journals go: SQLite would take them for
/// the new database's.
fn put_aside(database: &Path, suffix: &str) -> Result<Option<PathBuf>> {
    if !database.exists() {
        return Ok(None);
    }
    let kept = beside(database, suffix);
    // SQLite may tidy away the log of a database that it cannot read.
    let log = beside(database, "-wal");
    let kept_log = beside(&kept, "-wal");
    if log.exists() {
        std::fs::copy(&log, &kept_log)?;
    }
    match close_log(database) {
        Ok(()) => remove(&kept_log)?,
        Err(error) if is_busy(&error) => {
            remove(&kept_log)?;
            bail!("another process is using it: stop that first")
        }
        // Perhaps it is malformed, which is why it is being replaced.
        Err(error) => tracing::warn!(
            database = %database.display(),
            "the present database cannot be tidied and is kept as it is: {error}"
        ),
    }
    std::fs::hard_link(database, &kept)
        .with_context(|| format!("cannot keep the present database as {}", kept.display()))?;
    for journal in ["-wal", "-shm", "-journal"] {
        remove(&beside(database, journal))?;
    }
    Ok(Some(kept))
}

fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// Moves everything into the database file. Busy if anybody else has the database open.
fn close_log(database: &Path) -> rusqlite::Result<()> {
    let connection = open_existing(database)?;
    connection.busy_timeout(Duration::ZERO)?;
    connection.query_row("PRAGMA locking_mode = EXCLUSIVE", [], |_| Ok(()))?;
    connection.execute_batch("BEGIN EXCLUSIVE; COMMIT")?;
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    )
}

/// A file that is being written beside its destination, and is removed unless it gets there.
struct Draft(PathBuf);

impl Draft {
    fn beside(destination: &Path) -> Result<Draft> {
        let path = beside(destination, &format!(".{}.draft", std::process::id()));
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(FILE_MODE)
            .open(&path)
            .with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Draft(path))
    }

    /// Gives it its name, which must be free.
    fn place(self, destination: &Path) -> Result<()> {
        std::fs::hard_link(&self.0, destination)?;
        sync_folder_of(destination)
    }

    /// Gives it its name, which may be another's.
    fn replace(self, destination: &Path) -> Result<()> {
        std::fs::rename(&self.0, destination)?;
        sync_folder_of(destination)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        for journal in ["", "-journal", "-wal", "-shm"] {
            let _ = std::fs::remove_file(beside(&self.0, journal));
        }
    }
}

fn sync_folder_of(path: &Path) -> Result<()> {
    let folder = path.parent().filter(|it| !it.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn count(path: &Path) -> Result<i64> {
        Ok(Connection::open(path)?.query_row("SELECT count(*) FROM t", [], |row| row.get(0))?)
    }

    fn living(path: &Path) -> Result<Connection> {
        let connection = Connection::open(path)?;
        connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
        connection.execute_batch("CREATE TABLE t (a); INSERT INTO t VALUES (1), (2)")?;
        Ok(connection)
    }

    fn names(folder: &Path) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }

    #[test]
    fn a_backup_has_what_is_still_in_the_write_ahead_log() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let backups = tempfile::tempdir()?;
        let database = folder.path().join("db");
        let backup = backups.path().join("copy");
        let writer = living(&database)?;
        writer.execute_batch("BEGIN IMMEDIATE; INSERT INTO t VALUES (3)")?;
        back_up(&database, &backup)?;
        assert_eq!(names(backups.path())?, ["copy"]);
        assert_eq!(backup.metadata()?.permissions().mode() & 0o777, 0o600);
        assert_eq!(count(&backup)?, 2, "what is committed, and only that");
        let error = back_up(&database, &backup).err().context("it exists")?;
        assert!(format!("{error:#}").contains("exists"), "{error:#}");
        Ok(())
    }

    #[test]
    fn a_restored_database_replaces_the_other_which_is_kept() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let backups = tempfile::tempdir()?;
        let database = folder.path().join("db");
        let backup = backups.path().join("copy");
        let writer = living(&database)?;
        back_up(&database, &backup)?;
        writer.execute("INSERT INTO t VALUES (3)", [])?;
        let error = restore(&backup, &database, ".kept")
            .err()
            .context("in use")?;
        assert!(format!("{error:#}").contains("is using it"), "{error:#}");
        assert_eq!(count(&database)?, 3);
        drop(writer);
        let kept = restore(&backup, &database, ".kept")?.context("something is kept")?;
        assert_eq!(names(folder.path())?, ["db", "db.kept"]);
        assert_eq!((count(&database)?, count(&kept)?), (2, 3));
        Ok(())
    }

    #[test]
    fn a_malformed_database_is_replaced_and_a_malformed_backup_is_not_restored() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let database = folder.path().join("db");
        let backup = folder.path().join("copy");
        drop(living(&database)?);
        back_up(&database, &backup)?;
        let bad = folder.path().join("bad");
        std::fs::write(&bad, "no database at all, but long enough to be looked at")?;
        assert!(restore(&bad, &database, ".kept").is_err());
        assert_eq!(count(&database)?, 2);
        std::fs::write(&database, [0x5a; 8192])?;
        std::fs::write(folder.path().join("db-wal"), [0x5a; 8192])?;
        restore(&backup, &database, ".kept")?;
        assert_eq!(count(&database)?, 2);
        assert_eq!(
            names(folder.path())?,
            ["bad", "copy", "db", "db.kept", "db.kept-wal"]
        );
        Ok(())
    }
}
