//! What a handler fails with, and what the client sees of it.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

/// The code of what is nobody's business but the server's.
const INTERNAL: &str = "internal";

/// What handlers return.
pub type Result<T = (), E = Error> = std::result::Result<T, E>;

/// A failure with a code that programs read and a message that people read.
///
/// In an event handler it becomes the ack `{error: {code, message, data?}}`; in `on_connect` the
/// client's `connect_error`, with `data` (`{code}` if there is none). The message of an error whose code is
/// `internal` goes to the log instead, with the namespace and the event's name.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Error {
    pub code: Cow<'static, str>,
    pub message: String,
    pub data: Option<Box<RawValue>>,
}

impl Error {
    pub fn new(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            message: message.into(),
            data: None,
        }
    }

    /// The client's arguments are not what the event takes.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new("bad_request", message)
    }

    /// Nothing the client could do differently: it hears no more than that. The message goes to the log.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(INTERNAL, message)
    }

    pub(crate) fn is_internal(&self) -> bool {
        self.code == INTERNAL
    }

    /// What clients read.
    pub(crate) fn public_message(&self) -> &str {
        match self.is_internal() {
            true => "the app failed at this event",
            false => &self.message,
        }
    }

    /// Adds data for the client's program.
    pub fn with_data(mut self, data: impl Serialize) -> Self {
        self.data = to_raw_value(&data).ok();
        self
    }

    /// The argument of the ack.
    pub(crate) fn answer(&self) -> impl Serialize + '_ {
        #[derive(Serialize)]
        struct Answer<'a> {
            error: Body<'a>,
        }
        #[derive(Serialize)]
        struct Body<'a> {
            code: &'a str,
            message: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            data: Option<&'a RawValue>,
        }
        Answer {
            error: Body {
                code: &self.code,
                message: self.public_message(),
                data: self.data.as_deref(),
            },
        }
    }
}

/// Something of ours could not be written as JSON.
pub(crate) fn unwritable(error: serde_json::Error) -> Error {
    Error::internal(format!("cannot write the answer as JSON: {error}"))
}
