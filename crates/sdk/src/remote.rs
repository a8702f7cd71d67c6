//! Sockets of the namespace that need not be in the batch, nor on its relay.

use std::{fmt, marker::PhantomData, rc::Rc, time::Duration};

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    args::ToArgs,
    context::Context,
    decode::decode_text,
    emit::{BroadcastOperator, Own},
    error::{Error, Result},
    interface::Member,
    members::Known,
    peer::user,
    rooms::RoomNames,
    target::Target,
};

/// A socket of the namespace, or of [another](crate::Nsp::of), wherever it is connected.
pub struct RemoteSocket<N = Own> {
    pub id: Rc<str>,
    data: Rc<str>,
    /// Another namespace than the batch's.
    namespace: Option<Rc<str>>,
    context: Rc<Context>,
    of: PhantomData<N>,
}

impl<N> RemoteSocket<N> {
    fn new(known: Known, namespace: Option<Rc<str>>, context: Rc<Context>) -> Self {
        let Known { id, data } = known;
        Self {
            id,
            data,
            namespace,
            context,
            of: PhantomData,
        }
    }

    /// Its public data, as last set.
    pub fn data<T: DeserializeOwned>(&self) -> Result<T> {
        decode_text(&self.data).map_err(|error| {
            Error::internal(format!(
                "the data of socket {} is not as expected: {error}",
                self.id
            ))
        })
    }

    /// The rooms it is in, without its own.
    pub async fn rooms(&self) -> Result<Vec<String>> {
        let store = self.context.current().await?;
        let namespace = self.namespace.as_deref().map(str::to_owned);
        let rooms = store.rooms_of(namespace, self.id.to_string()).await;
        rooms.map_err(|error| self.context.failed(error))
    }

    /// Emits to it.
    pub fn emit(&self, event: &str, args: impl ToArgs) -> Result<()> {
        self.alone().emit(event, args)
    }

    /// Makes it enter a room, or several.
    pub fn join(&self, rooms: impl RoomNames) -> Result<()> {
        self.alone().sockets_join(rooms)
    }

    /// Makes it leave a room, or several.
    pub fn leave(&self, rooms: impl RoomNames) -> Result<()> {
        self.alone().sockets_leave(rooms)
    }

    /// Disconnects it, with `close` its whole connection.
    pub fn disconnect(&self, close: bool) -> Result<()> {
        self.alone().disconnect_sockets(close)
    }

    fn alone(&self) -> BroadcastOperator<N> {
        let target = Target {
            namespace: self.namespace.as_deref().map(str::to_owned),
            rooms: vec![self.id.to_string()],
            ..Target::default()
        };
        BroadcastOperator::new(self.context.clone(), target)
    }
}

impl RemoteSocket {
    /// To it, waiting so long for its answer.
    pub fn timeout(&self, timeout: Duration) -> BroadcastOperator {
        self.alone().timeout(timeout)
    }

    /// Emits to it and asks it to acknowledge: [`BroadcastOperator::emit_with_ack`].
    pub fn emit_with_ack(
        &self,
        event: &str,
        args: impl ToArgs,
        handler: &str,
        context: impl Serialize,
    ) -> Result<()> {
        self.alone().emit_with_ack(event, args, handler, context)
    }
}

impl<N> Clone for RemoteSocket<N> {
    fn clone(&self) -> Self {
        let Self { id, data, .. } = self;
        let known = Known {
            id: id.clone(),
            data: data.clone(),
        };
        Self::new(known, self.namespace.clone(), self.context.clone())
    }
}

impl<N> fmt::Debug for RemoteSocket<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteSocket")
            .field("id", &self.id)
            .field("data", &self.data)
            .finish_non_exhaustive()
    }
}

impl<N> BroadcastOperator<N> {
    /// The sockets it is for, once each, wherever they are connected: those in any of its rooms (in the namespace, if
    /// there are none), and in none of its exceptions.
    pub async fn fetch_sockets(self) -> Result<Vec<RemoteSocket<N>>> {
        self.for_sockets("fetch_sockets")?;
        let Target {
            namespace,
            rooms,
            except,
            ..
        } = self.target;
        let context = &self.context;
        let namespace: Option<Rc<str>> = namespace.map(Into::into);
        let members_of = async |room: String| match &namespace {
            None => context.members_of(room).await,
            Some(namespace) => context.members_elsewhere(namespace, Some(room)).await,
        };
        let mut found: Vec<Known> = Vec::new();
        if rooms.is_empty() {
            found = match &namespace {
                None => context.everyone().await?,
                Some(namespace) => context.members_elsewhere(namespace, None).await?,
            };
        }
        let several = rooms.len() > 1;
        for room in rooms {
            for socket in members_of(room).await? {
                if !several || !found.iter().any(|known| known.id == socket.id) {
                    found.push(socket);
                }
            }
        }
        for room in except {
            let out = members_of(room.clone()).await?;
            found
                .retain(|socket| *socket.id != *room && !out.iter().any(|out| out.id == socket.id));
        }
        let remote = |known| RemoteSocket::new(known, namespace.clone(), context.clone());
        Ok(found.into_iter().map(remote).collect())
    }
}

/// Some of the users in a room, in the order of their ids. See [`Nsp::members`](crate::Nsp::members).
#[derive(Debug, Clone)]
pub struct Page {
    /// How many users are in the room in all.
    pub count: u32,
    /// One socket of each user of this page.
    pub members: Vec<RemoteSocket>,
    /// After which user the next page begins; none if this is the last.
    pub next: Option<String>,
}

/// A page of a room's users.
pub(crate) async fn page(
    context: &Rc<Context>,
    room: &str,
    after: Option<&str>,
    limit: u32,
) -> Result<Page> {
    let store = context.current().await?;
    // One more than is wanted shows whether there are others.
    let page = store
        .page(room.to_owned(), after.map(str::to_owned), limit + 1)
        .await;
    let page = page.map_err(|error| context.failed(error))?;
    let remote = |member: Member| RemoteSocket::new(member.into(), None, context.clone());
    let mut members: Vec<RemoteSocket> = page.members.into_iter().map(remote).collect();
    let is_last = members.len() <= limit as usize;
    members.truncate(limit as usize);
    let next = members.last().filter(|_| !is_last);
    let next = next.map(|socket| user(&socket.id, &socket.data).into_owned());
    Ok(Page {
        count: page.count,
        members,
        next,
    })
}
