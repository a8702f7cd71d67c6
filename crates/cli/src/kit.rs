//! The kit: what a project gets from Parlour, as files in its folder `parlour`: components, Socket.IO's client, the
//! SDK's sources. A project says which kit it has, and what each of its files was, in `parlour/VERSION`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};

/// Packed by build.rs.
const PACKED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/kit.tar.zst"));

/// The folder of a project that has the kit.
pub const FOLDER: &str = "parlour";

/// The file there that says which kit it is.
const RECORD: &str = "VERSION";

/// The one of its files that is not for that folder.
pub const LOCK: &str = "Cargo.lock";

/// What every kit has. One without is of a build that was not made by `cargo xtask build`.
const NEEDED: &[&str] = &[
    LOCK,
    "components/auth.wasm",
    "components/handshake.wasm",
    "components/rate-limit.wasm",
    "components/rooms.wasm",
    "components/router.wasm",
    "components/web.wasm",
    "client/socket.io.min.js",
    "protocol/Cargo.toml",
    "sdk/Cargo.toml",
];

/// Files by their path below the folder.
type Files = BTreeMap<String, Vec<u8>>;

pub struct Kit {
    files: Files,
    /// The lock file of a new project: the versions of other crates that Parlour itself is tested with.
    pub lock: String,
}

impl Kit {
    /// The one in this binary.
    pub fn own() -> Result<Kit> {
        let mut files = unpack(PACKED).context("the binary is damaged")?;
        let missing = NEEDED.iter().filter(|name| !files.contains_key(**name));
        let missing: Vec<&str> = missing.copied().collect();
        if !missing.is_empty() {
            bail!(
                "this `parlour` was built without {}: `cargo xtask build` in Parlour's sources builds one that has it",
                missing.join(", ")
            );
        }
        let lock = files.remove(LOCK).unwrap_or_default();
        let lock = String::from_utf8(lock).context("the binary is damaged")?;
        Ok(Kit { files, lock })
    }

    /// Writes all files into a project that has none of them.
    pub fn write(&self, project: &Path) -> Result<()> {
        let folder = project.join(FOLDER);
        for (name, contents) in &self.files {
            write(&folder.join(name), contents)?;
        }
        write(&folder.join(RECORD), self.record().text().as_bytes())
    }

    fn record(&self) -> Record {
        let digests = self.files.iter();
        Record {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            digests: digests
                .map(|(name, contents)| (name.clone(), digest(contents)))
                .collect(),
        }
    }

    /// Brings a project's folder to this kit. `overwrite`: also what was changed by hand.
    pub fn update(&self, project: &Path, overwrite: bool) -> Result<Update> {
        let folder = project.join(FOLDER);
        let before = Record::read(&folder)?;
        let after = self.record();
        let mut update = Update {
            from: before.version.clone(),
            to: after.version.clone(),
            ..Update::default()
        };
        for (name, digest) in &after.digests {
            let there = on_disk(&folder.join(name))?;
            if there.as_ref() == Some(digest) {
                continue;
            }
            if there.is_some() && there.as_ref() != before.digests.get(name) {
                update.by_hand.push(name.clone());
            }
            match there {
                Some(_) => update.changed.push(name.clone()),
                None => update.added.push(name.clone()),
            }
        }
        for (name, digest) in &before.digests {
            let there = on_disk(&folder.join(name))?;
            if after.digests.contains_key(name) || there.is_none() {
                continue;
            }
            if there.as_ref() != Some(digest) {
                update.by_hand.push(name.clone());
            }
            update.removed.push(name.clone());
        }
        if update.by_hand.is_empty() || overwrite {
            for name in &update.removed {
                let path = folder.join(name);
                let removed = std::fs::remove_file(&path);
                removed.with_context(|| format!("cannot remove {}", path.display()))?;
            }
            for name in update.changed.iter().chain(&update.added) {
                write(&folder.join(name), &self.files[name])?;
            }
            write(&folder.join(RECORD), after.text().as_bytes())?;
        }
        Ok(update)
    }
}

/// What an update changes: files by their names.
#[derive(Debug, Default)]
pub struct Update {
    pub from: String,
    pub to: String,
    pub changed: Vec<String>,
    pub added: Vec<String>,
    pub removed: Vec<String>,
    /// Of those that are changed or removed: what was not any more what Parlour had written.
    pub by_hand: Vec<String>,
}

/// What a project's kit was when it was written: a version, and the SHA-256 of each file.
struct Record {
    version: String,
    digests: BTreeMap<String, String>,
}

impl Record {
    fn read(folder: &Path) -> Result<Record> {
        let path = folder.join(RECORD);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => bail!(
                "there is no {}, so this is no project of `parlour new`: run it in the folder that has the project's \
                 spin.toml",
                path.display()
            ),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
        };
        Record::parse(&text).with_context(|| {
            format!(
                "{} is not what `parlour new` wrote: take it back from your version control, or make a new project and \
                 copy its folder {FOLDER}",
                path.display()
            )
        })
    }

    fn parse(text: &str) -> Option<Record> {
        let mut lines = text.lines();
        let version = lines.next()?.strip_prefix("parlour ")?.to_owned();
        let digest = |line: &str| {
            let (digest, name) = line.split_once("  ")?;
            // Names of files to be removed are taken from here.
            let is_below = Path::new(name)
                .components()
                .all(|part| matches!(part, std::path::Component::Normal(_)));
            is_below.then(|| (name.to_owned(), digest.to_owned()))
        };
        let digests = lines.map(digest).collect::<Option<_>>()?;
        Some(Record { version, digests })
    }

    fn text(&self) -> String {
        let mut text = format!("parlour {}\n", self.version);
        for (name, digest) in &self.digests {
            writeln!(text, "{digest}  {name}").expect("a String takes it");
        }
        text
    }
}

fn unpack(packed: &[u8]) -> Result<Files> {
    let mut archive = tar::Archive::new(zstd::Decoder::new(packed)?);
    let mut files = Files::new();
    for entry in archive.entries()? {
        let mut entry = entry?;
        let name = entry.path()?.to_str().context("a name")?.to_owned();
        let mut contents = Vec::new();
        entry.read_to_end(&mut contents)?;
        files.insert(name, contents);
    }
    Ok(files)
}

/// Writes a file whole or not at all, and its folder if there is none.
pub fn write(path: &Path, contents: &[u8]) -> Result<()> {
    let attempt = || {
        let folder = path.parent().map_or_else(PathBuf::new, Path::to_owned);
        std::fs::create_dir_all(&folder)?;
        let mut draft = path.as_os_str().to_owned();
        draft.push(".new");
        std::fs::write(&draft, contents)?;
        std::fs::rename(&draft, path)
    };
    attempt().with_context(|| format!("cannot write {}", path.display()))
}

fn on_disk(path: &Path) -> Result<Option<String>> {
    match std::fs::read(path) {
        Ok(contents) => Ok(Some(digest(&contents))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

fn digest(contents: &[u8]) -> String {
    let digest = Sha256::digest(contents);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kit(files: &[(&str, &str)]) -> Kit {
        let file = |(name, text): &(&str, &str)| ((*name).to_owned(), text.as_bytes().to_vec());
        Kit {
            files: files.iter().map(file).collect(),
            lock: String::new(),
        }
    }

    /// A project with a kit of two files, as `parlour new` leaves it.
    fn project() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let first = kit(&[("a/one", "1"), ("two", "2")]);
        first.write(folder.path()).unwrap();
        folder
    }

    fn read(project: &Path, name: &str) -> Option<String> {
        std::fs::read_to_string(project.join(FOLDER).join(name)).ok()
    }

    #[test]
    fn an_update_changes_adds_and_removes_and_then_has_nothing_to_do() {
        let project = project();
        let next = kit(&[("a/one", "1'"), ("three", "3")]);
        let update = next.update(project.path(), false).unwrap();
        assert_eq!(update.changed, ["a/one"]);
        assert_eq!(update.added, ["three"]);
        assert_eq!(update.removed, ["two"]);
        assert!(update.by_hand.is_empty());
        assert_eq!(read(project.path(), "a/one").as_deref(), Some("1'"));
        assert_eq!(read(project.path(), "three").as_deref(), Some("3"));
        assert_eq!(read(project.path(), "two"), None);
        let again = next.update(project.path(), false).unwrap();
        assert!(again.changed.is_empty() && again.added.is_empty() && again.removed.is_empty());
    }

    #[test]
    fn what_was_changed_by_hand_is_named_and_stays_unless_it_may_go() {
        let project = project();
        for name in ["a/one", "two"] {
            std::fs::write(project.path().join(FOLDER).join(name), "mine").unwrap();
        }
        let next = kit(&[("a/one", "1'"), ("three", "3")]);
        let update = next.update(project.path(), false).unwrap();
        assert_eq!(update.by_hand, ["a/one", "two"]);
        assert_eq!(read(project.path(), "a/one").as_deref(), Some("mine"));
        assert_eq!(read(project.path(), "three"), None, "all or nothing");
        next.update(project.path(), true).unwrap();
        assert_eq!(read(project.path(), "a/one").as_deref(), Some("1'"));
        assert_eq!(read(project.path(), "two"), None);
    }

    #[test]
    fn a_file_that_is_missing_comes_back() {
        let project = project();
        std::fs::remove_file(project.path().join(FOLDER).join("two")).unwrap();
        let same = kit(&[("a/one", "1"), ("two", "2")]);
        let update = same.update(project.path(), false).unwrap();
        assert_eq!(update.added, ["two"]);
        assert_eq!(read(project.path(), "two").as_deref(), Some("2"));
    }

    #[test]
    fn a_folder_that_is_no_project_is_told_so() {
        let folder = tempfile::tempdir().unwrap();
        let error = kit(&[]).update(folder.path(), false).unwrap_err();
        assert!(error.to_string().contains("no project"), "{error}");
        for record in ["", "1.0", "parlour 1\n12  ../../outside", "parlour 1\nx"] {
            write(&folder.path().join(FOLDER).join(RECORD), record.as_bytes()).unwrap();
            let error = kit(&[]).update(folder.path(), true).unwrap_err();
            assert!(error.to_string().contains("not what"), "{record}: {error}");
        }
    }
}
