//! Who is in the namespace and in its rooms: from what this batch knows already, or else from the database.

use std::collections::HashSet;

use super::Context;
use crate::{error::Result, interface::Place, members::Known, peer::Peer};

/// How many (room, user) pairs one question to the database has, unless one socket alone has more.
const ASKED_AT_ONCE: usize = 2_000;

impl Context {
    /// All sockets of the namespace.
    pub async fn everyone(&self) -> Result<Vec<Known>> {
        self.read_members(None, None).await
    }

    /// All sockets in a room.
    pub async fn members_of(&self, room: String) -> Result<Vec<Known>> {
        if let Some(known) = self.members.borrow().of(&room) {
            return Ok(known);
        }
        let members = self.read_members(None, Some(room.clone())).await?;
        self.members.borrow_mut().learn(room, &members);
        Ok(members)
    }

    /// All sockets in a room of another namespace, or in all of it.
    pub async fn members_elsewhere(
        &self,
        namespace: &str,
        room: Option<String>,
    ) -> Result<Vec<Known>> {
        self.read_members(Some(namespace.to_owned()), room).await
    }

    async fn read_members(
        &self,
        namespace: Option<String>,
        room: Option<String>,
    ) -> Result<Vec<Known>> {
        let members = self.current().await?.members(namespace, room).await;
        let members = members.map_err(|error| self.failed(error))?;
        let members: Vec<Known> = members.into_iter().map(Known::from).collect();
        self.note_read(members.iter().map(Known::bytes).sum());
        Ok(members)
    }

    /// How many other sockets of this socket's user are in a room.
    pub async fn other_sockets(&self, socket: usize, room: &str) -> Result<u32> {
        let peer = &self.sockets[socket];
        let user = peer.user();
        let known = self.members.borrow().sockets_of(room, &user);
        let sockets = match known {
            Some(sockets) => sockets,
            None => {
                self.ask(peer, room).await?;
                let members = self.members.borrow();
                members.sockets_of(room, &user).unwrap_or(0)
            }
        };
        let is_in = peer.rooms.borrow().iter().any(|known| known == room);
        Ok(sockets.saturating_sub(is_in.into()))
    }

    /// Asks the database how many sockets a user has in a room. Whoever asks about one room of a socket that
    /// goes will ask about its other rooms, and about the other sockets that go with this batch: all of
    /// that is one question.
    async fn ask(&self, peer: &Peer, room: &str) -> Result<()> {
        let mut wanted = HashSet::from([(room.to_owned(), peer.user())]);
        let all_rooms = |peer: &Peer, wanted: &mut HashSet<_>| {
            let rooms = peer.rooms.borrow();
            wanted.extend(rooms.iter().map(|room| (room.clone(), peer.user())));
        };
        if peer.rooms.borrow().iter().any(|known| known == room) {
            all_rooms(peer, &mut wanted);
        }
        while wanted.len() < ASKED_AT_ONCE
            && let Some(leaving) = self.next_leaving()
        {
            all_rooms(leaving, &mut wanted);
        }
        let places: Vec<Place> = wanted
            .into_iter()
            .map(|(room, user)| Place { room, user })
            .collect();
        let store = self.current().await?;
        let sockets = store.sockets_of(places.clone()).await;
        let sockets = sockets.map_err(|error| self.failed(error))?;
        let mut members = self.members.borrow_mut();
        for (place, sockets) in places.into_iter().zip(sockets) {
            members.learn_sockets(place, sockets);
        }
        Ok(())
    }
}
