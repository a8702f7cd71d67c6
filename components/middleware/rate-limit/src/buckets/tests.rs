//! The statements, against SQLite itself.

use parlour_sqlite::use_file;

use super::*;

/// A moment that is no time to sweep, in microseconds since 1970.
const NOW: i64 = 1_764_000_000_000_001;
const SECOND: i64 = 1_000_000;

/// A database of its own, and this thread's connections to it.
fn database() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    use_file(folder.path().join("db"));
    CONNECTION.take();
    folder
}

fn limit(text: &str) -> Limit {
    Limit::parse(text).unwrap().unwrap()
}

async fn admitted(limit: &Limit, address: &str, now: i64) -> bool {
    take(limit, address, now).await.unwrap() == Taken::Yes
}

async fn integer(sql: &str) -> i64 {
    let row = shared().await.unwrap().row(sql, Vec::new()).await;
    match row.unwrap().unwrap()[..] {
        [Value::Integer(number)] => number,
        ref other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_full_bucket_has_all_its_tokens_and_then_none() {
    let _folder = database();
    let limit = limit("3/h");
    for _ in 0..3 {
        assert!(admitted(&limit, "a", NOW).await);
    }
    let twenty_minutes = Duration::from_secs(1200);
    assert_eq!(
        take(&limit, "a", NOW).await,
        Ok(Taken::NotFor(twenty_minutes))
    );
    assert!(admitted(&limit, "b", NOW).await, "another is unharmed");
}

#[tokio::test]
async fn tokens_come_back_evenly_and_no_more_than_fit() {
    let _folder = database();
    let limit = limit("2/10s");
    for (second, expected) in [
        (0, true),
        (0, true),
        (4, false),
        (5, true),
        (5, false),
        (9, false),
        (10, true),
        (3600, true),
        (3600, true),
        (3600, false),
    ] {
        let now = NOW + second * SECOND;
        assert_eq!(admitted(&limit, "a", now).await, expected, "at {second} s");
    }
}

#[tokio::test]
async fn a_refusal_says_when_there_is_a_token_and_costs_none() {
    let _folder = database();
    let limit = limit("7/s");
    for _ in 0..7 {
        assert!(admitted(&limit, "a", NOW).await);
    }
    for _ in 0..10 {
        let Taken::NotFor(wait) = take(&limit, "a", NOW).await.unwrap() else {
            panic!("an eighth was let in");
        };
        assert_eq!(wait, Duration::from_micros(142_858));
    }
    assert!(!admitted(&limit, "a", NOW + 142_857).await);
    assert!(admitted(&limit, "a", NOW + 142_858).await);
}

#[tokio::test]
async fn each_limit_has_buckets_of_its_own() {
    let _folder = database();
    assert!(admitted(&limit("1/h"), "a", NOW).await);
    assert!(!admitted(&limit("1/h"), "a", NOW).await);
    assert!(admitted(&limit("2/h"), "a", NOW).await);
    assert!(!admitted(&limit("1/60m"), "a", NOW).await, "in other words");
}

#[tokio::test]
async fn a_clock_that_goes_back_locks_nobody_out() {
    let _folder = database();
    let limit = limit("2/10s");
    let (later, earlier) = (NOW + 3600 * SECOND, NOW);
    assert!(admitted(&limit, "a", later).await);
    assert_eq!(
        take(&limit, "a", earlier).await,
        Ok(Taken::NotFor(Duration::from_secs(5)))
    );
    assert!(admitted(&limit, "a", earlier + 5 * SECOND).await);
}

#[tokio::test]
async fn two_who_ask_at_once_do_not_both_get_the_last_token() {
    let _folder = database();
    let limit = limit("5/h");
    // As instances would, each over a connection of its own.
    let ask = move || async move {
        let connection = open().await.unwrap();
        take_with(&connection, &limit, "a", NOW).await.unwrap()
    };
    let asking: Vec<_> = (0..20).map(|_| tokio::spawn(ask())).collect();
    let mut taken = Vec::new();
    for asked in asking {
        taken.push(asked.await.unwrap());
    }
    let admitted = taken.iter().filter(|&taken| *taken == Taken::Yes).count();
    assert_eq!(admitted, 5);
}

#[tokio::test]
async fn rows_of_full_buckets_are_removed_now_and_then() {
    let _folder = database();
    let limit = limit("2/10s");
    let rows = "SELECT count(*) FROM rate_limit";
    for address in ["a", "b", "c"] {
        assert!(admitted(&limit, address, NOW).await);
    }
    let lately = NOW + 4 * SECOND;
    assert!(admitted(&limit, "c", lately).await);
    assert_eq!(integer(rows).await, 3);

    let sweeping = (NOW / SWEEP_EVERY + 1) * SWEEP_EVERY + 5 * SECOND;
    assert_eq!(sweeping % SWEEP_EVERY, 0);
    assert!(admitted(&limit, "d", sweeping).await);

    assert_eq!(
        integer(rows).await,
        2,
        "c's is not full yet, and d's is new"
    );
}

#[tokio::test]
async fn a_sweep_is_bounded_and_reads_an_index() {
    let _folder = database();
    integer(&format!(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {})
         INSERT INTO rate_limit SELECT 'old ' || i, i, 1 FROM n RETURNING 1",
        SWEEP_ROWS + 10
    ))
    .await;
    let sweeping = NOW - NOW % SWEEP_EVERY;
    assert!(admitted(&limit("1/s"), "a", sweeping).await);
    assert_eq!(integer("SELECT count(*) FROM rate_limit").await, 11);

    let plan = format!("EXPLAIN QUERY PLAN {SWEEP}");
    let parameters = vec![Value::Integer(0), Value::Integer(1)];
    let connection = shared().await.unwrap();
    let plan = connection.row(&plan, parameters).await.unwrap();
    let plan = format!("{plan:?}");
    assert!(!plan.contains("SCAN"), "{plan}");
}

#[tokio::test]
async fn a_connect_costs_no_fsync() {
    let _folder = database();
    assert!(admitted(&limit("1/s"), "a", NOW).await);
    assert_eq!(integer("PRAGMA synchronous").await, 1, "NORMAL");
    let connection = shared().await.unwrap();
    let mode = connection
        .row("PRAGMA journal_mode", Vec::new())
        .await
        .unwrap();
    assert!(matches!(mode.as_deref(), Some([Value::Text(mode)]) if mode == "wal"));
}

#[tokio::test]
async fn a_database_that_fails_is_said_and_tried_again() {
    let folder = database();
    use_file(folder.path().join("no such folder").join("db"));
    let problem = take(&limit("1/s"), "a", NOW).await.unwrap_err();
    assert!(problem.contains("SQLite database `default`"), "{problem}");
    use_file(folder.path().join("db"));
    assert!(admitted(&limit("1/s"), "a", NOW).await);
}
