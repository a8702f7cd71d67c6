//! Spin's SQLite.

use spin_sdk::sqlite::{Connection, Error, Value};

pub struct Engine(Connection);

impl Engine {
    pub async fn open() -> Result<Self, String> {
        let connection = Connection::open_default().await;
        connection.map(Self).map_err(|error| error.to_string())
    }

    /// Runs one statement to its end, before which neither its success nor its effect is certain, and
    /// gives its first row.
    pub async fn row(
        &self,
        statement: &str,
        parameters: Vec<Value>,
    ) -> Result<Option<Vec<Value>>, String> {
        let text = |error: Error| error.to_string();
        let result = self.0.execute(statement, parameters).await.map_err(text)?;
        let rows = result.collect().await.map_err(text)?;
        Ok(rows.into_iter().next().map(|row| row.values))
    }
}
