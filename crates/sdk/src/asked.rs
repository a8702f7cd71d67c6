//! Acknowledgements that a handler asks of clients. The app has no memory between requests, so
//! what came of it goes to a handler that is named when asking, with what that handler must know.

use std::time::Duration;

use parlour_protocol::relay;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::{
    args::{Arguments, FromArgs},
    binary::reading,
    decode::decode_text,
    error::{Error, Result},
};

/// How long is waited where no `timeout` is given.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(20);

/// What an emission asks of its receivers.
#[derive(Clone)]
pub(crate) struct Asked {
    pub handler: String,
    pub context: Option<Box<RawValue>>,
    pub timeout: Duration,
}

impl Asked {
    pub fn request(&self) -> relay::AckRequest<'_> {
        relay::AckRequest {
            handler: (&self.handler).into(),
            context: self.context.as_deref(),
            timeout: u64::try_from(self.timeout.as_millis()).unwrap_or(relay::MAX_ACK_TIMEOUT),
        }
    }
}

/// What came of an `emit_with_ack`: who answered what, and who did not.
#[derive(Debug, Clone)]
pub struct Acks {
    /// In the order in which they came.
    pub replies: Vec<Reply>,
    /// Ids of the sockets that did not answer in time, or left before.
    pub missing: Vec<String>,
    context: Option<Box<RawValue>>,
}

/// One client's answer.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The socket's id, which is also the name of the room it is alone in.
    pub socket: String,
    data: Box<RawValue>,
    attachments: Vec<String>,
}

impl Acks {
    pub(crate) fn new(acks: relay::Acks<'_>) -> Self {
        let reply = |reply: relay::Reply<'_>| Reply {
            socket: reply.socket.into_owned(),
            data: reply.data.to_owned(),
            attachments: reply.attachments.into_iter().map(Into::into).collect(),
        };
        Self {
            replies: acks.replies.into_iter().map(reply).collect(),
            missing: acks.missing.into_iter().map(Into::into).collect(),
            context: acks.context.map(RawValue::to_owned),
        }
    }

    /// What each of those who answered said, in the order in which the answers came.
    pub fn answers<A: FromArgs>(&self) -> Result<Vec<A>> {
        self.replies.iter().map(Reply::args).collect()
    }

    /// What was given when asking.
    pub fn context<T: DeserializeOwned>(&self) -> Result<T> {
        let context = self
            .context
            .as_ref()
            .map_or("null", |context| context.get());
        decode_text(context).map_err(|error| {
            Error::internal(format!(
                "the context of the acks is not as expected: {error}"
            ))
        })
    }
}

impl Reply {
    /// The arguments of the ack: one, or several in [`Args`](crate::Args).
    pub fn args<A: FromArgs>(&self) -> Result<A> {
        let args: Vec<&RawValue> = serde_json::from_str(self.data.get())
            .map_err(|error| Error::bad_request(format!("an ack that is no array: {error}")))?;
        reading(&self.attachments, || {
            A::from_args(&mut Arguments::new(&args))
        })
        .map_err(|what| Error::bad_request(format!("ack: {what}")))
    }
}
