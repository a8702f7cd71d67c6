//! What a list of changes comes to: which sockets appear and go, which memberships are left at the
//! end, what is emitted. Pure; knows no database.

use std::collections::HashMap;

use crate::interface::{
    Answer, Change, Command, Emission, Located, Movement, Newcomer, Once, Renewal, Target, Whom,
};

/// A part of the changes that is carried out at once.
#[derive(Debug)]
pub enum Step {
    Plan(Plan),
    /// Depends on who is where, so what comes before it is carried out before.
    Move(Movement),
    /// The same: a command, with its place among the changes, and whom it is for.
    Address(u32, String, Target),
}

/// What a log has.
#[derive(Debug)]
pub enum Entry {
    Emission(Emission),
    /// JSON, and the namespace whose sockets it is for, if that is not the batch's.
    Command(String, Option<String>),
    /// A command for some sockets.
    Addressed(String, Vec<Located>),
}

impl Entry {
    /// The namespace whose log it is in, if that is not the batch's namespace.
    pub fn elsewhere(&self) -> Option<&str> {
        match self {
            Self::Emission(emission) => emission.namespace.as_deref(),
            Self::Command(_, namespace) => namespace.as_deref(),
            Self::Addressed(..) => None,
        }
    }
}

/// The net effect of changes, to be carried out in the order of the fields.
#[derive(Debug, Default)]
pub struct Plan {
    /// Sockets that entered, each with its place among the changes.
    pub connected: Vec<(u32, Newcomer)>,
    /// New data of sockets that were there before.
    pub updated: Vec<(String, String)>,
    /// Sockets that have another token.
    pub renewed: Vec<Renewal>,
    /// Memberships (socket, room) that end.
    pub left: Vec<(String, String)>,
    /// Memberships (place, socket, room) that begin.
    pub joined: Vec<(u32, String, String)>,
    /// What goes into a log, with its place among the changes, in order.
    pub entries: Vec<(u32, Entry)>,
    pub answers: Vec<Answer>,
    /// Sockets that left and whose sessions are kept.
    pub suspended: Vec<String>,
    /// Sockets that left, these included, with all their memberships.
    pub gone: Vec<String>,
}

/// What changes for one socket in all.
#[derive(Default)]
struct NetChange {
    departure: Option<Departed>,
    newcomer: Option<(u32, Newcomer)>,
    data: Option<String>,
    /// Rooms it ends up in (with the place of the last join) or out of.
    rooms: HashMap<String, Option<u32>>,
}

#[derive(Clone, Copy, PartialEq)]
enum Departed {
    ForGood,
    Resumable,
}

/// Splits changes, each with its place, into steps.
pub fn steps(changes: Vec<(u32, Change)>) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut part = Vec::new();
    for (index, change) in changes {
        let step = match change {
            Change::Move(movement) => Step::Move(movement),
            Change::Command(Command {
                json,
                whom: Whom::Sockets(target),
                ..
            }) => Step::Address(index, json, target),
            change => {
                part.push((index, change));
                continue;
            }
        };
        if !part.is_empty() {
            steps.push(Step::Plan(Plan::of(std::mem::take(&mut part))));
        }
        steps.push(step);
    }
    if !part.is_empty() {
        steps.push(Step::Plan(Plan::of(part)));
    }
    steps
}

impl Plan {
    fn of(changes: Vec<(u32, Change)>) -> Self {
        let mut plan = Self::default();
        let mut nets: HashMap<String, NetChange> = HashMap::new();
        for (index, change) in changes {
            match change {
                Change::Emit(emission) => plan.entries.push((index, Entry::Emission(emission))),
                Change::Command(command) => {
                    let entry = Entry::Command(command.json, command.namespace);
                    plan.entries.push((index, entry));
                }
                Change::Answer(answer) => plan.answers.push(answer),
                Change::Renew(renewal) => plan.renewed.push(renewal),
                Change::Join(m) => {
                    let net = nets.entry(m.socket).or_default();
                    net.rooms.insert(m.room, Some(index));
                }
                Change::Leave(m) => {
                    let net = nets.entry(m.socket).or_default();
                    net.rooms.insert(m.room, None);
                }
                Change::Connect(newcomer) => {
                    let net = nets.entry(newcomer.socket.clone()).or_default();
                    net.newcomer = Some((index, newcomer));
                }
                Change::Update(presence) => {
                    nets.entry(presence.socket).or_default().data = Some(presence.data);
                }
                Change::Disconnect(gone) => {
                    let net = nets.entry(gone.socket).or_default();
                    if gone.resumable {
                        net.departure = Some(Departed::Resumable);
                    } else {
                        *net = NetChange {
                            departure: Some(Departed::ForGood),
                            ..NetChange::default()
                        };
                    }
                }
                Change::Move(_) => unreachable!("a movement is a step of its own"),
            }
        }
        for (socket, net) in nets {
            plan.settle(socket, net);
        }
        plan
    }

    fn settle(&mut self, socket: String, net: NetChange) {
        if let Some(departed) = net.departure {
            self.gone.push(socket.clone());
            if departed == Departed::Resumable {
                self.suspended.push(socket.clone());
            }
        }
        for (room, joined) in net.rooms {
            match joined {
                Some(place) => self.joined.push((place, socket.clone(), room)),
                None => self.left.push((socket.clone(), room)),
            }
        }
        match (net.newcomer, net.data) {
            (Some((place, newcomer)), data) => {
                let data = data.unwrap_or(newcomer.data);
                self.connected.push((place, Newcomer { data, ..newcomer }));
            }
            (None, Some(data)) => self.updated.push((socket, data)),
            (None, None) => {}
        }
    }

    /// How many of the entries come before a place among the changes.
    pub fn entries_before(&self, place: u32) -> u64 {
        self.entries.partition_point(|(index, _)| *index < place) as u64
    }

    /// The keys of the emissions that must happen once.
    pub fn keys(&self) -> Vec<Key> {
        self.entries
            .iter()
            .filter_map(|(_, entry)| Some(key(entry)?.0))
            .collect()
    }

    /// Splits off the emissions that repeat one in the log (`known` has its ack by its key) or an
    /// earlier one of the same plan. Gives the index of each among the changes, and the first's ack.
    pub fn take_repetitions(&mut self, mut known: HashMap<Key, String>) -> Vec<(u32, String)> {
        let mut repetitions = Vec::new();
        self.entries.retain(|(index, entry)| {
            let Some((key, once)) = key(entry) else {
                return true;
            };
            if let Some(ack) = known.get(&key) {
                repetitions.push((*index, ack.clone()));
                return false;
            }
            known.insert(key, once.ack.clone());
            true
        });
        repetitions
    }
}

/// By what an emission that must happen once is known: its sender has made up the id, and means what is of this event
/// and for these rooms.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    pub namespace: Option<String>,
    pub rooms: Vec<String>,
    pub event: String,
    pub id: String,
    pub sender: String,
}

fn key(entry: &Entry) -> Option<(Key, &Once)> {
    let Entry::Emission(emission) = entry else {
        return None;
    };
    let once = emission.once.as_ref()?;
    let key = Key {
        namespace: emission.namespace.clone(),
        rooms: emission.rooms.clone(),
        event: emission.event.clone(),
        id: emission.id.clone()?,
        sender: once.sender.clone(),
    };
    Some((key, once))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interface::{Departure, Direction, Membership, Presence};

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

    fn connect(socket: &str, data: &str) -> Change {
        Change::Connect(Newcomer {
            socket: socket.into(),
            connection: socket.to_uppercase(),
            data: data.into(),
            private: None,
            pid: None,
            expires: None,
        })
    }

    fn update(socket: &str, data: &str) -> Change {
        Change::Update(Presence {
            socket: socket.into(),
            data: data.into(),
        })
    }

    fn disconnect(socket: &str, resumable: bool) -> Change {
        Change::Disconnect(Departure {
            socket: socket.into(),
            resumable,
        })
    }

    fn emit(room: &str, id: &str, sender: &str, ack: &str) -> Change {
        Change::Emit(Emission {
            namespace: None,
            rooms: vec![room.into()],
            except: vec![],
            event: "message".into(),
            data: "[\"message\"]".into(),
            attachments: vec![],
            id: Some(id.into()),
            once: Some(Once {
                sender: sender.into(),
                ack: ack.into(),
            }),
            transient: false,
        })
    }

    fn placed(changes: Vec<Change>) -> Vec<(u32, Change)> {
        (0..).zip(changes).collect()
    }

    fn plan(changes: Vec<Change>) -> Plan {
        match steps(placed(changes)).pop() {
            Some(Step::Plan(plan)) => plan,
            other => panic!("no plan: {other:?}"),
        }
    }

    #[test]
    fn the_last_word_on_a_membership_counts() {
        let plan = plan(vec![
            join("a", "1"),
            leave("a", "1"),
            leave("b", "1"),
            join("b", "1"),
        ]);
        assert_eq!(plan.left, [("a".into(), "1".into())]);
        assert_eq!(plan.joined, [(3, "b".into(), "1".into())]);
    }

    #[test]
    fn a_socket_that_left_for_good_is_in_no_room_and_has_no_data() {
        let plan = plan(vec![
            connect("a", "1"),
            join("a", "1"),
            update("a", "2"),
            disconnect("a", false),
        ]);
        assert_eq!(plan.gone, ["a"]);
        assert!(plan.joined.is_empty() && plan.connected.is_empty() && plan.updated.is_empty());
    }

    #[test]
    fn a_socket_that_may_come_back_is_first_what_it_has_become() {
        let plan = plan(vec![
            connect("a", "1"),
            join("a", "1"),
            disconnect("a", true),
        ]);
        assert_eq!(
            (&*plan.gone, &*plan.suspended),
            (&["a".into()][..], &["a".into()][..])
        );
        assert_eq!(plan.joined, [(1, "a".into(), "1".into())]);
        assert_eq!(plan.connected.len(), 1);
    }

    #[test]
    fn an_update_of_a_new_socket_is_part_of_its_connect() {
        let plan = plan(vec![connect("a", "1"), update("a", "2"), update("b", "3")]);
        let (place, newcomer) = &plan.connected[0];
        assert_eq!((*place, &*newcomer.data), (0, "2"));
        assert_eq!(plan.updated, [("b".into(), "3".into())]);
    }

    #[test]
    fn a_movement_waits_for_what_was_before_it() {
        let movement = Change::Move(Movement {
            namespace: None,
            rooms: vec![],
            except: vec![],
            direction: Direction::Into,
            places: vec!["1".into()],
        });
        let command = |whom| {
            Change::Command(Command {
                namespace: None,
                json: "{}".into(),
                whom,
            })
        };
        let (rooms, except) = (vec!["1".into()], vec![]);
        let changes = vec![
            join("a", "1"),
            command(Whom::Everyone),
            movement,
            leave("a", "1"),
            command(Whom::Sockets(Target { rooms, except })),
        ];
        let steps = steps(placed(changes));
        assert!(matches!(
            steps.as_slice(),
            [Step::Plan(first), Step::Move(_), Step::Plan(last), Step::Address(4, _, target)]
                if first.joined.len() == 1 && first.entries.len() == 1 && last.left.len() == 1
                && target.rooms == ["1"]
        ));
    }

    #[test]
    fn a_repetition_gets_the_first_ack_and_is_not_emitted() {
        let mut plan = plan(vec![
            emit("r", "1", "a", "old"),
            emit("r", "2", "a", "first"),
            join("a", "r"),
            emit("r", "2", "a", "second"),
            emit("r", "2", "b", "other"),
            emit("s", "2", "a", "elsewhere"),
        ]);
        let keys = plan.keys();
        let named: Vec<_> = keys.iter().map(|key| (&*key.id, &*key.sender)).collect();
        assert_eq!(
            named,
            [("1", "a"), ("2", "a"), ("2", "a"), ("2", "b"), ("2", "a")]
        );
        let known = [(keys[0].clone(), "kept".to_owned())];
        let repetitions = plan.take_repetitions(known.into());
        assert_eq!(
            repetitions,
            [(0, "kept".to_owned()), (3, "first".to_owned())]
        );
        let left: Vec<u32> = plan.entries.iter().map(|(index, _)| *index).collect();
        assert_eq!(left, [1, 4, 5]);
        assert_eq!(plan.entries_before(2), 1);
    }
}
