//! The namespace `/`: the public chat. Whoever connects is let in; this decides only who they are.

use chat::{Member, Nickname};
use parlour_sdk::{Auth, Error, Io, Result, Socket};
use serde::Deserialize;
use sha2::{Digest, Sha256};

/// Characters of the secret by which a returning browser is known.
const KEY_LENGTH: std::ops::RangeInclusive<usize> = 16..=128;

parlour_sdk::main!(lobby);

fn lobby(io: &mut Io) {
    io.on_connect(
        async |socket: Socket, auth: Auth<Guest>| match socket.recovered() {
            true => chat::come_back(&socket).await,
            false => socket.set_data(member(auth.0, socket.id())?),
        },
    );
    chat::register(io);
}

/// What a client may say of itself in `auth`.
#[derive(Deserialize)]
#[serde(expecting = "an object {key?, name?}")]
struct Guest {
    /// Only this client knows it: who has it is the same member again.
    key: Option<String>,
    name: Option<Nickname>,
}

fn member(auth: Guest, socket: &str) -> Result<Member> {
    let id = match auth.key {
        Some(key) if KEY_LENGTH.contains(&key.chars().count()) => format!("u{}", digest(&key, 8)),
        Some(_) => {
            let (least, most) = (KEY_LENGTH.start(), KEY_LENGTH.end());
            let message = format!("`auth.key` has {least} to {most} characters");
            return Err(Error::bad_request(message));
        }
        None => socket.to_owned(),
    };
    let name = match auth.name {
        Some(name) => name.into_inner(),
        None => format!("Guest-{}", digest(&id, 2)),
    };
    Ok(Member { id, name })
}

/// The first bytes of the text's SHA-256, in hexadecimal.
fn digest(text: &str, bytes: usize) -> String {
    let digest = Sha256::digest(text);
    digest
        .iter()
        .take(bytes)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(key: Option<&str>, socket: &str) -> Result<String> {
        let auth = Guest {
            key: key.map(str::to_owned),
            name: None,
        };
        Ok(member(auth, socket)?.id)
    }

    #[test]
    fn a_key_makes_the_same_member_again_and_is_not_to_be_read_from_it() {
        let key = "0123456789abcdef";
        let first = id(Some(key), "s1").unwrap();
        assert_eq!(id(Some(key), "s2").unwrap(), first);
        assert_ne!(id(Some("0123456789abcdeF"), "s1").unwrap(), first);
        assert!(!first.contains(key) && first.len() == 17, "{first}");
        assert_eq!(id(None, "s1").unwrap(), "s1");
        for key in ["0123456789abcde", &"x".repeat(129)] {
            assert!(id(Some(key), "s1").is_err(), "{key}");
        }
    }
}
