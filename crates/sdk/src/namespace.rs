//! A namespace's handlers, registered as in Socket.IO.

use std::{cell::RefCell, collections::BTreeMap, fmt, rc::Rc};

use crate::{
    ack::Ack,
    args::{ToArgs, is_unit},
    emit::Once,
    error::Error,
    extract::{Call, on},
    handler::{Handler, Run, answering, answers_once, silent},
    interface,
    nsp::Nsp,
};

/// What a namespace does when something happens. Events without a handler are ignored.
///
/// What handlers can take and return, [`Handler`] says.
#[derive(Default)]
pub struct Namespace {
    pub(crate) name: String,
    /// The batch is of another namespace, so that this one's handlers need not be kept.
    pub(crate) is_other: bool,
    /// Of each event, in the order of registration.
    pub(crate) events: BTreeMap<String, Vec<Run>>,
    /// What sees every event before its own handler.
    pub(crate) first: Vec<Run>,
    pub(crate) acks: BTreeMap<String, Run>,
    pub(crate) connect: Vec<Run>,
    pub(crate) disconnecting: Vec<Run>,
    pub(crate) disconnect: Vec<Run>,
    pub(crate) keeps_handshake: bool,
    /// Of a namespace that the app does not have: the names of those that it has. Nobody may enter it.
    pub(crate) names_instead: Option<String>,
}

impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Namespace")
            .field("name", &self.name)
            .field("events", &self.events.keys())
            .finish_non_exhaustive()
    }
}

impl Namespace {
    pub(crate) fn new(name: &str, is_other: bool) -> Self {
        Self {
            name: name.to_owned(),
            is_other,
            ..Self::default()
        }
    }

    /// A namespace that the app does not have, which has these.
    pub(crate) fn missing(name: &str, names_instead: String) -> Self {
        Self {
            names_instead: Some(names_instead),
            ..Self::new(name, false)
        }
    }

    /// Whether it has no handlers.
    pub(crate) fn is_empty(&self) -> bool {
        self.events.is_empty()
            && self.first.is_empty()
            && self.acks.is_empty()
            && self.connect.is_empty()
            && self.disconnecting.is_empty()
            && self.disconnect.is_empty()
    }

    /// The namespace that a client asked for: `/`, or one of several that this component is.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// When a client wants to enter. An error refuses it: the client's `connect_error`. Several handlers run in
    /// their order until one refuses, so that the first of them can be what Socket.IO's `namespace.use` is.
    pub fn on_connect<P, H>(&mut self, handler: H)
    where
        H: Handler<on::Connect, P, Value = ()>,
    {
        if !self.is_other {
            self.connect.push(silent(handler));
        }
    }

    /// When a client sends this event. The value of the handler's `Ok` is the acknowledgement, if the client wants
    /// one. Arguments that do not fit are answered without the handler, by `{error: {code: "bad_request",
    /// message}}`. Several handlers of one event run in their order, and the first answer counts, where one
    /// without a value has none as long as another has; if one fails, none of them has run.
    pub fn on<P, H>(&mut self, event: &str, handler: H)
    where
        H: Handler<on::Event, P>,
        H::Value: ToArgs,
    {
        self.push(event, H::TAKES_HANDSHAKE, || answering(handler));
    }

    /// As [`on`](Self::on), for clients that send an event again until it is acked (`retries` and
    /// `ackTimeout` of `socket.io-client`). `name` is a handler, too: it says what makes it the same event, as a
    /// rule an id among its arguments. The handler runs once, and whatever comes again within a day gets the
    /// first answer. One that fails has not run. If the handler gives no answer, it is an empty one.
    pub fn on_once<P, Q, N, H>(&mut self, event: &str, name: N, handler: H)
    where
        N: Handler<on::Event, P, Value = Once>,
        H: Handler<on::Event, Q>,
        H::Value: ToArgs,
    {
        let takes_handshake = N::TAKES_HANDSHAKE || H::TAKES_HANDSHAKE;
        self.push(event, takes_handshake, || once(event, name, handler));
    }

    /// Middleware for events, Socket.IO's `socket.use`: sees each before its handler does. An error is
    /// the event's answer, and no handler sees it.
    pub fn use_packet<P, H>(&mut self, middleware: H)
    where
        H: Handler<on::AnyEvent, P, Value = ()>,
    {
        if !self.is_other {
            self.keeps_handshake |= H::TAKES_HANDSHAKE;
            self.first.push(silent(middleware));
        }
    }

    /// Sees every event, before its own handler, in the order of registration.
    pub fn on_any<P, H>(&mut self, listener: H)
    where
        H: Handler<on::AnyEvent, P, Value = ()>,
    {
        self.use_packet(listener);
    }

    /// What came of an `emit_with_ack` that named this handler.
    pub fn on_ack<P, H>(&mut self, name: &str, handler: H)
    where
        H: Handler<on::Acknowledgements, P, Value = ()>,
    {
        if !self.is_other {
            self.acks.insert(name.to_owned(), silent(handler));
        }
    }

    /// When a socket is going, while its rooms are still known. The reason is Socket.IO's, such as
    /// `transport close`. Nobody says it of the sockets of a relay that was killed: they are gone when the
    /// relay is back.
    pub fn on_disconnecting<P, H>(&mut self, handler: H)
    where
        H: Handler<on::Disconnect, P, Value = ()>,
    {
        if !self.is_other {
            self.keeps_handshake |= H::TAKES_HANDSHAKE;
            self.disconnecting.push(silent(handler));
        }
    }

    /// When a socket has gone, and is in no room any more.
    pub fn on_disconnect<P, H>(&mut self, handler: H)
    where
        H: Handler<on::Disconnect, P, Value = ()>,
    {
        if !self.is_other {
            self.keeps_handshake |= H::TAKES_HANDSHAKE;
            self.disconnect.push(silent(handler));
        }
    }

    /// Makes [`Socket::handshake`](crate::Socket::handshake) known to all handlers, not only to `on_connect`, as it
    /// is where a handler takes [`Handshake`](crate::Handshake). It travels with every event then, so a
    /// namespace that needs but a part of it is better off with `set_data`.
    pub fn keep_handshake(&mut self) {
        self.keeps_handshake = true;
    }

    fn push(&mut self, event: &str, takes_handshake: bool, run: impl FnOnce() -> Run) {
        if !self.is_other {
            self.keeps_handshake |= takes_handshake;
            let handlers = self.events.entry(event.to_owned()).or_default();
            handlers.push(run());
        }
    }
}

/// A handler that runs once for each name that its event is given.
fn once<P, Q, N, H>(event: &str, name: N, handler: H) -> Run
where
    N: Handler<on::Event, P, Value = Once>,
    H: Handler<on::Event, Q>,
    H::Value: ToArgs,
{
    answers_once::<Q, H>();
    let all = Rc::new((event.to_owned(), name, handler));
    Box::new(move |mut call: Call<'_>| {
        let args = call.args;
        let naming = N::extract(&mut call)?;
        call.args = args;
        let noted = Rc::new(RefCell::new(None));
        let ack = call.ack.clone().ok_or_else(unanswerable)?;
        call.ack = Some(Ack {
            noted: Some(noted.clone()),
            ..ack.clone()
        });
        let given = H::extract(&mut call)?;
        let noting = call.ack.filter(|_| !H::TAKES_ACK && !is_unit::<H::Value>());
        let all = all.clone();
        Ok(Box::pin(async move {
            let (event, name, handler) = &*all;
            let Once { id, sender } = name.run(naming).await?;
            let context = ack.context.clone();
            let nsp = Nsp {
                context: context.clone(),
            };
            if let Some(before) = nsp.answer(&sender, event, &id).await? {
                return ack.repeat(before);
            }
            let value = handler.run(given).await?;
            noting.map_or(Ok(()), |ack| ack.settle(&value))?;
            let answer: Option<String> = noted.take();
            if answer.is_none() {
                ack.repeat(EMPTY.to_owned())?;
            }
            context.keep_answer(interface::Answer {
                sender,
                event: event.clone(),
                id,
                ack: answer.unwrap_or_else(|| EMPTY.to_owned()),
            });
            Ok(())
        }))
    })
}

/// An acknowledgement without arguments.
const EMPTY: &str = "[]";

fn unanswerable() -> Error {
    Error::internal("this call cannot be answered")
}
