//! Emitting to many, and moving many: Socket.IO's `BroadcastOperator`.

use std::{marker::PhantomData, rc::Rc, time::Duration};

use parlour_protocol::relay::{self, Command};
use serde::Serialize;
use serde_json::value::to_raw_value;

use crate::{
    ack::Ack,
    args::{ToArgs, render},
    asked::{Asked, DEFAULT_TIMEOUT},
    context::Context,
    error::{Error, Result, unwritable},
    interface::Direction,
    rooms::{RoomNames, list},
    target::{OnceAcked, Target},
};

/// Whom the next `emit` is for. Made by `to`, `in_`, `except`, `broadcast` and `volatile`, which can
/// be chained: `socket.to("a").to(["b", "c"]).except("d").emit(…)` reaches each socket once.
///
/// `N` says whether it is for the sockets of the handler's own namespace. Acknowledgements and answers that are given
/// once belong to a namespace, and cannot be asked for in another:
///
/// ```compile_fail,E0599
/// # fn ask(nsp: parlour_sdk::Nsp) -> parlour_sdk::Result<()> {
/// nsp.of("/admin").emit_with_ack("are you there", (), "present", ())
/// # }
/// ```
#[must_use = "nothing is emitted without `emit`"]
pub struct BroadcastOperator<N = Own> {
    pub(crate) context: Rc<Context>,
    pub(crate) target: Target,
    namespace: PhantomData<N>,
}

/// The namespace that the handler runs in.
#[derive(Debug)]
pub enum Own {}

/// The namespace that [`Nsp::of`](crate::Nsp::of) named.
#[derive(Debug)]
pub enum Named {}

/// Names something that must happen once, however often its sender repeats it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Once {
    /// The sender's name for it; of an emission, also the one in the history.
    pub id: String,
    /// Who sends, the same over reconnections.
    pub sender: String,
}

impl<N> Clone for BroadcastOperator<N> {
    fn clone(&self) -> Self {
        Self::new(self.context.clone(), self.target.clone())
    }
}

impl<N> BroadcastOperator<N> {
    pub(crate) fn new(context: Rc<Context>, target: Target) -> Self {
        Self {
            context,
            target,
            namespace: PhantomData,
        }
    }

    /// Also to this room, or these. Of what was for one socket alone, as `socket.volatile()` is, that
    /// makes what is for others but it, as in Socket.IO: `socket.volatile().to("a")`.
    pub fn to(self, rooms: impl RoomNames) -> Self {
        let mut this = self.broadcast();
        rooms.add_to(&mut this.target.rooms);
        this
    }

    /// The same as [`to`](Self::to).
    pub fn in_(self, rooms: impl RoomNames) -> Self {
        self.to(rooms)
    }

    /// But not to those in this room, or these (a socket's id is the room it is alone in).
    pub fn except(self, rooms: impl RoomNames) -> Self {
        let mut this = self.broadcast();
        rooms.add_to(&mut this.target.except);
        this
    }

    /// What was for one socket alone is for everyone but it: `socket.volatile().broadcast()`.
    pub fn broadcast(mut self) -> Self {
        if std::mem::take(&mut self.target.direct) {
            self.target.except.append(&mut self.target.rooms);
        }
        self
    }

    /// May be lost where it cannot be sent at once; is not stored.
    pub fn volatile(mut self) -> Self {
        self.target.volatile = true;
        self
    }

    /// Only to the clients of the relay that brought the event; is not stored.
    pub fn local(mut self) -> Self {
        self.target.local = true;
        self
    }

    /// Accepted for Socket.IO's sake: nothing is compressed.
    pub fn compress(self, _: bool) -> Self {
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

    /// Emits `message`.
    pub fn send(self, args: impl ToArgs) -> Result<()> {
        self.emit("message", args)
    }

    /// The same as [`send`](Self::send).
    pub fn write(self, args: impl ToArgs) -> Result<()> {
        self.send(args)
    }

    /// Makes the sockets it is for enter a room, or several.
    pub fn sockets_join(self, rooms: impl RoomNames) -> Result<()> {
        self.for_sockets("sockets_join")?;
        self.context
            .move_sockets(self.target, Direction::Into, list(rooms))
    }

    /// Makes the sockets it is for leave a room, or several.
    pub fn sockets_leave(self, rooms: impl RoomNames) -> Result<()> {
        self.for_sockets("sockets_leave")?;
        self.context
            .move_sockets(self.target, Direction::OutOf, list(rooms))
    }

    /// Disconnects the sockets it is for, with `close` their whole connections.
    pub fn disconnect_sockets(self, close: bool) -> Result<()> {
        self.for_sockets("disconnect_sockets")?;
        let Target {
            namespace,
            rooms,
            except,
            ..
        } = &self.target;
        let command = Command::Sockets(Box::new(relay::Sockets {
            rooms: rooms.iter().map(Into::into).collect(),
            except: except.iter().map(Into::into).collect(),
            join: Vec::new(),
            leave: Vec::new(),
            disconnect: Some(close),
            offset: None,
            namespace: namespace.as_ref().map(Into::into),
            previous: None,
        }));
        self.context.command_for_all(&command, namespace.clone())
    }

    /// Sockets are asked for or moved wherever they are connected.
    pub(crate) fn for_sockets(&self, what: &str) -> Result<()> {
        match self.target.local {
            true => Err(Error::internal(format!(
                "{what} is for the sockets of all relays and cannot be local"
            ))),
            false => Ok(()),
        }
    }
}

impl BroadcastOperator {
    /// How long `emit_with_ack` waits; 20 seconds otherwise, an hour at the most.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.target.timeout = Some(timeout);
        self
    }

    /// Emits and asks each receiver to acknowledge. Once all have, or the time is over, the handler
    /// registered as `on_ack(handler, …)` gets their answers and `context`. Such an emission is in no
    /// history, and who comes back to its session has not missed it.
    pub fn emit_with_ack(
        mut self,
        event: &str,
        args: impl ToArgs,
        handler: &str,
        context: impl Serialize,
    ) -> Result<()> {
        self.target.ack = Some(Asked {
            handler: handler.to_owned(),
            context: Some(to_raw_value(&context).map_err(unwritable)?),
            timeout: self.target.timeout.unwrap_or(DEFAULT_TIMEOUT),
        });
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
        (self.target.volatile, self.target.local) = (false, false);
        let once = OnceAcked {
            sender: once.sender,
            socket: ack.index,
            ack: ack.id,
            answer: render(None, &answer)?,
        };
        self.context
            .emit(self.target, event, render(Some(event), &args)?, Some(once))
    }
}
