//! What one instance may use: memory, and time on the processor. A guest that loops is interrupted
//! by Wasmtime's epochs: it yields at every tick, so that others run, until its time is over.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use wasmtime::{Engine, ResourceLimiter, Result, Store, UpdateDeadline};

/// How long an epoch is; Spin's are as long.
const TICK: Duration = Duration::from_millis(10);

/// Begins the engine's epochs. They end with the engine.
pub fn tick(engine: &Engine) -> std::io::Result<()> {
    let engine = engine.weak();
    let ticker = move || {
        while let Some(engine) = engine.upgrade() {
            engine.increment_epoch();
            drop(engine);
            std::thread::sleep(TICK);
        }
    };
    let thread = std::thread::Builder::new().name("epochs".to_owned());
    thread.spawn(ticker).map(drop)
}

/// Whether an instance computes without a pause, and since when.
#[derive(Default)]
pub struct Computing {
    /// Ticks in which the guest ran since it last waited for something.
    ticks: AtomicU32,
    /// Whether it has given way because of a tick, and not because it waits.
    yielded: AtomicBool,
}

impl Computing {
    /// Makes a guest of this store give way at every tick but its first, which may only be that of
    /// the time it has waited.
    pub fn watch<T>(self: &Arc<Self>, store: &mut Store<T>) {
        let computing = self.clone();
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(move |_| {
            if computing.ticks.fetch_add(1, Relaxed) == 0 {
                return Ok(UpdateDeadline::Continue(1));
            }
            computing.yielded.store(true, Relaxed);
            Ok(UpdateDeadline::YieldCustom(
                1,
                Box::pin(tokio::task::yield_now()),
            ))
        });
    }
}

/// When an instance has computed for too long. Polled whenever the instance waits or gives way.
pub struct Deadline {
    computing: Arc<Computing>,
    since: Option<Instant>,
    limit: Option<Duration>,
}

impl Deadline {
    pub fn new(computing: Arc<Computing>, limit: Option<Duration>) -> Deadline {
        Deadline {
            computing,
            since: None,
            limit,
        }
    }

    /// Whether the time is over. Nothing has to wake the caller: a guest that computes does.
    pub fn poll(&mut self) -> bool {
        if !self.computing.yielded.swap(false, Relaxed) {
            self.computing.ticks.store(0, Relaxed);
            self.since = None;
            return false;
        }
        let since = *self.since.get_or_insert_with(Instant::now);
        self.limit.is_some_and(|limit| since.elapsed() >= limit)
    }
}

/// Ready when `limit` has passed since an instant; never without a limit.
pub struct Timer {
    limit: Option<Duration>,
    sleep: std::pin::Pin<Box<tokio::time::Sleep>>,
}

impl Timer {
    pub fn new(limit: Option<Duration>) -> Timer {
        let sleep = tokio::time::sleep(limit.unwrap_or_default());
        Timer {
            limit,
            sleep: Box::pin(sleep),
        }
    }

    pub fn poll(&mut self, cx: &mut Context, since: Instant) -> Poll<()> {
        let Some(limit) = self.limit else {
            return Poll::Pending;
        };
        let deadline = (since + limit).into();
        if self.sleep.deadline() != deadline {
            self.sleep.as_mut().reset(deadline);
        }
        self.sleep.as_mut().poll(cx)
    }
}

/// The linear memories of one instance, its dependencies' among them, counted together.
pub struct Memory {
    component: String,
    bytes: usize,
    limit: usize,
}

impl Memory {
    pub fn new(component: String, limit: usize) -> Memory {
        Memory {
            component,
            bytes: 0,
            limit,
        }
    }
}

impl ResourceLimiter for Memory {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> Result<bool> {
        let bytes = self.bytes + desired.saturating_sub(current);
        if bytes > self.limit {
            tracing::warn!(
                component = self.component,
                "an instance may not have more than {} bytes of memory (--max-instance-memory)",
                self.limit
            );
            return Ok(false);
        }
        self.bytes = bytes;
        Ok(true)
    }

    fn table_growing(&mut self, _: usize, _: usize, _: Option<usize>) -> Result<bool> {
        Ok(true)
    }
}
