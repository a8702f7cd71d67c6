//! What a manifest means: inline components named, dependencies looked up, a component that stands
//! behind different middleware split by trigger, as Spin does it. Touches no file but by name.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    manifest::{
        Component, ComponentRef, Dependency, DependencySource, FilesMount, HttpTrigger, Inherit,
        Manifest, Route, Source, StaticResponse, Variable,
    },
    names::{ComponentId, DependencyName, VariableName, is_label},
};

/// An application ready to be composed and compiled.
#[derive(Debug)]
pub struct Plan {
    pub name: String,
    pub version: String,
    pub variables: BTreeMap<VariableName, Variable>,
    pub triggers: Vec<TriggerPlan>,
    pub components: BTreeMap<ComponentId, ComponentPlan>,
}

#[derive(Debug)]
pub struct TriggerPlan {
    pub route: Route,
    pub target: Target,
}

/// What answers a route.
#[derive(Clone, Debug)]
pub enum Target {
    Component(ComponentId),
    Static(StaticResponse),
}

/// One component with everything that is composed into it.
#[derive(Clone, Debug)]
pub struct ComponentPlan {
    pub source: Source,
    pub variables: BTreeMap<VariableName, String>,
    pub environment: BTreeMap<String, String>,
    pub files: Vec<FilesMount>,
    pub exclude_files: Vec<String>,
    pub allowed_outbound_hosts: Vec<String>,
    pub sqlite_databases: BTreeSet<String>,
    pub dependencies: BTreeMap<DependencyName, DependencyPlan>,
    /// Outermost first.
    pub middleware: Vec<DependencyPlan>,
}

#[derive(Clone, Debug)]
pub struct DependencyPlan {
    /// How the manifest calls it, for messages.
    pub label: String,
    pub source: Source,
    pub export: Option<String>,
    pub inherit: Inherit,
}

impl Plan {
    pub fn new(mut manifest: Manifest) -> Result<Plan> {
        if let Some(kind) = manifest.triggers.others.first() {
            bail!("[[trigger.{kind}]]: this host runs HTTP triggers only");
        }
        check_application(&manifest)?;
        name_triggers(&mut manifest.triggers.http);
        lift_inline_components(&mut manifest)?;

        let mut components = BTreeMap::new();
        for (id, component) in &manifest.components {
            let plan = plan_component(id, component, &manifest.components)
                .with_context(|| format!("[component.{id}]"))?;
            components.insert(id.clone(), plan);
        }
        let triggers = plan_triggers(&manifest, &mut components)?;
        Ok(Plan {
            name: manifest.application.name,
            version: manifest.application.version,
            variables: manifest.variables,
            triggers,
            components,
        })
    }
}

fn check_application(manifest: &Manifest) -> Result<()> {
    for (name, variable) in &manifest.variables {
        ensure!(
            variable.required != variable.default.is_some(),
            "[variables] {name}: must be `required` OR have a `default`"
        );
    }
    for (key, value) in manifest
        .application
        .trigger
        .get("http")
        .into_iter()
        .flatten()
    {
        ensure!(
            key == "base",
            "[application.trigger.http] {key}: unknown field, expected `base`"
        );
        ensure!(
            value.as_str() == Some("/"),
            "[application.trigger.http] base: no longer supported; put it before each route"
        );
    }
    Ok(())
}

/// Triggers without an id get one, because split components are named after their trigger.
fn name_triggers(triggers: &mut [HttpTrigger]) {
    let mut taken: BTreeSet<String> = triggers.iter().map(|t| t.id.clone()).collect();
    for trigger in triggers {
        if !trigger.id.is_empty() {
            continue;
        }
        let natural = match &trigger.component {
            Some(ComponentRef::Id(id)) => Some(format!("{id}-http-trigger")),
            _ => None,
        };
        let numbered = (1..).map(|n| format!("http-trigger{n}"));
        let id = natural
            .into_iter()
            .chain(numbered)
            .find(|id| !taken.contains(id))
            .unwrap_or_default();
        taken.insert(id.clone());
        trigger.id = id;
    }
}

fn lift_inline_components(manifest: &mut Manifest) -> Result<()> {
    for trigger in &mut manifest.triggers.http {
        let Some(ComponentRef::Inline(_)) = &trigger.component else {
            continue;
        };
        let natural = ComponentId::try_from(format!("{}-component", trigger.id)).ok();
        let numbered = (1..).map(|n| ComponentId::synthetic(format!("inline-component{n}")));
        let id = natural
            .into_iter()
            .chain(numbered)
            .find(|id| !manifest.components.contains_key(id))
            .context("no name is left for an inline component")?;
        let reference = trigger.component.replace(ComponentRef::Id(id.clone()));
        if let Some(ComponentRef::Inline(component)) = reference {
            manifest.components.insert(id, *component);
        }
    }
    Ok(())
}

fn plan_component(
    id: &ComponentId,
    component: &Component,
    all: &BTreeMap<ComponentId, Component>,
) -> Result<ComponentPlan> {
    ensure!(
        component.allowed_http_hosts.is_empty(),
        "allowed_http_hosts: deprecated and not supported here; use allowed_outbound_hosts"
    );
    for (key, labels) in [
        ("key_value_stores", &component.key_value_stores),
        ("sqlite_databases", &component.sqlite_databases),
    ] {
        if let Some(label) = labels.iter().find(|label| !is_label(label)) {
            bail!("{key}: {label:?}: expected kebab-case or snake_case");
        }
    }
    let for_all = component.dependencies_inherit_configuration;
    let mut dependencies = BTreeMap::new();
    for (name, dependency) in &component.dependencies {
        ensure!(
            for_all.is_none() || dependency.inherit_configuration.is_none(),
            "specifies both `dependencies_inherit_configuration` and per-dependency \
             `inherit_configuration`. These are mutually exclusive; use one or the other."
        );
        let key = format!("dependencies.\"{name}\"");
        let mut plan = plan_dependency(dependency, id.as_str(), all, &key).context(key)?;
        if for_all == Some(true) {
            plan.inherit = Inherit::All(true);
        }
        dependencies.insert(name.clone(), plan);
    }
    Ok(ComponentPlan {
        source: component.source.clone(),
        variables: component.variables.clone(),
        environment: component.environment.clone(),
        files: component.files.clone(),
        exclude_files: component.exclude_files.clone(),
        allowed_outbound_hosts: component.allowed_outbound_hosts.clone(),
        sqlite_databases: component.sqlite_databases.iter().cloned().collect(),
        dependencies,
        middleware: Vec::new(),
    })
}

fn plan_dependency(
    dependency: &Dependency,
    depender: &str,
    all: &BTreeMap<ComponentId, Component>,
    label: &str,
) -> Result<DependencyPlan> {
    let (label, source) = match &dependency.source {
        DependencySource::Component(id) => {
            let component = all
                .get(id)
                .with_context(|| format!("dependency ID {id} does not exist"))?;
            refuse_own_resources(component, id, depender)?;
            (
                format!("{label} (component {id})"),
                component.source.clone(),
            )
        }
        DependencySource::Path(path) => (label.to_owned(), Source::Local(path.clone())),
        DependencySource::Remote(what) => (label.to_owned(), Source::Remote(what.clone())),
    };
    Ok(DependencyPlan {
        label,
        source,
        export: dependency.export.clone(),
        inherit: dependency
            .inherit_configuration
            .clone()
            .unwrap_or(Inherit::All(false)),
    })
}

/// A dependency runs with what its depender has. Configuration of its own would be ignored, so
/// Spin refuses it.
fn refuse_own_resources(component: &Component, id: &ComponentId, depender: &str) -> Result<()> {
    let own = [
        ("ai_models", component.ai_models.is_empty()),
        (
            "allowed_outbound_hosts",
            component.allowed_outbound_hosts.is_empty(),
        ),
        ("dependencies", component.dependencies.is_empty()),
        ("environment", component.environment.is_empty()),
        ("files", component.files.is_empty()),
        ("key_value_stores", component.key_value_stores.is_empty()),
        ("sqlite_databases", component.sqlite_databases.is_empty()),
        ("variables", component.variables.is_empty()),
    ];
    let own: Vec<_> = own
        .iter()
        .filter(|(_, none)| !none)
        .map(|(key, _)| *key)
        .collect();
    ensure!(
        own.is_empty(),
        "Dependencies may not have their own resources or permissions. Component {id} cannot be \
         used as a dependency of {depender} because it specifies: {}",
        own.join(", ")
    );
    Ok(())
}

/// Decides which component each trigger reaches. A component with one trigger takes that trigger's
/// middleware, so that calls from other components pass it too. With several triggers, each one
/// that has middleware gets a copy of its own, which only its route reaches.
fn plan_triggers(
    manifest: &Manifest,
    components: &mut BTreeMap<ComponentId, ComponentPlan>,
) -> Result<Vec<TriggerPlan>> {
    let mut count: BTreeMap<&ComponentId, usize> = BTreeMap::new();
    for trigger in &manifest.triggers.http {
        if let Some(ComponentRef::Id(id)) = &trigger.component {
            *count.entry(id).or_default() += 1;
        }
    }
    let mut triggers = Vec::new();
    for trigger in &manifest.triggers.http {
        let key = format!("[[trigger.http]] {}", trigger.id);
        let target = plan_target(trigger, &count, &manifest.components, components).context(key)?;
        triggers.push(TriggerPlan {
            route: trigger.route.clone(),
            target,
        });
    }
    Ok(triggers)
}

fn plan_target(
    trigger: &HttpTrigger,
    count: &BTreeMap<&ComponentId, usize>,
    all: &BTreeMap<ComponentId, Component>,
    components: &mut BTreeMap<ComponentId, ComponentPlan>,
) -> Result<Target> {
    if let Some(executor) = &trigger.executor {
        ensure!(
            matches!(executor.kind.as_str(), "http" | "spin"),
            "executor.type = {:?}: this host runs wasi:http components only",
            executor.kind
        );
    }
    let id = match (&trigger.component, &trigger.static_response) {
        (Some(ComponentRef::Id(id)), None) => id,
        (None, Some(response)) => return Ok(Target::Static(response.clone())),
        (Some(_), Some(_)) => bail!("must specify either component or static_response, not both"),
        _ => bail!("must specify either component or static_response"),
    };
    let plan = components.get(id).with_context(|| {
        format!(
            "component = {id:?}: there is no [component.{id}]",
            id = id.as_str()
        )
    })?;

    let mut middleware = Vec::new();
    for (role, dependencies) in &trigger.dependencies {
        ensure!(
            role == "middleware",
            "dependencies.{role}: the HTTP trigger's only allowed trigger dependency is `middleware`"
        );
        for dependency in dependencies {
            let key = "dependencies.middleware";
            middleware.push(plan_dependency(dependency, &trigger.id, all, key).context(key)?);
        }
    }
    if middleware.is_empty() {
        return Ok(Target::Component(id.clone()));
    }
    let mut guarded = plan.clone();
    guarded.middleware = middleware;
    let own_id = if count.get(id).copied().unwrap_or_default() > 1 {
        ComponentId::synthetic(format!("{id}-for-{}", trigger.id))
    } else {
        id.clone()
    };
    components.insert(own_id.clone(), guarded);
    Ok(Target::Component(own_id))
}
