//! The state directory: for its owner alone, known to be in use while somebody uses it, and known
//! to have been left in good order or not. What the files in it hold is others' business.

use std::{
    fs::{DirBuilder, File, OpenOptions, Permissions, TryLockError},
    io::{ErrorKind, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    thread::sleep,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};

/// Of every file that Parlour makes.
pub const FILE_MODE: u32 = 0o600;
/// Of every directory that Parlour makes.
const DIRECTORY_MODE: u32 = 0o700;
const OTHERS: u32 = 0o077;
/// Set where everybody may write, in `/tmp` for example: not a directory of ours.
const STICKY: u32 = 0o1000;

/// What components print is kept in this directory.
pub const LOGS: &str = "logs";
/// Locked by all who use the directory: together by servers, alone by a restore.
const IN_USE: &str = "in-use.lock";
/// Is there from the start of the first server to the clean end of the last.
const RUNNING: &str = "running";
/// How often, and with what pause, to try for a lock that another process holds for a moment only.
const LOCK_TRIES: u32 = 100;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// Makes the directory if there is none, and keeps others out of it and of the files that Parlour
/// and Spin have in it.
pub fn prepare(directory: &Path) -> Result<()> {
    make(directory)?;
    let logs = directory.join(LOGS);
    let mut foreign = false;
    for entry in read(directory)? {
        let name = entry.file_name().into_string().unwrap_or_default();
        let is_folder = entry.file_type()?.is_dir();
        foreign |= is_folder && name != LOGS;
        if !is_folder && is_ours(&name) {
            tighten(&entry.path(), FILE_MODE);
        }
    }
    if logs.is_dir() {
        for entry in read(&logs)? {
            tighten(&entry.path(), FILE_MODE);
        }
        tighten(&logs, DIRECTORY_MODE);
    }
    let mode = directory.metadata()?.permissions().mode();
    if foreign || mode & STICKY != 0 {
        if mode & OTHERS != 0 {
            tracing::warn!(
                "others can look into the state directory {}, and it has directories that are not \
                 Parlour's: give Parlour one of its own",
                directory.display()
            );
        }
    } else {
        tighten(directory, DIRECTORY_MODE);
    }
    Ok(())
}

/// Makes a directory that is its owner's alone, if there is none.
pub fn make(directory: &Path) -> Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(DIRECTORY_MODE)
        .create(directory)
        .with_context(|| format!("cannot create the directory {}", directory.display()))
}

fn read(directory: &Path) -> Result<Vec<std::fs::DirEntry>> {
    let entries = std::fs::read_dir(directory).and_then(Iterator::collect);
    entries.with_context(|| format!("cannot read the directory {}", directory.display()))
}

fn is_ours(name: &str) -> bool {
    name.starts_with("sqlite_") || name.ends_with(".lock") || name == RUNNING
}

/// Takes from others what they may do with a file or directory of ours. Never follows a link.
pub fn tighten(path: &Path, mode: u32) {
    let attempt = || {
        let metadata = path.symlink_metadata()?;
        let is_ordinary = metadata.is_file() || metadata.is_dir();
        if is_ordinary && metadata.permissions().mode() & OTHERS != 0 {
            std::fs::set_permissions(path, Permissions::from_mode(mode))?;
            tracing::info!("{} was open to others; no longer", path.display());
        }
        std::io::Result::Ok(())
    };
    if let Err(error) = attempt()
        && error.kind() != ErrorKind::NotFound
    {
        tracing::warn!("cannot close {} to others: {error}", path.display());
    }
}

/// A server's use of the directory, which ends with this value.
pub struct InUse {
    directory: PathBuf,
    lock: File,
    unclean: bool,
}

impl InUse {
    /// Begins to use the directory, together with other servers that do.
    pub fn begin(directory: &Path) -> Result<InUse> {
        let path = directory.join(IN_USE);
        let lock = open(&path)?;
        for _ in 0..LOCK_TRIES {
            // Alone for a moment: whoever left the mark is no more.
            let unclean = match lock.try_lock() {
                Ok(()) => mark(directory),
                Err(TryLockError::WouldBlock) => false,
                Err(TryLockError::Error(error)) => {
                    tracing::warn!("cannot lock {}: {error}", path.display());
                    mark(directory);
                    return Ok(InUse::new(directory, lock, false));
                }
            };
            if lock.try_lock_shared().is_ok() {
                return Ok(InUse::new(directory, lock, unclean));
            }
            sleep(LOCK_PAUSE);
        }
        bail!(
            "`parlour restore` is at work in {}; wait until it is done",
            directory.display()
        )
    }

    fn new(directory: &Path, lock: File, unclean: bool) -> InUse {
        InUse {
            directory: directory.to_owned(),
            lock,
            unclean,
        }
    }

    /// Whether the last server before this one ended without leaving everything in good order.
    pub fn follows_a_crash(&self) -> bool {
        self.unclean
    }

    /// To be called when everything is in good order. Other servers may still be there: then it is
    /// for the last of them to say.
    pub fn leave_in_good_order(&self) {
        if self.lock.try_lock().is_ok() {
            remove_mark(&self.directory);
        }
    }
}

/// Leaves the mark of a running server. Whether there was one.
fn mark(directory: &Path) -> bool {
    let path = directory.join(RUNNING);
    if path.exists() {
        return true;
    }
    let made = open(&path).and_then(|_| Ok(File::open(directory)?.sync_all()?));
    if let Err(error) = made {
        // On a full disk, for example: no reason not to serve.
        tracing::warn!("if this server crashes, the next will not notice it: {error:#}");
    }
    false
}

fn remove_mark(directory: &Path) {
    let path = directory.join(RUNNING);
    if let Err(error) = std::fs::remove_file(&path)
        && error.kind() != ErrorKind::NotFound
    {
        tracing::warn!("cannot remove {}: {error}", path.display());
    }
}

/// Use of the directory by one process, without any server.
pub struct Alone {
    directory: PathBuf,
    _lock: File,
}

impl Alone {
    /// Fails if a server uses the directory.
    pub fn begin(directory: &Path) -> Result<Alone> {
        let path = directory.join(IN_USE);
        let lock = open(&path)?;
        match lock.try_lock() {
            Ok(()) => Ok(Alone {
                directory: directory.to_owned(),
                _lock: lock,
            }),
            Err(TryLockError::WouldBlock) => bail!(
                "a server uses the state directory {}: stop it first",
                directory.display()
            ),
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("cannot lock {}", path.display()))
            }
        }
    }

    /// To be called when everything is in good order, whatever a server left.
    pub fn leave_in_good_order(&self) {
        remove_mark(&self.directory);
    }
}

/// What came of an attempt to take a lock.
pub enum Lock {
    Taken(File),
    /// Another process has it: which one, as far as it could say.
    Held {
        by: Option<u32>,
    },
}

/// A lock that one process of a kind holds as long as it lives.
pub fn lock(directory: &Path, kind: &str) -> Result<Lock> {
    let path = directory.join(format!("{kind}.lock"));
    let mut file = open(&path)?;
    match file.try_lock() {
        Ok(()) => {
            // For whoever comes next. A full disk is no reason not to serve.
            let said = file
                .set_len(0)
                .and_then(|()| write!(file, "{}", std::process::id()));
            if let Err(error) = said {
                tracing::debug!("{} does not say whose it is: {error}", path.display());
            }
            Ok(Lock::Taken(file))
        }
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let by = file.read_to_string(&mut holder).ok();
            Ok(Lock::Held {
                by: by.and_then(|_| holder.parse().ok()),
            })
        }
        Err(TryLockError::Error(error)) => {
            tracing::warn!("cannot lock {}: {error}", path.display());
            Ok(Lock::Taken(file))
        }
    }
}

fn open(path: &Path) -> Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(FILE_MODE)
        .open(path)
        .with_context(|| format!("cannot open {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o777
    }

    fn set_mode(path: &Path, mode: u32) {
        std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn others_are_kept_out_of_what_is_there_already() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        std::fs::create_dir_all(state.join(LOGS)).unwrap();
        let ours = [
            "sqlite_db.db",
            "sqlite_db.db-wal",
            "relay-1.lock",
            "logs/lobby_stdout.txt",
        ];
        let outside = folder.path().join("outside");
        for path in ours.map(|name| state.join(name)).iter().chain([&outside]) {
            std::fs::write(path, "").unwrap();
            set_mode(path, 0o644);
        }
        std::os::unix::fs::symlink(&outside, state.join("logs/lobby_stderr.txt")).unwrap();
        for path in [&state, &state.join(LOGS)] {
            set_mode(path, 0o755);
        }
        prepare(&state).unwrap();
        assert_eq!(mode(&state), 0o700);
        assert_eq!(mode(&state.join(LOGS)), 0o700);
        for name in ours {
            assert_eq!(mode(&state.join(name)), 0o600, "{name}");
        }
        assert_eq!(mode(&outside), 0o644, "links are not followed");
    }

    #[test]
    fn a_directory_that_is_more_than_ours_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("src")).unwrap();
        std::fs::write(folder.path().join("build.sh"), "").unwrap();
        for path in [folder.path(), &folder.path().join("build.sh")] {
            set_mode(path, 0o755);
        }
        prepare(folder.path()).unwrap();
        assert_eq!(mode(folder.path()), 0o755);
        assert_eq!(mode(&folder.path().join("build.sh")), 0o755);
    }

    #[test]
    fn a_crash_is_noticed_by_the_next_and_once() {
        let folder = tempfile::tempdir().unwrap();
        let begin = || InUse::begin(folder.path()).unwrap();
        let first = begin();
        assert!(!first.follows_a_crash());
        let second = begin();
        assert!(!second.follows_a_crash(), "the mark is the first's");
        first.leave_in_good_order();
        drop(first);
        drop(second);
        let third = begin();
        assert!(third.follows_a_crash(), "the second left no word");
        third.leave_in_good_order();
        drop(third);
        assert!(!begin().follows_a_crash());
    }

    #[test]
    fn a_restore_is_alone() {
        let folder = tempfile::tempdir().unwrap();
        let server = InUse::begin(folder.path()).unwrap();
        let error = Alone::begin(folder.path()).err().unwrap().to_string();
        assert!(error.contains("stop it first"), "{error}");
        drop(server);
        let alone = Alone::begin(folder.path()).unwrap();
        let error = InUse::begin(folder.path()).err().unwrap().to_string();
        assert!(error.contains("parlour restore"), "{error}");
        drop(alone);
        InUse::begin(folder.path()).unwrap();
    }

    #[test]
    fn one_of_a_kind_holds_its_lock() {
        let folder = tempfile::tempdir().unwrap();
        let up = lock(folder.path(), "up").unwrap();
        assert!(matches!(up, Lock::Taken(_)));
        assert!(matches!(
            lock(folder.path(), "up").unwrap(),
            Lock::Held { .. }
        ));
        assert!(matches!(
            lock(folder.path(), "other").unwrap(),
            Lock::Taken(_)
        ));
        drop(up);
        assert!(matches!(lock(folder.path(), "up").unwrap(), Lock::Taken(_)));
    }
}
