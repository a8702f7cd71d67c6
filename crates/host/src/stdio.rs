//! What components print: kept in a file per component and stream, and shown on standard error, as
//! Spin does. Never holds up a component for a slow disk or terminal longer than one write.

use std::{
    fs::File,
    io::{self, Write},
    path::Path,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use anyhow::{Context as _, Result};
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};

use crate::names::ComponentId;

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
            let file = File::options().create(true).append(true).open(&path);
            let file =
                file.with_context(|| format!("cannot open the log file {}", path.display()))?;
            anyhow::Ok(LogStream(Arc::new(file)))
        };
        Ok(ComponentOutput {
            stdout: open("stdout")?,
            stderr: open("stderr")?,
        })
    }
}

/// One stream. All instances of the component write to the same file.
#[derive(Clone)]
pub struct LogStream(Arc<File>);

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
        let written = (&*self.0).write(bytes)?;
        // A closed standard error is no reason to fail the component.
        let _ = io::stderr().write_all(&bytes[..written]);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context) -> Poll<io::Result<()>> {
        Poll::Ready((&*self.0).flush())
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
