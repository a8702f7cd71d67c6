//! What a list of changes comes to: which sockets appear and go, which memberships are left at the
//! end, what is emitted. Pure; knows no database.

use std::collections::HashMap;

use crate::interface::{Change, Emission};

/// The net effect of changes, to be carried out in the order of the fields.
#[derive(Debug, Default)]
pub struct Plan {
    /// Sockets that left, with all their memberships.
    pub gone: Vec<String>,
    /// Sockets that entered, with their data.
    pub connected: Vec<(String, String)>,
    /// New data of sockets that were there before.
    pub updated: Vec<(String, String)>,
    /// Memberships (socket, room) that end.
    pub left: Vec<(String, String)>,
    /// Memberships (socket, room) that begin.
    pub joined: Vec<(String, String)>,
    /// What is emitted, with its place among the changes, in order.
    pub emissions: Vec<(u32, Emission)>,
}

/// What becomes of one socket.
#[derive(Default)]
struct Fate {
    gone: bool,
    connected: bool,
    data: Option<String>,
    /// Rooms it ends up in (true) or out of (false).
    rooms: HashMap<String, bool>,
}

impl Plan {
    pub fn of(changes: Vec<Change>) -> Self {
        let mut plan = Self::default();
        let mut fates: HashMap<String, Fate> = HashMap::new();
        for (index, change) in (0..).zip(changes) {
            match change {
                Change::Emit(emission) => plan.emissions.push((index, emission)),
                Change::Join(m) => {
                    fates
                        .entry(m.socket)
                        .or_default()
                        .rooms
                        .insert(m.room, true);
                }
                Change::Leave(m) => {
                    fates
                        .entry(m.socket)
                        .or_default()
                        .rooms
                        .insert(m.room, false);
                }
                Change::Connect(presence) => {
                    let fate = fates.entry(presence.socket).or_default();
                    fate.connected = true;
                    fate.data = Some(presence.data);
                }
                Change::Update(presence) => {
                    fates.entry(presence.socket).or_default().data = Some(presence.data);
                }
                Change::Disconnect(socket) => {
                    let gone = Fate {
                        gone: true,
                        ..Fate::default()
                    };
                    fates.insert(socket, gone);
                }
            }
        }
        for (socket, fate) in fates {
            plan.settle(socket, fate);
        }
        plan
    }

    fn settle(&mut self, socket: String, fate: Fate) {
        for (room, is_member) in fate.rooms {
            let list = if is_member {
                &mut self.joined
            } else {
                &mut self.left
            };
            list.push((socket.clone(), room));
        }
        if fate.gone {
            self.gone.push(socket.clone());
        }
        match fate.data {
            Some(data) if fate.connected => self.connected.push((socket, data)),
            Some(data) if !fate.gone => self.updated.push((socket, data)),
            _ => {}
        }
    }

    /// The keys (id, sender) of the emissions that must happen once.
    pub fn keys(&self) -> Vec<(&str, &str)> {
        self.emissions
            .iter()
            .filter_map(|(_, emission)| key(emission))
            .collect()
    }

    /// Splits off the emissions that repeat one in the log (`known` has its ack by its key) or an
    /// earlier one of the same plan. Gives the index of each among the changes, and the first's ack.
    pub fn take_repetitions(
        &mut self,
        mut known: HashMap<(String, String), String>,
    ) -> Vec<(u32, String)> {
        let mut repetitions = Vec::new();
        self.emissions.retain(|(index, emission)| {
            let (Some((id, sender)), Some(once)) = (key(emission), &emission.once) else {
                return true;
            };
            let key = (id.to_owned(), sender.to_owned());
            if let Some(ack) = known.get(&key) {
                repetitions.push((*index, ack.clone()));
                return false;
            }
            known.insert(key, once.ack.clone());
            true
        });
        repetitions
    }

    /// How many emissions of each event go to each single room: (room, event, number).
    pub fn tally(&self) -> Vec<(&str, &str, u32)> {
        let mut tally: HashMap<(&str, &str), u32> = HashMap::new();
        for (_, emission) in &self.emissions {
            if let [room] = emission.rooms.as_slice() {
                *tally.entry((room, &emission.event)).or_default() += 1;
            }
        }
        tally
            .into_iter()
            .map(|((room, event), n)| (room, event, n))
            .collect()
    }
}

fn key(emission: &Emission) -> Option<(&str, &str)> {
    let once = emission.once.as_ref()?;
    Some((emission.id.as_deref()?, &once.sender))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interface::{Membership, Once, Presence};

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
        Change::Connect(Presence {
            socket: socket.into(),
            data: data.into(),
        })
    }

    fn update(socket: &str, data: &str) -> Change {
        Change::Update(Presence {
            socket: socket.into(),
            data: data.into(),
        })
    }

    fn emit(room: &str, id: &str, sender: &str, ack: &str) -> Change {
        Change::Emit(Emission {
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
        })
    }

    #[test]
    fn the_last_word_on_a_membership_counts() {
        let plan = Plan::of(vec![
            join("a", "1"),
            leave("a", "1"),
            leave("b", "1"),
            join("b", "1"),
        ]);
        assert_eq!(plan.left, [("a".into(), "1".into())]);
        assert_eq!(plan.joined, [("b".into(), "1".into())]);
    }

    #[test]
    fn a_socket_that_left_is_in_no_room_and_has_no_data() {
        let plan = Plan::of(vec![
            connect("a", "1"),
            join("a", "1"),
            update("a", "2"),
            Change::Disconnect("a".into()),
        ]);
        assert_eq!(plan.gone, ["a"]);
        assert!(plan.joined.is_empty() && plan.connected.is_empty() && plan.updated.is_empty());
    }

    #[test]
    fn an_update_of_a_new_socket_is_part_of_its_connect() {
        let plan = Plan::of(vec![connect("a", "1"), update("a", "2"), update("b", "3")]);
        assert_eq!(plan.connected, [("a".into(), "2".into())]);
        assert_eq!(plan.updated, [("b".into(), "3".into())]);
    }

    #[test]
    fn a_repetition_gets_the_first_ack_and_is_not_emitted() {
        let mut plan = Plan::of(vec![
            emit("r", "1", "a", "old"),
            emit("r", "2", "a", "first"),
            join("a", "r"),
            emit("r", "2", "a", "second"),
            emit("r", "2", "b", "other"),
        ]);
        assert_eq!(
            plan.keys(),
            [("1", "a"), ("2", "a"), ("2", "a"), ("2", "b")]
        );
        let known = [(("1".to_owned(), "a".to_owned()), "kept".to_owned())];
        let repetitions = plan.take_repetitions(known.into());
        assert_eq!(
            repetitions,
            [(0, "kept".to_owned()), (3, "first".to_owned())]
        );
        let left: Vec<u32> = plan.emissions.iter().map(|(index, _)| *index).collect();
        assert_eq!(left, [1, 4]);
        assert_eq!(plan.tally(), [("r", "message", 2)]);
    }
}
