//! Emitting to many: Socket.IO's `BroadcastOperator`.

use std::rc::Rc;

use serde::de::DeserializeOwned;

use crate::{
    ack::Ack,
    args::{ToArgs, render},
    context::{Context, OnceAcked, Target},
    error::{Error, Result},
};

/// Whom the next `emit` is for. Made by `to`, `in_`, `except`, `broadcast` and `volatile`, which can
/// be chained: `socket.to("a").to("b").except("c").emit(…)` reaches each socket once.
#[derive(Clone)]
#[must_use = "nothing is emitted without `emit`"]
pub struct BroadcastOperator {
    pub(crate) context: Rc<Context>,
    pub(crate) target: Target,
}

/// Names an emission that must happen once, however often its sender repeats it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Once {
    /// The sender's name for it; also the emission's in the history.
    pub id: String,
    /// Who sends, the same over reconnections.
    pub sender: String,
}

/// A socket of the namespace, wherever it is connected.
#[derive(Debug, Clone)]
pub struct RemoteSocket {
    pub id: Rc<str>,
    pub(crate) data: Rc<str>,
}

impl BroadcastOperator {
    /// Also to this room.
    pub fn to(mut self, room: impl Into<String>) -> Self {
        self.target.rooms.push(room.into());
        self
    }

    /// The same as [`to`](Self::to).
    pub fn in_(self, room: impl Into<String>) -> Self {
        self.to(room)
    }

    /// But not to those in this room (a socket's id is the room it is alone in).
    pub fn except(mut self, room: impl Into<String>) -> Self {
        self.target.except.push(room.into());
        self
    }

    /// May be lost where it cannot be sent at once; is not stored.
    pub fn volatile(mut self) -> Self {
        self.target.volatile = true;
        self
    }

    /// Gives the emission a name, by which a page of history can begin at it.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.target.id = Some(id.into());
        self
    }

    /// Emits after the commit, to whoever is in the rooms then.
    pub fn emit(self, event: &str, args: impl ToArgs) -> Result<()> {
        self.context
            .emit(self.target, event, render(Some(event), &args)?, None)
    }

    /// Emits and acks, unless this was emitted before: then the first time's answer is the ack, and
    /// nothing is emitted.
    pub fn emit_once(
        mut self,
        once: Once,
        event: &str,
        args: impl ToArgs,
        ack: Ack,
        answer: impl ToArgs,
    ) -> Result<()> {
        self.target.id = Some(once.id);
        self.target.volatile = false;
        let once = OnceAcked {
            sender: once.sender,
            socket: ack.socket.index,
            ack: ack.id,
            answer: render(None, &answer)?,
        };
        self.context
            .emit(self.target, event, render(Some(event), &args)?, Some(once))
    }

    /// The sockets in these rooms, once each.
    pub async fn fetch_sockets(self) -> Result<Vec<RemoteSocket>> {
        let Target { rooms, except, .. } = self.target;
        if rooms.is_empty() {
            return Err(Error::internal(
                "fetch_sockets needs a room: to(room).fetch_sockets()",
            ));
        }
        let mut found: Vec<RemoteSocket> = Vec::new();
        let several = rooms.len() > 1;
        for room in rooms {
            for socket in members(&self.context, room).await? {
                if !several || !found.iter().any(|known| known.id == socket.id) {
                    found.push(socket);
                }
            }
        }
        for room in except {
            let out = members(&self.context, room.clone()).await?;
            found
                .retain(|socket| *socket.id != *room && !out.iter().any(|out| out.id == socket.id));
        }
        Ok(found)
    }
}

async fn members(context: &Context, room: String) -> Result<Vec<RemoteSocket>> {
    if let Some(known) = context.members.borrow().of(&room) {
        return Ok(known.clone());
    }
    let store = context.current().await?;
    let members = store.members(room.clone()).await;
    let members = members.map_err(|error| context.failed(error))?;
    let socket = |member: crate::interface::Member| RemoteSocket {
        id: member.socket.into(),
        data: member.data.into(),
    };
    let members: Vec<_> = members.into_iter().map(socket).collect();
    context.members.borrow_mut().learn(room, members.clone());
    Ok(members)
}

impl RemoteSocket {
    /// Its public data, as last set.
    pub fn data<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_str(&self.data).map_err(|error| {
            Error::internal(format!(
                "the data of socket {} is not as expected: {error}",
                self.id
            ))
        })
    }
}
