//! `parlour dev`: builds a project, runs it as `parlour up` does, and when its files change, builds it again and puts the
//! new app in the place of the old one. The relay stays, so no client is disconnected.

mod rules;
mod watch;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use parlour_host::{App, Build, Sources};

use crate::build::{self, say};
use crate::embedded::Embedded;
use crate::flags::Up;
use crate::run::Place;
use crate::signals::Stop;
use rules::Rules;
use watch::Watch;

/// How often is looked whether the old app has answered all that it was asked.
const OLD_APP_CHECK: Duration = Duration::from_millis(20);

pub async fn run(flags: Up) -> Result<()> {
    let stop = Stop::on_signals()?;
    let place = Place::take(&flags)?;
    let mut project = Project::new(&flags, &place)?;
    let first = tokio::select! {
        first = project.first() => first?,
        () = stop.clone().requested() => return Ok(()),
    };
    let origin = Arc::new(Embedded::new(first.app));
    let served = tokio::select! {
        served = place.serve(&flags, &first.secret, origin.clone(), stop) => served,
        ended = project.follow(&origin, &first.secret) => ended,
    };
    origin.app().shutdown().await;
    served
}

struct Project<'a> {
    flags: &'a Up,
    place: &'a Place,
    manifest: PathBuf,
    watch: Watch,
    rules: Rules,
    /// What is to be built, because it has changed since it last was built.
    pending: Vec<Build>,
}

struct Loaded {
    app: Arc<App>,
    secret: String,
}

impl Project<'_> {
    fn new<'a>(flags: &'a Up, place: &'a Place) -> Result<Project<'a>> {
        let manifest = std::path::absolute(&flags.application.manifest)?;
        // One that is not there, or not a manifest, is more likely the wrong folder than work in progress.
        let sources = Sources::read(&manifest)?;
        let rules = Rules::new(&manifest, &sources);
        let mut watch = Watch::new()?;
        watch.set(&rules)?;
        Ok(Project {
            flags,
            place,
            manifest,
            watch,
            rules,
            pending: sources.builds,
        })
    }

    /// The first app that builds and starts.
    async fn first(&mut self) -> Result<Loaded> {
        loop {
            match self.make().await {
                Ok(loaded) => return Ok(loaded),
                Err(error) => say(&format!("{error:#}. It is tried again when a file changes")),
            }
            self.changed().await?;
        }
    }

    /// Puts a new app in the place of the old one whenever files have changed; ends only by an error.
    async fn follow(&mut self, origin: &Embedded, secret: &str) -> Result<()> {
        loop {
            self.changed().await?;
            let start = Instant::now();
            let made = match self.make().await {
                Ok(made) if made.secret != secret => Err(anyhow::anyhow!(
                    "relay_secret has changed, which the running relay cannot follow: start `parlour dev` again"
                )),
                made => made,
            };
            match made {
                Ok(made) => {
                    let old = origin.replace(made.app);
                    tokio::spawn(retire(old));
                    let took = start.elapsed().as_secs_f32();
                    say(&format!(
                        "The new code serves, after {took:.1} s; no client was disconnected"
                    ));
                }
                Err(error) => say(&format!("{error:#}. What ran before goes on serving")),
            }
        }
    }

    /// Waits until something has changed, and notes what is to be built for it.
    async fn changed(&mut self) -> Result<()> {
        loop {
            let paths = self.watch.changed().await?;
            let mut relevant: Vec<&PathBuf> = Vec::new();
            for path in &paths {
                let Some(builds) = self.rules.of(path) else {
                    continue;
                };
                relevant.push(path);
                for build in builds {
                    if !self.pending.contains(build) {
                        self.pending.push(build.clone());
                    }
                }
            }
            if !relevant.is_empty() {
                let base = self.manifest.parent().unwrap_or(Path::new("/"));
                let names = relevant
                    .iter()
                    .map(|path| path.strip_prefix(base).unwrap_or(path));
                let names: Vec<String> = names.map(|name| name.display().to_string()).collect();
                say(&format!("Changed: {}", names.join(", ")));
                return Ok(());
            }
        }
    }

    /// Builds what has changed and loads the app. What does not build stays to be built.
    async fn make(&mut self) -> Result<Loaded> {
        let sources = Sources::read(&self.manifest)?;
        let rules = Rules::new(&self.manifest, &sources);
        if rules != self.rules {
            self.watch.set(&rules)?;
            self.pending = sources.builds;
            self.rules = rules;
        }
        build::run(&self.pending).await?;
        self.pending.clear();
        let (app, secret) = self.place.load(self.flags).await?;
        Ok(Loaded { app, secret })
    }
}

/// Lets an app go once it has answered what it was asked.
async fn retire(app: Arc<App>) {
    while Arc::strong_count(&app) > 1 {
        tokio::time::sleep(OLD_APP_CHECK).await;
    }
    app.shutdown().await;
}
