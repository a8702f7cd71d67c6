//! What a handler can take: each parameter says by its type what it wants of the call.

use std::rc::Rc;

use crate::{
    ack::Ack, args::Arguments, asked::Acks, context::Context, error::Result, packet::Packet,
    socket::Socket,
};

/// What handlers are called for. Each kind of call has other things to give.
pub mod on {
    /// An event of a client: `on`, `on_once`.
    #[derive(Debug)]
    pub enum Event {}

    /// A client that wants to enter: `on_connect`.
    #[derive(Debug)]
    pub enum Connect {}

    /// A client that goes: `on_disconnecting`, `on_disconnect`.
    #[derive(Debug)]
    pub enum Disconnect {}

    /// An event of any name, before its own handlers: `use_packet`, `on_any`.
    #[derive(Debug)]
    pub enum AnyEvent {}

    /// Acknowledgements of clients: `on_ack`.
    #[derive(Debug)]
    pub enum Acknowledgements {}

    /// Calls that are about one socket.
    pub trait HasSocket {}

    impl HasSocket for Event {}
    impl HasSocket for Connect {}
    impl HasSocket for Disconnect {}
    impl HasSocket for AnyEvent {}
}

/// Says that a parameter is read from the arguments that the client sent, and takes the next of them.
#[derive(Debug)]
pub enum ViaData {}

/// Says that a parameter is several of the arguments, in [`Args`](crate::Args).
#[derive(Debug)]
pub enum ViaArgs {}

/// Says that a parameter is something else that is known of the call, such as the socket.
#[derive(Debug)]
pub enum ViaContext {}

/// A parameter of handlers that are called for `Kind` (of [`on`]).
///
/// Implement it for types of your own, with `ViaContext`, to save handlers from repeating what they all do:
///
/// ```
/// use parlour_sdk::{Call, Error, Extract, Result, Socket, ViaContext, on};
///
/// /// The room that the client is in.
/// struct Table(String);
///
/// impl<Kind: on::HasSocket> Extract<Kind, ViaContext> for Table {
///     fn extract(call: &mut Call<'_>) -> Result<Self> {
///         let socket = <Socket as Extract<Kind, ViaContext>>::extract(call)?;
///         let table = socket.rooms().pop().map(Table);
///         table.ok_or_else(|| Error::bad_request("sit down first"))
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a parameter of a handler of `{Kind}`",
    note = "see `parlour_sdk::Handler` for what handlers can take"
)]
pub trait Extract<Kind, Via>: Sized {
    /// Whether the handler answers by itself then.
    const IS_ACK: bool = false;

    /// Whether the handshake must be kept for it.
    const IS_HANDSHAKE: bool = false;

    /// An error is the answer to the event, or refuses the client; the handler does not run then.
    fn extract(call: &mut Call<'_>) -> Result<Self>;
}

/// One call of a handler, before it runs.
#[derive(Clone)]
pub struct Call<'a> {
    pub(crate) context: &'a Rc<Context>,
    /// None only where acknowledgements of many have come.
    pub(crate) socket: Option<&'a Socket>,
    /// The name of the event.
    pub(crate) event: &'a str,
    pub(crate) args: Arguments<'a>,
    pub(crate) ack: Option<Ack>,
    pub(crate) about: About<'a>,
}

/// What only some calls have.
#[derive(Clone, Copy)]
pub(crate) enum About<'a> {
    Nothing,
    Reason(&'a str),
    Packet(&'a Packet),
    Acks(&'a Acks),
}

impl<'a> Call<'a> {
    /// A call about a socket, without anything else.
    pub(crate) fn of(socket: &'a Socket, event: &'a str) -> Self {
        Self {
            context: &socket.context,
            socket: Some(socket),
            event,
            args: Arguments::default(),
            ack: None,
            about: About::Nothing,
        }
    }
}
