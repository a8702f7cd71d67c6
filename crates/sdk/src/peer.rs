//! A socket of the batch: what the relay said of it, and what the batch has changed since.

use std::{
    any::Any,
    borrow::Cow,
    cell::{Cell, OnceCell, RefCell},
    rc::Rc,
};

use parlour_protocol::relay;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::{RawValue, to_raw_value};

use crate::{decode::decode, handshake::Handshake};

/// What the relay keeps for us between events.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct State {
    /// Public: also in the database, for whoever lists the members of a room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Box<RawValue>>,
    /// Private: what the namespace's middleware said of the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claims: Option<Box<RawValue>>,
    /// Private: how the client came, where the namespace wants to know that later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handshake: Option<Box<RawValue>>,
}

pub(crate) struct Peer {
    /// The id that the relay knows it by in this batch.
    pub given_id: String,
    /// The id of the session that it has resumed.
    former_id: OnceCell<String>,
    pub connection: String,
    /// Without its own.
    pub rooms: RefCell<Vec<String>>,
    /// Whether it is in the namespace, at this point of the batch.
    pub is_in: Cell<bool>,
    given: Option<Box<RawValue>>,
    state: OnceCell<RefCell<State>>,
    handshake: OnceCell<Option<Handshake>>,
    /// As a handler has read them last.
    claims: RefCell<Option<Rc<dyn Any>>>,
}

impl Peer {
    pub fn new(socket: relay::Socket<'_>) -> Self {
        let rooms = socket.rooms.into_iter();
        Self {
            given_id: socket.id.into_owned(),
            former_id: OnceCell::new(),
            connection: socket.connection.into_owned(),
            rooms: RefCell::new(rooms.map(|room| room.into_owned()).collect()),
            is_in: Cell::new(true),
            given: socket.state.map(RawValue::to_owned),
            state: OnceCell::new(),
            handshake: OnceCell::new(),
            claims: RefCell::default(),
        }
    }

    /// Socket.IO's id.
    pub fn id(&self) -> &str {
        self.former_id.get().unwrap_or(&self.given_id)
    }

    /// It is the socket that it was before its connection was lost.
    pub fn resume(&self, id: String) {
        // A socket connects once, and so resumes one session at most.
        let _ = self.former_id.set(id);
    }

    /// Whether an emission to any of `rooms` (to everyone, if there are none) and none of `except` is
    /// for it, too.
    pub fn is_reached(&self, rooms: &[String], except: &[String]) -> bool {
        let own = self.rooms.borrow();
        let is_in = |room: &String| *room == *self.id() || own.contains(room);
        self.is_in.get()
            && (rooms.is_empty() || rooms.iter().any(is_in))
            && !except.iter().any(is_in)
    }

    /// Most events never look at it, so it is parsed when one does.
    pub fn state(&self) -> &RefCell<State> {
        self.state.get_or_init(|| {
            let given = self.given.as_ref();
            let state = given.and_then(|given| serde_json::from_str(given.get()).ok());
            RefCell::new(state.unwrap_or_default())
        })
    }

    /// The handshake that was kept, if it was.
    pub fn kept_handshake(&self) -> Option<&Handshake> {
        let kept = self.handshake.get_or_init(|| {
            let state = self.state().borrow();
            let json = state.handshake.as_ref()?;
            Handshake::of_kept(json.get())
        });
        kept.as_ref()
    }

    /// What the middleware said of the client, read once; none if it said nothing.
    pub fn claims<T: DeserializeOwned + 'static>(&self) -> Result<Option<Rc<T>>, String> {
        let known = self.claims.borrow().clone();
        if let Some(known) = known.and_then(|known| known.downcast().ok()) {
            return Ok(Some(known));
        }
        let state = self.state().borrow();
        let Some(json) = &state.claims else {
            return Ok(None);
        };
        let claims = Rc::new(decode::<T>(json).map_err(|problem| problem.to_string())?);
        self.claims.replace(Some(claims.clone()));
        Ok(Some(claims))
    }

    /// Replaces what the middleware said of the client.
    pub fn set_claims(&self, claims: Box<RawValue>) {
        self.claims.take();
        self.state().borrow_mut().claims = Some(claims);
    }

    /// The public data as JSON.
    pub fn data(&self) -> String {
        let state = self.state().borrow();
        let data = state.data.as_ref();
        data.map_or("null", |data| data.get()).to_owned()
    }

    /// Who it belongs to.
    pub fn user(&self) -> String {
        user(self.id(), &self.data()).into_owned()
    }

    /// What only this namespace sees, as JSON, to be kept with a session; none if there is nothing.
    pub fn private(&self) -> Option<String> {
        let state = State {
            data: None,
            ..self.state().borrow().clone()
        };
        let is_empty = state.claims.is_none() && state.handshake.is_none();
        (!is_empty)
            .then(|| serde_json::to_string(&state).ok())
            .flatten()
    }

    /// Becomes what it was when its session was interrupted.
    pub fn restore(&self, data: &str, private: Option<&str>) {
        let kept: Option<State> = private.and_then(|text| serde_json::from_str(text).ok());
        let data = (data != "null").then(|| RawValue::from_string(data.to_owned()).ok());
        self.claims.take();
        *self.state().borrow_mut() = State {
            data: data.flatten(),
            ..kept.unwrap_or_default()
        };
    }

    /// The state for the relay; none if it is empty.
    pub fn to_relay(&self) -> Option<Box<RawValue>> {
        let state = self.state().borrow();
        let is_empty = state.data.is_none() && state.claims.is_none() && state.handshake.is_none();
        (!is_empty).then(|| to_raw_value(&*state).ok()).flatten()
    }
}

/// Who a socket belongs to, as `wit/rooms.wit` has it: the text `id` of its data (JSON), or its own id.
pub(crate) fn user<'a>(socket: &'a str, data: &'a str) -> Cow<'a, str> {
    #[derive(Deserialize)]
    struct Data<'a> {
        #[serde(borrow)]
        id: Cow<'a, str>,
    }
    // serde would also read the first element of an array.
    let is_object = data.trim_start().starts_with('{');
    let data = is_object.then(|| serde_json::from_str::<Data<'a>>(data).ok());
    match data.flatten() {
        Some(Data { id }) if !id.is_empty() => id,
        _ => socket.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_belongs_to_the_user_that_its_data_name() {
        assert_eq!(user("s", r#" {"name":"Ada","id":"ad\u0061"}"#), "ada");
        for data in [
            "null",
            r#""ada""#,
            r#"["ada"]"#,
            r#"{"id":7}"#,
            r#"{"id":""}"#,
            "{}",
        ] {
            assert_eq!(user("s", data), "s", "{data}");
        }
    }

    #[test]
    fn state_comes_back_as_it_went() {
        let text = r#"{"data":"ada","claims":{"sub":"a" , "n":1.0}}"#;
        let socket = relay::Socket {
            id: "x".into(),
            connection: "c".into(),
            state: Some(serde_json::from_str(text).unwrap()),
            rooms: Vec::new(),
        };
        let peer = Peer::new(socket);
        assert_eq!(peer.data(), "\"ada\"");
        assert_eq!(
            peer.private().as_deref(),
            Some(r#"{"claims":{"sub":"a" , "n":1.0}}"#)
        );
        assert_eq!(peer.to_relay().unwrap().get(), text);
        let (data, private) = (peer.data(), peer.private());
        peer.restore("1", None);
        assert_eq!(peer.to_relay().unwrap().get(), r#"{"data":1}"#);
        peer.restore(&data, private.as_deref());
        assert_eq!(peer.to_relay().unwrap().get(), text);
    }
}
