//! The relay from outside: real sockets on one side, a small app in this process on the other.

mod app;
mod backpressure;
mod bus;
mod client;
mod delivery;
mod engine;
mod failures;
mod heartbeat;
mod identity;
mod lifecycle;
mod malformed;
mod namespaces;
mod offsets;
mod order;
mod origin;
mod parts;
mod proxy;
mod reasons;
mod recovery;
mod sockets;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parlour_relay::{Bus, Config, Relay};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use app::App;

pub struct Server {
    pub address: SocketAddr,
    pub app: Arc<App>,
    pub relay: Relay,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<anyhow::Result<()>>,
}

/// Timers that no test waits for unless it sets them.
pub fn config() -> Config {
    Config {
        relay: "test".into(),
        secret: "secret".into(),
        ..Config::default()
    }
}

pub async fn start() -> Server {
    start_with(config()).await
}

pub async fn start_with(config: Config) -> Server {
    serve(config, App::new(), None).await
}

pub async fn serve(config: Config, app: Arc<App>, bus: Option<Arc<dyn Bus>>) -> Server {
    let relay = match bus {
        Some(bus) => Relay::with_bus(config, app.clone(), bus),
        None => Relay::new(config, app.clone()),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let serving = relay.clone();
    let task = tokio::spawn(async move {
        serving
            .serve(listener, async {
                let _ = stopped.await;
            })
            .await
    });
    Server {
        address,
        app,
        relay,
        stop: Some(stop),
        task,
    }
}

impl Server {
    /// Tells the relay to stop. Its end is another matter: see `ended`.
    pub fn stop(&mut self) {
        let _ = self.stop.take().unwrap().send(());
    }

    /// The relay ends by itself: the test must not make it.
    pub fn stop_later(&mut self) {
        std::mem::forget(self.stop.take());
    }

    pub async fn ended(self) -> anyhow::Result<()> {
        client::patiently("the relay to end", self.task)
            .await
            .unwrap()
    }
}

pub const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
