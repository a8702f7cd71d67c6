//! The register of all connections: by number and, while they are open, by session id.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustc_hash::FxBuildHasher;
use slab::Slab;

use crate::connection::Connection;
use crate::core::sid::Sid;
use crate::core::timers::Timer;

#[derive(Default)]
pub struct Connections {
    registered: Mutex<Registered>,
    stamps: AtomicU32,
}

#[derive(Default)]
struct Registered {
    by_key: Slab<Arc<Connection>>,
    by_id: HashMap<Sid, u32, FxBuildHasher>,
}

impl Connections {
    /// Registers the connection that `make` makes of its key and stamp.
    pub fn open(&self, make: impl FnOnce(u32, u32) -> Connection) -> Arc<Connection> {
        let stamp = self.stamps.fetch_add(1, Ordering::Relaxed);
        let mut registered = self.lock();
        let vacant = registered.by_key.vacant_entry();
        let key = vacant.key() as u32;
        let connection = Arc::new(make(key, stamp));
        vacant.insert(connection.clone());
        registered.by_id.insert(connection.id, key);
        connection
    }

    pub fn find(&self, id: &str) -> Option<Arc<Connection>> {
        let id = Sid::parse(id)?;
        let registered = self.lock();
        let key = registered.by_id.get(&id)?;
        registered.by_key.get(*key as usize).cloned()
    }

    pub fn of_timer(&self, timer: Timer) -> Option<Arc<Connection>> {
        self.lock()
            .by_key
            .get(timer.key as usize)
            .filter(|it| it.stamp == timer.stamp)
            .cloned()
    }

    /// The connection is closed. Its session id means nothing any more, unless it polls and has to be
    /// told (then neither `gone` nor a WebSocket). `gone`: its transport has ended, too.
    pub fn close(&self, connection: &Connection, gone: bool) {
        if gone {
            self.forget(connection);
        } else if connection.is_websocket() {
            self.lock().by_id.remove(&connection.id);
        }
    }

    /// Its transport has ended.
    pub fn forget(&self, connection: &Connection) {
        let mut registered = self.lock();
        registered.by_id.remove(&connection.id);
        let key = connection.key as usize;
        if registered
            .by_key
            .get(key)
            .is_some_and(|other| other.stamp == connection.stamp)
        {
            registered.by_key.remove(key);
        }
    }

    pub fn all(&self) -> Vec<Arc<Connection>> {
        self.lock()
            .by_key
            .iter()
            .map(|(_, connection)| connection.clone())
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, Registered> {
        self.registered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
