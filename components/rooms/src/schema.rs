//! Brings a database to the schema this component knows, by `migrations/NNNN_name.sql`: each once
//! per database, in one transaction. Never touches a database that a newer version has written.

use crate::{
    database::{Database, integer, number},
    interface::Error,
};

/// The migrations in order. The first makes version 1 of the schema, the second version 2, and so on.
const MIGRATIONS: &[&str] = &[
    include_str!("../../../migrations/0001_rooms.sql"),
    include_str!("../../../migrations/0002_recovery.sql"),
    // An earlier version came to the second schema in two steps: its databases have number 3.
    "",
    include_str!("../../../migrations/0004_absent_relays.sql"),
    include_str!("../../../migrations/0005_sources.sql"),
    include_str!("../../../migrations/0006_identity.sql"),
    include_str!("../../../migrations/0007_pages_of_members.sql"),
];

const VERSION: &str = "SELECT max(version) FROM parlour_schema";

/// Safe when several hosts start together: who comes second waits for the lock, then finds nothing to do.
pub async fn bring_up_to_date(database: &Database) -> Result<(), Error> {
    // Readers and the writer do not wait for each other, and a commit costs one fsync. A database
    // that refuses PRAGMAs (libSQL) has its own ways.
    let _ = database.row("PRAGMA journal_mode = WAL", []).await;
    // The table is missing in a new database, which is an error here and no harm.
    if let Ok(Some(row)) = database.row(VERSION, []).await
        && let Some(version) = row.first().and_then(integer)
        && is_known(version)?
    {
        return Ok(());
    }
    database.begin().await?;
    match migrate(database).await {
        Ok(()) => database.commit().await,
        Err(error) => {
            // The first error is the one worth telling.
            let _ = database.roll_back().await;
            Err(error)
        }
    }
}

/// Whether nothing is to be done; an error if the database is too new.
fn is_known(version: u64) -> Result<bool, Error> {
    let known = MIGRATIONS.len() as u64;
    if version > known {
        return Err(Error::NewerSchema(format!(
            "the database has schema version {version}, this version of Parlour knows {known}: \
             run a newer Parlour, or give this one a database of its own (--state-dir)"
        )));
    }
    Ok(version == known)
}

async fn migrate(database: &Database) -> Result<(), Error> {
    migrate_to(database, MIGRATIONS).await
}

/// For tests: what a database of an older version looks like.
#[cfg(test)]
pub async fn only_up_to(version: usize, database: &Database) {
    migrate_to(database, &MIGRATIONS[..version]).await.unwrap();
}

async fn migrate_to(database: &Database, migrations: &[&str]) -> Result<(), Error> {
    const TABLE: &str = "CREATE TABLE IF NOT EXISTS parlour_schema (version INTEGER PRIMARY KEY)";
    database.run(TABLE, []).await?;
    let row = database.row(VERSION, []).await?;
    let version = row.as_deref().and_then(<[_]>::first).and_then(integer);
    let version = version.unwrap_or(0);
    if is_known(version)? {
        return Ok(());
    }
    for (number_, migration) in (1..).zip(migrations).skip(version as usize) {
        for statement in statements(migration) {
            database.run(statement, []).await?;
        }
        const DONE: &str = "INSERT INTO parlour_schema (version) VALUES (?1)";
        database.run(DONE, [number(number_)]).await?;
    }
    Ok(())
}

/// SQLite's `execute` runs only the first of several statements, and silently.
fn statements(migration: &str) -> impl Iterator<Item = &str> {
    migration.split(";\n").filter(|statement| {
        let mut lines = statement.lines().map(str::trim);
        lines.any(|line| !line.is_empty() && !line.starts_with("--"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_migration_is_split_into_its_statements() {
        let sql =
            "-- why\nCREATE TABLE a (\n  b TEXT -- a; b\n);\n\nCREATE INDEX c ON a (b);\n-- end\n";
        let found: Vec<_> = statements(sql).map(str::trim).collect();
        assert_eq!(found.len(), 2);
        assert!(found[0].ends_with("-- a; b\n)"));
        assert_eq!(found[1], "CREATE INDEX c ON a (b)");
    }

    #[test]
    fn a_database_from_the_future_is_refused_with_a_way_out() {
        let Err(Error::NewerSchema(text)) = is_known(99) else {
            panic!("version 99 was taken");
        };
        assert!(text.contains("version 99") && text.contains("--state-dir"));
        assert!(is_known(MIGRATIONS.len() as u64).unwrap());
        assert!(!is_known(0).unwrap());
    }
}
