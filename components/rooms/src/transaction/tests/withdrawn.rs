//! A relay that had no answer in time asks, by a batch of the same sequence number without events, that no attempt
//! is carried out any more; and a database that is away.

use super::*;

/// Does not wait long for another's lock.
async fn impatient(batch: Batch) -> Transaction {
    let transaction = fresh(batch).await;
    let database = transaction.take().unwrap();
    database.run("PRAGMA busy_timeout = 1", []).await.unwrap();
    transaction.put_back(database);
    transaction
}

fn is_unavailable(error: &Error) -> bool {
    matches!(error, Error::Unavailable(text) if text.contains("database is locked"))
}

#[test]
fn what_is_withdrawn_cannot_be_committed_any_more() {
    let _folder = new_file();
    test(async || {
        let late = fresh(batch(1, 1, 1)).await;
        // The withdrawal changes nothing; it is kept all the same.
        fresh(batch(1, 1, 2))
            .await
            .commit("none".into())
            .await
            .unwrap();
        let error = late.apply(vec![say("a", "late")]).await.unwrap_err();
        assert!(matches!(error, Error::Overtaken(_)), "{error:?}");
        // Its events come again, in smaller batches.
        commit(2, vec![say("a", "late")]).await;
        let last = head(&fresh(batch(1, 3, 1)).await).await;
        assert_eq!(last, 1, "once");
    });
}

#[test]
fn what_is_at_work_is_not_withdrawn_and_its_answer_is_found_when_it_is_done() {
    let _folder = new_file();
    test(async || {
        let slow = fresh(batch(1, 1, 1)).await;
        slow.apply(vec![say("a", "slow")]).await.unwrap();
        let early = impatient(batch(1, 1, 2)).await;
        let error = early.commit("none".into()).await.unwrap_err();
        assert!(is_unavailable(&error), "{error:?}");
        // Another one has found no answer, and waits for the lock while the first is committed.
        let meanwhile = impatient(batch(1, 1, 3)).await;
        slow.commit("slow".into()).await.unwrap();
        let error = meanwhile.commit("none".into()).await.unwrap_err();
        assert!(matches!(error, Error::Overtaken(_)), "{error:?}");
        match Transaction::open(batch(1, 1, 4), POLICY).await.unwrap() {
            Opened::Done(response) => assert_eq!(response, "slow"),
            Opened::Fresh(_) => panic!("the batch ran twice"),
        }
    });
}

#[test]
fn a_database_that_another_process_has_locked_is_away_and_takes_the_batch_later() {
    let _folder = new_file();
    test(async || {
        commit(1, vec![connect("x")]).await;
        let other = Database::open().await.unwrap();
        other.run("BEGIN IMMEDIATE", []).await.unwrap();
        let transaction = impatient(batch(1, 2, 1)).await;
        let error = transaction.apply(vec![say("a", "1")]).await.unwrap_err();
        assert!(is_unavailable(&error), "{error:?}");
        other.run("ROLLBACK", []).await.unwrap();
        let transaction = impatient(batch(1, 2, 2)).await;
        let applied = transaction.apply(vec![say("a", "1")]).await.unwrap();
        transaction.commit("2".into()).await.unwrap();
        assert_eq!(first(&applied), 1);
    });
}

#[test]
fn a_full_disk_is_away_and_a_wrong_statement_is_not() {
    let _folder = new_file();
    test(async || {
        commit(1, vec![connect("x")]).await;
        let transaction = fresh(batch(1, 2, 1)).await;
        let database = transaction.take().unwrap();
        database.run("PRAGMA max_page_count = 1", []).await.unwrap();
        transaction.put_back(database);
        let long = "x".repeat(100_000);
        let outcome = async {
            transaction.apply(vec![say("a", &long)]).await?;
            transaction.commit("2".into()).await
        };
        let error = outcome.await.unwrap_err();
        assert!(
            matches!(&error, Error::Unavailable(text) if text.contains("database or disk is full")),
            "{error:?}"
        );
        let database = Database::open().await.unwrap();
        let error = database.run("SELECT nothing FROM nowhere", []).await;
        assert!(matches!(error, Err(Error::Storage(_))), "{error:?}");
    });
}
