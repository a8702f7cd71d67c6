//! One SQLite connection and the two ways to use it: run a statement, or read a single row.
//! Results come back in one row (aggregated as JSON), because a streamed row costs 25 µs.

mod cause;

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use parlour_sqlite::{Connection, Value};

use crate::interface::Error;
use cause::Cause;

/// How long SQLite waits for a lock each time. It looks for it after 1, 3 and 8 ms, and had it more time it
/// would look after ever longer pauses, in which nobody writes, or somebody else takes the lock again.
const LOOK_FOR_LOCK: &str = "PRAGMA busy_timeout = 8";

/// How long a statement waits for a lock in all: as long as Spin has SQLite wait.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// What an error says where another connection has the lock.
const LOCKED: &str = "database is locked";

/// A connection, with errors that say which statement failed.
pub struct Database {
    connection: Connection,
    /// It has the write lock: no statement waits for anything.
    has_begun: Cell<bool>,
}

impl Database {
    pub async fn open() -> Result<Self, Error> {
        match Connection::open().await {
            Ok(connection) => {
                // A database that refuses PRAGMAs (libSQL) waits in its own way.
                let _ = connection.row(LOOK_FOR_LOCK, Vec::new()).await;
                let has_begun = Cell::new(false);
                Ok(Self {
                    connection,
                    has_begun,
                })
            }
            Err(error) => {
                Err(Cause::from(error).error("cannot open the SQLite database `default`"))
            }
        }
    }

    /// Begins a transaction that has the write lock.
    pub async fn begin(&self) -> Result<(), Error> {
        self.run("BEGIN IMMEDIATE", []).await?;
        self.has_begun.set(true);
        Ok(())
    }

    pub async fn commit(&self) -> Result<(), Error> {
        self.run("COMMIT", []).await?;
        self.has_begun.set(false);
        Ok(())
    }

    pub async fn roll_back(&self) -> Result<(), Error> {
        self.run("ROLLBACK", []).await?;
        self.has_begun.set(false);
        Ok(())
    }

    /// Runs one statement that returns no rows.
    pub async fn run<const N: usize>(
        &self,
        statement: &str,
        parameters: [Value; N],
    ) -> Result<(), Error> {
        self.row(statement, parameters).await?;
        Ok(())
    }

    /// Runs one statement that returns at most one row.
    pub async fn row<const N: usize>(
        &self,
        statement: &str,
        parameters: [Value; N],
    ) -> Result<Option<Vec<Value>>, Error> {
        let row = match self.has_begun.get() {
            true => self.once(statement, parameters.into()).await,
            false => self.when_not_locked(statement, parameters.into()).await,
        };
        row.map_err(|cause| cause.error(&attempt(statement)))
    }

    async fn once(
        &self,
        statement: &str,
        parameters: Vec<Value>,
    ) -> Result<Option<Vec<Value>>, Cause> {
        Ok(self.connection.row(statement, parameters).await?)
    }

    async fn when_not_locked(
        &self,
        statement: &str,
        parameters: Vec<Value>,
    ) -> Result<Option<Vec<Value>>, Cause> {
        let began = Instant::now();
        loop {
            match self.once(statement, parameters.clone()).await {
                Err(cause) if cause.says(LOCKED) && began.elapsed() < LOCK_TIMEOUT => {}
                row => return row,
            }
        }
    }

    /// For tests: the last column of each row, as text.
    #[cfg(test)]
    pub async fn rows(&self, statement: &str) -> Vec<String> {
        let rows = self.connection.rows(statement, Vec::new()).await.unwrap();
        let last = |row: Vec<Value>| match row.last() {
            Some(Value::Text(text)) => text.clone(),
            other => panic!("no text: {other:?}"),
        };
        rows.into_iter().map(last).collect()
    }

    /// Runs a statement whose single row has a single column of JSON, and parses it.
    pub async fn json<T: serde::de::DeserializeOwned, const N: usize>(
        &self,
        statement: &str,
        parameters: [Value; N],
    ) -> Result<T, Error> {
        let row = self.row(statement, parameters).await?;
        let text = match row.as_deref() {
            Some([Value::Text(text)]) => text,
            _ => return Err(unexpected(statement, "no row with one JSON text")),
        };
        serde_json::from_str(text).map_err(|error| unexpected(statement, &error.to_string()))
    }
}

/// The integer in a column; anything else (NULL, as a rule) is none.
pub fn integer(value: &Value) -> Option<u64> {
    match value {
        Value::Integer(number) => u64::try_from(*number).ok(),
        _ => None,
    }
}

/// SQLite's integers are signed; no epoch or sequence number comes near the difference.
pub fn number(value: u64) -> Value {
    Value::Integer(i64::try_from(value).unwrap_or(i64::MAX))
}

/// A list as the parameter of a `json_each(?)`.
pub fn list<T: serde::Serialize>(items: &T) -> Result<Value, Error> {
    serde_json::to_string(items)
        .map(Value::Text)
        .map_err(|error| Error::Storage(format!("cannot make a parameter of a list: {error}")))
}

/// Characters of a statement that an error shows.
const SHOWN: usize = 80;

fn unexpected(statement: &str, problem: &str) -> Error {
    Cause::lasting(problem).error(&attempt(statement))
}

fn attempt(statement: &str) -> String {
    let statement = statement.split_whitespace().collect::<Vec<_>>().join(" ");
    let start: String = statement.chars().take(SHOWN).collect();
    format!("SQLite failed at `{start}`")
}
