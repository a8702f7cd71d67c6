//! That a client is in a namespace. A connection keeps it, and knows no more of a namespace than what clients do
//! with one.

use std::sync::Arc;
use std::time::Duration;

use parlour_protocol::socket::AckId;
use tokio::sync::Notify;

use crate::wire::flow::Flow;

/// A socket's number in its namespace. Another socket may have it later.
pub type Slot = u32;

/// One socket and no other: its slot, and which of all that ever had one it is. Unlike its id it never
/// changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub slot: Slot,
    pub stamp: u32,
}

/// That the client is in a namespace, or asks to be. A client that asks again before it is answered has one for
/// each time.
#[derive(Clone)]
pub struct Membership {
    pub namespace: Arc<dyn AnyNamespace>,
    pub place: Place,
    /// The app has let it in.
    pub is_in: bool,
}

impl Membership {
    /// Whether it is of this namespace.
    pub fn is_of(&self, namespace: &dyn AnyNamespace) -> bool {
        std::ptr::addr_eq(&raw const *self.namespace, namespace)
    }

    /// Until this socket may send more.
    pub fn until_room(&self) -> Until {
        Until::Room(self.namespace.clone(), Some(self.place))
    }
}

/// A namespace, as those see it who are in it. No connection may be locked when a function of it is called: a
/// namespace locks itself, and then connections.
pub trait AnyNamespace: Send + Sync {
    fn name(&self) -> &str;

    /// The packet that tells a client that it is in there no more.
    fn disconnect_packet(&self) -> &str;

    /// The client sent an event, which is taken whatever follows. `data` is its JSON array. `Stop` means that its socket
    /// has sent more than it may for long.
    fn event(
        &self,
        member: &Membership,
        id: Option<AckId>,
        data: &str,
        attachments: &[Vec<u8>],
    ) -> Flow<Until>;

    /// The client acknowledged a packet. `data` is its JSON array.
    fn acknowledged(
        &self,
        member: &Membership,
        id: AckId,
        data: &str,
        attachments: &[Vec<u8>],
    ) -> Flow<Until>;

    /// The socket leaves: its client said so, or the connection is gone.
    fn left(&self, place: Place, reason: &'static str);

    /// Ends the socket if its client's token has ended. The client is not told.
    fn expire(&self, place: Place) -> Lease;

    /// Whether this socket, or whoever has none yet, may send more.
    fn has_room(&self, place: Option<Place>) -> bool;

    /// Tells when there is room again after there was none.
    fn room(&self) -> &Notify;
}

/// Until when a client is not read.
pub enum Until {
    /// This namespace has room, for more of this socket if it has one.
    Room(Arc<dyn AnyNamespace>, Option<Place>),
    /// So much time has passed.
    Later(Duration),
    /// The app has taken, or the client has read, enough of what is kept for it.
    Relief,
}

/// How long a socket may stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lease {
    /// Until then: milliseconds since 1970.
    Until(u64),
    Endless,
    /// It has ended.
    Over,
}

/// Returns when this socket, or whoever is in no namespace yet, may send events again.
pub async fn wait_for_room(namespace: &dyn AnyNamespace, place: Option<Place>) {
    loop {
        let room = namespace.room().notified();
        if namespace.has_room(place) {
            return;
        }
        room.await;
    }
}
