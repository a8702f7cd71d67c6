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
    include_str!("../../../migrations/0008_one_order.sql"),
    include_str!("../../../migrations/0009_ids_in_their_rooms.sql"),
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

/// SQLite's `execute` runs only the first of several statements, and silently. A statement ends with a line that ends
/// with a semicolon; one that makes a trigger has statements in it, and ends with the line `END;`.
fn statements(migration: &str) -> Vec<&str> {
    let mut statements = Vec::new();
    let (mut start, mut end) = (0, 0);
    // How the statement begins that the line belongs to.
    let mut beginning = None;
    for line in migration.split_inclusive('\n') {
        end += line.len();
        let code = line.split("--").next().unwrap_or_default().trim();
        if code.is_empty() {
            continue;
        }
        let is_trigger = beginning.get_or_insert(code).starts_with("CREATE TRIGGER");
        if code == "END;" || code.ends_with(';') && !is_trigger {
            statements.push(migration[start..end].trim());
            (start, beginning) = (end, None);
        }
    }
    assert!(beginning.is_none(), "a migration ends within a statement");
    statements
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_migration_is_split_into_its_statements() {
        let table = "-- why;\nCREATE TABLE a (\n  b TEXT -- a; b\n);";
        let trigger = "CREATE TRIGGER t AFTER INSERT ON a\nBEGIN\n    DELETE FROM a; -- all;\n    \
                       UPDATE a SET b = CASE b WHEN 1 THEN 2 END;\nEND;";
        let index = "CREATE INDEX c ON a (b); -- fast";
        let migration = format!("{table}\n\n{trigger}\n{index}\n-- the end;\n");
        assert_eq!(statements(&migration), [table, trigger, index]);
        assert!(statements("").is_empty());
    }

    #[test]
    fn every_migration_is_of_whole_statements() {
        for migration in MIGRATIONS {
            for statement in statements(migration) {
                let is_comment = |line: &&str| line.is_empty() || line.starts_with("--");
                let first = statement.lines().find(|line| !is_comment(line)).unwrap();
                let begins = [
                    "CREATE ", "ALTER ", "DROP ", "INSERT ", "UPDATE ", "DELETE ",
                ];
                assert!(begins.iter().any(|it| first.starts_with(it)), "{first}");
            }
        }
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
