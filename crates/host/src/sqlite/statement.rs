//! One statement of a guest, run to its end: what it is given, and what becomes of its rows. Knows
//! nothing of threads and of how long a connection lives.

use rusqlite::{
    Batch, Connection, ErrorCode, Row, Statement,
    fallible_iterator::FallibleIterator as _,
    params_from_iter,
    types::{Value as Parameter, ValueRef},
};
use tokio::sync::{
    mpsc::{self, error::TrySendError},
    oneshot,
};

use crate::bindings::spin::sqlite::sqlite::{Error, RowResult, Value};

/// Bytes of one streamed row, or of a whole result that is not streamed.
pub const MAX_RESULT_BYTES: usize = 128 << 20;

/// Where a running statement puts what it has.
pub struct Output {
    /// Told the columns once: when the rows have to wait for the guest, or when all is over. So a
    /// statement with few rows costs its guest one wait and not several.
    pub begun: Option<oneshot::Sender<Result<Vec<String>, Error>>>,
    pub columns: Vec<String>,
    pub rows: mpsc::Sender<RowResult>,
}

impl Output {
    fn row(&mut self, row: RowResult) -> Result<(), Error> {
        let dropped = || Error::Io("row send error".to_owned());
        match self.rows.try_send(row) {
            Ok(()) => Ok(()),
            Err(TrySendError::Closed(_)) => Err(dropped()),
            Err(TrySendError::Full(row)) => {
                if let Some(begun) = self.begun.take() {
                    let _ = begun.send(Ok(std::mem::take(&mut self.columns)));
                }
                self.rows.blocking_send(row).map_err(|_| dropped())
            }
        }
    }

    /// The outer error is that there is no database.
    pub fn end(
        self,
        done: Result<Result<(), Error>, Error>,
        to: oneshot::Sender<Result<(), Error>>,
    ) {
        drop(self.rows);
        let columns = done.map(|result| {
            let _ = to.send(result);
            self.columns
        });
        if let Some(begun) = self.begun {
            let _ = begun.send(columns);
        }
    }
}

/// Why a statement ended early.
pub enum Failure {
    Sqlite(rusqlite::Error),
    Ours(Error),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Failure::Sqlite(error)
    }
}

pub fn execute(
    connection: &Connection,
    sql: &str,
    parameters: Vec<Value>,
    out: &mut Output,
) -> Result<(), Failure> {
    match connection.prepare_cached(sql) {
        Ok(mut statement) => query(&mut statement, parameters, out),
        // This version of the library refuses what comes after the first statement, Spin's never
        // looks at it.
        Err(refused) if sql.contains(';') && is_about_the_text(&refused) => {
            match Batch::new(connection, sql).next()? {
                Some(mut first) => query(&mut first, parameters, out),
                None => Err(refused.into()),
            }
        }
        Err(error) => Err(error.into()),
    }
}

fn is_about_the_text(error: &rusqlite::Error) -> bool {
    matches!(error, rusqlite::Error::MultipleStatement)
        || error.sqlite_error_code() == Some(ErrorCode::Unknown)
}

fn query(
    statement: &mut Statement<'_>,
    parameters: Vec<Value>,
    out: &mut Output,
) -> Result<(), Failure> {
    // As in Spin these are the columns before the first step, which notices a changed schema.
    out.columns = statement
        .column_names()
        .into_iter()
        .map(str::to_owned)
        .collect();
    let mut rows = statement.query(params_from_iter(parameters.into_iter().map(parameter)))?;
    while let Some(row) = rows.next()? {
        out.row(convert(row)?).map_err(Failure::Ours)?;
    }
    Ok(())
}

fn parameter(value: Value) -> Parameter {
    match value {
        Value::Integer(value) => Parameter::Integer(value),
        Value::Real(value) => Parameter::Real(value),
        Value::Text(value) => Parameter::Text(value),
        Value::Blob(value) => Parameter::Blob(value),
        Value::Null => Parameter::Null,
    }
}

fn convert(row: &Row<'_>) -> Result<RowResult, Failure> {
    let values = (0..row.as_ref().column_count()).map(|index| match row.get_ref(index)? {
        ValueRef::Null => Ok(Value::Null),
        ValueRef::Integer(value) => Ok(Value::Integer(value)),
        ValueRef::Real(value) => Ok(Value::Real(value)),
        ValueRef::Text(text) => match std::str::from_utf8(text) {
            Ok(text) => Ok(Value::Text(text.to_owned())),
            Err(error) => Err(Failure::Ours(Error::Io(format!(
                "column {index} holds a text that is not UTF-8: {error}"
            )))),
        },
        ValueRef::Blob(bytes) => Ok(Value::Blob(bytes.to_owned())),
    });
    let row = RowResult {
        values: values.collect::<Result<_, Failure>>()?,
    };
    if size(&row) > MAX_RESULT_BYTES {
        return Err(Failure::Ours(too_large()));
    }
    Ok(row)
}

pub fn size(row: &RowResult) -> usize {
    let bytes = |value: &Value| match value {
        Value::Text(text) => text.len(),
        Value::Blob(blob) => blob.len(),
        _ => 0,
    };
    row.values
        .iter()
        .map(|value| size_of::<Value>() + bytes(value))
        .sum()
}

pub fn too_large() -> Error {
    Error::Io(format!(
        "query result exceeds limit of {MAX_RESULT_BYTES} bytes"
    ))
}

pub fn given_up() -> Error {
    Error::Io("the statement was given up before its end".to_owned())
}

pub fn io(error: &rusqlite::Error) -> Error {
    Error::Io(error.to_string())
}
