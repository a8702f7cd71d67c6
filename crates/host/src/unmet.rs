//! What is said of a component that imports an interface which nothing gives it: mostly a line is missing in its
//! dependencies.

use std::path::Path;

use wasmtime::{Engine, component::Component};

use crate::{
    compose, deny,
    names::ComponentId,
    plan::{ComponentPlan, Plan},
};

/// Who gives components interfaces, and calls them so: hosts.
const OF_HOSTS: [&str; 3] = ["wasi:", "spin:", "fermyon:"];

/// An import of the component that is an interface of another component's.
pub fn import(engine: &Engine, component: &Component) -> Option<String> {
    let component_type = component.component_type();
    let mut names = component_type.imports(engine).map(|(name, _)| name);
    let is_of_hosts = |name: &str| OF_HOSTS.iter().any(|host| name.starts_with(host));
    names
        .find(|name| name.contains(':') && !is_of_hosts(name) && !deny::is_refused(name))
        .map(str::to_owned)
}

/// What is wrong, and the line that mends it.
pub fn remedy(base: &Path, plan: &Plan, id: &ComponentId, import: &str) -> String {
    let wrong =
        format!("[component.{id}] imports {import}, and no dependency of its gives it that");
    let exporter = plan
        .components
        .iter()
        .filter(|(other, _)| *other != id)
        .find_map(|(other, component)| line(base, other, component, import));
    match exporter {
        Some(line) => format!("{wrong}: add to [component.{id}.dependencies] the line {line}"),
        None => format!(
            "{wrong}: add to spin.toml a component that exports it, and to [component.{id}.dependencies] a line \
             \"{import}\" = {{ component = \"…\" }}"
        ),
    }
}

fn line(base: &Path, id: &ComponentId, component: &ComponentPlan, import: &str) -> Option<String> {
    let names = compose::names(base, &component.source)?;
    if !names.exports.iter().any(|export| export == import) {
        return None;
    }
    let inherit = match &deny::needed(&names.imports)[..] {
        [] => String::new(),
        needed => format!(", inherit_configuration = {needed:?}"),
    };
    Some(format!(
        "\"{import}\" = {{ component = \"{id}\"{inherit} }}"
    ))
}
