//! What one namespace is made of, behind one lock.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use http::HeaderValue;
use parlour_protocol::relay::HANDSHAKE_LANE;
use parlour_protocol::socket::{self, Head, Kind};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use tokio::sync::{Notify, oneshot};

use super::batch::Queue;
use super::log::Log;
use super::pending_acks::PendingAcks;
use super::registry::Registry;
use crate::connection::Feeding;
use crate::core::Core;
use crate::core::metrics::{NamespaceMetrics, Now};
use crate::core::sid::Sid;
use crate::core::turns::Courtesy;

/// What a namespace's name may not have in a header.
const NOT_IN_HEADERS: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'%').add(b',').add(b';');

pub struct Namespace {
    pub(super) core: Arc<Core>,
    pub(super) feeding: Arc<Feeding>,
    pub(super) name: Box<str>,
    /// The same in a header.
    pub header: HeaderValue,
    /// EVENT without id and attachments, up to its JSON.
    pub(super) event_head: Box<str>,
    pub(super) disconnect_packet: Box<str>,
    /// Once somebody was let in.
    metrics: OnceLock<Arc<NamespaceMetrics>>,
    state: Mutex<State>,
    /// There is something to send.
    pub work: Notify,
    /// There is something new of the log.
    pub arrived: Notify,
    /// There is room again after the namespace was full.
    pub(super) room: Notify,
}

pub(super) struct State {
    pub(super) registry: Registry,
    pub(super) queue: Queue,
    /// Clients that ask for their earlier sessions, if they are many. What each of them is answered can be large,
    /// so they wait until those before them have read theirs, and nobody else waits for that.
    pub(super) recoveries: Queue,
    /// The last batch was of recoveries: they take turns with everything else.
    pub(super) recovered_last: bool,
    pub(super) pending_acks: PendingAcks,
    pub(super) log: Log,
    /// A socket of this namespace got a `pid`: before, no event needs an offset at its end.
    pub(super) has_sessions: bool,
    /// A batch was sent, and its answer is not carried out yet. What arrives of the log waits for it, because the
    /// answer may add sockets that must receive it.
    pub(super) in_flight: bool,
    /// Whom to let go first.
    pub(super) courtesy: Option<Courtesy>,
    /// Clients that wait to be admitted. Of the handshakes only.
    pub(super) waiting: HashMap<Sid, oneshot::Sender<Decision>>,
    /// Counts the times that commands were carried out.
    pub(super) runs: u32,
    pub(super) odd_acks: u64,
}

/// What the app says to a handshake.
#[derive(Debug, PartialEq, Eq)]
pub enum Decision {
    Admitted,
    Rejected { code: u8, message: String },
}

impl Decision {
    /// The app failed at this handshake.
    pub fn internal() -> Decision {
        Decision::Rejected {
            code: 3,
            message: "Bad request".into(),
        }
    }
}

impl Namespace {
    pub fn new(name: &str, core: &Arc<Core>, feeding: &Arc<Feeding>) -> Namespace {
        let header = utf8_percent_encode(name, NOT_IN_HEADERS).to_string();
        let head = Head {
            kind: Kind::Event,
            attachments: 0,
            namespace: name,
            id: None,
        };
        Namespace {
            core: core.clone(),
            feeding: feeding.clone(),
            name: name.into(),
            header: HeaderValue::from_str(&header)
                .expect("percent-encoded text is legal in a header"),
            event_head: head.to_string().into(),
            disconnect_packet: socket::disconnect(name).into(),
            metrics: OnceLock::new(),
            state: Mutex::new(State {
                registry: Registry::default(),
                queue: Queue::new(false),
                recoveries: Queue::new(true),
                recovered_last: false,
                pending_acks: PendingAcks::default(),
                log: Log::default(),
                has_sessions: false,
                in_flight: false,
                courtesy: None,
                waiting: HashMap::default(),
                runs: 0,
                odd_acks: 0,
            }),
            work: Notify::new(),
            arrived: Notify::new(),
            room: Notify::new(),
        }
    }

    pub fn is_handshakes(&self) -> bool {
        *self.name == *HANDSHAKE_LANE
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Locked before a connection, never after one.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody was let in: the namespace is the app's, and not only a name that a client asks for.
    pub(super) fn has_metrics(&self) {
        self.metrics
            .get_or_init(|| self.core.metrics.of(&self.name));
    }

    pub fn metrics(&self) -> &Arc<NamespaceMetrics> {
        match self.metrics.get() {
            Some(own) => own,
            None if self.is_handshakes() => &self.core.metrics.handshakes,
            None => &self.core.metrics.other,
        }
    }

    /// What it holds at this moment.
    pub fn now(&self) -> Now {
        let state = self.lock();
        Now {
            sockets: state.registry.sockets(),
            rooms: state.registry.rooms(),
            queue_bytes: state.queue.bytes() + state.recoveries.bytes(),
        }
    }

    /// Whether everything was sent and answered.
    pub fn is_idle(&self) -> bool {
        let state = self.lock();
        state.is_idle()
    }

    pub fn is_unused(&self) -> bool {
        let state = self.lock();
        state.is_idle() && state.registry.is_empty()
    }
}

impl State {
    /// Whether the log is of no interest: nobody is here who could receive it, nor about to enter.
    pub(super) fn is_deaf(&self) -> bool {
        self.registry.is_empty() && !self.in_flight
    }

    fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.recoveries.is_empty() && !self.in_flight
    }
}
