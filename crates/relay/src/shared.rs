//! One relay: what it is set up with, the clients it holds, and the namespaces they are in.

use std::ops::Deref;
use std::sync::Arc;

use parlour_protocol::relay::HANDSHAKE_LANE;

use crate::connection::Connections;
use crate::connection::Feeding;
use crate::core::Core;
use crate::core::bus::Bus;
use crate::core::config::Config;
use crate::core::origin::Origin;
use crate::namespace::Namespace;
use crate::namespaces::Namespaces;

/// Has all that [`Core`] has, for those who may know more than that.
pub struct Shared {
    pub core: Arc<Core>,
    pub connections: Connections,
    pub feeding: Arc<Feeding>,
    pub handshakes: Arc<Namespace>,
    pub namespaces: Namespaces,
}

impl Shared {
    pub fn new(config: Config, origin: Arc<dyn Origin>, bus: Option<Arc<dyn Bus>>) -> Shared {
        let feeding = Arc::new(Feeding::new(config.max_recovery_bytes));
        let core = Arc::new(Core::new(config, origin, bus));
        Shared {
            handshakes: Arc::new(Namespace::new(HANDSHAKE_LANE, &core, &feeding)),
            core,
            connections: Connections::default(),
            feeding,
            namespaces: Namespaces::default(),
        }
    }

    /// All namespaces, that of the handshakes as well.
    pub fn all_namespaces(&self) -> Vec<Arc<Namespace>> {
        let mut namespaces = self.namespaces.all();
        namespaces.push(self.handshakes.clone());
        namespaces
    }

    /// The text for `GET /metrics`.
    pub fn render_metrics(&self) -> String {
        let namespaces = self.all_namespaces();
        let now = namespaces
            .iter()
            .map(|namespace| (namespace.metrics().clone(), namespace.now()));
        self.metrics.render(self.ledger.total(), now)
    }
}

impl Deref for Shared {
    type Target = Core;

    fn deref(&self) -> &Core {
        &self.core
    }
}
