//! SQLite as Spin has it, with the same errors and limits.

use std::path::Path;

use crate::running::{Running, databases_config, start_with};

/// The case `databases`, on a state directory of its own.
async fn start() -> Running {
    let config = databases_config();
    start_with("databases", |options| {
        options.runtime_config = Some(config.path().to_owned())
    })
    .await
}

async fn lines(app: &Running, path: &str, script: &str) -> Vec<String> {
    let answer = app.ask(path, &[("x-do", "sql")], script).await;
    assert_eq!(answer.status, 200, "{script}");
    answer.body.lines().map(str::to_owned).collect()
}

/// Runs a script on new databases and compares the answer to each step with what stands behind its `=>`.
async fn run(script: &str) -> Running {
    let app = start().await;
    expect(&app, script).await;
    app
}

/// Runs a script and compares the answer to each step with what stands behind its `=>`.
async fn expect(app: &Running, script: &str) {
    let steps: Vec<(&str, &str)> = script
        .lines()
        .filter_map(|line| line.split_once("=>"))
        .map(|(step, expected)| (step.trim(), expected.trim()))
        .collect();
    let sent: Vec<&str> = steps.iter().map(|(step, _)| *step).collect();
    let answers = lines(app, "/", &sent.join("\n")).await;
    assert_eq!(answers.len(), steps.len(), "{answers:?}");
    for ((step, expected), answer) in steps.iter().zip(&answers) {
        assert_eq!(answer.trim(), *expected, "{step}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn values_keep_their_types() {
    run(
        r#"
        open default => opened
        run SELECT 1 AS a, 2.5, 'text' AS c, x'00ff', NULL => a,2.5,c,x'00ff',NULL [1,2.5,"text",[0, ff],null]
        run SELECT upper(?1) AS t|hi ho => t ["HI HO"]
        run SELECT value FROM json_each('[1,"b"]') => value [1 "b"]
        run SELECT 1 AS none WHERE 0 => none []
        "#,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_as_spin_opens_them() {
    let app = run(r#"
        open default => opened
        run PRAGMA journal_mode => journal_mode ["delete"]
        run PRAGMA synchronous => synchronous [2]
        run PRAGMA foreign_keys => foreign_keys [1]
        run PRAGMA busy_timeout => timeout [5000]
        run CREATE VIRTUAL TABLE f USING fts5(a) => []
        run ATTACH 'elsewhere.db' AS e => result: Error::Io("not authorized")
        run ATTACH ':memory:' AS e => []
        "#)
    .await;
    assert!(app.state.path().join("sqlite_db.db").is_file());
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_first_of_several_statements_runs() {
    run(r#"
        open default => opened
        run CREATE TABLE t(a); INSERT INTO t VALUES (1); nonsense => []
        run SELECT count(*) AS n FROM t => n [0]
        run INSERT INTO t VALUES (7), (8) => []
        changes => 2
        rowid => 2
        run SELECT a FROM t => a [7 8]
        changes => 2
        "#)
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_is_the_result_and_not_the_call() {
    run(
        r#"
        open default => opened
        start nonsense => started
        run nonsense => result: Error::Io("near \"nonsense\": syntax error in nonsense at offset 0")
        run CREATE TABLE t(a UNIQUE) => []
        run INSERT INTO t VALUES (1) => []
        run INSERT INTO t VALUES (1) => result: Error::Io("UNIQUE constraint failed: t.a")
        run SELECT ? => result: Error::Io("Wrong number of parameters passed to query. Got 0, needed 1")
        run SELECT 1|x => result: Error::Io("Wrong number of parameters passed to query. Got 1, needed 0")
        "#,
    )
    .await;
}

/// A prepared statement whose table has changed is prepared again. As on Spin, its first result still
/// has the names of the columns there were.
#[tokio::test(flavor = "multi_thread")]
async fn columns_may_change_under_a_prepared_statement() {
    run(r#"
        open default => opened
        run CREATE TABLE t(a) => []
        run INSERT INTO t VALUES (1) => []
        run SELECT * FROM t => a [1]
        run ALTER TABLE t ADD COLUMN b DEFAULT 2 => []
        run SELECT * FROM t => a [1,2]
        run SELECT * FROM t => a,b [1,2]
        open default => opened
        run ALTER TABLE t ADD COLUMN c DEFAULT 3 => []
        use 0 => used
        run SELECT * FROM t => a,b [1,2,3]
        run INSERT INTO t VALUES (4, 5, 6) RETURNING * => a,b,c [4,5,6]
        use 1 => used
        run DROP TABLE t => []
        run CREATE TABLE t(x) => []
        run INSERT INTO t VALUES (7) => []
        use 0 => used
        run SELECT * FROM t => a,b,c [7]
        run SELECT * FROM t => x [7]
        run BEGIN IMMEDIATE => []
        run INSERT INTO t VALUES (8) => []
        run ALTER TABLE t ADD COLUMN y DEFAULT 9 => []
        run SELECT * FROM t => x [7,9 8,9]
        run COMMIT => []
        run SELECT * FROM t => x,y [7,9 8,9]
        "#)
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn named_parameters_are_bound_by_their_place() {
    run(
        r#"
        open default => opened
        run SELECT :a AS x|hi => x ["hi"]
        run SELECT @a AS x|hi => x ["hi"]
        run SELECT $a AS x|hi => x ["hi"]
        run SELECT :a AS x, :a AS y, ?1 AS z|hi => x,y,z ["hi","hi","hi"]
        run SELECT :a|hi => :a ["hi"]
        run SELECT :a, :b|hi => result: Error::Io("Wrong number of parameters passed to query. Got 1, needed 2")
        "#,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_without_a_statement_is_an_error() {
    let app = start().await;
    for nothing in ["", "-- nothing", "/* nothing */", ";", " ; ;"] {
        let script = format!("open default\nrun {nothing}\nrun SELECT 1 AS well");
        let answer = lines(&app, "/", &script).await;
        assert!(answer[1].starts_with("result: Error::Io"), "{answer:?}");
        assert_eq!(answer[2], "well [1]");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_ends_early_is_an_error() {
    run(
        r#"
        open default => opened
        run CREATE TABLE t(a) => []
        run INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9) SELECT i FROM n => []
        run SELECT abs(CASE WHEN a = 8 THEN -9223372036854775808 ELSE a END) FROM t => result: Error::Io("integer overflow")
        run SELECT CASE WHEN a = 8 THEN CAST(x'ff' AS TEXT) ELSE a END AS b FROM t => result: Error::Io("column 0 holds a text that is not UTF-8: invalid utf-8 sequence of 1 bytes from index 0")
        run SELECT count(*) AS n FROM t => n [9]
        "#,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_connection_rolls_back() {
    run(r#"
        open default => opened
        run CREATE TABLE t(a) => []
        run BEGIN IMMEDIATE => []
        run INSERT INTO t VALUES (1) => []
        close => closed
        open default => opened
        run BEGIN IMMEDIATE => []
        run SELECT count(*) AS n FROM t => n [0]
        run INSERT INTO t VALUES (2) => []
        run COMMIT => []
        run SELECT a FROM t => a [2]
        "#)
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deferred_transaction_cannot_be_upgraded_behind_anothers_back() {
    run(r#"
        open default => opened
        run PRAGMA journal_mode=WAL => journal_mode ["wal"]
        run CREATE TABLE t(a) => []
        run BEGIN => []
        run SELECT count(*) AS n FROM t => n [0]
        open default => opened
        run INSERT INTO t VALUES (1) => []
        use 0 => used
        run INSERT INTO t VALUES (2) => result: Error::Io("database is locked")
        run ROLLBACK => []
        run SELECT a FROM t => a [1]
        "#)
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_database_is_an_error_and_works_again() {
    run(r#"
        open default => opened
        run CREATE TABLE t(a) => []
        run BEGIN IMMEDIATE => []
        open default => opened
        run INSERT INTO t VALUES (1) => result: Error::Io("database is locked")
        use 0 => used
        run COMMIT => []
        use 1 => used
        run INSERT INTO t VALUES (2) => []
        run SELECT a FROM t => a [2]
        "#)
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_must_be_listed_and_defined() {
    let app = start().await;
    let denied = lines(&app, "/without", "open default").await;
    assert_eq!(denied, ["Error::AccessDenied"]);
    expect(
        &app,
        r#"
        open third => Error::AccessDenied
        open other => opened
        run CREATE TABLE only_here(a) => []
        open other => opened
        run SELECT * FROM only_here => result: Error::Io("no such table: only_here")
        "#,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_rows_than_fit_at_once_all_arrive() {
    let app = start().await;
    let script = "open default\n\
        run WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000) SELECT i FROM n";
    let answer = lines(&app, "/", script).await;
    let expected: Vec<String> = (1..=1000).map(|i| i.to_string()).collect();
    assert_eq!(answer[1], format!("i [{}]", expected.join(" ")));
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_nobody_reads_hold_up_no_other_connection() {
    let app = start().await;
    let many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000) SELECT i FROM n";
    let script = format!(
        "open default\nstart {many}\nrun SELECT 2 AS two\nopen default\nrun SELECT 3 AS three"
    );
    let answer = lines(&app, "/", &script).await;
    assert_eq!(answer[2..], ["two [2]", "opened", "three [3]"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn shutting_down_leaves_everything_in_the_database_file() {
    let app = start().await;
    let script = "open default\nrun PRAGMA journal_mode=WAL\nrun CREATE TABLE t AS SELECT 1 AS a";
    lines(&app, "/", script).await;
    app.app.shutdown().await;
    let log = app.state.path().join("sqlite_db.db-wal");
    let left = std::fs::metadata(log).map_or(0, |log| log.len());
    assert_eq!(left, 0, "bytes left in the write-ahead log");
    assert_eq!(app.ask("/", &[], "").await.status, 503);
}

#[tokio::test(flavor = "multi_thread")]
async fn libsql_is_refused_with_the_reason() {
    let config = tempfile::NamedTempFile::new().unwrap();
    let text = "[sqlite_database.other]\ntype = \"libsql\"\nurl = \"http://x\"\ntoken = \"t\"\n";
    std::fs::write(config.path(), text).unwrap();
    let state = tempfile::tempdir().unwrap();
    let mut options = crate::running::options("databases", state.path());
    options.runtime_config = Some(config.path().to_owned());
    let error = parlour_host::App::load(options).await.err().unwrap();
    let error = format!("{error:#}");
    assert!(
        error.contains("sqlite_database.other") && error.contains("libsql"),
        "{error}"
    );
    assert!(Path::new(state.path()).exists());
}
