//! Spin's SQLite.

use spin_sdk::sqlite::{self, Error, Value};

pub struct Connection(sqlite::Connection);

impl Connection {
    pub async fn open() -> Result<Self, Error> {
        sqlite::Connection::open_default().await.map(Self)
    }

    /// Runs one statement to its end: before that neither its success nor its effect is certain.
    pub async fn rows(
        &self,
        statement: &str,
        parameters: Vec<Value>,
    ) -> Result<Vec<Vec<Value>>, Error> {
        let result = self.0.execute(statement, parameters).await?;
        if result.columns().is_empty() {
            result.result().await?;
            return Ok(Vec::new());
        }
        let rows = result.collect().await?;
        Ok(rows.into_iter().map(|row| row.values).collect())
    }
}
