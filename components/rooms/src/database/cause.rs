//! Why a statement failed: by itself, so that it will fail again, or because the database was away. What is not
//! known counts as away: to wait loses nothing.

use parlour_sqlite::Error as SqliteError;

use crate::interface::Error;

/// What SQLite says of statements that fail by themselves, whoever asks and whenever: values that do not fit, and
/// SQL that is wrong.
const OWN: &[&str] = &[
    "constraint failed",
    "datatype mismatch",
    "string or blob too big",
    "integer overflow",
    "malformed json",
    "syntax error",
    "unrecognized token",
    "incomplete input",
    "no such table",
    "no such column",
    "no such function",
    "no such savepoint",
    "has no column named",
    "wrong number of arguments",
    "too many sql variables",
    "too many columns",
];

/// An engine's word on what went wrong.
#[derive(Debug)]
pub struct Cause {
    text: String,
    is_away: bool,
}

impl Cause {
    /// As SQLite words it: `database is locked`, `database or disk is full`, `unable to open database file`, `disk
    /// I/O error`, `attempt to write a readonly database`, or any of the others.
    pub fn of(text: String) -> Self {
        let lower = text.to_lowercase();
        let is_away = !OWN.iter().any(|own| lower.contains(own));
        Self { text, is_away }
    }

    /// It will be no better next time.
    pub fn lasting(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            is_away: false,
        }
    }

    /// Whether these are the engine's words.
    pub fn says(&self, words: &str) -> bool {
        self.text.contains(words)
    }

    /// `attempted`: what did not work.
    pub fn error(&self, attempted: &str) -> Error {
        let text = format!("{attempted}: {}", self.text);
        match self.is_away {
            true => Error::Unavailable(text),
            false => Error::Storage(text),
        }
    }
}

impl From<SqliteError> for Cause {
    fn from(error: SqliteError) -> Self {
        match error {
            SqliteError::Io(text) => Self::of(text),
            SqliteError::AccessDenied | SqliteError::NoSuchDatabase => Self::lasting(format!(
                "{error}; does the component have sqlite_databases = [\"default\"], and its dependency on rooms \
                 inherit it?"
            )),
            // The disk is full, or the file cannot be opened.
            other => Self::of(other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_away(text: &str) -> bool {
        matches!(
            Cause::of(text.to_owned()).error("it failed"),
            Error::Unavailable(_)
        )
    }

    #[test]
    fn a_database_that_is_away_is_told_from_a_statement_that_fails() {
        for text in [
            "database is locked",
            "database table is locked",
            "database or disk is full",
            "unable to open database file",
            "disk I/O error",
            "attempt to write a readonly database",
            "out of memory",
            "locking protocol",
            "database disk image is malformed",
            "file is not a database",
            "error returned from database: (code: 5) database is locked",
            "attempted to communicate with a crashed background worker",
            "too many connections opened",
            "too many open files",
        ] {
            assert!(is_away(text), "{text}");
        }
        for text in [
            "UNIQUE constraint failed: log.id",
            "error returned from database: (code: 1299) NOT NULL constraint failed: log.data",
            "datatype mismatch",
            "string or blob too big",
            "near \"SELEC\": syntax error",
            "no such table: member",
            "no such column: since",
            "table socket has no column named given",
            "malformed JSON",
            "too many SQL variables",
        ] {
            assert!(!is_away(text), "{text}");
        }
    }
}
