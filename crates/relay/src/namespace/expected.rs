//! What one socket was asked: the ids of packets it has yet to acknowledge.

/// One emit that asked for acknowledgements: its offset, by which other relays know it as well. One that is in no
/// log has a number that no offset has.
pub type AckRequestId = u64;

#[derive(Default)]
pub struct Expected {
    next: u64,
    open: Vec<(u64, AckRequestId)>,
}

impl Expected {
    /// Gives the id that the packet for this socket carries.
    pub fn push(&mut self, ack_request: AckRequestId) -> u64 {
        let id = self.next;
        self.next += 1;
        self.open.push((id, ack_request));
        id
    }

    /// The packet of this id was acknowledged.
    pub fn take(&mut self, id: u64) -> Option<AckRequestId> {
        let at = self.open.iter().position(|(other, _)| *other == id)?;
        Some(self.open.swap_remove(at).1)
    }

    pub fn forget(&mut self, ack_request: AckRequestId) {
        self.open.retain(|(_, other)| *other != ack_request);
    }

    /// What it has not acknowledged.
    pub fn into_requests(self) -> impl Iterator<Item = AckRequestId> {
        self.open.into_iter().map(|(_, ack_request)| ack_request)
    }
}
