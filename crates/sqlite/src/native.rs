//! SQLite without Spin, set up as Spin does.

use std::{
    cell::{Cell, RefCell},
    path::PathBuf,
};

use spin_sdk::sqlite::{Error, Value};
use sqlx::{
    Column, Connection as _, Row, SqlSafeStr, TypeInfo, ValueRef,
    sqlite::{SqliteConnectOptions, SqliteConnection, SqliteRow},
};
use tokio::sync::Mutex;

thread_local! {
    static FILE: RefCell<PathBuf> = RefCell::default();
    static STATEMENTS: Cell<usize> = const { Cell::new(0) };
}

/// Which file this thread's connections open.
pub fn use_file(file: PathBuf) {
    FILE.set(file);
}

/// How many statements this thread has run since it was last asked.
pub fn statements() -> usize {
    STATEMENTS.take()
}

pub struct Connection(Mutex<SqliteConnection>);

impl Connection {
    pub async fn open() -> Result<Self, Error> {
        let file = FILE.with_borrow(Clone::clone);
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true);
        let connection = SqliteConnection::connect_with(&options).await;
        connection
            .map(|connection| Self(Mutex::new(connection)))
            .map_err(io)
    }

    pub async fn rows(
        &self,
        statement: &str,
        parameters: Vec<Value>,
    ) -> Result<Vec<Vec<Value>>, Error> {
        STATEMENTS.set(STATEMENTS.get() + 1);
        let mut query = sqlx::query(sqlx::AssertSqlSafe(statement).into_sql_str());
        for parameter in parameters {
            query = match parameter {
                Value::Null => query.bind(None::<String>),
                Value::Integer(number) => query.bind(number),
                Value::Real(number) => query.bind(number),
                Value::Text(text) => query.bind(text),
                Value::Blob(bytes) => query.bind(bytes),
            };
        }
        let rows = query.fetch_all(&mut *self.0.lock().await).await;
        let rows = rows.map_err(io)?;
        Ok(rows.iter().map(values).collect())
    }
}

fn io(error: sqlx::Error) -> Error {
    Error::Io(error.to_string())
}

fn values(row: &SqliteRow) -> Vec<Value> {
    let value = |index: usize| {
        let raw = row.try_get_raw(index).expect("the column exists");
        if raw.is_null() {
            return Value::Null;
        }
        match raw.type_info().name() {
            "INTEGER" => Value::Integer(row.get(index)),
            "TEXT" => Value::Text(row.get(index)),
            "BLOB" => Value::Blob(row.get(index)),
            other => panic!("unexpected {other} in {}", row.columns()[index].name()),
        }
    };
    (0..row.len()).map(value).collect()
}
