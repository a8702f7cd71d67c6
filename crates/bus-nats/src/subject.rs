//! Where on the broker: one subject for each namespace, and one on which relays say that they are there.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// What is taken as it is. The rest is written as `%2F`: any name is legal in a subject then.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'_');

/// The last token where a relay says that it is there. No namespace's: theirs have no `-`.
const PRESENCE: &str = "-";

/// Bytes of `--bus-subject`.
const MAX_PREFIX: usize = 128;

/// The subjects of a group of relays.
#[derive(Debug, Clone)]
pub struct Subjects {
    prefix: String,
}

/// What a subject is for.
#[derive(Debug, PartialEq, Eq)]
pub enum Topic {
    Namespace(String),
    Presence,
}

impl Subjects {
    /// None: a subject cannot begin with that.
    pub fn new(prefix: &str) -> Option<Subjects> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        let is_legal = prefix.len() <= MAX_PREFIX
            && prefix
                .split('.')
                .all(|token| !token.is_empty() && token.bytes().all(legal));
        is_legal.then(|| Subjects {
            prefix: prefix.into(),
        })
    }

    /// `/chat` is `parlour.%2Fchat`.
    pub fn of(&self, namespace: &str) -> String {
        let namespace = utf8_percent_encode(namespace, ESCAPED);
        format!("{}.{namespace}", self.prefix)
    }

    pub fn presence(&self) -> String {
        format!("{}.{PRESENCE}", self.prefix)
    }

    /// All of the above, and what is for one relay.
    pub fn all(&self) -> String {
        format!("{}.*", self.prefix)
    }

    /// Nobody listens there.
    pub fn nobody(&self) -> String {
        format!("{}.{PRESENCE}.nobody", self.prefix)
    }

    /// What is wrong if the broker does not answer that nobody listens there.
    pub fn unanswered(&self) -> String {
        let prefix = &self.prefix;
        format!(
            "it does not answer; if its users are restricted, this one must be able to publish to {prefix}.> \
             and to subscribe to {prefix}.* and _INBOX.>"
        )
    }

    /// None: it is none of ours.
    pub fn read(&self, subject: &str) -> Option<Topic> {
        let token = subject.strip_prefix(&self.prefix)?.strip_prefix('.')?;
        if token == PRESENCE {
            return Some(Topic::Presence);
        }
        let namespace = percent_decode_str(token).decode_utf8().ok()?;
        Some(Topic::Namespace(namespace.into_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_namespace_is_one_token_and_comes_back() {
        let subjects = Subjects::new("parlour").unwrap();
        assert_eq!(subjects.of("/"), "parlour.%2F");
        assert_eq!(subjects.of("/chat_1"), "parlour.%2Fchat_1");
        for namespace in [
            "/",
            "/a.b",
            "/*",
            "/>",
            "/räume",
            "/a b\t\r\n",
            "/%2F",
            "/-",
            "-",
            "/💬",
        ] {
            let subject = subjects.of(namespace);
            let token = subject.strip_prefix("parlour.").unwrap();
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'%' | b'_');
            assert!(token.bytes().all(is_plain), "{subject}");
            assert_eq!(
                subjects.read(&subject),
                Some(Topic::Namespace(namespace.into()))
            );
        }
    }

    #[test]
    fn presence_is_no_namespace() {
        let subjects = Subjects::new("our.relays").unwrap();
        assert_eq!(subjects.presence(), "our.relays.-");
        assert_eq!(subjects.read("our.relays.-"), Some(Topic::Presence));
        assert_ne!(subjects.of("-"), subjects.presence());
        for other in ["theirs.%2F", "our.relays", "our.relays.%FF"] {
            assert_eq!(subjects.read(other), None, "{other}");
        }
    }

    #[test]
    fn a_prefix_is_plain_tokens() {
        assert!(Subjects::new("a.b-c.D_1").is_some());
        for prefix in ["", ".", "a.", ".a", "a..b", "a b", "a.*", ">", "ä"] {
            assert!(Subjects::new(prefix).is_none(), "{prefix:?}");
        }
    }
}
