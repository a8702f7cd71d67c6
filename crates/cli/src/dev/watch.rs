//! Waits for files to change. What it hears in quick succession, as when an editor saves several, is one change.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;

use super::rules::{Place, Rules};

/// A change is over when nothing has changed for so long.
const QUIET: Duration = Duration::from_millis(150);

pub struct Watch {
    watcher: RecommendedWatcher,
    heard: mpsc::UnboundedReceiver<notify::Result<Event>>,
    places: Vec<Place>,
}

impl Watch {
    pub fn new() -> Result<Watch> {
        let (tell, heard) = mpsc::unbounded_channel();
        let watcher = notify::recommended_watcher(move |event| drop(tell.send(event)))
            .context("cannot watch files")?;
        Ok(Watch {
            watcher,
            heard,
            places: Vec::new(),
        })
    }

    /// Watches the places of these rules, and no others.
    pub fn set(&mut self, rules: &Rules) -> Result<()> {
        for (place, _) in self.places.drain(..) {
            // It may be gone.
            let _ = self.watcher.unwatch(&place);
        }
        for (place, deep) in rules.places() {
            let mode = match deep {
                true => RecursiveMode::Recursive,
                false => RecursiveMode::NonRecursive,
            };
            match self.watcher.watch(&place, mode) {
                Ok(()) => self.places.push((place, deep)),
                Err(error) => {
                    tracing::warn!("changes in {} go unnoticed: {error}", place.display())
                }
            }
        }
        Ok(())
    }

    /// Waits for a change, and for its end. What has changed may be none of the application's files.
    pub async fn changed(&mut self) -> Result<BTreeSet<PathBuf>> {
        let mut paths = BTreeSet::new();
        let first = self.heard.recv().await;
        note(first.context("files are not watched any more")?, &mut paths);
        while let Ok(Some(next)) = tokio::time::timeout(QUIET, self.heard.recv()).await {
            note(next, &mut paths);
        }
        Ok(paths)
    }
}

fn note(event: notify::Result<Event>, paths: &mut BTreeSet<PathBuf>) {
    match event {
        // That a file is read, as a build does, is no change.
        Ok(event) if event.kind.is_access() => {}
        Ok(event) => paths.extend(event.paths),
        Err(error) => tracing::warn!("a change of a file may go unnoticed: {error}"),
    }
}
