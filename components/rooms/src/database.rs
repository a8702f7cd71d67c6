//! One SQLite connection and the two ways to use it: run a statement, or read a single row.
//! Results come back in one row (aggregated as JSON), because a streamed row costs 25 µs.

use spin_sdk::sqlite::{self, Value};

use crate::interface::Error;

/// A connection of Spin's, with errors that say which statement failed.
pub struct Database(sqlite::Connection);

impl Database {
    pub async fn open() -> Result<Self, Error> {
        match sqlite::Connection::open_default().await {
            Ok(connection) => Ok(Self(connection)),
            Err(error) => Err(Error::Storage(format!(
                "cannot open the SQLite database `default`: {error}; does the component have \
                 sqlite_databases = [\"default\"], and its dependency on rooms inherit it?"
            ))),
        }
    }

    /// Runs one statement that returns no rows.
    pub async fn run<const N: usize>(
        &self,
        statement: &str,
        parameters: [Value; N],
    ) -> Result<(), Error> {
        let failed = |error| failed(statement, error);
        let result = self.0.execute(statement, parameters).await;
        result.map_err(failed)?.collect().await.map_err(failed)?;
        Ok(())
    }

    /// Runs one statement that returns at most one row.
    pub async fn row<const N: usize>(
        &self,
        statement: &str,
        parameters: [Value; N],
    ) -> Result<Option<Vec<Value>>, Error> {
        let failed = |error| failed(statement, error);
        let result = self.0.execute(statement, parameters).await;
        let rows = result.map_err(failed)?.collect().await.map_err(failed)?;
        Ok(rows.into_iter().next().map(|row| row.values))
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
            other => {
                return Err(odd(
                    statement,
                    &format!("{other:?} instead of one JSON text"),
                ));
            }
        };
        serde_json::from_str(text).map_err(|error| odd(statement, &error.to_string()))
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

fn failed(statement: &str, error: sqlite::Error) -> Error {
    let statement = statement.split_whitespace().collect::<Vec<_>>().join(" ");
    let start: String = statement.chars().take(80).collect();
    Error::Storage(format!("SQLite refused `{start}`: {error}"))
}

fn odd(statement: &str, what: &str) -> Error {
    Error::Storage(format!("SQLite answered `{statement}` with {what}"))
}
