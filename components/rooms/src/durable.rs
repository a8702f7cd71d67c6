//! Whether what this instance reads is on disk. A process that is killed can leave commits in the write-ahead log that
//! were not synced, and so were not reported to any client. The next process reads them as committed, because SQLite
//! does not sync the log when it opens it. If a client were told of them now, a loss of power could still undo them.
//!
//! A commit that writes syncs the whole log. So an instance that has not written yet writes something before it
//! answers with what it has read. Commits that others make while it runs need no such care, because SQLite shows them
//! only once they are synced.

use std::cell::Cell;

use parlour_sqlite::Value;

use crate::{
    database::{Database, number},
    interface::Error,
    probe, sql,
};

thread_local! {
    static IS_DURABLE: Cell<bool> = const { Cell::new(false) };
}

/// Whether what was read is surely on disk.
pub fn is_certain() -> bool {
    IS_DURABLE.get()
}

/// This instance has committed something that it had written.
pub fn has_committed() {
    IS_DURABLE.set(true);
}

/// Writes something, so that the next commit syncs the log: that the relay was heard. Not if there is no such relay.
pub async fn write(database: &Database, relay: &str, now: u64) -> Result<bool, Error> {
    let parameters = [Value::Text(relay.to_owned()), number(now)];
    Ok(database.row(sql::HEARD, parameters).await?.is_some())
}

/// Makes sure that what was read before is on disk. To be called outside a transaction.
pub async fn assure(database: &Database, relay: &str, now: u64) -> Result<(), Error> {
    if is_certain() {
        return Ok(());
    }
    if !write(database, relay, now).await? {
        probe::write(database).await?;
    }
    has_committed();
    Ok(())
}

/// For tests: as in a new instance.
#[cfg(test)]
pub fn begin_anew() {
    IS_DURABLE.set(false);
}
