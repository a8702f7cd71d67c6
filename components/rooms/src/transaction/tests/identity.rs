//! Whose a session is: what the database gives away of it, how long it is good, who else wants it.

use super::recovery::{claim, newcomer, recover};
use super::*;
use crate::interface::Renewal;

/// The same, but its token ends.
fn newcomer_until(socket: &str, expires: u64) -> Change {
    let Change::Connect(new) = newcomer(socket) else {
        unreachable!("a newcomer connects");
    };
    Change::Connect(Newcomer {
        expires: Some(expires),
        ..new
    })
}

#[test]
fn nothing_that_is_in_the_database_is_a_secret_of_a_client() {
    let folder = new_file();
    test(async || {
        commit(1, vec![newcomer("x"), newcomer("y")]).await;
        commit(2, vec![disconnect("x", true)]).await;
        let database = Database::open().await.unwrap();
        for (query, used) in [
            ("SELECT pid FROM session", "pid-x"),
            ("SELECT pid FROM socket", "pid-y"),
            ("SELECT connection FROM socket", "y1"),
        ] {
            let row = database.row(query, []).await.unwrap().unwrap();
            let [Value::Text(kept)] = &row[..] else {
                panic!("{query} gives {row:?}");
            };
            assert_ne!(kept, used);
            // What was read there is worth nothing.
            let transaction = fresh(batch(1, 3, 1)).await;
            let claim = Claim {
                pid: kept.clone(),
                seen: None,
                from_connected: true,
            };
            let recovery = transaction.recover(claim, "thief".into(), 0, u32::MAX);
            let recovery = recovery.await.unwrap();
            assert!(matches!(recovery, Recovery::None), "{recovery:?}");
        }
        let transaction = fresh(batch(1, 3, 1)).await;
        let by = |connection: &str| vec![("y".to_owned(), connection.to_owned())];
        assert_eq!(transaction.connected(by("y1")).await.unwrap(), [true]);
        assert_eq!(transaction.connected(by("y2")).await.unwrap(), [false]);
        drop(transaction);
        for file in std::fs::read_dir(folder.path()).unwrap() {
            let bytes = std::fs::read(file.unwrap().path()).unwrap();
            let has = |secret: &[u8]| bytes.windows(secret.len()).any(|part| part == secret);
            assert!(!has(b"pid-x") && !has(b"pid-y"));
        }
    });
}

#[test]
fn a_session_ends_with_its_token() {
    let _folder = new_file();
    test(async || {
        let (past, future) = (log::now(), log::now() + 60_000);
        let both = vec![newcomer_until("x", past), newcomer_until("y", future)];
        commit(1, both).await;
        commit(2, vec![disconnect("x", true), disconnect("y", true)]).await;
        let transaction = fresh(batch(1, 3, 1)).await;
        assert!(recover(&transaction, "x", None).await.is_none());
        let session = recover(&transaction, "y", None).await.unwrap();
        assert_eq!(session.expires, Some(future));
    });
}

#[test]
fn a_token_that_is_renewed_changes_what_the_session_is_good_for() {
    let _folder = new_file();
    test(async || {
        let future = log::now() + 60_000;
        commit(1, vec![newcomer_until("x", 1)]).await;
        let renewal = Renewal {
            socket: "x".into(),
            private: Some("{\"claims\":3}".into()),
            expires: Some(future),
        };
        commit(2, vec![Change::Renew(renewal), disconnect("x", true)]).await;
        let transaction = fresh(batch(1, 3, 1)).await;
        let session = recover(&transaction, "x", None).await.unwrap();
        assert_eq!(session.private.as_deref(), Some("{\"claims\":3}"));
        assert_eq!(session.expires, Some(future));
        // It is kept when the session is interrupted again.
        transaction
            .apply(vec![disconnect("x", true)])
            .await
            .unwrap();
        let session = recover(&transaction, "x", None).await.unwrap();
        assert_eq!(session.expires, Some(future));
    });
}

#[test]
fn a_session_whose_socket_is_connected_is_not_taken_before_its_client_was_asked() {
    let _folder = new_file();
    test(async || {
        commit(1, vec![newcomer("x"), join("x", "a")]).await;
        let transaction = fresh(batch(1, 2, 1)).await;
        let recovery = claim(&transaction, "x", None, false).await;
        let Recovery::Contested(owner) = recovery else {
            panic!("not contested: {recovery:?}");
        };
        assert_eq!((&*owner.socket, &*owner.relay), ("x", "r"));
        let by = vec![("x".to_owned(), "x1".to_owned())];
        assert_eq!(transaction.connected(by.clone()).await.unwrap(), [true]);
        // It did not answer.
        let session = recover(&transaction, "x", None).await.unwrap();
        assert!(!session.had_left);
        assert_eq!(transaction.connected(by).await.unwrap(), [false]);
    });
}

#[test]
fn sessions_whose_secrets_an_older_version_has_stored_are_over() {
    let _folder = new_file();
    test(async || {
        let database = Database::open().await.unwrap();
        crate::schema::only_up_to(5, &database).await;
        for statement in [
            "INSERT INTO relay (id, epoch, heard) VALUES ('r', 1, 0)",
            "INSERT INTO socket (id, namespace, relay, epoch, data, connection, pid) \
             VALUES ('x', '/', 'r', 1, '1', 'x1', 'pid-x')",
            "INSERT INTO member (namespace, room, socket) VALUES ('/', 'a', 'x')",
            "INSERT INTO session (pid, namespace, socket, data, since, rooms, gone) \
             VALUES ('pid-y', '/', 'y', '1', 0, '[]', 99999999999999)",
        ] {
            database.run(statement, []).await.unwrap();
        }
        let transaction = fresh(batch(1, 2, 1)).await;
        assert!(recover(&transaction, "x", None).await.is_none());
        assert!(recover(&transaction, "y", None).await.is_none());
        // Who is connected stays, and can leave.
        assert_eq!(members(&transaction, "a").await, ["x"]);
        let by = vec![("x".to_owned(), "x1".to_owned())];
        assert_eq!(transaction.connected(by).await.unwrap(), [true]);
    });
}
