//! A socket of the batch: what the relay said of it, and what the batch has changed since.

use std::cell::{OnceCell, RefCell};

use parlour_protocol::relay;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

/// What the relay keeps for us between events.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct State {
    /// Public: also in the database, for whoever lists the members of a room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Box<RawValue>>,
    /// Private: what the namespace's middleware said of the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claims: Option<Box<RawValue>>,
}

pub(crate) struct Peer {
    pub id: String,
    pub connection: String,
    /// Without its own.
    pub rooms: RefCell<Vec<String>>,
    given: Option<Box<RawValue>>,
    state: OnceCell<RefCell<State>>,
}

impl Peer {
    pub fn new(socket: relay::Socket<'_>) -> Self {
        Self {
            id: socket.id.into_owned(),
            connection: socket.connection.into_owned(),
            rooms: RefCell::new(
                socket
                    .rooms
                    .into_iter()
                    .map(|room| room.into_owned())
                    .collect(),
            ),
            given: socket.state.map(RawValue::to_owned),
            state: OnceCell::new(),
        }
    }

    /// Most events never look at it, so it is parsed when one does.
    pub fn state(&self) -> &RefCell<State> {
        self.state.get_or_init(|| {
            let given = self.given.as_ref();
            let state = given.and_then(|given| serde_json::from_str(given.get()).ok());
            RefCell::new(state.unwrap_or_default())
        })
    }

    /// The public data as JSON.
    pub fn data(&self) -> String {
        let state = self.state().borrow();
        state
            .data
            .as_ref()
            .map_or("null", |data| data.get())
            .to_owned()
    }

    /// The state for the relay; none if it is empty.
    pub fn to_relay(&self) -> Option<Box<RawValue>> {
        let state = self.state().borrow();
        let is_empty = state.data.is_none() && state.claims.is_none();
        (!is_empty).then(|| to_raw_value(&*state).ok()).flatten()
    }
}
