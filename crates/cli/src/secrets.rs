//! The two secrets: `relay_secret` (relay ↔ app) and `auth_secret` (HS256 tokens). They come from
//! the environment, else from a file in the state directory that only its owner can read. They are
//! never logged and never an argument of a process.

use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

/// The file in the state directory.
pub const FILE: &str = "secrets.json";

/// Bytes of randomness in a secret that we make.
const SECRET_BYTES: usize = 32;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secret {
    Relay,
    Auth,
}

impl Secret {
    /// The name of the Spin variable.
    pub fn variable(self) -> &'static str {
        match self {
            Secret::Relay => "relay_secret",
            Secret::Auth => "auth_secret",
        }
    }

    fn environment(self) -> String {
        format!("SPIN_VARIABLE_{}", self.variable().to_uppercase())
    }

    fn in_environment(self) -> Option<String> {
        std::env::var(self.environment())
            .ok()
            .filter(|value| !value.is_empty())
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    relay_secret: String,
    auth_secret: String,
}

impl Kept {
    fn random() -> Kept {
        let secret = || URL_SAFE_NO_PAD.encode(rand::random::<[u8; SECRET_BYTES]>());
        Kept {
            relay_secret: secret(),
            auth_secret: secret(),
        }
    }

    fn variables(self) -> Vec<(String, String)> {
        vec![
            (Secret::Relay.variable().to_owned(), self.relay_secret),
            (Secret::Auth.variable().to_owned(), self.auth_secret),
        ]
    }
}

/// The secret, from the environment or the state directory.
pub fn find(secret: Secret, state_dir: &Path) -> Result<String> {
    if let Some(value) = secret.in_environment() {
        return Ok(value);
    }
    match read(state_dir)? {
        Some(kept) => Ok(match secret {
            Secret::Relay => kept.relay_secret,
            Secret::Auth => kept.auth_secret,
        }),
        None => bail!(
            "no {}: set {}, or name with --state-dir a directory in which `parlour up` has kept its secrets \
             (there is no {})",
            secret.variable(),
            secret.environment(),
            state_dir.join(FILE).display(),
        ),
    }
}

/// What the state directory keeps, as variables of the app; nothing where it keeps none.
pub fn kept(state_dir: &Path) -> Result<Vec<(String, String)>> {
    Ok(read(state_dir)?.map(Kept::variables).unwrap_or_default())
}

/// As [`kept`], but makes random secrets, and keeps them, where there are none yet.
pub fn keep(state_dir: &Path) -> Result<Vec<(String, String)>> {
    if let Some(kept) = read(state_dir)? {
        return Ok(kept.variables());
    }
    parlour_host::state_dir::prepare(state_dir)?;
    write_new(state_dir, &Kept::random())?;
    // Read again: where two processes start together, both must use what the first one kept.
    let kept = read(state_dir)?.context("the secrets that were just written are gone")?;
    Ok(kept.variables())
}

/// As [`kept`], but makes random secrets for this process alone where there are none.
pub fn kept_or_passing(state_dir: &Path) -> Result<Vec<(String, String)>> {
    Ok(read(state_dir)?.unwrap_or_else(Kept::random).variables())
}

/// Written under another name and then linked into place, so that nobody reads half a file and the
/// first of two writers wins.
fn write_new(state_dir: &Path, kept: &Kept) -> Result<()> {
    let path = state_dir.join(FILE);
    let draft = state_dir.join(format!("{FILE}.{}", std::process::id()));
    let attempt = || -> std::io::Result<()> {
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&draft)?;
        file.write_all(serde_json::to_string_pretty(kept)?.as_bytes())?;
        file.sync_all()?;
        match std::fs::hard_link(&draft, &path) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
            linked => linked,
        }
    };
    let written = attempt();
    let _ = std::fs::remove_file(&draft);
    written.with_context(|| format!("cannot keep secrets in {}", path.display()))
}

fn read(state_dir: &Path) -> Result<Option<Kept>> {
    let path: PathBuf = state_dir.join(FILE);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    let mode = std::fs::metadata(&path)?.permissions().mode();
    if mode & 0o077 != 0 {
        bail!(
            "{} can be read by others (mode {:04o}); run `chmod 600` on it, or delete it to have new secrets made",
            path.display(),
            mode & 0o7777
        );
    }
    // The parser's message could quote the file, so it stays out of ours.
    let kept: Kept = serde_json::from_str(&text).ok().with_context(|| {
        format!(
            "{} is not what `parlour up` wrote (a JSON object with relay_secret and auth_secret); \
             delete it to have new secrets made",
            path.display()
        )
    })?;
    if kept.relay_secret.is_empty() || kept.auth_secret.is_empty() {
        bail!(
            "{} has an empty secret; delete it to have new ones made",
            path.display()
        );
    }
    Ok(Some(kept))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_kept_for_their_owner_alone_and_stay_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let first = keep(&state).unwrap();
        assert_eq!(first, keep(&state).unwrap());
        assert_eq!(first, kept(&state).unwrap());
        assert_ne!(first[0].1, first[1].1);
        let mode = std::fs::metadata(state.join(FILE))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(
            std::fs::read_dir(&state).unwrap().count(),
            1,
            "no draft is left behind"
        );
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        keep(dir.path()).unwrap();
        let path = dir.path().join(FILE);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let error = format!("{:#}", kept(dir.path()).unwrap_err());
        assert!(error.contains("chmod 600"), "{error}");
    }

    #[test]
    fn a_broken_file_is_named_but_not_quoted() {
        let dir = tempfile::tempdir().unwrap();
        keep(dir.path()).unwrap();
        std::fs::write(dir.path().join(FILE), "{\"relay_secret\": \"hush\"").unwrap();
        let error = format!("{:#}", kept(dir.path()).unwrap_err());
        assert!(error.contains(FILE) && !error.contains("hush"), "{error}");
    }
}
