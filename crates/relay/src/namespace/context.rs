//! What is gathered while commands are carried out.

use parlour_protocol::relay::Contest;
use serde_json::value::RawValue;

use super::outgoing::Outgoing;
use crate::connection::{Place, Slot};

/// One time that commands are carried out.
pub struct Context<'r, 'c> {
    pub outgoing: &'r mut Outgoing,
    /// Who wants a session that somebody has.
    pub contests: Vec<(Place, &'c Contest<'c>)>,
    /// Whose session has gone: they are judged as new clients.
    pub anew: Vec<Place>,
    /// Sockets that connect and are given what they have missed in pages, with what their `connect` event is to
    /// have when it comes again.
    pub paged: Vec<(Slot, &'c RawValue)>,
}

impl<'r> Context<'r, '_> {
    pub fn new(outgoing: &'r mut Outgoing) -> Self {
        Context {
            outgoing,
            contests: Vec::new(),
            anew: Vec::new(),
            paged: Vec::new(),
        }
    }
}
