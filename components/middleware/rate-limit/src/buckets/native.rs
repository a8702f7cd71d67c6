//! For tests: SQLite without Spin, set up as Spin does.

use std::cell::RefCell;
use std::path::PathBuf;

use spin_sdk::sqlite::Value;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteRow};
use sqlx::{Connection as _, Row as _, SqlSafeStr as _, TypeInfo as _, ValueRef as _};
use tokio::sync::Mutex;

thread_local! {
    static FILE: RefCell<PathBuf> = RefCell::default();
}

/// Which file this thread's connections open.
pub fn use_file(file: PathBuf) {
    FILE.set(file);
}

pub struct Engine(Mutex<SqliteConnection>);

impl Engine {
    pub async fn open() -> Result<Self, String> {
        let options = SqliteConnectOptions::new()
            .filename(FILE.with_borrow(Clone::clone))
            .create_if_missing(true);
        let connection = SqliteConnection::connect_with(&options).await;
        connection
            .map(|connection| Self(Mutex::new(connection)))
            .map_err(|error| error.to_string())
    }

    pub async fn row(
        &self,
        statement: &str,
        parameters: Vec<Value>,
    ) -> Result<Option<Vec<Value>>, String> {
        let mut query = sqlx::query(sqlx::AssertSqlSafe(statement).into_sql_str());
        for parameter in parameters {
            query = match parameter {
                Value::Integer(number) => query.bind(number),
                Value::Text(text) => query.bind(text),
                other => panic!("no statement here takes {other:?}"),
            };
        }
        let rows = query.fetch_all(&mut *self.0.lock().await).await;
        let rows = rows.map_err(|error| error.to_string())?;
        Ok(rows.first().map(values))
    }
}

fn values(row: &SqliteRow) -> Vec<Value> {
    let value = |index: usize| {
        let raw = row.try_get_raw(index).expect("the column exists");
        match raw.type_info().name() {
            "NULL" => Value::Null,
            "TEXT" => Value::Text(row.get(index)),
            _ => Value::Integer(row.get(index)),
        }
    };
    (0..row.len()).map(value).collect()
}
