//! A socket is gone: its handlers run, and its session is kept if it can be resumed. If the socket is connected again
//! by another connection already, nothing happens.

use std::{collections::HashSet, rc::Rc};

use parlour_protocol::relay::{self, Event};

use crate::{
    context::Context,
    error::Error,
    extract::{About, Call},
    handler::Run,
    interface::{self, Change, Departure},
    namespace::Namespace,
    socket::Socket,
};

/// Why a socket is gone that may come back, by Socket.IO's list (`RECOVERABLE_DISCONNECT_REASONS`).
const RESUMABLE: [&str; 6] = [
    "transport error",
    "transport close",
    "forced close",
    "ping timeout",
    "server shutting down",
    "forced server close",
];

/// Sockets (id and connection) that a `disconnect` event speaks of and that are connected otherwise.
#[derive(Default)]
pub(super) struct Stale {
    /// Of all that the batch's events speak of.
    spoken_of: Vec<(String, String)>,
    stale: HashSet<(String, String)>,
}

impl Stale {
    /// Asks the database about all of a batch at once.
    pub async fn among(context: &Context, events: &[Event<'_>]) -> Result<Self, interface::Error> {
        let mut gone = Self::default();
        if !context.is_recovering() {
            return Ok(gone);
        }
        let name = |event: &Event<'_>| match event {
            Event::Disconnect(gone) => {
                let peer = &context.sockets[gone.socket];
                Some((peer.given_id.clone(), peer.connection.clone()))
            }
            _ => None,
        };
        gone.spoken_of = events.iter().filter_map(name).collect();
        if gone.spoken_of.is_empty() {
            return Ok(gone);
        }
        let connected = context.connected(gone.spoken_of.clone()).await?;
        let all = gone.spoken_of.iter().cloned().zip(connected);
        gone.stale = all
            .filter(|(_, is_connected)| !is_connected)
            .map(|(socket, _)| socket)
            .collect();
        Ok(gone)
    }

    /// The socket is connected by this connection from now on, and by no other.
    pub fn all_but(&mut self, id: &str, connection: &str) {
        let others = self.spoken_of.iter();
        let others = others.filter(|(other, by)| other == id && by != connection);
        self.stale.extend(others.cloned());
    }

    fn has(&self, id: &str, connection: &str) -> bool {
        !self.stale.is_empty() && self.stale.contains(&(id.to_owned(), connection.to_owned()))
    }
}

pub(super) async fn run(
    namespace: &Namespace,
    context: &Rc<Context>,
    gone: relay::Disconnect<'_>,
    stale: &Stale,
) -> Result<(), interface::Error> {
    let socket = Socket::new(context, gone.socket);
    let peer = socket.peer();
    if stale.has(socket.id(), &peer.connection) {
        return Ok(());
    }
    let reason = gone.reason.into_owned();
    let failed = |event: &str, error: &Error| {
        let namespace = &context.scope.namespace;
        context.log.failed(namespace, event, &error.to_string());
    };
    // The relay says so after the handlers made the whole batch fail.
    let is_handled = !gone.unhandled;
    if is_handled && let Err(error) = handled(&namespace.disconnecting, &socket, &reason).await {
        failed("disconnecting", &error);
        context.abandon_event().await?;
    }
    let resumable = context.is_recovering() && RESUMABLE.contains(&&*reason);
    let departure = Departure {
        socket: socket.id().to_owned(),
        resumable,
    };
    context.change(gone.socket, Change::Disconnect(departure));
    peer.is_in.set(false);
    peer.rooms.take();
    if is_handled && !namespace.disconnect.is_empty() {
        // It has left: what fails here is not its leaving.
        context.begin_event();
        if let Err(error) = handled(&namespace.disconnect, &socket, &reason).await {
            failed("disconnect", &error);
            context.abandon_event().await?;
        }
    }
    Ok(())
}

/// Runs handlers in their order, until one fails.
async fn handled(handlers: &[Run], socket: &Socket, reason: &str) -> Result<(), Error> {
    for handler in handlers {
        let call = Call {
            about: About::Reason(reason),
            ..Call::of(socket, "disconnect")
        };
        handler(call)?.await?;
    }
    Ok(())
}
