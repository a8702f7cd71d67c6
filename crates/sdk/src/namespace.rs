//! A namespace's handlers, registered as in Socket.IO.

use std::{collections::HashMap, pin::Pin, rc::Rc};

use serde_json::value::RawValue;

use crate::{
    ack::Ack,
    args::{FromArgs, misfit},
    asked::Acks,
    error::Result,
    socket::{Nsp, Socket},
};

type Running = Pin<Box<dyn Future<Output = Result<()>>>>;

pub(crate) type OnEvent = Box<dyn Fn(Socket, &[&RawValue], Ack) -> Result<Running>>;
pub(crate) type OnConnect = Box<dyn Fn(Socket) -> Running>;
pub(crate) type OnAck = Box<dyn Fn(Nsp, Acks) -> Running>;
pub(crate) type OnDisconnecting = Box<dyn Fn(Socket, String) -> Running>;

/// What a namespace does when something happens. Events without a handler are ignored.
#[derive(Default)]
pub struct Namespace {
    pub(crate) events: HashMap<String, OnEvent>,
    pub(crate) acks: HashMap<String, OnAck>,
    pub(crate) connect: Option<OnConnect>,
    pub(crate) disconnecting: Option<OnDisconnecting>,
}

impl Namespace {
    /// When a client wants to enter. An error refuses it: the client's `connect_error`.
    pub fn on_connect<F>(&mut self, handler: F)
    where
        F: AsyncFn(Socket) -> Result<()> + 'static,
    {
        let handler = Rc::new(handler);
        self.connect = Some(Box::new(move |socket| {
            let handler = handler.clone();
            Box::pin(async move { handler(socket).await })
        }));
    }

    /// When a client sends this event. Arguments that do not fit are answered without the handler,
    /// by the ack `{error: {code: "bad_request", message}}`.
    pub fn on<A, F>(&mut self, event: &str, handler: F)
    where
        A: FromArgs + 'static,
        F: AsyncFn(Socket, A, Ack) -> Result<()> + 'static,
    {
        let handler = Rc::new(handler);
        let name = event.to_owned();
        let run = move |socket, args: &[&RawValue], ack| -> Result<Running> {
            let args = A::from_args(args).map_err(|what| misfit(&name, what))?;
            let handler = handler.clone();
            Ok(Box::pin(async move { handler(socket, args, ack).await }))
        };
        self.events.insert(event.to_owned(), Box::new(run));
    }

    /// What came of an `emit_with_ack` that named this handler.
    pub fn on_ack<F>(&mut self, handler: &str, run: F)
    where
        F: AsyncFn(Nsp, Acks) -> Result<()> + 'static,
    {
        let run = Rc::new(run);
        let run = move |nsp, acks| -> Running {
            let run = run.clone();
            Box::pin(async move { run(nsp, acks).await })
        };
        self.acks.insert(handler.to_owned(), Box::new(run));
    }

    /// When a socket is going, while its rooms are still known. The reason is Socket.IO's, such as
    /// `transport close`.
    pub fn on_disconnecting<F>(&mut self, handler: F)
    where
        F: AsyncFn(Socket, String) -> Result<()> + 'static,
    {
        let handler = Rc::new(handler);
        self.disconnecting = Some(Box::new(move |socket, reason| {
            let handler = handler.clone();
            Box::pin(async move { handler(socket, reason).await })
        }));
    }
}
