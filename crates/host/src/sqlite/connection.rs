//! One guest connection: one SQLite connection, opened at its first statement, statements one
//! after another. Says when a statement failed and why; knows nothing of Wasm.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    },
};

use futures::StreamExt;
use sqlx::{
    AssertSqlSafe, Column, Connection as _, Either, Executor, Row, SqlSafeStr, Statement, TypeInfo,
    Value as _, ValueRef,
    sqlite::{SqliteArguments, SqliteConnectOptions, SqliteConnection, SqliteRow},
};
use tokio::sync::{Mutex, mpsc, oneshot};

use super::{keeper::Keeper, statement};
use crate::bindings::spin::sqlite::sqlite::{Error, RowResult, Value};

/// Rows on their way to the guest. The statement waits when the guest does not read them.
const ROWS_IN_FLIGHT: usize = 4;
/// Bytes of one streamed row, or of a whole result that is not streamed.
const MAX_RESULT_BYTES: usize = 128 << 20;
/// Statements remembered for one connection.
const MAX_STATEMENTS: usize = 100;

/// A connection, shared with the statements that run on it.
#[derive(Clone)]
pub struct OpenConnection(Arc<Shared>);

struct Shared {
    options: SqliteConnectOptions,
    /// Whether `ATTACH` may open other files.
    attach: bool,
    /// Takes over the write-ahead log before this connection closes. None in memory.
    keeper: Option<Arc<Keeper>>,
    handle: Arc<Mutex<Handle>>,
    last_insert_rowid: AtomicI64,
    changes: AtomicU64,
}

#[derive(Default)]
struct Handle {
    connection: Option<SqliteConnection>,
    statements: HashMap<String, Arc<Prepared>>,
}

/// What is known about a statement before it runs.
struct Prepared {
    /// The first statement of the text.
    sql: Arc<str>,
    columns: Vec<String>,
    parameters: usize,
}

/// A statement that has begun.
pub struct Execution {
    pub columns: Vec<String>,
    pub rows: mpsc::Receiver<RowResult>,
    /// Ready once the statement is done.
    pub result: oneshot::Receiver<Result<(), Error>>,
}

impl OpenConnection {
    pub fn new(options: SqliteConnectOptions, attach: bool, keeper: Option<Arc<Keeper>>) -> Self {
        OpenConnection(Arc::new(Shared {
            options,
            attach,
            keeper,
            handle: Arc::default(),
            last_insert_rowid: AtomicI64::new(0),
            changes: AtomicU64::new(0),
        }))
    }

    pub fn last_insert_rowid(&self) -> i64 {
        self.0.last_insert_rowid.load(Relaxed)
    }

    pub fn changes(&self) -> u64 {
        self.0.changes.load(Relaxed)
    }

    /// Begins a statement and returns when it is done or its rows are waiting to be read. It fails
    /// only if the database cannot be opened; what is wrong with the statement is its result.
    pub async fn execute(&self, sql: String, parameters: Vec<Value>) -> Result<Execution, Error> {
        let (columns_tx, mut columns) = oneshot::channel();
        let (rows_tx, rows) = mpsc::channel(ROWS_IN_FLIGHT);
        let (full_tx, full) = oneshot::channel();
        let (result_tx, result) = oneshot::channel();
        let output = Output {
            columns: Some(columns_tx),
            rows: rows_tx,
            full: Some(full_tx),
        };
        let shared = self.0.clone();
        let mut work = Box::pin(async move {
            let done = shared.run(&sql, parameters, output).await;
            let _ = result_tx.send(done);
        });
        // Most statements are over before their rows fill the channel: those need no task.
        tokio::select! {
            biased;
            () = &mut work => {}
            Ok(()) = full => {
                tokio::spawn(work);
            }
        }
        match columns.try_recv() {
            Ok(columns) => Ok(Execution {
                columns: columns?,
                rows,
                result,
            }),
            Err(_) => Err(Error::Io("the statement was given up".to_owned())),
        }
    }

    /// Runs a statement and returns all its rows.
    pub async fn execute_all(
        &self,
        sql: String,
        parameters: Vec<Value>,
    ) -> Result<(Vec<String>, Vec<RowResult>), Error> {
        let mut execution = self.execute(sql, parameters).await?;
        let mut rows = Vec::new();
        let mut bytes = 0;
        while let Some(row) = execution.rows.recv().await {
            bytes += size(&row);
            if bytes > MAX_RESULT_BYTES {
                return Err(too_large());
            }
            rows.push(row);
        }
        match execution.result.await {
            Ok(result) => result.map(|()| (execution.columns, rows)),
            Err(_) => Err(Error::Io("the statement was given up".to_owned())),
        }
    }

    /// Closes the connection now, which rolls back an open transaction, unless a statement is
    /// still running on it: then when that is done.
    pub async fn close(self) {
        let Ok(mut handle) = self.0.handle.try_lock() else {
            return;
        };
        if let Some(keeper) = &self.0.keeper
            && !keeper.holds()
        {
            keeper.hold().await;
        }
        if let Some(connection) = handle.connection.take()
            && let Err(error) = connection.close().await
        {
            tracing::debug!(%error, "closing a database connection");
        }
    }
}

/// An instance that ends drops its connections unclosed.
impl Drop for Shared {
    fn drop(&mut self) {
        let Some(keeper) = self.keeper.take().filter(|keeper| !keeper.holds()) else {
            return;
        };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let handle = std::mem::take(&mut self.handle);
            runtime.spawn(async move {
                keeper.hold().await;
                drop(handle);
            });
        }
    }
}

/// Where a running statement puts what it has.
struct Output {
    columns: Option<oneshot::Sender<Result<Vec<String>, Error>>>,
    rows: mpsc::Sender<RowResult>,
    /// Told once, when the rows have to wait for the guest.
    full: Option<oneshot::Sender<()>>,
}

impl Output {
    fn columns(&mut self, columns: Result<Vec<String>, Error>) {
        if let Some(sender) = self.columns.take() {
            let _ = sender.send(columns);
        }
    }

    async fn row(&mut self, row: RowResult) -> Result<(), Error> {
        let dropped = || Error::Io("row send error".to_owned());
        match self.rows.try_send(row) {
            Ok(()) => Ok(()),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(dropped()),
            Err(mpsc::error::TrySendError::Full(row)) => {
                if let Some(full) = self.full.take() {
                    let _ = full.send(());
                }
                self.rows.send(row).await.map_err(|_| dropped())
            }
        }
    }
}

impl Shared {
    async fn run(&self, sql: &str, parameters: Vec<Value>, mut out: Output) -> Result<(), Error> {
        let mut handle = self.handle.lock().await;
        if let Err(error) = handle.connect(&self.options).await {
            out.columns(Err(io(error)));
            return Ok(());
        }
        let prepared = match handle.prepare(sql, self.attach).await {
            Ok(prepared) => prepared,
            Err(error) => {
                out.columns(Ok(Vec::new()));
                return Err(error);
            }
        };
        if parameters.len() != prepared.parameters {
            out.columns(Ok(prepared.columns.clone()));
            return Err(Error::Io(format!(
                "Wrong number of parameters passed to query. Got {}, needed {}",
                parameters.len(),
                prepared.parameters
            )));
        }
        let Some(connection) = &mut handle.connection else {
            return Err(Error::InvalidConnection);
        };
        let mut query = sqlx::query_with(
            AssertSqlSafe(prepared.sql.clone()),
            SqliteArguments::default(),
        );
        for value in parameters {
            query = match value {
                Value::Integer(value) => query.bind(value),
                Value::Real(value) => query.bind(value),
                Value::Text(value) => query.bind(value),
                Value::Blob(value) => query.bind(value),
                Value::Null => query.bind(None::<i64>),
            };
        }
        let mut steps = connection.fetch_many(query);
        while let Some(step) = steps.next().await {
            match step {
                Ok(Either::Right(row)) => {
                    // The schema may have changed since the statement was first seen.
                    out.columns(Ok(names(row.columns())));
                    out.row(convert(&row)?).await?;
                }
                Ok(Either::Left(done)) => {
                    self.last_insert_rowid
                        .store(done.last_insert_rowid(), Relaxed);
                    self.changes.store(done.rows_affected(), Relaxed);
                    out.columns(Ok(prepared.columns.clone()));
                }
                Err(error) => {
                    out.columns(Ok(prepared.columns.clone()));
                    return Err(io(error));
                }
            }
        }
        out.columns(Ok(prepared.columns.clone()));
        Ok(())
    }
}

impl Handle {
    async fn connect(&mut self, options: &SqliteConnectOptions) -> Result<(), sqlx::Error> {
        if self.connection.is_none() {
            self.connection = Some(SqliteConnection::connect_with(options).await?);
        }
        Ok(())
    }

    async fn prepare(&mut self, sql: &str, attach: bool) -> Result<Arc<Prepared>, Error> {
        if let Some(prepared) = self.statements.get(sql) {
            return Ok(prepared.clone());
        }
        let first: Arc<str> = statement::first(sql).into();
        if !attach && statement::opens_another_file(&first) {
            return Err(Error::Io("not authorized".to_owned()));
        }
        let Some(connection) = &mut self.connection else {
            return Err(Error::InvalidConnection);
        };
        let text = AssertSqlSafe(first.clone()).into_sql_str();
        let known = connection.prepare(text).await.map_err(io)?;
        let prepared = Arc::new(Prepared {
            sql: first,
            columns: names(known.columns()),
            parameters: match known.parameters() {
                Some(Either::Right(count)) => count,
                _ => 0,
            },
        });
        if self.statements.len() >= MAX_STATEMENTS {
            self.statements.clear();
        }
        self.statements.insert(sql.to_owned(), prepared.clone());
        Ok(prepared)
    }
}

fn names(columns: &[sqlx::sqlite::SqliteColumn]) -> Vec<String> {
    columns
        .iter()
        .map(|column| column.name().to_owned())
        .collect()
}

fn convert(row: &SqliteRow) -> Result<RowResult, Error> {
    let values = (0..row.len()).map(|index| convert_value(row, index));
    let row = RowResult {
        values: values.collect::<Result<_, _>>().map_err(io)?,
    };
    if size(&row) > MAX_RESULT_BYTES {
        return Err(too_large());
    }
    Ok(row)
}

fn convert_value(row: &SqliteRow, index: usize) -> Result<Value, sqlx::Error> {
    let value = row.try_get_raw(index)?;
    if value.is_null() {
        return Ok(Value::Null);
    }
    let owned = value.to_owned();
    // SQLite types values, not columns.
    Ok(match owned.type_info().name() {
        "INTEGER" => Value::Integer(row.try_get_unchecked(index)?),
        "REAL" => Value::Real(row.try_get_unchecked(index)?),
        "TEXT" => Value::Text(row.try_get_unchecked(index)?),
        _ => Value::Blob(row.try_get_unchecked(index)?),
    })
}

fn size(row: &RowResult) -> usize {
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

fn too_large() -> Error {
    Error::Io(format!(
        "query result exceeds limit of {MAX_RESULT_BYTES} bytes"
    ))
}

/// SQLite's own words, without the library's around them.
fn io(error: sqlx::Error) -> Error {
    Error::Io(match &error {
        sqlx::Error::Database(database) => database.message().to_owned(),
        other => other.to_string(),
    })
}
