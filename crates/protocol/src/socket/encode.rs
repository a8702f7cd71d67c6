//! Writes packets as text. Attachments follow as Engine.IO messages of their own; who sends them
//! writes them.

use std::fmt::{self, Display, Write};

use serde_json::value::RawValue;

use super::{AckId, Kind, MAIN_NAMESPACE};

/// A packet's text up to its JSON: type, attachments, namespace and id.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// [`Kind::Event`] or [`Kind::Ack`] (with attachments, their binary twins are written), or another.
    pub kind: Kind,
    pub attachments: usize,
    pub namespace: &'a str,
    pub id: Option<AckId>,
}

impl Display for Head<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let binary = self.attachments > 0;
        let kind = match self.kind {
            Kind::Event if binary => Kind::BinaryEvent,
            Kind::Ack if binary => Kind::BinaryAck,
            kind => kind,
        };
        f.write_char(char::from(b'0' + kind as u8))?;
        if matches!(kind, Kind::BinaryEvent | Kind::BinaryAck) {
            write!(f, "{}-", self.attachments)?;
        }
        if self.namespace != MAIN_NAMESPACE {
            write!(f, "{},", self.namespace)?;
        }
        match self.id {
            Some(id) => id.fmt(f),
            None => Ok(()),
        }
    }
}

/// The answer to a CONNECT: the socket's id, and the private one for recovery where there is one.
pub fn connect(namespace: &str, sid: &str, pid: Option<&str>) -> String {
    let mut text = head(Kind::Connect, namespace);
    let _ = write!(text, "{{\"sid\":{}", quoted(sid));
    if let Some(pid) = pid {
        let _ = write!(text, ",\"pid\":{}", quoted(pid));
    }
    text.push('}');
    text
}

/// The refusal of a CONNECT.
pub fn connect_error(namespace: &str, message: &str, data: Option<&RawValue>) -> String {
    let mut text = head(Kind::ConnectError, namespace);
    let _ = write!(text, "{{\"message\":{}", quoted(message));
    if let Some(data) = data {
        let _ = write!(text, ",\"data\":{}", data.get());
    }
    text.push('}');
    text
}

/// The end of a socket, said by the server.
pub fn disconnect(namespace: &str) -> String {
    head(Kind::Disconnect, namespace)
}

fn head(kind: Kind, namespace: &str) -> String {
    Head {
        kind,
        attachments: 0,
        namespace,
        id: None,
    }
    .to_string()
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a string is JSON")
}
