//! The relay's name when none is given: the host's name and the port. It must be the same after a
//! restart, so that the app can tell which sockets are gone. Where the port is picked at random, a name is
//! made and kept in the state directory, in a file that is locked for as long as the process lives.

use std::fs::{File, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

/// The most relays with random ports that share a state directory.
const MAX_SLOTS: u32 = 1_000;

/// The longest part of a host's name that goes into the relay's, in bytes.
const MAX_HOST: usize = 48;

/// A relay's name; the lock, if there is one, must live as long as the relay.
#[derive(Debug)]
pub struct Identity {
    pub name: String,
    _lock: Option<File>,
}

pub fn of(given: Option<&str>, listen: SocketAddr, state_dir: &Path) -> Result<Identity> {
    if let Some(name) = given {
        return Ok(Identity {
            name: name.to_owned(),
            _lock: None,
        });
    }
    let host = host_name();
    if listen.port() != 0 {
        return Ok(Identity {
            name: format!("{host}-{}", listen.port()),
            _lock: None,
        });
    }
    parlour_host::state_dir::prepare(state_dir)?;
    for slot in 1..=MAX_SLOTS {
        let path = state_dir.join(format!("relay-{slot}.lock"));
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(parlour_host::state_dir::FILE_MODE)
            .open(&path)
            .with_context(|| format!("cannot open {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => {
                let name = kept_name(&file, &host)
                    .with_context(|| format!("cannot keep a name in {}", path.display()))?;
                return Ok(Identity {
                    name,
                    _lock: Some(file),
                });
            }
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {}", path.display()));
            }
        }
    }
    bail!(
        "{MAX_SLOTS} relays use {} already; name this one with --relay-id",
        state_dir.display()
    )
}

/// The name in the file, or a new one where it has none: random, because another state directory
/// may serve the same database.
fn kept_name(mut file: &File, host: &str) -> std::io::Result<String> {
    let mut kept = String::new();
    file.read_to_string(&mut kept)?;
    if let Ok(name) = crate::flags::relay_id(kept.trim()) {
        return Ok(name);
    }
    let name = format!("{host}-{:08x}", rand::random::<u32>());
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(name.as_bytes())?;
    file.sync_all()?;
    Ok(name)
}

/// The host's name, in the characters that a relay's name may have.
fn host_name() -> String {
    let name = gethostname::gethostname();
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || "_-.".contains(c) {
            c
        } else {
            '-'
        }
    };
    let name: String = name
        .to_string_lossy()
        .chars()
        .map(plain)
        .take(MAX_HOST)
        .collect();
    if name.is_empty() {
        "relay".to_owned()
    } else {
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_names_the_relay_and_a_flag_wins() {
        let dir = tempfile::tempdir().unwrap();
        let listen = "127.0.0.1:8000".parse().unwrap();
        assert!(
            of(None, listen, dir.path())
                .unwrap()
                .name
                .ends_with("-8000")
        );
        assert_eq!(of(Some("mine"), listen, dir.path()).unwrap().name, "mine");
    }

    #[test]
    fn random_ports_get_different_names_and_a_freed_name_is_used_again() {
        let dir = tempfile::tempdir().unwrap();
        let listen = "127.0.0.1:0".parse().unwrap();
        let first = of(None, listen, dir.path()).unwrap();
        let second = of(None, listen, dir.path()).unwrap();
        assert_ne!(first.name, second.name);
        let name = first.name.clone();
        drop(first);
        assert_eq!(of(None, listen, dir.path()).unwrap().name, name);
        let elsewhere = tempfile::tempdir().unwrap();
        assert_ne!(of(None, listen, elsewhere.path()).unwrap().name, name);
    }
}
