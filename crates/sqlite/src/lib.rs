//! A connection to the SQLite database `default` of a component. In the component it is Spin's. In the component's
//! tests, which run natively, it is a file that the test names, opened as Spin opens it.

#[cfg(not(target_family = "wasm"))]
mod native;
#[cfg(target_family = "wasm")]
mod spin;

#[cfg(not(target_family = "wasm"))]
pub use native::{Connection, statements, use_file};
#[cfg(target_family = "wasm")]
pub use spin::Connection;
pub use spin_sdk::sqlite::{Error, Value};

impl Connection {
    /// Runs one statement that returns at most one row.
    pub async fn row(
        &self,
        statement: &str,
        parameters: Vec<Value>,
    ) -> Result<Option<Vec<Value>>, Error> {
        Ok(self.rows(statement, parameters).await?.into_iter().next())
    }
}
