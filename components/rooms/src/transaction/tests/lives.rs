//! Relays that start again, and those that do not.

use super::*;

#[test]
fn a_new_epoch_declares_the_old_sockets_gone() {
    let _folder = new_file();
    test(async || {
        commit(1, vec![connect("x"), join("x", "a")]).await;
        let transaction = fresh(batch(2, 1, 1)).await;
        transaction
            .apply(vec![connect("y"), join("y", "a")])
            .await
            .unwrap();
        assert_eq!(members(&transaction, "a").await, ["y"]);
        transaction.commit(String::new()).await.unwrap();
        let old = fresh(batch(1, 2, 1)).await;
        assert!(matches!(
            old.apply(vec![say("a", "1")]).await,
            Err(Error::Stale(2))
        ));
        let old = fresh(batch(1, 2, 1)).await;
        assert!(matches!(
            old.commit(String::new()).await,
            Err(Error::Stale(2))
        ));
    });
}

/// Every relay was last heard long ago.
async fn time_passes() {
    by_hand("UPDATE relay SET heard = 1").await;
}

/// A batch of another relay, when it is time to tidy up.
async fn another_relay_speaks() {
    by_hand("UPDATE gc_cursor SET at = 0").await;
    let transaction = fresh(Batch {
        relay: "another".into(),
        ..batch(1, log::now(), 1)
    })
    .await;
    transaction.apply(vec![]).await.unwrap();
    transaction.commit(String::new()).await.unwrap();
}

#[test]
fn the_sockets_of_a_relay_that_does_not_come_back_are_gone_and_so_is_its_life() {
    let _folder = new_file();
    test(async || {
        commit(1, vec![connect("x"), join("x", "a")]).await;
        another_relay_speaks().await;
        let transaction = fresh(batch(1, 2, 1)).await;
        assert_eq!(members(&transaction, "a").await, ["x"]);
        drop(transaction);

        time_passes().await;
        another_relay_speaks().await;
        let late = fresh(batch(1, 2, 1)).await;
        let outcome = late.apply(vec![say("a", "1")]).await;
        assert!(matches!(outcome, Err(Error::Stale(2))));
        let next = fresh(batch(3, 1, 1)).await;
        assert!(members(&next, "a").await.is_empty());
    });
}

#[test]
fn a_relay_is_heard_by_a_batch_that_changes_nothing() {
    let _folder = new_file();
    test(async || {
        commit(1, vec![connect("x"), join("x", "a")]).await;
        time_passes().await;
        let quiet = fresh(batch(1, 2, 1)).await;
        quiet.commit(String::new()).await.unwrap();
        another_relay_speaks().await;
        let transaction = fresh(batch(1, 3, 1)).await;
        assert_eq!(members(&transaction, "a").await, ["x"]);
    });
}

#[test]
fn a_relay_without_sockets_may_be_silent_for_as_long_as_it_likes() {
    let _folder = new_file();
    test(async || {
        commit(1, vec![connect("x")]).await;
        commit(2, vec![disconnect("x", false)]).await;
        time_passes().await;
        another_relay_speaks().await;
        commit(3, vec![connect("y")]).await;
    });
}
