//! Whether a database file is sound: a quick look at all of its pages, with a limit of time, and a
//! thorough one of a backup, which nobody writes.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, bail};
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::file::{beside, open_existing};

/// Pages between two looks at the clock.
const PAGES_PER_LOOK: i32 = 100;

/// What a check has found.
#[derive(Debug, PartialEq)]
pub enum Health {
    Sound,
    /// SQLite's words for the first thing that is wrong.
    Malformed(String),
    /// There was not enough time to look at everything.
    Unfinished,
}

/// Looks for damage in a file that others may have open: reads every page, but does not compare
/// indexes with their tables (`PRAGMA quick_check`).
pub fn check(path: &Path, limit: Duration) -> Result<Health> {
    let look = || {
        let connection = open_existing(path)?;
        let end = Instant::now() + limit;
        connection.progress_handler(PAGES_PER_LOOK, Some(move || Instant::now() > end))?;
        first_finding(&connection, "PRAGMA quick_check(1)")
    };
    match look() {
        Ok(finding) if finding == "ok" => Ok(Health::Sound),
        Ok(finding) => Ok(Health::Malformed(finding)),
        Err(error) => match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Ok(Health::Malformed(error.to_string()))
            }
            Some(ErrorCode::OperationInterrupted) => Ok(Health::Unfinished),
            _ => Err(error).with_context(|| format!("cannot check {}", path.display())),
        },
    }
}

/// Makes sure that a file which nobody writes, a backup, is a sound database. Leaves nothing beside
/// it.
pub fn verify(path: &Path) -> Result<()> {
    let wrong = || format!("{} cannot be used", path.display());
    let log = beside(path, "-wal");
    if log.metadata().is_ok_and(|log| log.len() > 0) {
        bail!(
            "{}: what was written last is still in {}; make backups with `parlour backup`",
            wrong(),
            log.display()
        );
    }
    let connection = open_unchanging(path).with_context(wrong)?;
    let finding = first_finding(&connection, "PRAGMA integrity_check(1)").with_context(wrong)?;
    if finding != "ok" {
        return Err(anyhow!("{finding}")).with_context(wrong);
    }
    Ok(())
}

/// Without locks and without a write-ahead log, which a reader would have to create.
fn open_unchanging(path: &Path) -> Result<Connection> {
    let path = std::path::absolute(path)?;
    let mut address =
        url::Url::from_file_path(&path).map_err(|()| anyhow!("{} is no path", path.display()))?;
    address.set_query(Some("immutable=1"));
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_URI
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Ok(Connection::open_with_flags(address.as_str(), flags)?)
}

/// `ok`, or the first line about what is wrong, behind the one that names the database.
fn first_finding(connection: &Connection, check: &str) -> rusqlite::Result<String> {
    let findings: String = connection.query_row(check, [], |row| row.get(0))?;
    let first = findings.lines().find(|line| !line.starts_with("***"));
    Ok(first.unwrap_or(&findings).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A database of some pages, as a file.
    fn database(folder: &Path) -> Result<std::path::PathBuf> {
        let path = folder.join("db");
        let connection = Connection::open(&path)?;
        connection.execute_batch(
            "CREATE TABLE t (a); CREATE INDEX i ON t (a);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
             INSERT INTO t SELECT printf('%090d', i) FROM n;",
        )?;
        Ok(path)
    }

    fn overwrite(path: &Path, from: u64) -> Result<()> {
        use std::os::unix::fs::FileExt as _;
        let file = std::fs::OpenOptions::new().write(true).open(path)?;
        file.write_all_at(&[0x5a; 16 << 10], from)?;
        Ok(())
    }

    #[test]
    fn overwritten_pages_are_found() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let path = database(folder.path())?;
        let minute = Duration::from_secs(60);
        assert_eq!(check(&path, minute)?, Health::Sound);
        verify(&path)?;
        overwrite(&path, 32 << 10)?;
        let found = check(&path, minute)?;
        assert!(matches!(found, Health::Malformed(_)), "{found:?}");
        assert!(verify(&path).is_err());
        overwrite(&path, 0)?;
        let found = check(&path, minute)?;
        assert!(matches!(found, Health::Malformed(_)), "{found:?}");
        assert!(verify(&path).is_err());
        Ok(())
    }

    #[test]
    fn a_check_ends_with_its_time() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let path = database(folder.path())?;
        assert_eq!(check(&path, Duration::ZERO)?, Health::Unfinished);
        Ok(())
    }

    #[test]
    fn a_copy_without_its_write_ahead_log_is_no_backup() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let path = database(folder.path())?;
        let living = Connection::open(&path)?;
        living.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
        living.execute("INSERT INTO t VALUES (1)", [])?;
        let error = verify(&path).err().context("must be refused")?;
        assert!(format!("{error:#}").contains("parlour backup"), "{error:#}");
        Ok(())
    }
}
