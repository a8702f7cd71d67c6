//! The namespaces that exist, by name.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::namespace::Namespace;

/// Locked before a namespace, never after one.
#[derive(Default)]
pub struct Namespaces(Mutex<HashMap<Box<str>, Arc<Namespace>>>);

impl Namespaces {
    /// A namespace that exists.
    pub fn find(&self, name: &str) -> Option<Arc<Namespace>> {
        self.lock().get(name).cloned()
    }

    /// Does something with a namespace while it cannot end. `begin` makes it if there is none.
    pub fn with<T>(
        &self,
        name: &str,
        begin: impl FnOnce() -> Arc<Namespace>,
        act: impl FnOnce(&Arc<Namespace>) -> T,
    ) -> T {
        let mut namespaces = self.lock();
        if let Some(namespace) = namespaces.get(name) {
            return act(namespace);
        }
        let namespace = begin();
        namespaces.insert(name.into(), namespace.clone());
        act(&namespace)
    }

    /// Ends a namespace, if it has neither sockets nor anything to send. True if it has ended.
    pub fn end(&self, namespace: &Namespace) -> bool {
        let mut namespaces = self.lock();
        let ended = namespace.is_unused();
        if ended {
            namespaces.remove(namespace.name());
        }
        ended
    }

    pub fn all(&self) -> Vec<Arc<Namespace>> {
        self.lock().values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Box<str>, Arc<Namespace>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
