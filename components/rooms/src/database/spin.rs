//! Spin's SQLite.

use spin_sdk::sqlite::{Connection, Error, Value};

use super::cause::Cause;

pub struct Engine(Connection);

impl Engine {
    pub async fn open() -> Result<Self, Cause> {
        let connection = Connection::open_default().await;
        connection.map(Self).map_err(cause)
    }

    /// Runs one statement to its end: before that neither its success nor its effect is certain.
    pub async fn rows(
        &self,
        statement: &str,
        parameters: Vec<Value>,
    ) -> Result<Vec<Vec<Value>>, Cause> {
        let result = self.0.execute(statement, parameters).await.map_err(cause)?;
        if result.columns().is_empty() {
            result.result().await.map_err(cause)?;
            return Ok(Vec::new());
        }
        let rows = result.collect().await.map_err(cause)?;
        Ok(rows.into_iter().map(|row| row.values).collect())
    }
}

fn cause(error: Error) -> Cause {
    match error {
        Error::Io(text) => Cause::of(text),
        Error::AccessDenied | Error::NoSuchDatabase => Cause::lasting(format!(
            "{error}; does the component have sqlite_databases = [\"default\"], and its dependency on rooms \
             inherit it?"
        )),
        // The disk is full, or the file cannot be opened.
        other => Cause::of(other.to_string()),
    }
}
