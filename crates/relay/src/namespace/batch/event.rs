//! An event of a batch. The relay writes its JSON once, when it comes, but for what can still change of it: the index of
//! its socket, which is another one in a part of the batch, and what the relay learns until it sends the event again.

use serde_json::value::RawValue;

use crate::connection::Place;
use crate::core::ledger::Charge;
use crate::core::sid::Sid;
use crate::namespace::text::Text;

pub struct Event {
    pub kind: Kind,
    /// The index of its socket in the batch, if it names one.
    pub socket: Option<u32>,
    /// Where its JSON ends in the batch's text. It begins where that of the event before it ends.
    pub end: u32,
}

pub enum Kind {
    Open(Box<Open>),
    Connect(Box<Connect>),
    Renew,
    Packet,
    /// `unhandled`: the app must forget the socket without its handlers.
    Disconnect {
        unhandled: bool,
    },
    /// With what it is counted as until the batch is answered.
    Acks(#[expect(dead_code, reason = "it counts until it is dropped")] Charge),
    Tick,
}

pub struct Open {
    pub connection: Sid,
    /// What it is counted as until the batch is answered.
    #[expect(dead_code, reason = "it counts until it is dropped")]
    pub charge: Charge,
}

/// What can change of a `connect` event, and who waits for its answer.
#[derive(Clone)]
pub struct Connect {
    pub place: Place,
    /// The client asks for an earlier session.
    pub claims_session: bool,
    /// What the app gave back for it. The middleware has judged it then.
    pub progress: Option<Box<RawValue>>,
    /// Whether the owner of the session that it asks for answers, if the relay has found that out.
    pub owner_answers: Option<bool>,
}

/// A `connect` event that is sent again.
pub struct ConnectAgain {
    pub connect: Box<Connect>,
    /// Its JSON, but for what can change.
    pub text: Box<str>,
}

impl Event {
    /// Writes its JSON. `text`: what is in the batch's text.
    pub fn write(&self, text: &str, out: &mut Text) {
        let Some(socket) = self.socket else {
            return out.extend([text]);
        };
        out.extend([
            match &self.kind {
                Kind::Connect(_) => r#"{"connect":{"socket":"#,
                Kind::Renew => r#"{"renew":{"socket":"#,
                Kind::Disconnect { .. } => r#"{"disconnect":{"socket":"#,
                _ => r#"{"packet":{"socket":"#,
            },
            itoa::Buffer::new().format(socket),
        ]);
        if let Kind::Connect(connect) = &self.kind {
            out.extend_if(
                ",\"progress\":",
                connect.progress.as_deref().map(RawValue::get),
            );
            out.extend_if(",\"owner\":", connect.owner());
        }
        let is_unhandled = matches!(self.kind, Kind::Disconnect { unhandled: true });
        let end = if is_unhandled {
            ",\"unhandled\":true}}"
        } else {
            "}}"
        };
        out.extend([text, end]);
    }
}

impl Connect {
    pub fn new(place: Place, claims_session: bool) -> Connect {
        Connect {
            place,
            claims_session,
            progress: None,
            owner_answers: None,
        }
    }

    /// Keeps what the app gave back, which is an object, instead of what it gave back before.
    pub fn note_progress(&mut self, progress: &RawValue) {
        let is_object = progress.get().starts_with('{');
        self.progress = is_object.then(|| progress.to_owned());
    }

    /// Bytes of what can change.
    pub fn bytes(&self) -> usize {
        self.progress.as_deref().map_or(0, |it| it.get().len())
    }

    fn owner(&self) -> Option<&'static str> {
        Some(match self.owner_answers? {
            true => "\"answers\"",
            false => "\"silent\"",
        })
    }
}

impl ConnectAgain {
    pub fn bytes(&self) -> usize {
        self.text.len() + self.connect.bytes()
    }
}
