//! An event whose answer alone is larger than an answer may be: it is undone, and its sender gets an error.

use std::rc::Rc;

use parlour_protocol::relay::{Event, MAX_ANSWER_BYTES};
use serde_json::value::RawValue;

use super::{
    answer::{answer_error, event_name},
    connect,
};
use crate::{context::Context, error::Error, interface};

/// Whom to tell. Cheap: it is made for every event.
pub(super) enum Overflown<'a> {
    Packet {
        socket: usize,
        id: Option<u64>,
        data: &'a RawValue,
    },
    Connect {
        socket: usize,
    },
    Other,
}

impl<'a> Overflown<'a> {
    /// None for a `disconnect`: that the socket has left must not be undone. The relay sends it again, to be
    /// done without handlers.
    pub fn of(event: &Event<'a>) -> Option<Self> {
        match event {
            Event::Packet(packet) => Some(Self::Packet {
                socket: packet.socket,
                id: packet.id,
                data: packet.data,
            }),
            Event::Connect(connect) => Some(Self::Connect {
                socket: connect.socket,
            }),
            Event::Renew(_)
            | Event::Acks(_)
            | Event::Report(_)
            | Event::Tick {}
            | Event::Open(_) => Some(Self::Other),
            Event::Disconnect(_) => None,
        }
    }

    pub fn answer(self, context: &Rc<Context>) -> Result<(), interface::Error> {
        let name = match &self {
            Self::Packet { data, .. } => {
                let array: Vec<&RawValue> = serde_json::from_str(data.get()).unwrap_or_default();
                array.first().map(|name| event_name(name).into_owned())
            }
            Self::Connect { .. } => Some("connect".into()),
            Self::Other => None,
        };
        let problem = format!("its answer has more than {MAX_ANSWER_BYTES} bytes");
        let namespace = &context.scope.namespace;
        context
            .log
            .failed(namespace, &name.unwrap_or_default(), &problem);
        let error = Error::new("too_large", "what the event asks for is too large");
        match self {
            Self::Packet { socket, id, .. } => answer_error(context, socket, id, &error),
            Self::Connect { socket } => connect::refuse_for(context, socket, &error),
            Self::Other => Ok(()),
        }
    }
}
