//! Keeps a write-ahead log open between instances. When SQLite's last connection to a file closes, it
//! checkpoints, syncs and deletes the log, and the next connection makes it anew: some 40 ms each
//! time an instance is replaced. The keeper never writes, and holds no lock that others wait for.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use sqlx::{
    Connection as _, Row,
    sqlite::{SqliteConnectOptions, SqliteConnection},
};
use tokio::sync::Mutex;

/// One connection to one file, from when the file is found to have a write-ahead log.
#[derive(Debug)]
pub struct Keeper {
    options: SqliteConnectOptions,
    holds: AtomicBool,
    connection: Mutex<Option<SqliteConnection>>,
}

impl Keeper {
    /// `options` must not wait for locks.
    pub fn new(options: SqliteConnectOptions) -> Keeper {
        Keeper {
            options,
            holds: AtomicBool::new(false),
            connection: Mutex::default(),
        }
    }

    /// Whether there is nothing left to do.
    pub fn holds(&self) -> bool {
        self.holds.load(Relaxed)
    }

    /// Holds the log from now on, if there is one. To be called before a connection closes.
    pub async fn hold(&self) {
        let mut connection = self.connection.lock().await;
        if connection.is_some() {
            return;
        }
        match self.connect().await {
            Ok(Some(held)) => {
                *connection = Some(held);
                self.holds.store(true, Relaxed);
            }
            Ok(None) => {}
            Err(error) => tracing::debug!(%error, "cannot keep a write-ahead log open"),
        }
    }

    async fn connect(&self) -> Result<Option<SqliteConnection>, sqlx::Error> {
        let mut connection = SqliteConnection::connect_with(&self.options).await?;
        let mode: String = sqlx::query("PRAGMA journal_mode")
            .fetch_one(&mut connection)
            .await?
            .try_get(0)?;
        if mode != "wal" {
            connection.close().await?;
            return Ok(None);
        }
        // Only a connection that has read counts as a user of the log.
        sqlx::query("SELECT count(*) FROM sqlite_schema")
            .execute(&mut connection)
            .await?;
        Ok(Some(connection))
    }

    /// Lets go, so that the log can be tidied away.
    pub async fn release(&self) {
        let mut connection = self.connection.lock().await;
        self.holds.store(false, Relaxed);
        if let Some(connection) = connection.take()
            && let Err(error) = connection.close().await
        {
            tracing::debug!(%error, "closing a kept database connection");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_log_outlives_the_last_connection_until_it_is_released() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("db");
        let log = folder.path().join("db-wal");
        let options = SqliteConnectOptions::new().filename(&file);
        let keeper = Keeper::new(options.clone());

        let creating = options.create_if_missing(true);
        let mut guest = SqliteConnection::connect_with(&creating).await?;
        keeper.hold().await;
        assert!(!keeper.holds(), "there is no log yet");
        for sql in ["PRAGMA journal_mode = WAL", "CREATE TABLE t (a)"] {
            sqlx::query(sql).execute(&mut guest).await?;
        }
        keeper.hold().await;
        assert!(keeper.holds());
        guest.close().await?;
        assert!(log.exists(), "the keeper uses the log");
        keeper.release().await;
        assert!(!log.exists(), "nobody does");
        Ok(())
    }
}
