//! A component that answers requests: how its instances are made, reused and let go, with Spin's
//! limits. Knows one component; which request is for it is decided elsewhere.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    pin::Pin,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use wasmtime::{
    Result, Store, StoreContextMut,
    component::{GuestTaskId, ResourceTable},
};
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{
    WasiHttpCtx, WasiHttpCtxView, WasiHttpView,
    handler::{
        HandlerState, Instance, ProxyHandler, ProxyPre, ShouldAccept, WorkerExpiration,
        WorkerState, WorkerStatus,
    },
};

use crate::{
    component_variables::VariablesState,
    hosts::AllowedHosts,
    limits::{Computing, Deadline, Memory, Timer},
    outbound::{Application, Client, Incoming, Outbound, Trap},
    sqlite::{Databases, SqliteState, SqliteView},
    stdio::ComponentOutput,
};

/// Requests an instance serves before it is dropped.
const MAX_REQUESTS: usize = 128;
/// Requests an instance serves at once.
const MAX_CONCURRENT_REQUESTS: usize = 16;
/// How long an instance is kept without a request.
const IDLE_TIMEOUT: Duration = Duration::from_secs(1);

/// Hands requests to a component's instances.
pub type Service = ProxyHandler<ComponentService>;

/// Everything an instance of a component is made of.
pub struct ComponentService {
    pub pre: ProxyPre<State>,
    pub environment: Vec<(String, String)>,
    /// A directory that the guest sees, read-only, as `/`.
    pub files: Option<PathBuf>,
    pub output: ComponentOutput,
    pub allowed_hosts: Arc<AllowedHosts>,
    pub allowed_databases: Arc<BTreeSet<String>>,
    pub databases: Arc<Databases>,
    pub variables: VariablesState,
    pub application: Weak<dyn Application>,
    /// For requests that leave the application.
    pub client: Arc<Client>,
    /// How long it may take to answer a request; none is no limit.
    pub request_timeout: Option<Duration>,
    /// Bytes of memory that an instance may have.
    pub max_memory: usize,
    pub life: Life,
}

/// When instances have to go, and whether they are gone.
#[derive(Clone)]
pub struct Life {
    pub stopping: CancellationToken,
    /// Each instance holds one; when all are dropped, all instances are gone.
    pub alive: mpsc::WeakSender<()>,
}

/// What an instance owns on the host's side.
pub struct State {
    table: ResourceTable,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    outbound: Outbound,
    incoming: Incoming,
    pub sqlite: SqliteState,
    pub variables: VariablesState,
    memory: Memory,
    /// Dropped with the instance; see [`Life`].
    _alive: Option<mpsc::Sender<()>>,
}

impl State {
    /// The databases of the instance, for the linker.
    pub fn sqlite(&mut self) -> SqliteView<'_> {
        SqliteView {
            state: &mut self.sqlite,
            table: &mut self.table,
        }
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl State {
    /// The way in for requests, see [`Incoming`].
    fn incoming(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            ctx: &mut self.http,
            table: &mut self.table,
            hooks: &mut self.incoming,
        }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            ctx: &mut self.http,
            table: &mut self.table,
            hooks: &mut self.outbound,
        }
    }
}

impl ComponentService {
    fn state(&self, trap: Arc<Trap>) -> Result<State> {
        let mut wasi = WasiCtx::builder();
        wasi.envs(&self.environment)
            .stdout(self.output.stdout.clone())
            .stderr(self.output.stderr.clone());
        if let Some(files) = &self.files {
            wasi.preopened_dir(files, "/", FsPerms::ReadOnly)?;
        }
        Ok(State {
            table: ResourceTable::new(),
            wasi: wasi.build(),
            http: WasiHttpCtx::new(),
            incoming: Incoming,
            outbound: Outbound {
                allowed: self.allowed_hosts.clone(),
                application: self.application.clone(),
                client: self.client.clone(),
                trap,
            },
            sqlite: SqliteState {
                databases: self.databases.clone(),
                allowed: self.allowed_databases.clone(),
                open: 0,
                gone: Arc::default(),
            },
            variables: self.variables.clone(),
            memory: Memory::new(self.variables.component.to_string(), self.max_memory),
            _alive: self.life.alive.upgrade(),
        })
    }

    fn engine(&self) -> &wasmtime::Engine {
        match &self.pre {
            ProxyPre::P2(pre) => pre.engine(),
            ProxyPre::P3(pre) => pre.engine(),
        }
    }
}

impl HandlerState for ComponentService {
    type StoreData = State;
    type WorkerExpiration = Expiration;
    type WorkerState = Worker;

    async fn instantiate(&self) -> Result<Instance<State, Expiration, Worker>> {
        let trap = Arc::new(Trap::default());
        let mut store = Store::new(self.engine(), self.state(trap.clone())?);
        store.limiter(|state| &mut state.memory);
        let expired = Arc::new(AtomicBool::new(false));
        let computing = Arc::new(Computing::default());
        computing.watch(&mut store);
        let made = self.pre.instantiate_async(&mut store);
        let proxy = match self.request_timeout {
            Some(limit) => tokio::time::timeout(limit, made).await??,
            None => made.await?,
        };
        Ok(Instance {
            store,
            proxy,
            view: match self.pre {
                ProxyPre::P2(_) => State::http,
                ProxyPre::P3(_) => State::incoming,
            },
            expiration: Expiration {
                idle: Timer::new(Some(IDLE_TIMEOUT)),
                request: Timer::new(self.request_timeout),
                computing: Deadline::new(computing, self.request_timeout),
                expired: expired.clone(),
                stopped: Box::pin(self.life.stopping.clone().cancelled_owned()),
                stopping: self.life.stopping.clone(),
                trap,
            },
            state: Worker {
                component: self.variables.component.to_string(),
                request_timeout: self.request_timeout,
                expired,
                // WASI 0.2 has no way to serve a second request in the same instance.
                max_requests: match self.pre {
                    ProxyPre::P2(_) => 1,
                    ProxyPre::P3(_) => MAX_REQUESTS,
                },
            },
        })
    }
}

/// Ends an instance that is idle, that was too late with a request and has no other, that computes
/// without end, or whose [`Trap`] is set. One that only sends an answer to a slow reader may
/// take as long as it likes.
pub struct Expiration {
    idle: Timer,
    request: Timer,
    computing: Deadline,
    /// Whether a request has expired.
    expired: Arc<AtomicBool>,
    stopped: Pin<Box<WaitForCancellationFutureOwned>>,
    stopping: CancellationToken,
    trap: Arc<Trap>,
}

impl WorkerExpiration for Expiration {
    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        status: WorkerStatus,
        since: Instant,
    ) -> Poll<()> {
        if self.trap.poll(cx).is_ready() || self.computing.poll() {
            return Poll::Ready(());
        }
        match status {
            WorkerStatus::PostReturn if self.expired.load(Relaxed) => Poll::Ready(()),
            WorkerStatus::PostReturn => Poll::Pending,
            WorkerStatus::Requests => self.request.poll(cx, since),
            WorkerStatus::Idle => {
                if self.stopping.is_cancelled() || self.stopped.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(());
                }
                self.idle.poll(cx, since)
            }
        }
    }
}

/// How many requests an instance takes.
pub struct Worker {
    component: String,
    request_timeout: Option<Duration>,
    expired: Arc<AtomicBool>,
    max_requests: usize,
}

impl WorkerState for Worker {
    type StoreData = State;
    type RequestData = ();

    fn should_accept_request(&self, concurrent: usize, total: usize) -> ShouldAccept {
        if total >= self.max_requests {
            ShouldAccept::Never
        } else if concurrent >= MAX_CONCURRENT_REQUESTS {
            ShouldAccept::No
        } else {
            ShouldAccept::Yes
        }
    }

    fn on_request_start(
        &self,
        _: StoreContextMut<'_, State>,
        (): (),
        _: GuestTaskId,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + Sync>> {
        let Some(limit) = self.request_timeout else {
            return Box::pin(std::future::pending());
        };
        let expired = self.expired.clone();
        Box::pin(async move {
            tokio::time::sleep(limit).await;
            expired.store(true, Relaxed);
        })
    }

    fn drop(&self, store: Store<State>, result: Result<()>) {
        if let Err(error) = result {
            tracing::error!(component = self.component, "an instance failed: {error:?}");
        }
        drop(store);
    }
}
