//! Whether this process lives, and whether it can serve. The second is tried out, not concluded: the app
//! is asked to write to its databases.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use parlour_listener::Shortage;
use tokio::sync::Mutex;

use crate::core::Life;
use crate::core::config::{MAX_HTTP_BUFFER, PROBE_LASTS, PROBE_TIMEOUT, PULSE_EVERY, PULSE_LATE};
use crate::core::origin::Body;
use crate::delivery;
use crate::shared::Shared;

pub struct Health {
    start: Instant,
    /// Milliseconds after `start` at which the runtime last showed that it works.
    pulse: AtomicU64,
    stopping: AtomicBool,
    shortage: OnceLock<Shortage>,
    /// When the app was last asked, and what came of it. Who asks meanwhile waits for the same answer.
    probed: Mutex<Option<(Instant, Result<(), String>)>>,
}

impl Default for Health {
    fn default() -> Health {
        Health {
            start: Instant::now(),
            pulse: AtomicU64::new(0),
            stopping: AtomicBool::new(false),
            shortage: OnceLock::new(),
            probed: Mutex::default(),
        }
    }
}

impl Health {
    /// The clients' listener can run out of descriptors.
    pub fn watch(&self, shortage: Shortage) {
        let _ = self.shortage.set(shortage);
    }

    /// The relay takes no new clients any more.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Why this process should be started anew, if it should.
    pub fn alive(&self) -> Result<(), String> {
        let pulse = self.pulse.load(Ordering::Relaxed);
        let late = self.millis().saturating_sub(pulse);
        if u128::from(late) < PULSE_LATE.as_millis() {
            return Ok(());
        }
        Err(format!(
            "the runtime is stuck: it has done nothing for {} s",
            late / 1000
        ))
    }

    fn millis(&self) -> u64 {
        self.start.elapsed().as_millis() as u64
    }
}

/// Shows again and again that tasks run, and that no namespace is locked for good.
pub async fn beat(shared: Arc<Shared>, health: Arc<Health>) {
    loop {
        for namespace in shared.all_namespaces() {
            let _ = namespace.is_idle();
        }
        health.pulse.store(health.millis(), Ordering::Relaxed);
        tokio::time::sleep(PULSE_EVERY).await;
    }
}

/// Why no clients should be sent here, if none should.
pub async fn ready(shared: &Shared, health: &Health) -> Result<(), String> {
    if health.stopping.load(Ordering::Relaxed) {
        return Err("the relay is stopping".into());
    }
    if *shared.life.borrow() == Life::Superseded {
        return Err("another relay of the same name has taken over".into());
    }
    if let Some(error) = health.shortage.get().and_then(Shortage::now) {
        return Err(format!("connections cannot be accepted: {error}"));
    }
    let mut probed = health.probed.lock().await;
    match &*probed {
        Some((when, outcome)) if when.elapsed() < PROBE_LASTS => outcome.clone(),
        _ => {
            let outcome = probe(shared).await;
            *probed = Some((Instant::now(), outcome.clone()));
            outcome
        }
    }
}

/// Asks the app whether its components, and its databases, can do their work.
async fn probe(shared: &Shared) -> Result<(), String> {
    let [handshakes, batches] = delivery::probes(shared).map(|request| ask(shared, request));
    let both = async { tokio::try_join!(handshakes, batches) };
    match tokio::time::timeout(PROBE_TIMEOUT, both).await {
        Ok(outcome) => outcome.map(|_| ()),
        Err(_) => Err(format!("the app did not answer within {PROBE_TIMEOUT:?}")),
    }
}

async fn ask(shared: &Shared, request: Request<Body>) -> Result<(), String> {
    let path = request.uri().path().to_owned();
    let response = shared.origin.call(request).await;
    let (head, body) = response.map_err(|error| error.to_string())?.into_parts();
    let body = Limited::new(body, MAX_HTTP_BUFFER).collect().await;
    let body = body.map_err(|error| format!("the app's answer broke off: {error}"))?;
    match head.status {
        StatusCode::OK => Ok(()),
        status => Err(format!(
            "the app said {status} at {path}: {}",
            shown(&body.to_bytes())
        )),
    }
}

fn shown(body: &Bytes) -> String {
    String::from_utf8_lossy(&body[..body.len().min(500)]).into_owned()
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpStream};
    use std::time::Duration;

    use tokio::net::TcpListener;

    use super::*;
    use crate::{Config, HttpOrigin, Relay};

    fn get(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nconnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn a_runtime_that_is_stuck_is_not_alive_until_it_goes_on() {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let origin = Arc::new(HttpOrigin::new("http://127.0.0.1:9").unwrap());
        let relay = Relay::new(Config::default(), origin);
        let bind = || runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let (clients, control) = (bind(), bind());
        let address = control.local_addr().unwrap();
        let forever = std::future::pending;
        let (one, other) = (relay.clone(), relay);
        runtime.spawn(async move { one.serve(clients, forever()).await });
        runtime.spawn(async move { other.serve_control(control, forever()).await });
        assert!(get(address, "/healthz").starts_with("HTTP/1.1 200"));
        assert!(get(address, "/readyz").contains("no connection to the app"));

        let (release, held) = std::sync::mpsc::channel::<()>();
        runtime.spawn(async move {
            let _ = held.recv();
        });
        let wait_for = |status: &str| {
            while !get(address, "/healthz").starts_with(status) {
                std::thread::sleep(Duration::from_millis(50));
            }
        };
        wait_for("HTTP/1.1 503");
        assert!(get(address, "/readyz").contains("the runtime is stuck"));
        drop(release);
        wait_for("HTTP/1.1 200");
        runtime.shutdown_background();
    }
}
