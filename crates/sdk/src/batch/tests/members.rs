//! Crowds: who asks about the other sockets of a user, and how often the database is asked.

use super::*;

/// Tells the others in a room only when a user comes with the first socket or goes with the last.
fn presence(ns: &mut Namespace) {
    ns.on("in", async |socket: Socket, room: String| {
        if socket.other_sockets_in(&room).await? == 0 {
            socket.to(&room).emit("came", &room)?;
        }
        socket.join(&room)?;
        Ok(())
    });
    ns.on_disconnecting(async |socket: Socket, reason: Reason| {
        for room in socket.rooms() {
            if socket.other_sockets_in(&room).await? == 0 {
                socket.to(&room).emit("gone", &reason)?;
            }
        }
        Ok(())
    });
}

fn gone(socket: usize) -> Value {
    json!({ "disconnect": { "socket": socket, "reason": "transport close" } })
}

/// `sockets` of `users` in the rooms `r` and, each user, in one of its own.
fn crowd(memory: &Memory, sockets: usize, users: usize) -> Vec<Value> {
    let mut tables = memory.tables.borrow_mut();
    let mut described = Vec::new();
    for n in 0..sockets {
        let (id, user) = (format!("s{n}"), format!("u{}", n % users));
        let data = json!({ "id": user });
        tables.sockets.insert(id.clone(), data.to_string());
        for room in ["r", &user] {
            tables.members.push((room.to_owned(), id.clone()));
        }
        described.push(json!({
            "id": id, "connection": "C", "rooms": ["r", user], "state": { "data": data },
        }));
    }
    described
}

fn count(commands: &[Value], event: &str) -> usize {
    let is_it = |command: &&Value| command["emit"]["data"][0] == event;
    commands.iter().filter(is_it).count()
}

#[test]
fn a_crowd_that_goes_at_once_is_asked_about_at_once() {
    let memory = Memory::default();
    let sockets = crowd(&memory, 300, 100);
    let events: Vec<Value> = (0..300).map(gone).collect();
    let batch = json!({ "sockets": sockets, "events": events });
    let commands = commands(&memory, presence, batch);
    // Each user has gone once from each room, though three sockets have.
    assert_eq!(count(&commands, "gone"), 200);
    let tables = memory.tables.borrow();
    assert!(tables.members.is_empty());
    assert_eq!((tables.asked, tables.applies), (1, 1));
}

#[test]
fn those_who_stay_are_still_there() {
    let memory = Memory::default();
    let sockets = crowd(&memory, 30, 10);
    let events: Vec<Value> = (0..25).map(gone).collect();
    let batch = json!({ "sockets": sockets, "events": events });
    let commands = commands(&memory, presence, batch);
    // The third sockets of u5 to u9 stay.
    assert_eq!(count(&commands, "gone"), 10);
    assert_eq!(memory.tables.borrow().members.len(), 10);
}

#[test]
fn users_who_come_and_go_in_one_batch_are_counted() {
    let memory = Memory::default();
    let sockets = crowd(&memory, 4, 2);
    let events = json!([
        packet(0, 1, json!(["in", "new"])),
        packet(2, 2, json!(["in", "new"])),
        packet(1, 3, json!(["in", "new"])),
        gone(0),
        gone(1),
        gone(2),
        packet(3, 4, json!(["in", "new"])),
    ]);
    let commands = commands(
        &memory,
        presence,
        json!({ "sockets": sockets, "events": events }),
    );
    // u0 with its first socket, u1 with its first, and u1 again after that had gone.
    assert_eq!(count(&commands, "came"), 3);
    // u0 from all three rooms, u1 from the new one.
    assert_eq!(count(&commands, "gone"), 4);
}

#[test]
fn a_room_is_read_in_pages() {
    fn register(ns: &mut Namespace) {
        ns.on(
            "page",
            async |socket: Socket, Args((after, limit)): Args<(Option<String>, u32)>, ack: Ack| {
                let page = socket.nsp().members("r", after.as_deref(), limit).await?;
                let ids: Vec<_> = page
                    .members
                    .iter()
                    .map(|socket| socket.id.to_string())
                    .collect();
                ack.send(Args((page.count, ids, page.next)))
            },
        );
    }
    let memory = Memory::default();
    let sockets = crowd(&memory, 5, 3);
    let events = json!([
        packet(0, 1, json!(["page", null, 2])),
        packet(0, 2, json!(["page", "u1", 2])),
        packet(0, 3, json!(["page", null, 3])),
    ]);
    let found = commands(
        &memory,
        register,
        json!({ "sockets": sockets, "events": events }),
    );
    let acks: Value = found.iter().map(|it| it["ack"]["data"].clone()).collect();
    let expected = json!([
        [3, ["s0", "s1"], "u1"],
        [3, ["s2"], null],
        [3, ["s0", "s1", "s2"], null],
    ]);
    assert_eq!(acks, expected);
}
