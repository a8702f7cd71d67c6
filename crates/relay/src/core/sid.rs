//! Session ids: twenty characters that cannot be guessed, as Node's `base64id` makes them. One kind
//! names Engine.IO connections (a secret of the client), one names Socket.IO sockets (known to others).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Bytes of randomness in an id; in base64 they are [`LENGTH`] characters.
const RANDOM_BYTES: usize = 15;
const LENGTH: usize = 20;

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sid([u8; LENGTH]);

impl Sid {
    /// From the operating system's seeded, cryptographically secure generator.
    pub fn random() -> Sid {
        let bytes: [u8; RANDOM_BYTES] = rand::random();
        let mut text = [0; LENGTH];
        URL_SAFE_NO_PAD
            .encode_slice(bytes, &mut text)
            .expect("15 bytes are 20 characters of base64");
        Sid(text)
    }

    /// None if `text` cannot be an id that was made here.
    pub fn parse(text: &str) -> Option<Sid> {
        let bytes: [u8; LENGTH] = text.as_bytes().try_into().ok()?;
        let legal = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        bytes.iter().all(legal).then_some(Sid(bytes))
    }

    /// What a log shows of a connection's id, which lets whoever knows it speak for the client.
    pub fn shown(&self) -> &str {
        &self.as_str()[..6]
    }

    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("an id is ASCII")
    }
}

impl fmt::Display for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_twenty_url_safe_characters() {
        let sid = Sid::random();
        assert_eq!(Sid::parse(sid.as_str()), Some(sid));
        assert_ne!(Sid::random(), sid);
        for text in ["", "short", "aaaaaaaaaaaaaaaaaaa!", "aaaaaaaaaaaaaaaaaaaaa"] {
            assert_eq!(Sid::parse(text), None, "{text:?}");
        }
    }
}
