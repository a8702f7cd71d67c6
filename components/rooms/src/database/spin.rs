//! Spin's SQLite.

use spin_sdk::sqlite::{Connection, Error, Value};

pub struct Engine(Connection);

impl Engine {
    pub async fn open() -> Result<Self, String> {
        let connection = Connection::open_default().await;
        connection.map(Self).map_err(|error| error.to_string())
    }

    /// Runs one statement to its end: before that neither its success nor its effect is certain.
    pub async fn rows(
        &self,
        statement: &str,
        parameters: Vec<Value>,
    ) -> Result<Vec<Vec<Value>>, String> {
        let text = |error: Error| error.to_string();
        let result = self.0.execute(statement, parameters).await.map_err(text)?;
        if result.columns().is_empty() {
            result.result().await.map_err(text)?;
            return Ok(Vec::new());
        }
        let rows = result.collect().await.map_err(text)?;
        Ok(rows.into_iter().map(|row| row.values).collect())
    }
}
