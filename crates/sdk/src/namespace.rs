//! A namespace's handlers, registered as in Socket.IO.

use std::{cell::RefCell, collections::BTreeMap, pin::Pin, rc::Rc};

use serde_json::value::RawValue;

use crate::{
    ack::Ack,
    args::{FromArgs, Rendered, misfit},
    asked::Acks,
    binary::Raw,
    emit::Once,
    error::{Error, Result},
    interface,
    nsp::Nsp,
    socket::Socket,
};

type Running = Pin<Box<dyn Future<Output = Result<()>>>>;

pub(crate) type OnEvent = Box<dyn Fn(Socket, &[&RawValue], Ack) -> Result<Running>>;
pub(crate) type OnPacket = Box<dyn Fn(Socket, Packet) -> Running>;
pub(crate) type OnConnect = Box<dyn Fn(Socket) -> Running>;
pub(crate) type OnAck = Box<dyn Fn(Nsp, Acks) -> Running>;
pub(crate) type OnDisconnect = Box<dyn Fn(Socket, String) -> Running>;

/// What a namespace does when something happens. Events without a handler are ignored.
#[derive(Default)]
pub struct Namespace {
    pub(crate) name: String,
    /// Of each event, in the order of registration.
    pub(crate) events: BTreeMap<String, Vec<OnEvent>>,
    /// What sees every event before its own handler.
    pub(crate) first: Vec<OnPacket>,
    pub(crate) acks: BTreeMap<String, OnAck>,
    pub(crate) connect: Option<OnConnect>,
    pub(crate) disconnecting: Option<OnDisconnect>,
    pub(crate) disconnect: Option<OnDisconnect>,
    pub(crate) keeps_handshake: bool,
}

/// An event of any name, as `use_packet` and `on_any` see it.
#[derive(Debug, Clone)]
pub struct Packet {
    pub event: String,
    pub args: Vec<Raw>,
}

impl Namespace {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ..Self::default()
        }
    }

    /// The namespace that a client asked for: `/`, or one of several that this component is.
    pub fn name(&self) -> &str {
        &self.name
    }

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
    /// by the ack `{error: {code: "bad_request", message}}`. Several handlers of one event run in
    /// their order, and the first answer counts; if one fails, none of them has run.
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
        let handlers = self.events.entry(event.to_owned()).or_default();
        handlers.push(Box::new(run));
    }

    /// As [`on`](Self::on), for clients that send an event again until it is acked (`retries` and
    /// `ackTimeout` of `socket.io-client`). `name` says what makes it the same event, as a rule an id
    /// among its arguments; the handler runs once, and whatever comes again within a day gets the first
    /// answer. One that fails has not run. If the handler gives no answer, it is an empty one.
    pub fn on_once<A, N, F>(&mut self, event: &str, name: N, handler: F)
    where
        A: FromArgs + 'static,
        N: Fn(&Socket, &A) -> Result<Once> + 'static,
        F: AsyncFn(Socket, A, Ack) -> Result<()> + 'static,
    {
        let name = Rc::new(name);
        let handler = Rc::new(handler);
        let known_as = event.to_owned();
        self.on(event, async move |socket: Socket, args: A, ack: Ack| {
            let Once { id, sender } = name(&socket, &args)?;
            let before = socket.nsp().answer(&sender, &known_as, &id).await?;
            if let Some(answer) = before {
                return repeat(&socket, ack.id, answer);
            }
            let noted = Rc::new(RefCell::new(None));
            let wanted = ack.id;
            let ack = Ack {
                noted: Some(noted.clone()),
                ..ack
            };
            handler(socket.clone(), args, ack).await?;
            let answer = noted.take();
            if answer.is_none() {
                repeat(&socket, wanted, "[]".to_owned())?;
            }
            socket.context.keep_answer(interface::Answer {
                sender,
                event: known_as.clone(),
                id,
                ack: answer.unwrap_or_else(|| "[]".to_owned()),
            });
            Ok(())
        });
    }

    /// Middleware for events, Socket.IO's `socket.use`: sees each before its handler does. An error is
    /// the event's answer, and no handler sees it.
    pub fn use_packet<F>(&mut self, middleware: F)
    where
        F: AsyncFn(Socket, Packet) -> Result<()> + 'static,
    {
        let middleware = Rc::new(middleware);
        self.first.push(Box::new(move |socket, packet| {
            let middleware = middleware.clone();
            Box::pin(async move { middleware(socket, packet).await })
        }));
    }

    /// Sees every event, before its own handler, in the order of registration.
    pub fn on_any<F>(&mut self, listener: F)
    where
        F: AsyncFn(Socket, Packet) -> Result<()> + 'static,
    {
        self.use_packet(listener);
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
    /// `transport close`. Nobody says it of the sockets of a relay that was killed: they are gone when the
    /// relay has started again.
    pub fn on_disconnecting<F>(&mut self, handler: F)
    where
        F: AsyncFn(Socket, String) -> Result<()> + 'static,
    {
        self.disconnecting = Some(leaving(handler));
    }

    /// When a socket has gone, and is in no room any more.
    pub fn on_disconnect<F>(&mut self, handler: F)
    where
        F: AsyncFn(Socket, String) -> Result<()> + 'static,
    {
        self.disconnect = Some(leaving(handler));
    }

    /// Makes [`Socket::handshake`] known to all handlers, not only to `on_connect`. It travels with every
    /// event then, so a namespace that needs but a part of it is better off with `set_data`.
    pub fn keep_handshake(&mut self) {
        self.keeps_handshake = true;
    }
}

fn leaving<F>(handler: F) -> OnDisconnect
where
    F: AsyncFn(Socket, String) -> Result<()> + 'static,
{
    let handler = Rc::new(handler);
    Box::new(move |socket, reason| {
        let handler = handler.clone();
        Box::pin(async move { handler(socket, reason).await })
    })
}

/// Acks with an answer that is JSON already.
fn repeat(socket: &Socket, ack: Option<u64>, answer: String) -> Result<()> {
    let Some(id) = ack else {
        return Ok(());
    };
    let json = RawValue::from_string(answer)
        .map_err(|error| Error::internal(format!("a kept answer is no JSON: {error}")))?;
    let attachments = Vec::new();
    let answer = Rendered { json, attachments };
    socket.context.ack_rendered(socket.index, id, &answer);
    Ok(())
}
