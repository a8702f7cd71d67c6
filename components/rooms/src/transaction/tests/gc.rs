//! What is deleted, and what a client is told whose messages are no longer there.

use super::{
    order::{another_relay_is_there, everyone},
    *,
};
use crate::database::Database;

/// Commits a batch of its own under a policy, when it is time to tidy up.
async fn collected(sequence: u64, policy: Policy, changes: Vec<Change>) {
    by_hand("UPDATE gc_cursor SET at = 0").await;
    let opened = Transaction::open(batch(1, sequence, 1), policy).await;
    let Opened::Fresh(transaction) = opened.unwrap() else {
        panic!("done");
    };
    transaction.apply(changes).await.unwrap();
    transaction.commit("ok".into()).await.unwrap();
}

async fn count(statement: &str) -> u64 {
    let database = Database::open().await.unwrap();
    let row = database.row(statement, []).await.unwrap().unwrap();
    integer(&row[0]).unwrap()
}

/// A socket whose session can be recovered; its secret is its id.
fn enter(socket: &str) -> Change {
    Change::Connect(Newcomer {
        socket: socket.into(),
        connection: "c".into(),
        data: "null".into(),
        private: None,
        pid: Some(socket.into()),
        expires: None,
    })
}

/// Everything was emitted, and every session interrupted, eleven minutes ago.
async fn grow_old() {
    by_hand("UPDATE log SET at = at - 660000").await;
    by_hand("UPDATE session SET gone = gone - 660000").await;
}

async fn history() -> Vec<String> {
    let transaction = fresh(batch(1, 1000, 1)).await;
    texts(&transaction, Position::End, 100).await
}

fn broadcast(text: &str) -> Change {
    Change::Emit(Emission {
        rooms: vec![],
        ..emission("", text)
    })
}

#[test]
fn everything_in_a_room_is_kept_unless_it_is_said_otherwise() {
    let _folder = new_file();
    test(async || {
        commit(1, vec![say("a", "old")]).await;
        by_hand("UPDATE log SET at = 1").await;
        collected(2, POLICY, vec![say("a", "new")]).await;
        assert_eq!(history().await, ["old", "new"]);
    });
}

#[test]
fn a_room_keeps_what_is_young_and_so_many_at_most() {
    let _folder = new_file();
    test(async || {
        let all = (0..10).map(|n| say("a", &n.to_string()));
        commit(1, all.collect()).await;
        commit(2, vec![say("b", "alone")]).await;
        by_hand("UPDATE log SET at = at - 800000").await;
        by_hand("UPDATE log SET at = at - 200000 WHERE offset <= 3").await;
        let young = Policy {
            max_age: 900_000,
            ..POLICY
        };
        collected(3, young, vec![connect("x")]).await;
        assert_eq!(history().await, ["3", "4", "5", "6", "7", "8", "9"]);
        let few = Policy {
            max_count: 2,
            ..POLICY
        };
        collected(4, few, vec![connect("y")]).await;
        assert_eq!(history().await, ["8", "9"]);
        let transaction = fresh(batch(1, 1000, 1)).await;
        let rooms = transaction.rooms("message".into()).await.unwrap();
        let counts: Vec<_> = rooms
            .iter()
            .map(|room| (&*room.name, room.messages))
            .collect();
        assert_eq!(counts, [("a", 2), ("b", 1)]);
    });
}

#[test]
fn what_only_a_session_could_want_goes_when_none_can_any_more() {
    let _folder = new_file();
    test(async || {
        let socket = "xxxxxxxxxxxxxxxxxxxx";
        let own = say(socket, "own");
        commit(1, vec![connect(socket), broadcast("all"), own]).await;
        commit(2, vec![say("a", "kept"), broadcast("young")]).await;
        by_hand("UPDATE log SET at = at - 700000 WHERE offset <= 3").await;
        collected(3, POLICY, vec![connect("y")]).await;
        assert_eq!(count("SELECT count(*) FROM log").await, 2);
        assert_eq!(history().await, ["kept"]);
        assert_eq!(
            count("SELECT offset FROM truncation WHERE room = ''").await,
            2
        );
        // Once done it is not looked at again.
        assert_eq!(count("SELECT ephemeral FROM gc_cursor").await, 3);
        by_hand("UPDATE log SET at = at - 700000").await;
        collected(4, POLICY, vec![connect("z")]).await;
        assert_eq!(count("SELECT count(*) FROM log").await, 1);
    });
}

#[test]
fn sessions_and_answers_go_when_their_time_is_over() {
    let _folder = new_file();
    test(async || {
        let answer = Change::Answer(crate::interface::Answer {
            sender: "x".into(),
            event: "buy".into(),
            id: "1".into(),
            ack: "[]".into(),
        });
        commit(1, vec![enter("x"), answer, disconnect("x", true)]).await;
        collected(2, POLICY, vec![connect("y")]).await;
        assert_eq!(count("SELECT count(*) FROM session").await, 1);
        assert_eq!(count("SELECT count(*) FROM answer").await, 1);
        by_hand("UPDATE session SET gone = gone - 120001").await;
        by_hand("UPDATE answer SET at = 1").await;
        collected(3, POLICY, vec![connect("z")]).await;
        assert_eq!(count("SELECT count(*) FROM session").await, 0);
        assert_eq!(count("SELECT count(*) FROM answer").await, 0);
    });
}

#[test]
fn who_missed_what_is_deleted_is_told_and_who_had_seen_it_is_not_bothered() {
    let _folder = new_file();
    test(async || {
        let idle = vec![enter("idle"), join("idle", "quiet"), say("quiet", "hello")];
        commit(1, idle).await;
        commit(2, vec![enter("x"), join("x", "a"), say("a", "seen")]).await;
        commit(3, vec![disconnect("x", true), disconnect("idle", true)]).await;
        commit(4, (0..9).map(|n| say("a", &n.to_string())).collect()).await;
        let claim = |pid: &str, offset| Claim {
            pid: pid.into(),
            seen: Some(offset),
            from_connected: false,
        };
        let few = Policy {
            recovery: 1_200_000,
            max_count: 4,
            ..POLICY
        };
        let can = async || {
            let claims = [claim("x", 2), claim("x", 9), claim("idle", 1)];
            recoverable("/", &few, &claims).await.unwrap()
        };
        assert_eq!(can().await, [true, true, true]);
        grow_old().await;
        collected(5, few, vec![connect("y")]).await;
        // Of eleven, the last four are there: from the eighth on.
        assert_eq!(can().await, [false, true, true]);
        // What was deleted long before x went, it had surely seen.
        by_hand("UPDATE truncation SET at = at - 300000").await;
        assert_eq!(can().await, [true, true, true]);
    });
}

#[test]
fn what_a_relay_may_not_have_delivered_yet_is_kept_whatever_the_policy_says() {
    let _folder = new_file();
    test(async || {
        another_relay_is_there().await;
        let all = (0..5).map(|n| say("a", &n.to_string()));
        commit(1, all.chain([broadcast("all"), everyone("{}")]).collect()).await;
        let none = Policy {
            recovery: 0,
            max_age: 1,
            max_count: 1,
        };
        by_hand("UPDATE log SET at = at - 590000").await;
        collected(2, none, vec![connect("x")]).await;
        assert_eq!(count("SELECT count(*) FROM log").await, 7);
        by_hand("UPDATE log SET at = at - 20000").await;
        collected(3, none, vec![connect("y")]).await;
        // A command goes as what is only kept for sessions.
        assert_eq!(count("SELECT count(*) FROM log").await, 0);
        assert_eq!(
            count("SELECT offset FROM truncation WHERE room = ''").await,
            7
        );
    });
}
