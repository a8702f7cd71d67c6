//! Sessions that are resumed, and those that cannot be.

use super::*;
use crate::interface::{Direction, Movement, Session};

/// A socket whose session can be recovered; its secret is `pid-` and its id.
pub(super) fn newcomer(socket: &str) -> Change {
    Change::Connect(Newcomer {
        socket: socket.into(),
        connection: format!("{socket}1"),
        data: "{\"is\":1}".into(),
        private: Some("{\"secret\":2}".into()),
        pid: Some(format!("pid-{socket}")),
        expires: None,
    })
}

fn to(rooms: &[&str], except: &[&str], text: &str) -> Change {
    let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect();
    Change::Emit(Emission {
        rooms: names(rooms),
        except: names(except),
        ..emission("", text)
    })
}

pub(super) async fn recover(
    transaction: &Transaction,
    socket: &str,
    offset: Option<u64>,
) -> Option<Session> {
    match claim(transaction, socket, offset, true).await {
        Recovery::Taken(session) => Some(session),
        Recovery::None => None,
        Recovery::Contested(owner) => panic!("{owner:?} was to be overruled"),
    }
}

pub(super) async fn claim(
    transaction: &Transaction,
    socket: &str,
    seen: Option<u64>,
    from_connected: bool,
) -> Recovery {
    let claim = Claim {
        pid: format!("pid-{socket}"),
        seen,
        from_connected,
    };
    let connection = format!("{socket}2");
    let session = transaction.recover(claim, connection, 0, u32::MAX);
    session.await.unwrap()
}

/// A part of what was missed after an offset.
async fn page(
    transaction: &Transaction,
    socket: &str,
    seen: Option<u64>,
    after: u64,
    bytes: u32,
) -> Session {
    let claim = Claim {
        pid: format!("pid-{socket}"),
        seen,
        from_connected: false,
    };
    let recovery = transaction.recover(claim, format!("{socket}2"), after, bytes);
    match recovery.await.unwrap() {
        Recovery::Taken(session) => session,
        other => panic!("{other:?} is no session"),
    }
}

fn said(session: &Session) -> Vec<String> {
    let text = |entry: &Entry| {
        let (_, text): (String, String) = serde_json::from_str(&entry.data).unwrap();
        text
    };
    session.missed.iter().map(text).collect()
}

#[test]
fn a_session_comes_back_with_its_id_its_rooms_its_data_and_what_it_missed() {
    let _folder = new_file();
    test(async || {
        let x = "xxxxxxxxxxxxxxxxxxxx";
        commit(1, vec![newcomer(x), join(x, "a"), say("a", "seen")]).await;
        commit(2, vec![disconnect(x, true)]).await;
        let changes = vec![
            say("a", "one"),
            say("b", "elsewhere"),
            to(&[], &[], "two"),
            to(&[], &[x], "not for x"),
            to(&["b", "a"], &[], "three"),
            to(&["a"], &["a"], "nobody"),
            to(&[x], &[], "four"),
        ];
        let first = first(&commit(3, changes).await);
        let transaction = fresh(batch(1, 4, 1)).await;
        assert!(members(&transaction, "a").await.is_empty());
        let session = recover(&transaction, x, Some(first - 1)).await.unwrap();
        assert_eq!(session.socket, x);
        assert_eq!(session.data, "{\"is\":1}");
        assert_eq!(session.private.as_deref(), Some("{\"secret\":2}"));
        assert_eq!(session.rooms, ["a"]);
        assert!(session.had_left);
        assert_eq!(said(&session), ["one", "two", "three", "four"]);
        let offsets: Vec<u64> = session.missed.iter().map(|entry| entry.offset).collect();
        assert_eq!(offsets, [first, first + 2, first + 4, first + 6]);
        assert_eq!(session.offset, first + 6);
        assert_eq!(members(&transaction, "a").await, [x]);
        // One secret is good for one session: now it is that of the socket that is connected.
        assert!(recover(&transaction, "y", None).await.is_none());
    });
}

#[test]
fn who_has_seen_an_offset_has_seen_all_up_to_it_and_never_less_than_when_it_came_back() {
    let _folder = new_file();
    test(async || {
        commit(1, vec![newcomer("x"), join("x", "a")]).await;
        commit(2, vec![say("a", "1"), say("a", "2"), say("a", "3")]).await;
        let back = async |sequence, offset| {
            commit(sequence, vec![disconnect("x", true)]).await;
            let transaction = fresh(batch(1, sequence + 1, 1)).await;
            let session = recover(&transaction, "x", Some(offset)).await.unwrap();
            transaction.commit("ok".into()).await.unwrap();
            said(&session).concat()
        };
        assert_eq!(back(3, 1).await, "23");
        // It may have lost its connection before it read any of it.
        assert_eq!(back(5, 1).await, "23");
        // It had seen 1 by then, whatever it says now.
        assert_eq!(back(7, 0).await, "23");
        commit(9, vec![say("a", "4"), say("a", "5")]).await;
        assert_eq!(back(10, 4).await, "5");
        assert_eq!(back(12, 1).await, "5");
    });
}

#[test]
fn who_has_seen_nothing_yet_gets_all_since_it_came() {
    let _folder = new_file();
    test(async || {
        commit(1, vec![say("a", "before")]).await;
        let changes = vec![
            to(&[], &[], "before, too"),
            newcomer("x"),
            to(&[], &[], "one"),
            say("a", "not in yet"),
            join("x", "a"),
            say("a", "two"),
        ];
        commit(2, changes).await;
        commit(3, vec![disconnect("x", true), say("a", "three")]).await;
        let transaction = fresh(batch(1, 4, 1)).await;
        let session = recover(&transaction, "x", None).await.unwrap();
        assert_eq!(said(&session), ["one", "two", "three"]);
    });
}

#[test]
fn a_session_can_be_taken_up_more_than_once() {
    let _folder = new_file();
    test(async || {
        commit(1, vec![newcomer("x"), join("x", "a"), say("a", "1")]).await;
        for round in 0..3 {
            let sequence = 10 + 3 * round;
            commit(sequence, vec![disconnect("x", true)]).await;
            let offset = first(&commit(sequence + 1, vec![say("a", "missed")]).await);
            let transaction = fresh(batch(1, sequence + 2, 1)).await;
            let session = recover(&transaction, "x", Some(offset - 1)).await.unwrap();
            assert_eq!(said(&session), ["missed"]);
            transaction.commit("ok".into()).await.unwrap();
        }
    });
}

#[test]
fn a_session_is_taken_over_from_a_connection_that_nobody_has_missed_yet() {
    let _folder = new_file();
    test(async || {
        commit(1, vec![newcomer("x"), join("x", "a")]).await;
        let transaction = fresh(batch(1, 2, 1)).await;
        assert!(!recover(&transaction, "x", None).await.unwrap().had_left);
        assert_eq!(members(&transaction, "a").await, ["x"]);
        let by = |connection: &str| ("x".to_owned(), connection.to_owned());
        let connected = transaction.connected(vec![by("x1"), by("x2"), by("x1")]);
        assert_eq!(connected.await.unwrap(), [false, true, false]);
    });
}

#[test]
fn the_sessions_of_a_relay_that_died_can_be_recovered() {
    let _folder = new_file();
    test(async || {
        commit(1, vec![newcomer("x"), join("x", "a"), say("a", "seen")]).await;
        commit(2, vec![say("a", "missed")]).await;
        let transaction = fresh(batch(2, 1, 1)).await;
        assert!(members(&transaction, "a").await.is_empty());
        let session = recover(&transaction, "x", Some(1)).await.unwrap();
        assert_eq!(said(&session), ["missed"]);
        assert!(session.had_left);
    });
}

#[test]
fn what_cannot_be_recovered_is_not() {
    let _folder = new_file();
    test(async || {
        let two = vec![newcomer("x"), newcomer("y"), say("a", "only")];
        commit(1, two).await;
        commit(2, vec![disconnect("x", true), disconnect("y", false)]).await;
        let claims = |offset: Option<u64>| {
            ["x", "y", "z"].map(|socket| Claim {
                pid: format!("pid-{socket}"),
                seen: offset,
                from_connected: false,
            })
        };
        let can = async |policy: &Policy, offset| {
            recoverable("/", policy, &claims(offset)).await.unwrap()
        };
        assert_eq!(can(&POLICY, None).await, [true, false, false]);
        // An offset that was never given out is none of ours.
        assert_eq!(can(&POLICY, Some(1)).await, [true, false, false]);
        assert_eq!(can(&POLICY, Some(2)).await, [false; 3]);
        let never = Policy {
            recovery: 0,
            ..POLICY
        };
        assert_eq!(can(&never, None).await, [false; 3]);
        let transaction = fresh(batch(1, 3, 1)).await;
        assert!(recover(&transaction, "y", None).await.is_none());
        assert!(recover(&transaction, "x", Some(2)).await.is_none());
        // Another namespace's session is not this one's.
        assert_eq!(
            recoverable("/other", &POLICY, &claims(None)).await.unwrap(),
            [false; 3]
        );
    });
}

#[test]
fn a_session_whose_time_is_over_is_gone() {
    let _folder = new_file();
    test(async || {
        commit(1, vec![newcomer("x")]).await;
        commit(2, vec![disconnect("x", true)]).await;
        by_hand("UPDATE session SET gone = gone - 120001").await;
        let transaction = fresh(batch(1, 3, 1)).await;
        assert!(recover(&transaction, "x", None).await.is_none());
    });
}

#[test]
fn much_that_was_missed_comes_in_pages_and_the_session_is_taken_up_with_the_last() {
    let _folder = new_file();
    test(async || {
        let x = "xxxxxxxxxxxxxxxxxxxx";
        commit(1, vec![newcomer(x), join(x, "a")]).await;
        commit(2, vec![disconnect(x, true)]).await;
        let text = |n: usize| format!("{n}{}", "-".repeat(90));
        let changes = (1..=7).map(|n| match n {
            // A page can be of nothing but what was not for it.
            4 | 5 => to(&["a", "b"], &[x], &text(n)),
            n => say("a", &text(n)),
        });
        commit(3, changes.collect()).await;
        let next = async |after: u64| {
            let transaction = fresh(batch(1, 4, 1)).await;
            let session = page(&transaction, x, Some(1), after, 150).await;
            let is_in = !members(&transaction, "a").await.is_empty();
            let said: Vec<String> = said(&session).iter().map(|it| it[..1].into()).collect();
            (said.concat(), session.offset, session.has_more, is_in)
        };
        assert_eq!(next(0).await, ("23".into(), 3, true, false));
        assert_eq!(next(3).await, (String::new(), 5, true, false));
        assert_eq!(next(5).await, ("67".into(), 7, false, true));
        // Who has lost its connection meanwhile has seen nothing of it yet.
        assert_eq!(next(0).await, ("23".into(), 3, true, false));
    });
}

#[test]
fn one_event_that_is_larger_than_a_page_is_a_page() {
    let _folder = new_file();
    test(async || {
        commit(1, vec![newcomer("x"), join("x", "a")]).await;
        commit(2, vec![disconnect("x", true)]).await;
        commit(3, vec![say("a", "1"), say("a", "2")]).await;
        let transaction = fresh(batch(1, 4, 1)).await;
        let first = page(&transaction, "x", None, 0, 1).await;
        assert_eq!((said(&first), first.has_more), (vec!["1".into()], true));
        let second = page(&transaction, "x", None, 1, 1).await;
        assert_eq!((said(&second), second.has_more), (vec!["2".into()], false));
    });
}

#[test]
fn who_missed_more_than_can_be_sent_begins_anew() {
    let _folder = new_file();
    test(async || {
        commit(1, vec![newcomer("x"), join("x", "a")]).await;
        commit(2, vec![disconnect("x", true)]).await;
        let many = (0..10_001).map(|n| say("a", &n.to_string()));
        commit(3, many.collect()).await;
        let transaction = fresh(batch(1, 4, 1)).await;
        assert!(recover(&transaction, "x", None).await.is_none());
    });
}

#[test]
fn many_are_moved_at_once_wherever_they_are_connected() {
    let _folder = new_file();
    test(async || {
        let changes = vec![
            newcomer("x"),
            newcomer("y"),
            newcomer("z"),
            join("x", "a"),
            join("y", "a"),
            join("y", "b"),
        ];
        commit(1, changes).await;
        let transaction = fresh(batch(1, 2, 1)).await;
        let step = async |rooms: &[&str], except: &[&str], direction, place: &str| {
            let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect();
            let movement = Movement {
                namespace: None,
                rooms: names(rooms),
                except: names(except),
                direction,
                places: vec![place.into()],
            };
            transaction
                .apply(vec![Change::Move(movement)])
                .await
                .unwrap();
            members(&transaction, place).await
        };
        assert_eq!(
            step(&["a", "z"], &["b"], Direction::Into, "c").await,
            ["x", "z"]
        );
        assert_eq!(step(&[], &["y"], Direction::OutOf, "a").await, ["y"]);
        assert_eq!(step(&[], &[], Direction::Into, "d").await, ["x", "y", "z"]);
        assert_eq!(step(&["y"], &[], Direction::OutOf, "d").await, ["x", "z"]);
        let everybody = transaction.members(None, None).await.unwrap();
        assert_eq!(everybody.len(), 3);
        let mut rooms = transaction.rooms_of(None, "y".into()).await.unwrap();
        rooms.sort();
        assert_eq!(rooms, ["a", "b"]);
    });
}

#[test]
fn an_answer_is_kept_for_who_asked() {
    let _folder = new_file();
    test(async || {
        let answer = |sender: &str, event: &str, ack: &str| {
            Change::Answer(crate::interface::Answer {
                sender: sender.into(),
                event: event.into(),
                id: "1".into(),
                ack: ack.into(),
            })
        };
        let answers = [
            ("ada", "buy", "[1]"),
            ("bob", "buy", "[2]"),
            ("ada", "sell", "[4]"),
        ];
        let answers = answers.map(|(sender, event, ack)| answer(sender, event, ack));
        commit(1, answers.into()).await;
        commit(2, vec![answer("ada", "buy", "[3]")]).await;
        let transaction = fresh(batch(1, 3, 1)).await;
        let known = async |sender: &str, event: &str| {
            let answer = transaction.answer(sender.into(), event.into(), "1".into());
            answer.await.unwrap()
        };
        assert_eq!(known("ada", "buy").await.as_deref(), Some("[1]"));
        assert_eq!(known("ada", "sell").await.as_deref(), Some("[4]"));
        assert_eq!(known("bob", "buy").await.as_deref(), Some("[2]"));
        assert_eq!(known("bob", "sell").await, None);
        assert_eq!(known("eve", "buy").await, None);
    });
}

#[test]
fn an_emission_to_another_namespace_is_in_its_log() {
    let _folder = new_file();
    test(async || {
        let Change::Emit(emission) = say("a", "hello") else {
            unreachable!()
        };
        let elsewhere = Emission {
            namespace: Some("/other".into()),
            ..emission
        };
        commit(1, vec![say("a", "here"), Change::Emit(elsewhere)]).await;
        let transaction = fresh(batch(1, 2, 1)).await;
        assert_eq!(texts(&transaction, Position::End, 9).await, ["here"]);
        drop(transaction);
        let other = Batch {
            namespace: "/other".into(),
            ..batch(1, 3, 1)
        };
        let transaction = fresh(other).await;
        assert_eq!(texts(&transaction, Position::End, 9).await, ["hello"]);
        let rooms = transaction.rooms("message".into()).await.unwrap();
        assert_eq!((rooms.len(), rooms[0].messages), (1, 1));
    });
}
