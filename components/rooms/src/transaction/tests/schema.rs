//! Databases that are new, older than this version, or newer.

use std::{path::Path, thread};

use super::*;

#[test]
fn two_hosts_that_start_together_make_one_schema() {
    let folder = new_file();
    let start = |path: &Path, n: u64| {
        let path = path.join("test.db");
        thread::spawn(move || {
            use_file(path);
            test(async || {
                let batch = Batch {
                    relay: n.to_string(),
                    ..batch(1, 1, 1)
                };
                let transaction = fresh(batch).await;
                transaction
                    .apply(vec![say("a", &n.to_string())])
                    .await
                    .unwrap();
                transaction.commit(String::new()).await.unwrap();
            });
        })
    };
    let hosts: Vec<_> = (0..8).map(|n| start(folder.path(), n)).collect();
    for host in hosts {
        host.join().unwrap();
    }
    test(async || {
        let transaction = fresh(batch(1, 1, 1)).await;
        assert_eq!(head(&transaction).await, 8);
    });
}

#[test]
fn a_database_of_a_newer_version_is_left_alone() {
    let _folder = new_file();
    test(async || {
        commit(1, vec![]).await;
        let database = pool::take().await.unwrap();
        database
            .run("INSERT INTO parlour_schema VALUES (99)", [])
            .await
            .unwrap();
    });
    let file = _folder.path().join("test.db");
    let newcomer = thread::spawn(move || {
        use_file(file);
        test(async || {
            let outcome = Transaction::open(batch(1, 2, 1), POLICY).await;
            assert!(matches!(outcome, Err(Error::NewerSchema(_))));
        });
    });
    newcomer.join().unwrap();
}

#[test]
fn a_database_of_an_older_version_is_brought_up_to_date_and_keeps_what_it_has() {
    let _folder = new_file();
    test(async || {
        let database = crate::database::Database::open().await.unwrap();
        crate::schema::only_up_to(1, &database).await;
        let old = "INSERT INTO log (namespace, room, event, data, at) \
                   VALUES ('/', 'a', 'message', '[\"message\",\"old\"]', 1)";
        database.run(old, []).await.unwrap();
        let relay = "INSERT INTO relay (id, epoch) VALUES ('another', 1)";
        database.run(relay, []).await.unwrap();
        commit(1, vec![say("a", "new")]).await;
        let transaction = fresh(batch(1, 2, 1)).await;
        let page = texts(&transaction, Position::End, 9).await;
        assert_eq!(page, ["old", "new"]);
        let heard = "SELECT heard FROM relay WHERE id = 'another'";
        let row = database.row(heard, []).await.unwrap().unwrap();
        let ago = log::now() - integer(&row[0]).unwrap();
        assert!(ago < sockets::HEARD, "{ago}");
    });
}

#[test]
fn a_database_that_came_to_the_second_schema_in_two_steps_is_brought_up_to_date() {
    let _folder = new_file();
    test(async || {
        let database = crate::database::Database::open().await.unwrap();
        crate::schema::only_up_to(2, &database).await;
        by_hand("INSERT INTO parlour_schema VALUES (3)").await;
        commit(1, vec![connect("x"), join("x", "a")]).await;
        let transaction = fresh(batch(1, 2, 1)).await;
        assert_eq!(members(&transaction, "a").await, ["x"]);
    });
}

#[test]
fn a_database_of_version_7_goes_on_with_one_order() {
    let _folder = new_file();
    test(async || {
        let database = crate::database::Database::open().await.unwrap();
        crate::schema::only_up_to(7, &database).await;
        let x = crate::digest::digest("pid-x");
        let y = crate::digest::digest("pid-y");
        for statement in [
            "INSERT INTO relay (id, epoch, heard) VALUES ('r', 1, 9000000000000)",
            "INSERT INTO finish (plain, complete, counts, namespace, first, at, relay, epoch, sequence, response) \
             VALUES ('[[\"a\",\"message\",\"[\\\"message\\\",\\\"1\\\"]\",\"1\"]]', '[]', \
             '[[\"a\",\"message\",1,null]]', '/', 1, 1, 'r', 1, 1, CAST('{}' AS BLOB))",
            "INSERT INTO log (namespace, event, data, brief, source, at) \
             VALUES ('/b', 'message', '[\"message\",\"2\"]', 1, 's/', 1)",
            &format!(
                "INSERT INTO socket (id, namespace, relay, epoch, data, connection, pid, since, given) \
                 VALUES ('x', '/', 'r', 1, '{{\"id\":\"ann\"}}', 'c', '{x}', 0, 2)"
            ),
            "INSERT INTO member (namespace, room, user, socket) VALUES ('/', 'a', 'ann', 'x')",
            &format!(
                "INSERT INTO session (pid, namespace, socket, data, since, given, rooms, gone) \
                 VALUES ('{y}', '/quiet', 'y', '1', 0, 0, '[]', {})",
                log::now()
            ),
        ] {
            database.run(statement, []).await.unwrap();
        }
        // Another connection brings it over.
        let head = async |namespace: &str| {
            let batch = Batch {
                namespace: namespace.into(),
                ..batch(1, 9, 1)
            };
            head(&fresh(batch).await).await
        };
        let heads = [
            head("/").await,
            head("/b").await,
            head("/quiet").await,
            head("/new").await,
        ];
        assert_eq!(heads, [2, 2, 2, 0]);
        let applied = commit(2, vec![say("a", "3")]).await;
        assert_eq!((first(&applied), applied.stored[0].previous), (3, 2));
        let transaction = fresh(batch(1, 3, 1)).await;
        let page = texts(&transaction, Position::End, 9).await;
        assert_eq!(page, ["1", "3"]);
        assert_eq!(members(&transaction, "a").await, ["x"]);
        let session = super::recovery::recover(&transaction, "x", Some(1)).await;
        assert_eq!(session.unwrap().missed.len(), 1);
        let replayed = crate::replay::run("/b".into(), "r".into(), 0, 9).await;
        assert_eq!(replayed.unwrap().entries.len(), 1);
        let columns = "SELECT group_concat(name) FROM pragma_table_info('log')";
        let columns = database.rows(columns).await.concat();
        assert!(!columns.contains("source"), "{columns}");
    });
}

#[test]
fn what_version_8_has_answered_is_not_done_again() {
    let _folder = new_file();
    test(async || {
        let database = crate::database::Database::open().await.unwrap();
        crate::schema::only_up_to(8, &database).await;
        for statement in [
            "INSERT INTO log (namespace, room, event, data, id, sender, ack, at) \
             VALUES ('/', 'a', 'message', '[\"message\",\"old\"]', '1', 'x', '[\"old\"]', 1)",
            "INSERT INTO answer (namespace, sender, id, ack, at) VALUES ('/', 'x', '1', '[7]', 9000000000000)",
        ] {
            database.run(statement, []).await.unwrap();
        }
        let changes = vec![
            say_once("a", "again", "1", "x"),
            say_once("b", "new", "1", "x"),
        ];
        let applied = commit(1, changes).await;
        assert_eq!(applied.repetitions[0].ack, "[\"old\"]");
        assert_eq!(applied.stored.len(), 1);
        let transaction = fresh(batch(1, 2, 1)).await;
        let answer = transaction.answer("x".into(), "buy".into(), "1".into());
        assert_eq!(answer.await.unwrap().as_deref(), Some("[7]"));
    });
}
