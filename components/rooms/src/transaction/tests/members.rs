//! Who is in a room: pages, counts, and what it costs to know that.

use super::*;

/// A socket of a user.
fn socket_of(socket: &str, user: &str) -> Change {
    Change::Connect(Newcomer {
        socket: socket.into(),
        connection: socket.to_uppercase(),
        data: json!({ "id": user, "name": user }).to_string(),
        private: None,
        pid: Some(format!("pid of {socket}")),
        expires: None,
    })
}

fn place(room: &str, user: &str) -> Place {
    let (room, user) = (room.into(), user.into());
    Place { room, user }
}

/// The sockets of a page.
async fn page(transaction: &Transaction, after: Option<&str>, limit: u32) -> (u32, Vec<String>) {
    let after = after.map(str::to_owned);
    let page = transaction.page("a".into(), after, limit).await.unwrap();
    let sockets = page.members.into_iter().map(|member| member.socket);
    (page.count, sockets.collect())
}

#[test]
fn a_page_has_each_user_once_in_the_order_of_their_ids() {
    let _folder = new_file();
    test(async || {
        let changes = vec![
            socket_of("s1", "eve"),
            socket_of("s2", "ada"),
            socket_of("s3", "eve"),
            connect("bob"),
            join("s1", "a"),
            join("s2", "a"),
            join("s3", "a"),
            join("bob", "a"),
            join("s3", "b"),
        ];
        commit(1, changes).await;
        let transaction = fresh(batch(1, 2, 1)).await;
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let first = page(&transaction, None, 2).await;
        assert_eq!(first, (3, names(&["s2", "bob"])));
        let second = page(&transaction, Some("bob"), 2).await;
        assert_eq!(second, (3, names(&["s1"])));
        let places = vec![place("a", "eve"), place("a", "zoe"), place("b", "eve")];
        let sockets = transaction.sockets_of(places).await.unwrap();
        assert_eq!(sockets, [2, 0, 1]);
        // With other data a socket belongs to another user.
        let update = Presence {
            socket: "s1".into(),
            data: json!({ "id": "ada" }).to_string(),
        };
        let changes = vec![Change::Update(update), disconnect("s3", true)];
        transaction.apply(changes).await.unwrap();
        let rest = page(&transaction, None, 9).await;
        assert_eq!(rest, (2, names(&["s1", "bob"])));
    });
}

/// What `occupancy` says is what counting gives, after whatever changes.
#[test]
fn the_counts_of_rooms_are_always_right() {
    let _folder = new_file();
    test(async || {
        let mut random = 1_u64;
        let mut below = |n: u64| {
            random = random.wrapping_mul(6364136223846793005).wrapping_add(1);
            (random >> 33) % n
        };
        for sequence in 1..60 {
            let mut changes = Vec::new();
            for _ in 0..20 {
                let socket = format!("s{}", below(12));
                let (room, user) = (format!("r{}", below(3)), format!("u{}", below(4)));
                let data = json!({ "id": user }).to_string();
                changes.push(match below(8) {
                    0 => socket_of(&socket, &user),
                    1 => disconnect(&socket, below(2) == 0),
                    2 => Change::Update(Presence { socket, data }),
                    3 => leave(&socket, &room),
                    4 => Change::Move(Movement {
                        namespace: None,
                        rooms: vec![room],
                        except: vec![format!("r{}", below(3))],
                        direction: [Direction::Into, Direction::OutOf][below(2) as usize],
                        places: vec![format!("r{}", below(3))],
                    }),
                    _ => join(&socket, &room),
                });
            }
            let transaction = fresh(batch(1 + sequence / 20, sequence, 1)).await;
            if below(2) == 0 {
                let claim = Claim {
                    pid: format!("pid of s{}", below(12)),
                    seen: None,
                    from_connected: below(2) == 0,
                };
                let recovered = transaction.recover(claim, "again".into(), 0, u32::MAX);
                recovered.await.unwrap();
            }
            transaction.apply(changes).await.unwrap();
            transaction.commit(String::new()).await.unwrap();
            let difference = "\
SELECT json_group_array(json_array(room, sockets, users)) FROM (
    SELECT * FROM (SELECT room, sockets, users FROM occupancy
        EXCEPT SELECT room, count(*), count(DISTINCT user) FROM member GROUP BY room)
    UNION ALL SELECT * FROM (SELECT room, count(*), count(DISTINCT user) FROM member GROUP BY room
        EXCEPT SELECT room, sockets, users FROM occupancy)
    UNION ALL SELECT m.room, -1, -1 FROM member AS m JOIN socket AS s ON s.id = m.socket WHERE s.user <> m.user)";
            let database = pool::take().await.unwrap();
            let wrong: Vec<(String, i64, i64)> = database.json(difference, []).await.unwrap();
            assert!(wrong.is_empty(), "after batch {sequence}: {wrong:?}");
            pool::give_back(database);
        }
    });
}

/// No statement that joins, leaves, or reads a page looks at more rows of a room than it changes or gives.
#[test]
fn what_a_join_or_a_leave_costs_does_not_depend_on_the_size_of_the_room() {
    let _folder = new_file();
    test(async || {
        let database = pool::take().await.unwrap();
        for statement in [
            sql::JOIN,
            sql::LEAVE,
            sql::MOVE_INTO,
            sql::MOVE_OUT,
            sql::SUSPEND,
            sql::FORGET_MEMBERS,
            sql::FORGET_SOCKETS,
            sql::RESUME_IN_ROOMS,
            sql::PAGE,
            sql::SOCKETS_OF,
            sql::ROOMS_OF,
            "DELETE FROM member WHERE namespace = ?1 AND room = ?2 AND user = ?3 AND socket = ?4",
        ] {
            let plan = database
                .rows(&format!("EXPLAIN QUERY PLAN {statement}"))
                .await;
            for step in &plan {
                // Of occupancy that is one row.
                let whole_room =
                    step.contains("(namespace=? AND room=?)") && !step.contains("occupancy");
                // `target` names rooms whose members are meant, all of them.
                let is_meant = statement.contains("WITH target") && step.contains(" m ");
                assert!(!step.starts_with("SCAN m"), "{statement}\n{plan:#?}");
                assert!(!whole_room || is_meant, "{statement}\n{plan:#?}");
            }
        }
    });
}

#[test]
fn the_members_of_an_older_database_are_counted() {
    let _folder = new_file();
    test(async || {
        let database = Database::open().await.unwrap();
        crate::schema::only_up_to(6, &database).await;
        for statement in [
            "INSERT INTO relay (id, epoch, heard) VALUES ('r', 1, 9000000000000)",
            "INSERT INTO socket (id, namespace, relay, epoch, data) VALUES
             ('s1', '/', 'r', 1, '{\"id\":\"ada\"}'), ('s2', '/', 'r', 1, '{\"id\":\"ada\"}'), ('s3', '/', 'r', 1, '7')",
            "INSERT INTO member (namespace, room, socket, since) VALUES
             ('/', 'a', 's1', 1), ('/', 'a', 's2', 2), ('/', 'a', 's3', 3), ('/', 'b', 's3', 4)",
        ] {
            database.run(statement, []).await.unwrap();
        }
        let transaction = fresh(batch(1, 1, 1)).await;
        let found = page(&transaction, None, 9).await;
        assert_eq!(found, (2, vec!["s1".to_owned(), "s3".to_owned()]));
        assert_eq!(members(&transaction, "a").await, ["s1", "s2", "s3"]);
        assert_eq!(
            transaction.rooms_of(None, "s3".into()).await.unwrap(),
            ["a", "b"]
        );
    });
}
