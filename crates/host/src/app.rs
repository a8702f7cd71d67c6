//! An application: loaded from its manifest, answering requests, shut down.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Weak},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use http::StatusCode;
use http_body_util::BodyExt;
use tempfile::TempDir;
use tokio::sync::{Mutex, mpsc};
use tokio_util::sync::CancellationToken;
use wasmtime::{
    Cache, Engine,
    component::{Component, Linker},
};
use wasmtime_wasi_http::{
    Error, WasiBody,
    handler::{ProxyHandler, ProxyPre},
    p2, p3,
};

use crate::{
    Body, Options, bindings,
    component_variables::{VariablesData, VariablesState},
    compose, deny, engine, files,
    hosts::AllowedHosts,
    manifest::{ComponentRef, Dependency, DependencySource, HttpTrigger, Manifest, Route},
    names::ComponentId,
    outbound::Client,
    plan::{Plan, Target},
    routes::Router,
    runtime_config::RuntimeConfig,
    service::{ComponentService, Life, Service, State},
    services::{self, Services},
    sqlite::{Databases, SqliteData},
    state_dir::{self, InUse},
    stdio::ComponentOutput,
    unmet,
    variables::{Given, Variables},
};

/// How long a shutdown waits for requests that are being answered.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(10);
/// How much longer than others a component may take that clients reach: it waits for others, and if
/// one of them is late it is that one whose name should be in the log.
const CALLER_GRACE: Duration = Duration::from_secs(1);
/// Bytes of memory of an instance, where nobody says anything else. Parlour's own need up to some tens
/// of MiB, for the largest batches.
const MAX_INSTANCE_MEMORY: usize = 256 << 20;
/// The default state directory, beside the manifest.
const STATE_DIRECTORY: &str = ".spin";

/// A running application.
pub struct App {
    fronts: Vec<Front>,
    components: Vec<String>,
    services: Arc<Services>,
    variables: Arc<Variables>,
    databases: Arc<Databases>,
    stopping: CancellationToken,
    /// Closed when all instances are gone. The sender is dropped to begin with that.
    instances: Mutex<(Option<mpsc::Sender<()>>, mpsc::Receiver<()>)>,
    cache: Option<Cache>,
    in_use: InUse,
    _files: Vec<TempDir>,
}

/// What a trigger of the manifest puts before which component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Front {
    pub component: String,
    /// None: it is private.
    pub route: Option<String>,
    /// Outermost first: each by its component's id, or its path.
    pub middleware: Vec<String>,
}

impl Front {
    fn all(manifest: &Manifest) -> Vec<Front> {
        let front = |trigger: &HttpTrigger| {
            let Some(ComponentRef::Id(component)) = &trigger.component else {
                return None;
            };
            let middleware = trigger.dependencies.get("middleware").into_iter().flatten();
            let name = |one: &Dependency| match &one.source {
                DependencySource::Component(id) => id.to_string(),
                DependencySource::Path(name) | DependencySource::Remote(name) => name.clone(),
            };
            Some(Front {
                component: component.to_string(),
                route: match &trigger.route {
                    Route::Public(route) => Some(route.clone()),
                    Route::Private => None,
                },
                middleware: middleware.map(name).collect(),
            })
        };
        manifest.triggers.http.iter().filter_map(front).collect()
    }
}

impl App {
    /// Reads, checks, composes and compiles the application. What is wrong is said with the file
    /// and the key.
    pub async fn load(options: Options) -> Result<App> {
        let manifest = std::path::absolute(&options.manifest)
            .with_context(|| format!("the path {}", options.manifest.display()))?;
        let base = manifest.parent().map(Path::to_owned).unwrap_or_default();
        let loader = Loader {
            state_dir: options
                .state_dir
                .clone()
                .unwrap_or_else(|| base.join(STATE_DIRECTORY)),
            base,
            options,
        };
        let load = tokio::task::spawn_blocking(move || loader.load(&manifest));
        load.await.context("loading the application was given up")?
    }

    /// Answers a client's request by the component whose public route matches: 404 if none does,
    /// 500 if the component fails, 503 after [`App::shutdown`]. The client's address, if there is
    /// one, is a [`std::net::SocketAddr`] in the request's extensions.
    pub async fn handle(&self, request: http::Request<Body>) -> http::Response<Body> {
        let response = if self.stopping.is_cancelled() {
            services::status(StatusCode::SERVICE_UNAVAILABLE)
        } else {
            self.services.handle(request.map(inward)).await
        };
        response.map(outward)
    }

    /// Takes no new requests, waits for those that are being answered, lets the instances go and
    /// checkpoints the databases.
    pub async fn shutdown(&self) {
        self.stopping.cancel();
        let mut instances = self.instances.lock().await;
        instances.0.take();
        if tokio::time::timeout(SHUTDOWN_GRACE, instances.1.recv())
            .await
            .is_err()
        {
            tracing::warn!("some requests were not answered within {SHUTDOWN_GRACE:?}");
        }
        let databases = self.databases.clone();
        let checkpoint = tokio::task::spawn_blocking(move || databases.checkpoint());
        if checkpoint.await.is_ok() && !self.databases.any_is_damaged() {
            self.in_use.leave_in_good_order();
        }
    }

    /// The resolved value of an application variable; none if the manifest declares none of that
    /// name.
    pub fn variable(&self, name: &str) -> Result<Option<String>> {
        Ok(self.variables.application(name).map(str::to_owned))
    }

    /// What stands before which component, in the manifest's order.
    pub fn fronts(&self) -> &[Front] {
        &self.fronts
    }

    /// The names of all components of the manifest.
    pub fn components(&self) -> &[String] {
        &self.components
    }

    /// The resolved value of a component's variable; none if it has none of that name.
    pub fn component_variable(&self, component: &str, name: &str) -> Option<String> {
        let component = ComponentId::try_from(component.to_owned()).ok()?;
        self.variables.component(&component, name).ok()
    }

    /// How many components were taken from the cache of compiled ones, and how many had to be
    /// compiled. (0, 0) without a cache.
    pub fn cache_use(&self) -> (usize, usize) {
        match &self.cache {
            Some(cache) => (cache.cache_hits(), cache.cache_misses()),
            None => (0, 0),
        }
    }
}

fn inward(body: Body) -> WasiBody {
    body.map_err(|error| Error::InternalError(Some(error.to_string())))
        .boxed_unsync()
}

fn outward(body: WasiBody) -> Body {
    body.map_err(|error| std::io::Error::other(error.to_string()))
        .boxed_unsync()
}

struct Loader {
    base: PathBuf,
    state_dir: PathBuf,
    options: Options,
}

impl Loader {
    fn load(self, path: &Path) -> Result<App> {
        let wrong = || format!("the application {}", path.display());
        let manifest = Manifest::read(path)?;
        let fronts = Front::all(&manifest);
        let components = manifest.components.keys();
        let components = components.map(ToString::to_string).collect();
        let plan = Plan::new(manifest).with_context(wrong)?;
        self.start(&plan, fronts, components).with_context(wrong)
    }

    fn start(&self, plan: &Plan, fronts: Vec<Front>, components: Vec<String>) -> Result<App> {
        let variables = Arc::new(self.variables(plan)?);
        let config = RuntimeConfig::read(self.options.runtime_config.as_deref())?;
        let max_memory = self
            .options
            .max_instance_memory
            .or(config.max_instance_memory)
            .unwrap_or(MAX_INSTANCE_MEMORY);
        let databases = Arc::new(self.databases(plan, config)?);
        let (alive, gone) = mpsc::channel(1);
        let life = Life {
            stopping: CancellationToken::new(),
            alive: alive.downgrade(),
        };
        let cache = engine::cache(self.options.cache_dir.clone());
        let engine = engine::engine(cache.clone())?;
        let linker = linker(&engine)?;

        let mut parts = Vec::new();
        let mut mounted = Vec::new();
        for id in reached(plan) {
            let component = &plan.components[&id];
            let pre = self.compile(&engine, &linker, &id, plan)?;
            let files = files::mount(&self.base, &component.files, &component.exclude_files)
                .with_context(|| format!("[component.{id}]"))?;
            parts.push((id, pre, files.as_ref().map(|files| files.path().to_owned())));
            mounted.extend(files);
        }
        state_dir::prepare(&self.state_dir)?;
        let in_use = InUse::begin(&self.state_dir)?;
        databases.close_to_others(&self.state_dir);
        if in_use.follows_a_crash() {
            databases.check(self.options.allow_malformed_database)?;
        }
        let logs = self.state_dir.join(state_dir::LOGS);
        state_dir::make(&logs)?;
        let public = public_components(plan);

        let router = router(plan)?;
        let all: Vec<ComponentId> = plan.components.keys().cloned().collect();
        let mut failed = None;
        let client = Arc::new(Client::default());
        let services = Arc::new_cyclic(|services: &Weak<Services>| {
            let mut by_component = HashMap::new();
            for (id, pre, files) in parts {
                let component = &plan.components[&id];
                let made = || -> Result<Service> {
                    let hosts = &component.allowed_outbound_hosts;
                    Ok(ProxyHandler::new(ComponentService {
                        pre,
                        environment: component.environment.clone().into_iter().collect(),
                        files,
                        output: ComponentOutput::open(&logs, &id)?,
                        allowed_hosts: Arc::new(
                            AllowedHosts::parse(hosts, &variables, &all).with_context(|| {
                                format!("[component.{id}] allowed_outbound_hosts")
                            })?,
                        ),
                        allowed_databases: Arc::new(component.sqlite_databases.clone()),
                        databases: databases.clone(),
                        variables: VariablesState {
                            component: id.clone(),
                            variables: variables.clone(),
                        },
                        application: services.clone(),
                        client: client.clone(),
                        request_timeout: self.request_timeout(public.contains(&id)),
                        max_memory,
                        life: life.clone(),
                    }))
                };
                match made() {
                    Ok(service) => drop(by_component.insert(id.clone(), service)),
                    Err(error) => failed = Some(error),
                }
            }
            Services {
                name: plan.name.clone(),
                version: plan.version.clone(),
                router,
                targets: plan.triggers.iter().map(|t| t.target.clone()).collect(),
                by_component,
            }
        });
        if let Some(error) = failed {
            return Err(error);
        }
        Ok(App {
            fronts,
            components,
            services,
            variables,
            databases,
            stopping: life.stopping,
            instances: Mutex::new((Some(alive), gone)),
            cache,
            in_use,
            _files: mounted,
        })
    }

    fn variables(&self, plan: &Plan) -> Result<Variables> {
        Variables::resolve(
            plan,
            &Given {
                flags: &self.options.variables,
                environment: &|key| std::env::var(key).ok(),
                fallbacks: &self.options.default_variables,
            },
        )
    }

    fn request_timeout(&self, is_public: bool) -> Option<Duration> {
        let grace = if is_public {
            CALLER_GRACE
        } else {
            Duration::ZERO
        };
        self.options.request_timeout.map(|limit| limit + grace)
    }

    fn databases(&self, plan: &Plan, config: RuntimeConfig) -> Result<Databases> {
        let databases = Databases::new(&self.state_dir, config.sqlite_database)?;
        for (id, component) in &plan.components {
            if let Some(label) = component
                .sqlite_databases
                .iter()
                .find(|l| !databases.contains(l))
            {
                bail!(
                    "[component.{id}] sqlite_databases: no database {label:?} is defined; check the \
                     spelling, or define [sqlite_database.{label}] in a runtime configuration file"
                );
            }
        }
        Ok(databases)
    }

    fn compile(
        &self,
        engine: &Engine,
        linker: &Linker<State>,
        id: &ComponentId,
        plan: &Plan,
    ) -> Result<ProxyPre<State>> {
        let bytes = compose::compose(&self.base, id, &plan.components[id])?;
        tracing::debug!(component = %id, bytes = bytes.len(), "compiling");
        let wrong = || format!("[component.{id}] source");
        let component = Component::new(engine, bytes)
            .map_err(engine::error)
            .with_context(wrong)?;
        let mut linker = linker.clone();
        deny::link_denied(&mut linker, engine, &component)
            .map_err(engine::error)
            .with_context(wrong)?;
        let pre = linker
            .instantiate_pre(&component)
            .map_err(engine::error)
            .with_context(|| match unmet::import(engine, &component) {
                Some(import) => unmet::remedy(&self.base, plan, id, &import),
                None => format!("[component.{id}] needs something this host does not have"),
            })?;
        if let Ok(pre) = p3::bindings::ServicePre::new(pre.clone()) {
            return Ok(ProxyPre::P3(pre));
        }
        match p2::bindings::ProxyPre::new(pre) {
            Ok(pre) => Ok(ProxyPre::P2(pre)),
            Err(_) => bail!(
                "[component.{id}] source: a component with an HTTP trigger must export \
                 wasi:http/handler@0.3.0 or wasi:http/incoming-handler@0.2, and this one does not"
            ),
        }
    }
}

/// The components that triggers reach, each once. Others are only parts of these.
fn reached(plan: &Plan) -> Vec<ComponentId> {
    let mut ids: Vec<ComponentId> = Vec::new();
    for trigger in &plan.triggers {
        if let Target::Component(id) = &trigger.target
            && !ids.contains(id)
        {
            ids.push(id.clone());
        }
    }
    ids
}

/// The components that clients can reach.
fn public_components(plan: &Plan) -> Vec<ComponentId> {
    let public = plan
        .triggers
        .iter()
        .filter_map(|it| match (&it.route, &it.target) {
            (Route::Public(_), Target::Component(id)) => Some(id.clone()),
            _ => None,
        });
    public.collect()
}

fn router(plan: &Plan) -> Result<Router> {
    let mut router = Router::default();
    for (index, trigger) in plan.triggers.iter().enumerate() {
        let Route::Public(route) = &trigger.route else {
            continue;
        };
        if router.add(route, index)?.is_some() {
            tracing::error!("the route {route:?} is there twice: the first will never be used");
        }
        if route.starts_with("/.well-known/spin/") {
            tracing::error!("the route {route:?} is the host's own and will never be reached");
        }
    }
    Ok(router)
}

/// Everything a component may import, whatever it then may use.
fn linker(engine: &Engine) -> Result<Linker<State>> {
    let mut linker: Linker<State> = Linker::new(engine);
    let mut link = || -> wasmtime::Result<()> {
        wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
        wasmtime_wasi::p3::add_to_linker(&mut linker)?;
        p2::add_only_http_to_linker_async(&mut linker)?;
        p3::add_to_linker(&mut linker)?;
        bindings::spin::sqlite::sqlite::add_to_linker::<_, SqliteData>(&mut linker, State::sqlite)?;
        bindings::spin::variables::variables::add_to_linker::<_, VariablesData>(
            &mut linker,
            |state| &mut state.variables,
        )
    };
    link()
        .map_err(engine::error)
        .context("cannot link the host's interfaces")?;
    Ok(linker)
}
