//! Starts what a subcommand runs, says where it listens, and stops it in the right order: the relay
//! first, so that its last events still reach the app, then the app, which leaves its database tidy.

use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use http::HeaderValue;
use parlour_bus_nats::Nats;
use parlour_host::{self as host, state_dir::Lock};
use parlour_relay::{Config, HttpOrigin, Limits, Origin, Relay};
use tokio::net::TcpListener;

use crate::build;
use crate::descriptors;
use crate::embedded::Embedded;
use crate::flags::{self, Application};
use crate::guard;
use crate::identity::{self, Identity};
use crate::secrets::{self, Secret};
use crate::setup;
use crate::signals::Stop;
use crate::variables;

/// `parlour up`.
pub async fn up(flags: flags::Up) -> Result<()> {
    let stop = Stop::on_signals()?;
    let place = Place::take(&flags)?;
    if flags.build {
        build::all(&flags.application.manifest).await?;
    }
    let (app, secret) = place.load(&flags).await?;
    let origin = Arc::new(Embedded::new(app));
    let served = place.serve(&flags, &secret, origin.clone(), stop).await;
    origin.app().shutdown().await;
    served
}

/// What relay and app in one process have for themselves, before there is an app.
pub struct Place {
    identity: Identity,
    secrets: Vec<(String, String)>,
    _only: Option<File>,
}

impl Place {
    pub fn take(flags: &flags::Up) -> Result<Place> {
        let state_dir = state_dir(&flags.application);
        let only = only_server(&state_dir, &flags.bus)?;
        let identity = identity::of(flags.engine.relay_id.as_deref(), flags.listen, &state_dir)?;
        let secrets = secrets::keep(&state_dir)?;
        enough_descriptors(&flags.engine)?;
        Ok(Place {
            identity,
            secrets,
            _only: only,
        })
    }

    /// The app, which has said that it is set up as it must be, and the secret by which it knows the relay.
    pub async fn load(&self, flags: &flags::Up) -> Result<(Arc<host::App>, String)> {
        let app = load(&flags.application, self.secrets.clone()).await?;
        let secret = relay_secret(&app)?;
        if let Err(wrong) = setup::before_serving(&Embedded::new(app.clone()), &secret).await {
            app.shutdown().await;
            return Err(wrong);
        }
        Ok((app, secret))
    }

    pub async fn serve(
        &self,
        flags: &flags::Up,
        secret: &str,
        origin: Arc<Embedded>,
        stop: Stop,
    ) -> Result<()> {
        let relay = self.identity.name.clone();
        let config = flags.engine.config(relay, secret.to_owned())?;
        let control = flags.control;
        serve_relay(config, origin, &flags.bus, flags.listen, control, stop).await
    }
}

/// `parlour app`.
pub async fn app(flags: flags::App) -> Result<()> {
    let stop = Stop::on_signals()?;
    descriptors::raise();
    let secrets = secrets::kept(&state_dir(&flags.application))?;
    let app = load(&flags.application, secrets).await?;
    let listener = listen(flags.listen).await?;
    println!("Listening on http://{}", listener.local_addr()?);
    let served = host::serve(
        app.clone(),
        listener,
        flags.stall.timeout(),
        stop.requested(),
    )
    .await;
    app.shutdown().await;
    served
}

/// `parlour relay`.
pub async fn relay(flags: flags::Relay) -> Result<()> {
    let stop = Stop::on_signals()?;
    let secret = secrets::find(Secret::Relay, &flags.state_dir)?;
    let identity = identity::of(
        flags.engine.relay_id.as_deref(),
        flags.listen,
        &flags.state_dir,
    )?;
    let secret = sendable(secret)?;
    let origin = HttpOrigin::trusting(&flags.origin, flags.origin_ca.as_deref())?;
    let origin: Arc<dyn Origin> = Arc::new(origin);
    let config = flags.engine.config(identity.name.clone(), secret.clone())?;
    let control = Some(flags.control);
    enough_descriptors(&flags.engine)?;
    tokio::spawn(setup::when_it_answers(origin.clone(), secret));
    serve_relay(config, origin, &flags.bus, flags.listen, control, stop).await
}

/// A descriptor for each connection that may be.
fn enough_descriptors(engine: &flags::Engine) -> Result<()> {
    descriptors::raise();
    let asked_for = engine.limits.max_connections;
    let usual = Limits::default().connections as u64;
    descriptors::check(asked_for.unwrap_or(usual), asked_for.is_some())
}

/// Serves a relay, on its bus if there is one.
async fn serve_relay(
    config: Config,
    origin: Arc<dyn Origin>,
    bus: &flags::Bus,
    address: SocketAddr,
    control: Option<SocketAddr>,
    stop: Stop,
) -> Result<()> {
    let config = Config {
        relays_without_bus: bus.relays_without_bus(),
        ..config
    };
    let Some(url) = &bus.url else {
        return serve(&Relay::new(config, origin), address, control, stop).await;
    };
    let (mut nats, bus) = Nats::new(url, &bus.subject, &config.relay)?;
    nats.open().await?;
    let relay = Relay::with_bus(config, origin, bus);
    let bus = nats.start(relay.clone());
    let served = serve(&relay, address, control, stop).await;
    bus.leave().await;
    served
}

async fn serve(
    relay: &Relay,
    address: SocketAddr,
    control: Option<SocketAddr>,
    stop: Stop,
) -> Result<()> {
    let scheme = if relay.is_secure() { "https" } else { "http" };
    let listener = listen(address).await?;
    let control = match control {
        Some(address) => Some(listen(address).await?),
        None => None,
    };
    println!("Listening on {scheme}://{}", listener.local_addr()?);
    let Some(control) = control else {
        return relay.serve(listener, stop.requested()).await;
    };
    tracing::info!(address = %control.local_addr()?, "control listener");
    // The relay can end by itself, when the app refuses it; then the control listener must not keep
    // the process alive.
    tokio::select! {
        served = relay.serve(listener, stop.requested()) => served,
        served = relay.serve_control(control, std::future::pending()) => served,
    }
}

/// The secret that an application shares with its relay.
pub fn relay_secret(app: &host::App) -> Result<String> {
    let secret = app.variable(Secret::Relay.variable())?.context(
        "the application has no variable relay_secret, by which it knows its relay: add `relay_secret = { required = \
         true, secret = true }` to [variables] in its manifest, and `relay_secret = \"{{ relay_secret }}\"` to the \
         variables of the components handshake and router",
    )?;
    sendable(secret)
}

/// The relay's secret, which travels in a header.
pub fn sendable(secret: String) -> Result<String> {
    match HeaderValue::from_str(&secret) {
        Ok(_) if secret.trim() == secret => Ok(secret),
        _ => bail!(
            "relay_secret cannot be sent in an HTTP header: it begins or ends with white space, or has a control \
             character. Is there a line end behind it, in the file that it comes from?"
        ),
    }
}

pub async fn load(flags: &Application, secrets: Vec<(String, String)>) -> Result<Arc<host::App>> {
    variables::warn_of_unknown(&flags.manifest)?;
    let app = host::App::load(host::Options {
        manifest: flags.manifest.clone(),
        state_dir: Some(state_dir(flags)),
        variables: variables::read(&flags.variables, &flags.manifest)?,
        default_variables: secrets,
        runtime_config: flags.runtime_config.clone(),
        cache_dir: None,
        request_timeout: flags.guests.request_timeout(),
        max_instance_memory: flags.guests.max_instance_memory,
        allow_malformed_database: flags.guests.allow_malformed_database,
    })
    .await?;
    guard::check(&app)?;
    Ok(Arc::new(app))
}

async fn listen(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}"))
}

/// Two servers on one database that do not know of each other would each keep their messages from the
/// other's clients. With a bus, or without one if they are told, they are one server.
fn only_server(state_dir: &Path, bus: &flags::Bus) -> Result<Option<File>> {
    host::state_dir::prepare(state_dir)?;
    if bus.is_shared() {
        return Ok(None);
    }
    match host::state_dir::lock(state_dir, "up")? {
        Lock::Taken(lock) => Ok(Some(lock)),
        Lock::Held { by } => {
            let whose = by
                .map(|pid| format!(" (process {pid})"))
                .unwrap_or_default();
            bail!(
                "another `parlour up`{whose} uses the state directory {}: stop it, give this one a directory of \
                 its own with --state-dir, or join the two with --bus or --relays-without-bus",
                state_dir.display()
            )
        }
    }
}

/// The flag, or `.spin` beside the manifest, as Spin has it.
pub fn state_dir(flags: &Application) -> PathBuf {
    flags.state_dir.clone().unwrap_or_else(|| {
        let folder = flags
            .manifest
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        folder.unwrap_or(Path::new(".")).join(".spin")
    })
}
