//! What a new instance reads is on disk before it is told.

use super::*;

/// When the relay was heard last: what an instance writes so that the log is synced.
async fn heard() -> u64 {
    let database = Database::open().await.unwrap();
    let row = database.row("SELECT heard FROM relay", []).await.unwrap();
    integer(&row.unwrap()[0]).unwrap()
}

#[test]
fn a_stored_response_is_told_by_a_new_instance_after_a_write() {
    let _folder = new_file();
    test(async || {
        commit(1, vec![connect("x")]).await;
        let before = heard().await;
        for is_new in [false, true] {
            if is_new {
                crate::durable::begin_anew();
            }
            let opened = Transaction::open(batch(1, 1, 2), POLICY).await.unwrap();
            assert!(matches!(opened, Opened::Done(response) if response == "1"));
            assert_eq!(heard().await > before, is_new);
        }
    });
}

#[test]
fn what_a_new_instance_only_reads_is_told_after_a_write() {
    let _folder = new_file();
    test(async || {
        commit(1, vec![connect("x"), join("x", "a")]).await;
        let mut before = heard().await;
        for (sequence, is_new) in [(2, false), (3, true), (4, false)] {
            if is_new {
                crate::durable::begin_anew();
            }
            let transaction = fresh(batch(1, sequence, 1)).await;
            assert_eq!(members(&transaction, "a").await, ["x"]);
            transaction.commit(String::new()).await.unwrap();
            let now = heard().await;
            assert_eq!(now > before, is_new);
            before = now;
        }
    });
}
