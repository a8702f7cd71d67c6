//! What a batch does in another namespace than its own has its place in that one's log.

use super::{
    order::{by, open, replay, stored, to_other},
    *,
};
use crate::interface::{Command, What, Whom};

#[test]
fn what_goes_to_another_namespace_follows_what_was_last_in_its_log() {
    let _folder = new_file();
    test(async || {
        by("r", "/b", 1, vec![say("a", "1")]).await;
        let transaction = open("r", "/", 1).await;
        let changes = vec![
            to_other("/b", "2"),
            say("a", "3"),
            to_other("/c", "4"),
            to_other("/b", "5"),
            to_other("/", "6"),
        ];
        let applied = transaction.apply(changes).await.unwrap();
        let expected = [(0, 2, 1), (1, 3, 0), (2, 4, 0), (3, 5, 2), (4, 6, 3)];
        assert_eq!(stored(&applied), expected);
        transaction.savepoint().await.unwrap();
        let undone = transaction.apply(vec![to_other("/b", "7"), to_other("/d", "8")]);
        assert_eq!(stored(&undone.await.unwrap()), [(0, 7, 5), (1, 8, 0)]);
        transaction.rollback().await.unwrap();
        let again = transaction.apply(vec![to_other("/b", "9")]).await.unwrap();
        assert_eq!(stored(&again), [(0, 7, 5)]);
        transaction.commit("{}".into()).await.unwrap();
        let found = by("r", "/b", 2, vec![say("a", "10")]).await;
        assert_eq!(found, [(0, 8, 7)]);
        let found = by("r", "/", 2, vec![say("a", "11")]).await;
        assert_eq!(found, [(0, 9, 6)]);
    });
}

#[test]
fn sockets_of_another_namespace_are_moved_and_its_log_says_so_whether_or_not_others_are_there() {
    let _folder = new_file();
    test(async || {
        by(
            "r",
            "/b",
            1,
            vec![connect("x"), join("x", "a"), say("a", "1")],
        )
        .await;
        let transaction = open("r", "/", 1).await;
        let members = async |namespace: Option<&str>, room: &str| {
            let namespace = namespace.map(str::to_owned);
            let members = transaction.members(namespace, Some(room.into())).await;
            let ids = members.unwrap().into_iter().map(|member| member.socket);
            ids.collect::<Vec<_>>()
        };
        let to = |namespace: &str| {
            Change::Command(Command {
                namespace: Some(namespace.into()),
                json: "{}".into(),
                whom: Whom::Everyone,
            })
        };
        let movement = Change::Move(Movement {
            namespace: Some("/b".into()),
            rooms: vec!["a".into()],
            except: vec![],
            direction: Direction::Into,
            places: vec!["c".into()],
        });
        let changes = vec![to("/b"), movement, to("/")];
        let applied = transaction.apply(changes).await.unwrap();
        // A command for the batch's own namespace is for other relays, and there are none.
        assert_eq!(stored(&applied), [(0, 2, 1)]);
        assert_eq!(members(Some("/b"), "c").await, ["x"]);
        assert!(members(None, "c").await.is_empty());
        let rooms = transaction.rooms_of(Some("/b".into()), "x".into()).await;
        assert_eq!(rooms.unwrap(), ["a", "c"]);
        assert!(
            transaction
                .rooms_of(None, "x".into())
                .await
                .unwrap()
                .is_empty()
        );
        transaction.commit("{}".into()).await.unwrap();
        let replayed = replay("/b", 1, 1_000).await;
        assert!(
            matches!(&replayed.entries[0].what, What::Command(command) if command.json == "{}")
        );
    });
}
