//! Makes one component out of several: a component, its direct dependencies and the middleware of
//! its trigger, wired as Spin wires them. Works on bytes; compiles and runs nothing.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context, Result, anyhow, bail};
use wac_graph::{
    CompositionGraph, EncodeOptions, NodeId,
    types::{Package, SubtypeChecker, WorldId},
};

use crate::{
    deny,
    manifest::Source,
    names::{ComponentId, DependencyName},
    plan::{ComponentPlan, DependencyPlan},
};

/// The interface by which a middleware takes a request and hands it on.
const HANDLER: &str = "wasi:http/handler@0.3.0";

/// Reads and composes everything that a component consists of.
pub fn compose(base: &Path, id: &ComponentId, plan: &ComponentPlan) -> Result<Vec<u8>> {
    let source = read(base, &plan.source).with_context(|| format!("[component.{id}] source"))?;
    let with_dependencies = if plan.dependencies.is_empty() {
        source
    } else {
        compose_dependencies(base, id, plan, source).with_context(|| format!("[component.{id}]"))?
    };
    if plan.middleware.is_empty() {
        return Ok(with_dependencies);
    }
    compose_middleware(base, &plan.middleware, with_dependencies)
        .with_context(|| format!("the middleware of component {id}"))
}

fn read(base: &Path, source: &Source) -> Result<Vec<u8>> {
    let path = match source {
        Source::Local(path) => base.join(path),
        Source::Remote(what) => bail!(
            "{what}: this host does not fetch components; build or download it and give its path"
        ),
    };
    let bytes = std::fs::read(&path)
        .with_context(|| format!("cannot read {}; has it been built?", path.display()))?;
    match bytes.get(..8) {
        Some(b"\0asm\x0d\0\x01\0") => Ok(bytes),
        Some(b"\0asm\x01\0\0\0") => bail!(
            "{} is a core Wasm module; this host needs a component (build for wasm32-wasip2)",
            path.display()
        ),
        _ => bail!("{} is not WebAssembly", path.display()),
    }
}

/// The names that a component imports and exports, if it can be read.
pub struct Names {
    pub imports: Vec<String>,
    pub exports: Vec<String>,
}

pub fn names(base: &Path, source: &Source) -> Option<Names> {
    let bytes = read(base, source).ok()?;
    let mut graph = CompositionGraph::new();
    let package = Package::from_bytes("component", None, bytes, graph.types_mut()).ok()?;
    let world = &graph.types()[package.ty()];
    Some(Names {
        imports: world.imports.keys().cloned().collect(),
        exports: world.exports.keys().cloned().collect(),
    })
}

/// Reads a dependency and takes away what it does not inherit.
fn read_dependency(base: &Path, dependency: &DependencyPlan) -> Result<Vec<u8>> {
    let label = &dependency.label;
    let bytes = read(base, &dependency.source).with_context(|| label.clone())?;
    deny::deny(&bytes, &dependency.inherit).with_context(|| label.clone())
}

struct Registered {
    world: WorldId,
    instance: NodeId,
}

fn register(graph: &mut CompositionGraph, name: &str, bytes: Vec<u8>) -> Result<Registered> {
    let package = Package::from_bytes(name, None, bytes, graph.types_mut())
        .with_context(|| format!("{name} is not a valid component"))?;
    let world = package.ty();
    let package = graph.register_package(package)?;
    Ok(Registered {
        world,
        instance: graph.instantiate(package),
    })
}

fn compose_dependencies(
    base: &Path,
    id: &ComponentId,
    plan: &ComponentPlan,
    source: Vec<u8>,
) -> Result<Vec<u8>> {
    let mut graph = CompositionGraph::new();
    let main = register(&mut graph, id.as_str(), source)?;
    let imports: Vec<String> = graph.types()[main.world].imports.keys().cloned().collect();

    let mut satisfied: BTreeMap<String, &DependencyName> = BTreeMap::new();
    for (index, (name, dependency)) in plan.dependencies.iter().enumerate() {
        let matched: Vec<&String> = imports.iter().filter(|i| name.matches(i)).collect();
        if matched.is_empty() {
            bail!(
                "dependencies.\"{name}\": the component imports nothing of that name; it imports {}",
                imports.join(", ")
            );
        }
        for import in &matched {
            if let Some(other) = satisfied.insert((*import).clone(), name) {
                bail!("dependencies \"{other}\" and \"{name}\" both satisfy the import {import}");
            }
        }
        // One instance for all imports that the dependency satisfies.
        let bytes = read_dependency(base, dependency)?;
        let package = format!("{}-{index}", name.package());
        let provider = register(&mut graph, &package, bytes)?;
        for import in matched {
            let export = dependency.export.as_ref().unwrap_or(import);
            wire(&mut graph, &main, import, &provider, export)
                .with_context(|| dependency.label.clone())?;
        }
    }
    export_all(&mut graph, &main)?;
    encode(&graph)
}

/// Gives one export of `provider` to one import of `main`, if it fits.
fn wire(
    graph: &mut CompositionGraph,
    main: &Registered,
    import: &str,
    provider: &Registered,
    export: &str,
) -> Result<()> {
    let Some(&offered) = graph.types()[provider.world].exports.get(export) else {
        bail!("it does not export {export} to satisfy the import {import}");
    };
    let wanted = graph.types()[main.world].imports[import];
    let mut cache = Default::default();
    SubtypeChecker::new(&mut cache)
        .is_subtype(offered, graph.types(), wanted, graph.types())
        .with_context(|| {
            format!("its export {export} is not compatible with the import {import}")
        })?;
    let alias = graph.alias_instance_export(provider.instance, export)?;
    graph.set_instantiation_argument(main.instance, import, alias)?;
    Ok(())
}

/// Chains middleware, outermost first, in front of a component's handler.
fn compose_middleware(
    base: &Path,
    middleware: &[DependencyPlan],
    primary: Vec<u8>,
) -> Result<Vec<u8>> {
    let mut graph = CompositionGraph::new();
    let mut layers = Vec::new();
    for (index, dependency) in middleware.iter().enumerate() {
        let bytes = read_dependency(base, dependency)?;
        let layer = register(&mut graph, &format!("middleware{index}"), bytes)
            .with_context(|| dependency.label.clone())?;
        for (what, items) in [
            ("export", &graph.types()[layer.world].exports),
            ("import", &graph.types()[layer.world].imports),
        ] {
            if !items.contains_key(HANDLER) {
                bail!(
                    "{}: no middleware: it does not {what} {HANDLER}",
                    dependency.label
                );
            }
        }
        layers.push(layer);
    }
    let primary = register(&mut graph, "primary", primary)?;
    if !graph.types()[primary.world].exports.contains_key(HANDLER) {
        bail!("middleware needs a component that exports {HANDLER}");
    }
    let mut handler = graph.alias_instance_export(primary.instance, HANDLER)?;
    for layer in layers.iter().rev() {
        graph.set_instantiation_argument(layer.instance, HANDLER, handler)?;
        handler = graph.alias_instance_export(layer.instance, HANDLER)?;
    }
    graph.export(handler, HANDLER)?;
    encode(&graph)
}

fn export_all(graph: &mut CompositionGraph, component: &Registered) -> Result<()> {
    let exports: Vec<String> = graph.types()[component.world]
        .exports
        .keys()
        .cloned()
        .collect();
    for name in exports {
        let export = graph.alias_instance_export(component.instance, &name)?;
        graph.export(export, name)?;
    }
    Ok(())
}

fn encode(graph: &CompositionGraph) -> Result<Vec<u8>> {
    graph
        .encode(EncodeOptions::default())
        .map_err(|error| anyhow!("the parts cannot be composed: {error}"))
}
