//! What components print: kept in a file per component and stream, and shown on standard error, as
//! Spin does. Never holds up a component for a slow disk or terminal longer than one write, and never
//! fails it for a full one: a component cannot do anything about that.

use std::{
    fs::File,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use anyhow::{Context as _, Result};
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};

use crate::{names::ComponentId, state_dir::FILE_MODE};

/// Standard output and standard error of one component.
#[derive(Clone)]
pub struct ComponentOutput {
    pub stdout: LogStream,
    pub stderr: LogStream,
}

impl ComponentOutput {
    /// Opens the component's files in `directory`, which must exist.
    pub fn open(directory: &Path, id: &ComponentId) -> Result<ComponentOutput> {
        let open = |suffix: &str| {
            let path = directory.join(format!("{id}_{suffix}.txt"));
            let file = File::options()
                .create(true)
                .append(true)
                .mode(FILE_MODE)
                .open(&path)
                .with_context(|| format!("cannot open the log file {}", path.display()))?;
            anyhow::Ok(LogStream(Arc::new(Log {
                path,
                file,
                failing: AtomicBool::new(false),
            })))
        };
        Ok(ComponentOutput {
            stdout: open("stdout")?,
            stderr: open("stderr")?,
        })
    }
}

/// One stream. All instances of the component write to the same file.
#[derive(Clone)]
pub struct LogStream(Arc<Log>);

struct Log {
    path: PathBuf,
    file: File,
    /// Whether the last write failed, so that this is said once.
    failing: AtomicBool,
}

impl Log {
    fn keep(&self, bytes: &[u8]) {
        let kept = (&self.file).write_all(bytes);
        let path = self.path.display();
        match (kept, self.failing.load(Relaxed)) {
            (Err(error), false) => {
                self.failing.store(true, Relaxed);
                tracing::warn!("what a component prints is not kept in {path}: {error}");
            }
            (Ok(()), true) => {
                self.failing.store(false, Relaxed);
                tracing::info!("what a component prints is kept in {path} again");
            }
            _ => {}
        }
    }
}

impl IsTerminal for LogStream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for LogStream {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }
}

impl AsyncWrite for LogStream {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.keep(bytes);
        // Nor is a closed standard error a reason to fail the component.
        let _ = io::stderr().write_all(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
