use super::*;
use crate::connection::Opening;
use crate::core::addresses::Addresses;
use crate::core::ledger::Ledger;
use crate::core::limits::Limits;

struct Fixture {
    registry: Registry,
    slots: Vec<Slot>,
}

pub fn connection(key: u32) -> Arc<Connection> {
    let address = std::net::IpAddr::from([127, 0, 0, 1]);
    let place = Addresses::new(&Limits::default()).open(address);
    let opening = Opening {
        id: Sid::random(),
        handshake: "{}".into(),
        place: place.ok().unwrap(),
        account: Ledger::new(1 << 20, 1 << 20).account(),
    };
    Arc::new(Connection::polling(opening, key, key))
}

/// Four sockets that were accepted.
fn four() -> Fixture {
    let mut registry = Registry::default();
    let slots = (0..4)
        .map(|key| {
            let slot = registry.insert(Sid::random(), connection(key)).slot;
            registry.get(slot).unwrap().phase = Phase::In;
            slot
        })
        .collect();
    Fixture { registry, slots }
}

impl Fixture {
    fn id(&mut self, index: usize) -> String {
        self.registry.get(self.slots[index]).unwrap().id.to_string()
    }

    fn join(&mut self, index: usize, rooms: &[&str]) {
        rooms
            .iter()
            .for_each(|room| self.registry.join(self.slots[index], room));
    }

    fn reach(&mut self, rooms: &[&str], except: &[&str]) -> Vec<usize> {
        let mut reached = Vec::new();
        let slots = &self.slots;
        self.registry.reach(rooms, except, |slot, _| {
            reached.push(slots.iter().position(|it| *it == slot).unwrap());
        });
        reached.sort_unstable();
        reached
    }

    fn rooms(&self, index: usize) -> String {
        let mut out = Text::default();
        self.registry.write_rooms(self.slots[index], &mut out);
        out.into_string()
    }
}

#[test]
fn an_emit_reaches_the_members_of_its_rooms_once() {
    let mut f = four();
    f.join(0, &["a", "b"]);
    f.join(1, &["b"]);
    f.join(2, &["c"]);
    assert_eq!(f.reach(&["a"], &[]), [0]);
    assert_eq!(f.reach(&["a", "b"], &[]), [0, 1]);
    assert_eq!(f.reach(&[], &[]), [0, 1, 2, 3]);
    assert_eq!(f.reach(&["nowhere"], &[]), [] as [usize; 0]);
    assert_eq!(f.reach(&["b", "c"], &["a"]), [1, 2]);
    assert_eq!(f.reach(&[], &["b"]), [2, 3]);
}

#[test]
fn a_sockets_own_room_is_its_id() {
    let mut f = four();
    let (first, second) = (f.id(0), f.id(1));
    f.join(0, &[&first, "a"]);
    f.join(1, &["a"]);
    assert_eq!(f.reach(&[&first], &[]), [0]);
    assert_eq!(f.reach(&["a"], &[&first]), [1]);
    // Another may join it.
    f.join(2, &[&second]);
    assert_eq!(f.reach(&[&second], &[]), [1, 2]);
    assert_eq!(f.rooms(0), "\"a\"");
}

#[test]
fn who_leaves_is_reached_no_more_and_others_still_are() {
    let mut f = four();
    for index in 0..4 {
        f.join(index, &["x", "a", "x"]);
    }
    f.registry.leave(f.slots[0], "a");
    f.registry.leave(f.slots[0], "never joined");
    assert_eq!(f.reach(&["a"], &[]), [1, 2, 3]);
    f.registry.remove(f.slots[1]);
    assert_eq!(f.reach(&["a"], &[]), [2, 3]);
    f.registry.leave(f.slots[3], "a");
    assert_eq!(f.reach(&["a"], &[]), [2]);
    assert_eq!(f.rooms(3), "\"x\"");
    assert_eq!(f.registry.get(f.slots[3]).unwrap().rooms_bytes(), 4);
    f.registry.leave(f.slots[2], "a");
    assert_eq!(f.registry.by_name.len(), 1, "an empty room is gone");
    for index in [0, 2, 3] {
        f.registry.remove(f.slots[index]);
    }
    assert!(f.registry.is_empty() && f.registry.by_name.is_empty() && f.registry.by_id.is_empty());
}

#[test]
fn who_is_not_in_the_namespace_is_not_reached() {
    let mut f = four();
    f.join(0, &["a"]);
    f.join(1, &["a"]);
    f.registry.get(f.slots[0]).unwrap().phase = Phase::Left;
    f.registry.get(f.slots[2]).unwrap().phase = Phase::Connecting(Box::default());
    assert_eq!(f.reach(&["a"], &[]), [1]);
    assert_eq!(f.reach(&[], &[]), [1, 3]);
    assert_eq!(
        f.rooms(0),
        "\"a\"",
        "the record remains until it is removed"
    );
}

#[test]
fn who_is_renamed_is_found_by_the_new_id_only_and_keeps_its_place_and_rooms() {
    let mut f = four();
    f.join(0, &["a"]);
    let (before, after) = (f.id(0), Sid::random());
    let place = f.registry.get(f.slots[0]).unwrap().place;
    assert_eq!(f.registry.rename(f.slots[0], after), None);
    assert_eq!(f.registry.find(&before), None);
    assert_eq!(f.registry.find(after.as_str()), Some(f.slots[0]));
    assert_eq!(f.registry.at(place).unwrap().id, after);
    assert_eq!(f.reach(&[&before], &[]), [] as [usize; 0]);
    assert_eq!(f.reach(&[after.as_str()], &[]), [0]);
    assert_eq!(f.reach(&["a"], &[after.as_str()]), [] as [usize; 0]);
    f.join(0, &[after.as_str()]);
    assert_eq!(f.rooms(0), "\"a\"", "its own room is the new one");
    // To the id it has: nothing happens.
    assert_eq!(f.registry.rename(f.slots[0], after), None);
    assert_eq!(f.registry.find(after.as_str()), Some(f.slots[0]));
}

#[test]
fn an_id_that_is_taken_over_stays_with_who_took_it() {
    let mut f = four();
    f.join(0, &["a"]);
    f.join(1, &["b"]);
    let id = f.registry.get(f.slots[0]).unwrap().id;
    assert_eq!(f.registry.rename(f.slots[1], id), Some(f.slots[0]));
    f.registry.get(f.slots[0]).unwrap().phase = Phase::Left;
    assert_eq!(f.registry.find(id.as_str()), Some(f.slots[1]));
    assert_eq!(f.reach(&[id.as_str()], &[]), [1]);
    // The record of the first remains until its leaving is settled, and is still described with the id.
    assert_eq!(f.id(0), id.to_string());
    assert_eq!(f.rooms(0), "\"a\"");
    f.registry.remove(f.slots[0]);
    assert_eq!(f.registry.find(id.as_str()), Some(f.slots[1]));
    assert_eq!(f.rooms(1), "\"b\"");
    f.registry.remove(f.slots[1]);
    assert_eq!(f.registry.find(id.as_str()), None);
}

#[test]
fn a_place_is_one_sockets_even_when_another_has_its_slot_and_its_id() {
    let mut f = four();
    let first = f.registry.get(f.slots[0]).unwrap();
    let (place, id) = (first.place, first.id);
    let connection = first.connection.clone();
    f.registry.remove(f.slots[0]);
    let second = f.registry.insert(Sid::random(), connection);
    f.registry.rename(second.slot, id);
    assert_eq!(second.slot, place.slot, "slots are used again");
    assert!(f.registry.at(place).is_none());
    assert_eq!(f.registry.at(second).unwrap().id, id);
}

#[test]
fn what_a_socket_keeps_is_counted_until_it_is_gone() {
    let mut registry = Registry::default();
    let connection = connection(0);
    let account = connection.account().clone();
    let alone = account.size();
    let slot = registry.insert(Sid::random(), connection).slot;
    let socket = registry.get(slot).unwrap();
    socket.set_state(Some("{}".into()));
    let bare = account.size();
    assert_eq!(bare, alone + SOCKET_BYTES + 2);
    for room in 0..100 {
        registry.join(slot, &format!("room \"{room}\""));
        registry.join(slot, "twice");
    }
    assert!(account.size() > bare + 101 * SEAT_BYTES);
    registry.leave(slot, "twice");
    registry.leave(slot, "never");
    let socket = registry.get(slot).unwrap();
    socket.set_state(Some("[1, 2]".into()));
    socket.set_state(None);
    let ninety_nine = (0..100).skip(1).map(|room| format!("room \"{room}\""));
    ninety_nine.for_each(|room| registry.leave(slot, &room));
    assert!(account.size() > alone + SOCKET_BYTES + SEAT_BYTES);
    assert!(registry.remove(slot).is_some());
    assert_eq!(account.size(), 0, "its connection is gone, too");
}
