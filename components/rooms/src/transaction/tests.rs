//! Transactions on a real SQLite file, opened as Spin opens it.

use parlour_sqlite::use_file;
use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::interface::{
    Departure, Direction, Emission, Membership, Movement, Newcomer, Once, Presence,
};

mod durable;
mod elsewhere;
mod gc;
mod identity;
mod lives;
mod members;
mod order;
mod recovery;
mod schema;
mod withdrawn;

/// Sessions can be recovered; everything is kept.
const POLICY: Policy = Policy {
    recovery: 120_000,
    max_age: 0,
    max_count: 0,
};

/// A new database for this thread.
fn new_file() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    use_file(folder.path().join("test.db"));
    folder
}

fn test(run: impl AsyncFnOnce()) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(run());
}

fn batch(epoch: u64, sequence: u64, attempt: u32) -> Batch {
    let (relay, namespace) = ("r".into(), "/".into());
    Batch {
        relay,
        epoch,
        namespace,
        sequence,
        attempt,
    }
}

async fn fresh(batch: Batch) -> Transaction {
    match Transaction::open(batch, POLICY).await.unwrap() {
        Opened::Fresh(transaction) => *transaction,
        Opened::Done(response) => panic!("done: {response}"),
    }
}

/// Changes the database behind everybody's back.
async fn by_hand(statement: &str) {
    let database = Database::open().await.unwrap();
    database.run(statement, []).await.unwrap();
}

/// Applies and commits a batch of its own.
async fn commit(sequence: u64, changes: Vec<Change>) -> Applied {
    let transaction = fresh(batch(1, sequence, 1)).await;
    let applied = transaction.apply(changes).await.unwrap();
    transaction.commit(sequence.to_string()).await.unwrap();
    applied
}

fn connect(socket: &str) -> Change {
    Change::Connect(Newcomer {
        socket: socket.into(),
        connection: socket.to_uppercase(),
        data: format!("{{\"is\":\"{socket}\"}}"),
        private: None,
        pid: None,
        expires: None,
    })
}

fn disconnect(socket: &str, resumable: bool) -> Change {
    Change::Disconnect(Departure {
        socket: socket.into(),
        resumable,
    })
}

fn join(socket: &str, room: &str) -> Change {
    Change::Join(Membership {
        socket: socket.into(),
        room: room.into(),
    })
}

fn leave(socket: &str, room: &str) -> Change {
    Change::Leave(Membership {
        socket: socket.into(),
        room: room.into(),
    })
}

fn emission(room: &str, text: &str) -> Emission {
    Emission {
        namespace: None,
        rooms: vec![room.into()],
        except: vec![],
        event: "message".into(),
        data: json!(["message", text]).to_string(),
        attachments: vec![],
        id: None,
        once: None,
        transient: false,
    }
}

fn say(room: &str, text: &str) -> Change {
    Change::Emit(Emission {
        id: Some(text.into()),
        ..emission(room, text)
    })
}

fn say_once(room: &str, text: &str, id: &str, sender: &str) -> Change {
    let once = Once {
        sender: sender.into(),
        ack: json!([text]).to_string(),
    };
    Change::Emit(Emission {
        id: Some(id.into()),
        once: Some(once),
        ..emission(room, text)
    })
}

/// The offset of the first entry that was stored.
fn first(applied: &Applied) -> u64 {
    applied.stored[0].offset
}

async fn head(transaction: &Transaction) -> u64 {
    transaction.extent().await.unwrap().head
}

async fn members(transaction: &Transaction, room: &str) -> Vec<String> {
    let members = transaction.members(None, Some(room.into())).await.unwrap();
    let mut sockets: Vec<_> = members.into_iter().map(|member| member.socket).collect();
    sockets.sort();
    sockets
}

async fn texts(transaction: &Transaction, until: Position, limit: u32) -> Vec<String> {
    let page = transaction
        .history("a".into(), "message".into(), until, limit)
        .await
        .unwrap();
    let text = |entry: Entry| {
        serde_json::from_str::<(String, String)>(&entry.data)
            .unwrap()
            .1
    };
    page.into_iter().map(text).collect()
}

#[test]
fn members_come_change_and_go() {
    let _folder = new_file();
    test(async || {
        let changes = vec![connect("x"), connect("y"), join("x", "a"), join("y", "a")];
        commit(1, changes).await;
        let update = Presence {
            socket: "x".into(),
            data: "\"new\"".into(),
        };
        commit(
            2,
            vec![leave("y", "a"), join("y", "b"), Change::Update(update)],
        )
        .await;
        let transaction = fresh(batch(1, 3, 1)).await;
        let found = transaction.members(None, Some("a".into())).await.unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].socket.as_str(), found[0].data.as_str()),
            ("x", "\"new\"")
        );
        assert_eq!(members(&transaction, "b").await, ["y"]);
        transaction
            .apply(vec![disconnect("y", false)])
            .await
            .unwrap();
        assert!(members(&transaction, "b").await.is_empty());
        // Who is not connected joins nothing.
        transaction
            .apply(vec![join("y", "b"), join("ghost", "b")])
            .await
            .unwrap();
        assert!(members(&transaction, "b").await.is_empty());
    });
}

#[test]
fn a_retry_gets_the_first_response() {
    let _folder = new_file();
    test(async || {
        commit(7, vec![connect("x"), say("a", "1")]).await;
        match Transaction::open(batch(1, 7, 2), POLICY).await.unwrap() {
            Opened::Done(response) => assert_eq!(response, "7"),
            Opened::Fresh(_) => panic!("the batch ran twice"),
        }
        fresh(batch(1, 8, 2)).await;
    });
}

#[test]
fn a_first_attempt_that_comes_after_the_second_changes_nothing() {
    let _folder = new_file();
    test(async || {
        let late = fresh(batch(1, 1, 1)).await;
        let second = fresh(batch(1, 1, 2)).await;
        second.commit("second".into()).await.unwrap();
        let error = late.apply(vec![say("a", "late")]).await.unwrap_err();
        assert!(
            matches!(&error, Error::Overtaken(text) if text.contains("overtaken")),
            "{error:?}"
        );
        let next = fresh(batch(1, 2, 1)).await;
        assert_eq!(head(&next).await, 0);
    });
}

#[test]
fn what_is_not_committed_never_was() {
    let _folder = new_file();
    test(async || {
        let transaction = fresh(batch(1, 1, 1)).await;
        transaction
            .apply(vec![connect("x"), join("x", "a"), say("a", "1")])
            .await
            .unwrap();
        drop(transaction);
        let transaction = fresh(batch(1, 1, 2)).await;
        assert!(members(&transaction, "a").await.is_empty());
        assert!(texts(&transaction, Position::End, 9).await.is_empty());
        assert_eq!(head(&transaction).await, 0);
    });
}

#[test]
fn offsets_have_no_gaps_and_repetitions_none() {
    let _folder = new_file();
    test(async || {
        let one = commit(1, vec![say_once("a", "one", "1", "x"), say("a", "two")]).await;
        assert_eq!((first(&one), one.repetitions.len()), (1, 0));
        let changes = vec![
            say_once("a", "again", "1", "x"),
            say_once("a", "three", "1", "y"),
            say_once("b", "four", "2", "x"),
            say_once("b", "four again", "2", "x"),
        ];
        let applied = commit(2, changes).await;
        let stored = applied.stored.iter().map(|it| (it.index, it.offset));
        assert_eq!(stored.collect::<Vec<_>>(), [(1, 3), (2, 4)]);
        let found: Vec<_> = applied
            .repetitions
            .iter()
            .map(|r| (r.index, r.ack.as_str()))
            .collect();
        assert_eq!(found, [(0, "[\"one\"]"), (3, "[\"four\"]")]);
        let transaction = fresh(batch(1, 3, 1)).await;
        assert_eq!(head(&transaction).await, 4);
        let page = texts(&transaction, Position::End, 9).await;
        assert_eq!(page, ["one", "two", "three"]);
    });
}

#[test]
fn an_id_is_its_senders_in_each_room_and_for_each_event() {
    let _folder = new_file();
    test(async || {
        let said = |rooms: &[&str], namespace: Option<&str>, event: &str| {
            let Change::Emit(said) = say_once("a", "x", "1", "ada") else {
                panic!("no emission");
            };
            let rooms = rooms.iter().map(|&room| room.into()).collect();
            let (namespace, event) = (namespace.map(str::to_owned), event.into());
            Change::Emit(Emission {
                rooms,
                namespace,
                event,
                ..said
            })
        };
        let all = || {
            vec![
                said(&["a"], None, "message"),
                said(&["b"], None, "message"),
                said(&["a"], None, "other"),
                said(&["a"], Some("/b"), "message"),
                said(&["a", "b"], None, "message"),
                said(&["a", "c"], None, "message"),
                said(&[], None, "message"),
            ]
        };
        let first = commit(1, all()).await;
        assert_eq!((first.stored.len(), first.repetitions.len()), (7, 0));
        let again = commit(2, all()).await;
        assert_eq!((again.stored.len(), again.repetitions.len()), (0, 7));
    });
}

#[test]
fn an_id_that_several_have_used_is_found_where_each_has() {
    let _folder = new_file();
    test(async || {
        let say = |id: &str, sender: &str, room: &str| say_once(room, sender, id, sender);
        let changes = vec![say("1", "x", "a"), say("2", "x", "a"), say("1", "x", "b")];
        commit(1, changes).await;
        commit(2, ["y", "z"].map(|sender| say("1", sender, "a")).into()).await;
        let transaction = fresh(batch(1, 3, 1)).await;
        let offsets = async |room: &str, id: &str| {
            let of = transaction.offsets_of(room.into(), "message".into(), id.into());
            of.await.unwrap()
        };
        assert_eq!(offsets("a", "1").await, [1, 4]);
        assert_eq!(offsets("a", "2").await, [2]);
        assert_eq!(offsets("b", "1").await, [3]);
        assert!(offsets("b", "2").await.is_empty());
    });
}

#[test]
fn history_comes_in_pages_oldest_first() {
    let _folder = new_file();
    test(async || {
        let say = |text: &u32| say("a", &text.to_string());
        commit(1, (1..=5).collect::<Vec<u32>>().iter().map(say).collect()).await;
        let transaction = fresh(batch(1, 2, 1)).await;
        let page = texts(&transaction, Position::End, 2).await;
        assert_eq!(page, ["4", "5"]);
        let page = texts(&transaction, Position::Before(4), 2).await;
        assert_eq!(page, ["2", "3"]);
        let page = texts(&transaction, Position::Before(2), 2).await;
        assert_eq!(page, ["1"]);
    });
}

#[test]
fn attachments_and_odd_text_come_back_as_they_went() {
    let _folder = new_file();
    test(async || {
        let text = "\u{1F600}\u{0}\"\\ \u{2028}";
        let odd = Emission {
            attachments: vec!["AA==".into()],
            ..emission("a", text)
        };
        let data = odd.data.clone();
        commit(1, vec![Change::Emit(odd)]).await;
        let transaction = fresh(batch(1, 2, 1)).await;
        let page = transaction
            .history("a".into(), "message".into(), Position::End, 1)
            .await;
        let page = page.unwrap();
        assert_eq!(page[0].data, data);
        assert_eq!(page[0].attachments, ["AA=="]);
    });
}

#[test]
fn rooms_are_those_with_members_or_messages() {
    let _folder = new_file();
    test(async || {
        let changes = vec![connect("x"), connect("y"), join("x", "b"), join("y", "b")];
        commit(1, changes).await;
        commit(
            2,
            vec![
                say("a", "1"),
                say("a", "2"),
                say("x", "to a socket"),
                say("b", "3"),
            ],
        )
        .await;
        let transaction = fresh(batch(1, 3, 1)).await;
        let rooms = transaction.rooms("message".into()).await.unwrap();
        let found: Vec<_> = rooms
            .iter()
            .map(|room| (room.name.as_str(), room.members, room.messages))
            .collect();
        assert_eq!(found, [("a", 0, 2), ("b", 2, 1)]);
        let rooms = transaction.rooms("other".into()).await.unwrap();
        assert_eq!(rooms.len(), 1);
    });
}

#[test]
fn namespaces_do_not_see_each_other() {
    let _folder = new_file();
    test(async || {
        commit(1, vec![connect("x"), join("x", "a"), say("a", "1")]).await;
        let other = fresh(Batch {
            namespace: "/members".into(),
            ..batch(1, 1, 1)
        })
        .await;
        assert!(members(&other, "a").await.is_empty());
        assert!(texts(&other, Position::End, 9).await.is_empty());
        assert!(other.rooms("message".into()).await.unwrap().is_empty());
    });
}

#[test]
fn a_rollback_undoes_what_came_after_the_savepoint() {
    let _folder = new_file();
    test(async || {
        let transaction = fresh(batch(1, 1, 1)).await;
        transaction
            .apply(vec![connect("x"), say("a", "1")])
            .await
            .unwrap();
        transaction.savepoint().await.unwrap();
        transaction
            .apply(vec![join("x", "a"), say("a", "2")])
            .await
            .unwrap();
        transaction.savepoint().await.unwrap();
        transaction
            .apply(vec![say("a", "3"), leave("x", "a")])
            .await
            .unwrap();
        transaction.rollback().await.unwrap();
        assert_eq!(members(&transaction, "a").await, ["x"]);
        let applied = transaction.apply(vec![say("a", "4")]).await.unwrap();
        assert_eq!((first(&applied), applied.stored[0].previous), (3, 2));
        transaction.commit(String::new()).await.unwrap();
        let transaction = fresh(batch(1, 2, 1)).await;
        let page = texts(&transaction, Position::End, 9).await;
        assert_eq!(page, ["1", "2", "4"]);
    });
}
