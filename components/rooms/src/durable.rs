//! Whether what this instance reads is on disk. A process that is killed can leave commits in the write-ahead log
//! that were not synced yet, and told to nobody. The next process finds them and takes them for done: SQLite reads
//! such a log without syncing it. Told to a client now, they would be taken back by a loss of power.
//!
//! A commit that writes syncs the whole log. So an instance that has not written yet does so before it tells anything
//! that it has read. What is committed while it runs is no concern: SQLite shows that only once it is synced.

use std::cell::Cell;

use spin_sdk::sqlite::Value;

use crate::{
    database::{Database, number},
    interface::Error,
    probe, sql,
};

thread_local! {
    static IS_DURABLE: Cell<bool> = const { Cell::new(false) };
}

/// Whether a read can be told as it is.
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

/// Outside a transaction: what was read before can be told after this.
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
