//! Whether a batch could be committed now. To find out, this takes the write lock, inserts a row, deletes it again and
//! commits, which waits for the disk. No other connection sees the row.

use crate::{
    database::{Database, number},
    interface::Error,
    pool, sql,
};

pub async fn run() -> Result<(), Error> {
    let database = pool::take().await?;
    // A connection that fails on the way is dropped, which undoes what it began.
    write(&database).await?;
    pool::give_back(database);
    Ok(())
}

/// Writes something and takes it back, in one transaction.
pub async fn write(database: &Database) -> Result<(), Error> {
    database.begin().await?;
    database.run(sql::PROBE, [number(0)]).await?;
    database.run(sql::END_PROBE, []).await?;
    database.commit().await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{database::integer, schema};
    use parlour_sqlite::use_file;

    async fn count(database: &Database, statement: &str) -> u64 {
        let row = database.row(statement, []).await.unwrap().unwrap();
        integer(&row[0]).unwrap()
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_probe_is_a_commit_that_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        use_file(folder.path().join("test.db"));
        let other = Database::open().await.unwrap();
        schema::bring_up_to_date(&other).await.unwrap();
        // Changes with every commit of another connection.
        let before = count(&other, "PRAGMA data_version").await;
        run().await.unwrap();
        run().await.unwrap();
        assert_ne!(count(&other, "PRAGMA data_version").await, before);
        assert_eq!(count(&other, "SELECT count(*) FROM answer").await, 0);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_probe_fails_where_nothing_can_be_written() {
        let folder = tempfile::tempdir().unwrap();
        use_file(folder.path().join("test.db"));
        let other = Database::open().await.unwrap();
        schema::bring_up_to_date(&other).await.unwrap();
        run().await.unwrap();
        other.begin().await.unwrap();
        let error = run().await.unwrap_err();
        assert!(
            matches!(&error, Error::Unavailable(text) if text.contains("locked")),
            "{error:?}"
        );
        other.commit().await.unwrap();
        run().await.unwrap();
    }
}
