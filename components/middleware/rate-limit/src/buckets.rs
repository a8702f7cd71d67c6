//! The buckets: one row for each address that has connected lately, in the SQLite database `default`. A
//! row says when the bucket is full again, which is all there is to know of it (the algorithm is also
//! called GCRA). Every question is one statement, so two that ask at once cannot both get the last token.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use parlour_sqlite::{Connection, Error, Value};

use crate::limit::Limit;

/// What every key begins with. It names no namespace: those with the same limit share a client's bucket.
/// Those with another one have a bucket of their own, because a bucket is of one size.
const PREFIX: &str = "connect";

/// One request in this many, about, removes rows.
const SWEEP_EVERY: i64 = 64;

/// The most rows that such a request removes: more than can have come since the last one did.
const SWEEP_ROWS: i64 = 4 * SWEEP_EVERY;

/// Readers and writers do not wait for each other.
const WAL: &str = "PRAGMA journal_mode = WAL";

/// No fsync for a connect: a power failure may lose the last few counts, and nothing is worse for it.
/// Others who write the same database sync it as they like.
const NORMAL: &str = "PRAGMA synchronous = NORMAL";

const TABLE: &str = "CREATE TABLE IF NOT EXISTS rate_limit (
    key TEXT PRIMARY KEY,
    full_at INTEGER NOT NULL,   -- microseconds since 1970
    admitted INTEGER NOT NULL   -- whether there was a token for the last who asked
) WITHOUT ROWID";

/// Finds the rows to remove.
const INDEX: &str = "CREATE INDEX IF NOT EXISTS rate_limit_full_at ON rate_limit (full_at)";

/// ?1 key, ?2 now, ?3 a token's interval, ?4 the time to fill a bucket. A bucket without a row is full.
/// One that cannot be full that late is from a clock that went back since, and counts as empty.
const TAKE: &str = "INSERT INTO rate_limit (key, full_at, admitted) VALUES (?1, ?2 + ?3, 1)
ON CONFLICT (key) DO UPDATE SET
    full_at = iif(full_at + ?3 <= ?2 + ?4, max(full_at, ?2) + ?3, min(full_at, ?2 + ?4)),
    admitted = full_at + ?3 <= ?2 + ?4
RETURNING full_at, admitted";

/// ?1 now, ?2 how many. A full bucket needs no row.
const SWEEP: &str = "DELETE FROM rate_limit WHERE key IN
    (SELECT key FROM rate_limit WHERE full_at <= ?1 ORDER BY full_at LIMIT ?2)";

/// Whether there was a token.
#[derive(Debug, PartialEq)]
pub enum Taken {
    Yes,
    /// There is none for so long.
    NotFor(Duration),
}

thread_local! {
    /// This instance's connection: no statement leaves anything open, so requests share it.
    static CONNECTION: RefCell<Option<Rc<Connection>>> = const { RefCell::new(None) };
}

/// Takes a token out of this address's bucket. `now` is in microseconds since 1970.
pub async fn take(limit: &Limit, address: &str, now: i64) -> Result<Taken, String> {
    let connection = shared().await?;
    let taken = take_with(&connection, limit, address, now).await;
    if taken.is_err() {
        // The next request opens another one, which may fare better.
        CONNECTION.take();
    }
    taken
}

async fn take_with(
    connection: &Connection,
    limit: &Limit,
    address: &str,
    now: i64,
) -> Result<Taken, String> {
    // An instance lives too briefly to count its requests, so the microsecond decides.
    if now % SWEEP_EVERY == 0 {
        let parameters = vec![Value::Integer(now), Value::Integer(SWEEP_ROWS)];
        connection.row(SWEEP, parameters).await.map_err(text)?;
    }
    let parameters = vec![
        Value::Text(format!("{PREFIX} {limit} {address}")),
        Value::Integer(now),
        Value::Integer(limit.interval()),
        Value::Integer(limit.fill()),
    ];
    let row = connection.row(TAKE, parameters).await.map_err(text)?;
    match row.as_deref() {
        Some([Value::Integer(_), Value::Integer(1)]) => Ok(Taken::Yes),
        Some([Value::Integer(full_at), _]) => Ok(Taken::NotFor(limit.wait(*full_at, now))),
        other => Err(format!("SQLite answered {other:?} to {TAKE}")),
    }
}

fn text(error: Error) -> String {
    error.to_string()
}

/// This instance's connection, opened if there is none.
async fn shared() -> Result<Rc<Connection>, String> {
    if let Some(connection) = CONNECTION.with_borrow(Clone::clone) {
        return Ok(connection);
    }
    let connection = Rc::new(open().await.map_err(|error| {
        format!(
            "cannot use the SQLite database `default`: {error}; does the component have sqlite_databases = \
             [\"default\"], and its middleware inherit them?"
        )
    })?);
    CONNECTION.set(Some(connection.clone()));
    Ok(connection)
}

async fn open() -> Result<Connection, Error> {
    let connection = Connection::open().await?;
    for pragma in [WAL, NORMAL] {
        // A database that refuses PRAGMAs (libSQL) has its own ways.
        let _ = connection.row(pragma, Vec::new()).await;
    }
    for statement in [TABLE, INDEX] {
        connection.row(statement, Vec::new()).await?;
    }
    Ok(connection)
}

#[cfg(test)]
mod tests;
