//! One guest connection: one SQLite connection, opened at its first statement, statements one
//! after another, by the library that Spin uses and in the way Spin uses it. A statement's rows are
//! complete only when its result says so; every way in which it can end early is an error there.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{
        AtomicBool, AtomicI64, AtomicU64, AtomicUsize,
        Ordering::{Acquire, Relaxed, Release},
    },
    mpsc,
};

use rusqlite::{
    Connection, ErrorCode,
    hooks::{AuthAction, AuthContext, Authorization},
};
use tokio::sync::oneshot;

use super::{
    file::DatabaseFile,
    statement::{self, Failure, MAX_RESULT_BYTES, Output, given_up, io, size, too_large},
};
use crate::bindings::spin::sqlite::sqlite::{Error, RowResult, Value};

/// Rows on their way to the guest. The statement waits when the guest does not read them.
const ROWS_IN_FLIGHT: usize = 4;
/// Prepared statements kept for one connection.
const MAX_STATEMENTS: usize = 100;
/// Instructions of SQLite's virtual machine, some 0.1 ms, between two looks at whether the
/// statement's instance is still there.
const OPERATIONS_PER_LOOK: i32 = 10_000;

/// A connection. Its statements run on a thread of its own, which ends with the last of these.
#[derive(Clone)]
pub struct OpenConnection(Arc<Shared>);

struct Shared {
    database: Arc<Opening>,
    /// None before the first statement.
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    counters: Arc<Counters>,
}

/// How a connection is opened.
struct Opening {
    /// None is in memory.
    file: Option<Arc<DatabaseFile>>,
    /// Whether `ATTACH` may open other files.
    attach: bool,
    /// Set when the guest's instance is gone, which ends a running statement.
    gone: Arc<AtomicBool>,
}

#[derive(Default)]
struct Counters {
    /// Statements that are not done.
    pending: AtomicUsize,
    last_insert_rowid: AtomicI64,
    changes: AtomicU64,
}

enum Job {
    Execute {
        sql: String,
        parameters: Vec<Value>,
        out: Output,
        result: oneshot::Sender<Result<(), Error>>,
    },
    Close(oneshot::Sender<()>),
}

/// A statement that has begun.
pub struct Execution {
    pub columns: Vec<String>,
    pub rows: tokio::sync::mpsc::Receiver<RowResult>,
    /// Ready once the statement is done.
    pub result: oneshot::Receiver<Result<(), Error>>,
}

impl OpenConnection {
    pub fn new(file: Option<Arc<DatabaseFile>>, attach: bool, gone: Arc<AtomicBool>) -> Self {
        let database = Opening { file, attach, gone };
        OpenConnection(Arc::new(Shared {
            database: Arc::new(database),
            jobs: Mutex::default(),
            counters: Arc::default(),
        }))
    }

    pub fn last_insert_rowid(&self) -> i64 {
        self.0.counters.last_insert_rowid.load(Relaxed)
    }

    pub fn changes(&self) -> u64 {
        self.0.counters.changes.load(Relaxed)
    }

    /// Begins a statement and returns when it is done or its rows are waiting to be read. It fails
    /// only if the database cannot be opened; what is wrong with the statement is its result.
    pub async fn execute(&self, sql: String, parameters: Vec<Value>) -> Result<Execution, Error> {
        let (begun_tx, begun) = oneshot::channel();
        let (rows_tx, rows) = tokio::sync::mpsc::channel(ROWS_IN_FLIGHT);
        let (result_tx, result) = oneshot::channel();
        self.0.send(Job::Execute {
            sql,
            parameters,
            out: Output {
                begun: Some(begun_tx),
                columns: Vec::new(),
                rows: rows_tx,
            },
            result: result_tx,
        })?;
        // Nobody to answer: the thread has panicked.
        let columns = begun.await.unwrap_or_else(|_| Err(given_up()))?;
        Ok(Execution {
            columns,
            rows,
            result,
        })
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
        let result = execution.result.await.unwrap_or_else(|_| Err(given_up()));
        result.map(|()| (execution.columns, rows))
    }

    /// Closes the connection now, which rolls back an open transaction, unless a statement is
    /// still running on it: then when that is done.
    pub async fn close(self) {
        let is_idle = self.0.counters.pending.load(Acquire) == 0;
        let jobs = self.0.lock().take();
        let (done, closed) = oneshot::channel();
        if let Some(jobs) = jobs
            && jobs.send(Job::Close(done)).is_ok()
            && is_idle
        {
            let _ = closed.await;
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Option<mpsc::Sender<Job>>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, job: Job) -> Result<(), Error> {
        let mut jobs = self.lock();
        let jobs = match &mut *jobs {
            Some(jobs) => jobs,
            none => none.insert(self.start()?),
        };
        self.counters.pending.fetch_add(1, Relaxed);
        jobs.send(job).map_err(|_| given_up())
    }

    fn start(&self) -> Result<mpsc::Sender<Job>, Error> {
        let (sender, jobs) = mpsc::channel();
        let worker = Worker {
            database: self.database.clone(),
            counters: self.counters.clone(),
            connection: Slot::Unopened,
        };
        std::thread::Builder::new()
            .name("sqlite".to_owned())
            .spawn(move || worker.run(&jobs))
            .map_err(|error| Error::Io(format!("cannot start a thread: {error}")))?;
        Ok(sender)
    }
}

/// The thread of a connection.
struct Worker {
    database: Arc<Opening>,
    counters: Arc<Counters>,
    connection: Slot,
}

enum Slot {
    Unopened,
    Open {
        connection: Connection,
        /// Of its file.
        generation: u64,
    },
    /// For good: what was begun on it is undone, and must not go on as if it were not.
    Closed,
}

impl Worker {
    fn run(mut self, jobs: &mpsc::Receiver<Job>) {
        for job in jobs {
            match job {
                Job::Execute {
                    sql,
                    parameters,
                    mut out,
                    result,
                } => {
                    let done = self.execute(&sql, parameters, &mut out);
                    self.counters.pending.fetch_sub(1, Release);
                    out.end(done, result);
                }
                Job::Close(done) => {
                    self.close();
                    let _ = done.send(());
                }
            }
        }
        self.close();
    }

    fn close(&mut self) {
        let slot = std::mem::replace(&mut self.connection, Slot::Closed);
        if let Slot::Open { connection, .. } = slot {
            if let Some(file) = &self.database.file {
                file.hold();
            }
            drop(connection);
        }
    }

    /// Runs a statement to its end. The outer error is that the database cannot be opened.
    fn execute(
        &mut self,
        sql: &str,
        parameters: Vec<Value>,
        out: &mut Output,
    ) -> Result<Result<(), Error>, Error> {
        if let Err(why) = self.open()? {
            self.close();
            return Ok(Err(Error::Io(format!("the connection is closed: {why}"))));
        }
        let Slot::Open { connection, .. } = &self.connection else {
            return Err(Error::InvalidConnection);
        };
        let done = statement::execute(connection, sql, parameters, out);
        let counters = &self.counters;
        counters
            .last_insert_rowid
            .store(connection.last_insert_rowid(), Relaxed);
        counters.changes.store(connection.changes(), Relaxed);
        if let Some(file) = &self.database.file
            && is_pragma(sql)
        {
            // It may have begun a write-ahead log.
            file.hold();
        }
        Ok(done.map_err(|failure| self.database.error(failure)))
    }

    /// Opens the connection, if that is not done. The inner error is that it cannot be used any more.
    fn open(&mut self) -> Result<Result<(), String>, Error> {
        let known = match &self.database.file {
            Some(file) => file.generation().map_err(|error| format!("{error:#}")),
            None => Ok(0),
        };
        Ok(match (&self.connection, known) {
            (Slot::Unopened, Ok(generation)) => {
                self.connection = Slot::Open {
                    connection: self.database.open().map_err(|error| io(&error))?,
                    generation,
                };
                Ok(())
            }
            (Slot::Open { generation, .. }, Ok(known)) if *generation == known => Ok(()),
            (Slot::Open { .. }, Ok(_)) => Err("its write-ahead log was deleted".to_owned()),
            (Slot::Closed, Ok(_)) => Err("an earlier statement says why".to_owned()),
            (_, Err(why)) => Err(why),
        })
    }
}

impl Opening {
    fn open(&self) -> rusqlite::Result<Connection> {
        let connection = match &self.file {
            Some(file) => file.connect()?,
            None => Connection::open_in_memory()?,
        };
        if let Some(file) = &self.file {
            file.hold();
        }
        connection.set_prepared_statement_cache_capacity(MAX_STATEMENTS);
        if !self.attach {
            connection.authorizer(Some(refuse_files))?;
        }
        let gone = self.gone.clone();
        connection.progress_handler(OPERATIONS_PER_LOOK, Some(move || gone.load(Relaxed)))?;
        Ok(connection)
    }

    fn error(&self, failure: Failure) -> Error {
        let error = match failure {
            Failure::Ours(error) => return error,
            Failure::Sqlite(error) => error,
        };
        let damage = [ErrorCode::DatabaseCorrupt, ErrorCode::NotADatabase];
        if let Some(file) = &self.file
            && error
                .sqlite_error_code()
                .is_some_and(|it| damage.contains(&it))
        {
            file.found_damaged();
        }
        io(&error)
    }
}

fn is_pragma(sql: &str) -> bool {
    let word = sql.trim_start().get(..6);
    word.is_some_and(|word| word.eq_ignore_ascii_case("pragma"))
}

/// Databases besides the connection's own may only be temporary. `VACUUM INTO` asks here, too.
fn refuse_files(context: AuthContext<'_>) -> Authorization {
    match context.action {
        AuthAction::Attach { filename } if !matches!(filename, "" | ":memory:") => {
            Authorization::Deny
        }
        _ => Authorization::Allow,
    }
}
