//! The log is the order of everything: each batch's part of it, what stands in it for other relays, and what a relay
//! is given of it that has missed some.

use super::*;
use crate::interface::{Command, Located, Replayed, Target, What, Whom};
use parlour_sqlite::statements;

/// Another relay has committed a batch.
pub(super) async fn another_relay_is_there() {
    by("s", "/", 1, vec![]).await;
}

pub(super) fn everyone(json: &str) -> Change {
    command(json, Whom::Everyone)
}

fn command(json: &str, whom: Whom) -> Change {
    let json = json.into();
    Change::Command(Command {
        namespace: None,
        json,
        whom,
    })
}

fn transient(room: &str, text: &str) -> Change {
    Change::Emit(Emission {
        transient: true,
        ..emission(room, text)
    })
}

pub(super) fn to_other(namespace: &str, text: &str) -> Change {
    Change::Emit(Emission {
        namespace: Some(namespace.into()),
        ..emission("a", text)
    })
}

/// A batch of a relay in a namespace.
pub(super) async fn open(relay: &str, namespace: &str, sequence: u64) -> Transaction {
    fresh(Batch {
        relay: relay.into(),
        namespace: namespace.into(),
        ..batch(1, sequence, 1)
    })
    .await
}

/// One that is applied and committed; gives what was stored.
pub(super) async fn by(
    relay: &str,
    namespace: &str,
    sequence: u64,
    changes: Vec<Change>,
) -> Vec<(u32, u64, u64)> {
    let transaction = open(relay, namespace, sequence).await;
    let applied = transaction.apply(changes).await.unwrap();
    transaction.commit("{}".into()).await.unwrap();
    stored(&applied)
}

/// index, offset, previous
pub(super) fn stored(applied: &Applied) -> Vec<(u32, u64, u64)> {
    let entries = applied.stored.iter();
    entries
        .map(|it| (it.index, it.offset, it.previous))
        .collect()
}

async fn extent(transaction: &Transaction) -> (u64, u64) {
    let extent = transaction.extent().await.unwrap();
    (extent.previous, extent.head)
}

pub(super) async fn replay(namespace: &str, after: u64, bytes: u32) -> Replayed {
    let replayed = crate::replay::run(namespace.into(), "r".into(), after, bytes).await;
    replayed.unwrap()
}

/// Each entry's offset and JSON.
fn said(text: &str) -> String {
    json!(["message", text]).to_string()
}

#[test]
fn each_namespace_has_its_head_and_each_batch_its_part_of_the_log() {
    let _folder = new_file();
    test(async || {
        let empty = open("r", "/", 1).await;
        assert_eq!(extent(&empty).await, (0, 0));
        drop(empty);
        by("r", "/", 1, vec![say("a", "1"), say("a", "2")]).await;
        by("r", "/other", 1, vec![say("a", "3")]).await;
        let transaction = open("r", "/", 2).await;
        assert_eq!(extent(&transaction).await, (2, 2));
        let applied = transaction.apply(vec![say("a", "4")]).await.unwrap();
        assert_eq!(stored(&applied), [(0, 4, 2)]);
        assert_eq!(extent(&transaction).await, (2, 4));
        transaction.savepoint().await.unwrap();
        let applied = transaction.apply(vec![say("a", "5")]).await.unwrap();
        assert_eq!(stored(&applied), [(0, 5, 4)]);
        transaction.rollback().await.unwrap();
        assert_eq!(extent(&transaction).await, (2, 4));
        transaction.commit(String::new()).await.unwrap();
        for (namespace, head) in [("/", 4), ("/other", 3), ("/new", 0)] {
            let transaction = open("r", namespace, 9).await;
            assert_eq!(extent(&transaction).await, (head, head), "{namespace}");
        }
    });
}

#[test]
fn what_is_for_other_relays_only_is_stored_only_if_there_are_any() {
    let _folder = new_file();
    test(async || {
        let changes = || {
            let target = Target {
                rooms: vec![],
                except: vec![],
            };
            vec![
                transient("x", "1"),
                everyone("2"),
                say("a", "3"),
                command("4", Whom::Sockets(target)),
            ]
        };
        let transaction = open("r", "/", 1).await;
        assert!(transaction.is_alone(true).await.unwrap());
        let applied = transaction.apply(changes()).await.unwrap();
        assert_eq!(stored(&applied), [(2, 1, 0)]);
        transaction.commit("{}".into()).await.unwrap();

        another_relay_is_there().await;
        let transaction = open("r", "/", 2).await;
        assert!(!transaction.is_alone(false).await.unwrap());
        let applied = transaction.apply(changes()).await.unwrap();
        assert_eq!(
            stored(&applied),
            [(0, 2, 1), (1, 3, 2), (2, 4, 3), (3, 5, 4)]
        );
        // Neither is in a history.
        assert_eq!(texts(&transaction, Position::End, 9).await, ["3", "3"]);
        let rooms = transaction.rooms("message".into()).await.unwrap();
        assert_eq!(rooms.len(), 1);
        transaction.commit("{}".into()).await.unwrap();

        // It was silent for so long that it is given up.
        by_hand("UPDATE relay SET heard = 1 WHERE id = 's'").await;
        assert!(
            open("r", "/", 3).await.is_alone(false).await.unwrap(),
            "alone again"
        );
    });
}

#[test]
fn a_batch_that_has_only_what_is_for_others_needs_no_lock_where_there_are_none() {
    let _folder = new_file();
    test(async || {
        by("r", "/", 1, vec![connect("x")]).await;
        let other = Database::open().await.unwrap();
        other.run("BEGIN IMMEDIATE", []).await.unwrap();
        let transaction = open("r", "/", 2).await;
        assert!(transaction.is_alone(false).await.unwrap());
        transaction.commit("{}".into()).await.unwrap();
        other.run("ROLLBACK", []).await.unwrap();
        // It was found without the lock that the relay's life is over.
        by_hand("UPDATE relay SET epoch = 2").await;
        let late = open("r", "/", 3).await.is_alone(false).await;
        assert!(matches!(late, Err(Error::Stale(2))));
    });
}

/// Each is a hop to another thread, and most of what a message at rest waits for.
#[test]
fn a_batch_costs_as_many_statements_as_it_must() {
    let _folder = new_file();
    test(async || {
        by("r", "/", 1, vec![connect("x"), join("x", "a")]).await;
        let message = || vec![say("a", "1"), say("a", "2")];
        // BEGIN, the guard, all that is stored, COMMIT.
        statements();
        by("r", "/", 2, message()).await;
        assert_eq!(statements(), 4);
        let mut more = message();
        more.extend([transient("x", "3"), everyone("4")]);
        by("r", "/", 3, more).await;
        assert_eq!(statements(), 4);
        // The guard alone, whether it is asked for the aloneness or not.
        open("r", "/", 4).await.commit("{}".into()).await.unwrap();
        assert_eq!(statements(), 1);
        let transaction = open("r", "/", 5).await;
        transaction.is_alone(false).await.unwrap();
        transaction.commit("{}".into()).await.unwrap();
        assert_eq!(statements(), 1);
        let transaction = open("r", "/", 6).await;
        transaction.is_alone(true).await.unwrap();
        transaction.apply(message()).await.unwrap();
        transaction.extent().await.unwrap();
        transaction.commit("{}".into()).await.unwrap();
        assert_eq!(statements(), 4);
        // Where there are others: the head of another namespace.
        another_relay_is_there().await;
        statements();
        by("r", "/", 7, vec![transient("x", "3"), everyone("4")]).await;
        assert_eq!(statements(), 4);
        let changes = vec![to_other("/b", "5"), to_other("/b", "6")];
        by("r", "/", 8, changes).await;
        assert_eq!(statements(), 5);
    });
}

fn update(socket: &str, data: &str) -> Change {
    Change::Update(Presence {
        socket: socket.into(),
        data: data.into(),
    })
}

#[test]
fn what_a_client_did_by_a_connection_that_is_lost_changes_nothing_once_it_is_back_elsewhere() {
    let _folder = new_file();
    test(async || {
        by("s", "/", 1, vec![connect("x"), join("x", "a")]).await;
        // Its client was at the relay `r` before, which still has some of its events.
        let late = vec![join("x", "late"), leave("x", "a"), update("x", "late")];
        by("r", "/", 1, late).await;
        let transaction = open("s", "/", 2).await;
        assert_eq!(transaction.rooms_of(None, "x".into()).await.unwrap(), ["a"]);
        let members = transaction.members(None, Some("a".into())).await.unwrap();
        assert_ne!(members[0].data, "late");
        drop(transaction);
        by("s", "/", 3, vec![leave("x", "a"), join("x", "b")]).await;
        let transaction = open("s", "/", 4).await;
        assert_eq!(transaction.rooms_of(None, "x".into()).await.unwrap(), ["b"]);
    });
}

#[test]
fn who_is_asked_is_settled_where_the_command_stands() {
    let _folder = new_file();
    test(async || {
        by("s", "/", 1, vec![connect("y"), join("y", "a")]).await;
        let ask = |rooms: &[&str], except: &[&str]| {
            let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect();
            let (rooms, except) = (names(rooms), names(except));
            command("ask", Whom::Sockets(Target { rooms, except }))
        };
        let changes = vec![
            ask(&["a"], &[]),
            connect("x"),
            join("x", "a"),
            say("a", "between"),
            ask(&["a"], &[]),
            ask(&[], &["y"]),
            disconnect("x", false),
            ask(&["x"], &[]),
        ];
        let transaction = open("r", "/", 1).await;
        let applied = transaction.apply(changes).await.unwrap();
        transaction.commit("{}".into()).await.unwrap();
        assert_eq!(
            stored(&applied),
            [(0, 1, 0), (3, 2, 1), (4, 3, 2), (5, 4, 3), (7, 5, 4)]
        );
        let pairs = |sockets: &[Located]| -> Vec<(String, String)> {
            let pair = |it: &Located| (it.socket.clone(), it.relay.clone());
            sockets.iter().map(pair).collect()
        };
        let (x, y) = (("x".into(), "r".into()), ("y".into(), "s".into()));
        let expected = [vec![&y], vec![], vec![&x, &y], vec![&x], vec![]];
        let expected = expected.map(|list| list.into_iter().cloned().collect::<Vec<_>>());
        let found = applied.stored.iter().map(|it| pairs(&it.sockets));
        assert_eq!(found.collect::<Vec<_>>(), expected);
        let replayed = replay("/", 2, u32::MAX).await;
        let found = replayed.entries.iter().map(|logged| match &logged.what {
            What::Command(command) => pairs(&command.sockets),
            What::Emission(_) => panic!("no emission is left"),
        });
        assert_eq!(found.collect::<Vec<_>>(), expected[2..]);
    });
}

#[test]
fn what_is_replayed_is_what_was_emitted() {
    let _folder = new_file();
    test(async || {
        let to = |rooms: &[&str], except: &[&str], text| {
            let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect();
            Change::Emit(Emission {
                rooms: names(rooms),
                except: names(except),
                attachments: vec!["AA==".into()],
                ..emission("", text)
            })
        };
        let changes = vec![
            say("a", "1"),
            to(&[], &[], "2"),
            to(&[], &["x"], "3"),
            to(&["a"], &["x", "y"], "4"),
            to(&["a", "b"], &[], "5"),
        ];
        by("r", "/", 1, changes).await;
        by("r", "/other", 1, vec![say("a", "another log")]).await;
        let replayed = replay("/", 0, u32::MAX).await;
        assert_eq!((replayed.until, replayed.lost), (5, false));
        let found: Vec<_> = replayed
            .entries
            .iter()
            .map(|logged| match &logged.what {
                What::Emission(it) => (it.rooms.join(","), it.except.join(",")),
                What::Command(_) => panic!("no command was given"),
            })
            .collect();
        let pairs = [("a", ""), ("", ""), ("", "x"), ("a", "x,y"), ("a,b", "")];
        let pairs = pairs.map(|(rooms, except)| (rooms.to_owned(), except.to_owned()));
        assert_eq!(found, pairs);
        let What::Emission(second) = &replayed.entries[1].what else {
            panic!("no emission");
        };
        assert_eq!(
            (&*second.data, &*second.attachments),
            (&*said("2"), &["AA==".to_owned()][..])
        );
        // Nobody else's log has moved it on.
        assert_eq!(replay("/", 5, u32::MAX).await.until, 5);
        assert_eq!(replay("/new", 0, u32::MAX).await.until, 0);
    });
}

#[test]
fn a_replay_is_cut_off_by_bytes_and_says_how_far_it_comes() {
    let _folder = new_file();
    test(async || {
        let changes = vec![
            say("a", "1"),
            to_other("/b", "2"),
            say("a", "3"),
            say("a", "4"),
        ];
        by("r", "/", 1, changes).await;
        let size = said("1").len() as u32;
        for (after, bytes, offsets, until) in [
            (0, 1, vec![1], 1),
            (0, size + 1, vec![1, 3], 3),
            (1, 2 * size, vec![3, 4], 4),
            (3, 1, vec![4], 4),
            (4, 1, vec![], 4),
        ] {
            let replayed = replay("/", after, bytes).await;
            let found = replayed.entries.iter().map(|logged| logged.offset);
            assert_eq!(found.collect::<Vec<u64>>(), offsets, "after {after}");
            assert_eq!((replayed.until, replayed.lost), (until, false));
        }
    });
}

#[test]
fn a_relay_is_told_that_something_was_deleted_which_it_has_not_delivered() {
    let _folder = new_file();
    test(async || {
        by(
            "r",
            "/",
            1,
            vec![say("a", "1"), say("b", "2"), say("a", "3")],
        )
        .await;
        by_hand("INSERT INTO truncation VALUES ('/', 'a', 1, 1), ('/b', 'a', 3, 1)").await;
        by_hand("DELETE FROM log WHERE offset = 1").await;
        let replayed = replay("/", 0, u32::MAX).await;
        assert_eq!((replayed.entries.len(), replayed.lost), (2, true));
        assert!(!replay("/", 1, u32::MAX).await.lost);
    });
}

#[test]
fn a_new_instance_writes_before_it_replays_what_it_has_only_read() {
    let _folder = new_file();
    test(async || {
        by("r", "/", 1, vec![say("a", "1")]).await;
        let other = Database::open().await.unwrap();
        let version = async || {
            let row = other.row("PRAGMA data_version", []).await.unwrap();
            integer(&row.unwrap()[0]).unwrap()
        };
        // Also for a relay that is not known.
        for relay in ["r", "unknown"] {
            for is_new in [false, true] {
                if is_new {
                    crate::durable::begin_anew();
                }
                let before = version().await;
                let replayed = crate::replay::run("/".into(), relay.into(), 0, 9).await;
                assert_eq!(replayed.unwrap().entries.len(), 1);
                assert_eq!(version().await != before, is_new, "{relay}");
            }
        }
    });
}

#[test]
fn a_replay_reads_what_came_after_its_offset_and_nothing_else() {
    let _folder = new_file();
    test(async || {
        let database = pool::take().await.unwrap();
        let plan = format!("EXPLAIN QUERY PLAN {}", sql::REPLAY);
        let plan = database.rows(&plan).await;
        let range = "SEARCH log USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)";
        assert!(plan.iter().any(|step| step == range), "{plan:#?}");
        for table in ["log", "truncation", "head"] {
            let scan = format!("SCAN {table}");
            assert!(
                !plan.iter().any(|step| step.starts_with(&scan)),
                "{plan:#?}"
            );
        }
    });
}

/// What is kept for sessions is found by its room, and commands are not looked at.
#[test]
fn what_a_session_has_missed_is_found_by_an_index() {
    let _folder = new_file();
    test(async || {
        let database = pool::take().await.unwrap();
        let plan = format!("EXPLAIN QUERY PLAN {}", sql::MISSED);
        let plan = database.rows(&plan).await;
        let step = "SEARCH log USING INDEX log_ephemeral (namespace=? AND room=? AND ephemeral=? AND rowid>?)";
        let steps = plan.iter().filter(|it| *it == step);
        assert_eq!(steps.count(), 2, "{plan:#?}");
        let plan = format!("EXPLAIN QUERY PLAN {}", sql::gc::HAS_EPHEMERAL);
        let plan = database.rows(&plan).await;
        assert!(
            plan.iter().any(|step| step.contains("log_ephemeral")),
            "{plan:#?}"
        );
    });
}

#[test]
fn an_emission_repeats_one_of_the_same_changes_also_across_a_movement() {
    let _folder = new_file();
    test(async || {
        let movement = Change::Move(Movement {
            namespace: None,
            rooms: vec![],
            except: vec![],
            direction: Direction::Into,
            places: vec!["b".into()],
        });
        let changes = vec![
            say_once("a", "one", "1", "x"),
            movement,
            say_once("a", "again", "1", "x"),
        ];
        let applied = commit(1, changes).await;
        assert_eq!(stored(&applied), [(0, 1, 0)]);
        assert_eq!(applied.repetitions[0].index, 2);
    });
}
