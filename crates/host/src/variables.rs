//! Application variables: where a value comes from, which wins, and what a component may ask for.
//! Never logs a value.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::{
    manifest::Manifest,
    names::{ComponentId, VariableName},
    plan::Plan,
    template::Template,
};

/// Environment variables that begin with this give application variables values.
pub const ENVIRONMENT_PREFIX: &str = "SPIN_VARIABLE_";

/// The names of those that a manifest declares to be secret.
pub fn secret_variables(manifest: &Path) -> Result<Vec<String>> {
    let variables = Manifest::read(manifest)?.variables;
    let secret = variables.iter().filter(|(_, variable)| variable.secret);
    Ok(secret.map(|(name, _)| name.as_str().to_owned()).collect())
}

/// The names of all variables of an application.
pub fn variable_names(manifest: &Path) -> Result<Vec<String>> {
    let variables = Manifest::read(manifest)?.variables;
    Ok(variables
        .into_keys()
        .map(|name| name.as_str().to_owned())
        .collect())
}

/// All values of an application, resolved once, when it is loaded.
#[derive(Default)]
pub struct Variables {
    application: BTreeMap<String, String>,
    components: BTreeMap<ComponentId, BTreeMap<String, String>>,
}

/// The sources of values beside the manifest.
pub struct Given<'a> {
    /// From the command line: these win.
    pub flags: &'a [(String, String)],
    /// Looks into the environment.
    pub environment: &'a dyn Fn(&str) -> Option<String>,
    /// For what has no value otherwise.
    pub fallbacks: &'a [(String, String)],
}

/// Why a component gets no value, as `spin:variables` puts it.
#[derive(Debug, PartialEq)]
pub enum LookupError {
    InvalidName(String),
    Undefined(String),
}

impl Variables {
    pub fn resolve(plan: &Plan, given: &Given) -> Result<Variables> {
        let mut application = BTreeMap::new();
        let mut missing = Vec::new();
        for (name, variable) in &plan.variables {
            let name = name.as_str();
            let value = find(given.flags, name)
                .or_else(|| (given.environment)(&environment_key(name)))
                .or_else(|| variable.default.clone())
                .or_else(|| find(given.fallbacks, name));
            match value {
                Some(value) => {
                    application.insert(name.to_owned(), value);
                }
                None => missing.push(name),
            }
        }
        if !missing.is_empty() {
            let keys: Vec<_> = missing.iter().map(|name| environment_key(name)).collect();
            bail!(
                "no value for the required variable(s) {}: set {}, or pass --variable NAME=VALUE",
                missing.join(", "),
                keys.join(", ")
            );
        }
        let mut variables = Variables {
            application,
            components: BTreeMap::new(),
        };
        for (id, component) in &plan.components {
            let mut values = BTreeMap::new();
            for (name, template) in &component.variables {
                let value = variables
                    .fill(template)
                    .with_context(|| format!("[component.{id}.variables] {name}"))?;
                values.insert(name.as_str().to_owned(), value);
            }
            variables.components.insert(id.clone(), values);
        }
        Ok(variables)
    }

    /// Fills a template with application variables.
    pub fn fill(&self, template: &str) -> Result<String> {
        Template::parse(template)?.fill(|name| {
            self.application
                .get(name)
                .cloned()
                .with_context(|| format!("invalid variable template: unknown variable {name:?}"))
        })
    }

    /// An application variable's value.
    pub fn application(&self, name: &str) -> Option<&str> {
        self.application.get(name).map(String::as_str)
    }

    /// A component's variable, as the component sees it.
    pub fn component(&self, id: &ComponentId, name: &str) -> Result<String, LookupError> {
        VariableName::try_from(name.to_owned()).map_err(LookupError::InvalidName)?;
        self.components
            .get(id)
            .and_then(|values| values.get(name))
            .cloned()
            .ok_or_else(|| {
                LookupError::Undefined(format!("no variable for {:?}.{name:?}", id.as_str()))
            })
    }
}

/// The variable of the environment that gives an application variable its value.
pub fn environment_key(name: &str) -> String {
    format!("{ENVIRONMENT_PREFIX}{}", name.to_ascii_uppercase())
}

fn find(values: &[(String, String)], name: &str) -> Option<String> {
    // The last of several wins, as on a command line.
    values
        .iter()
        .rev()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = r#"
        spin_manifest_version = 2
        [application]
        name = "test"
        [variables]
        needed = { required = true, secret = true }
        usual = { default = "manifest" }
        [component.one]
        source = "one.wasm"
        [component.one.variables]
        both = "{{ needed }}/{{ usual }}"
    "#;

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
            .collect()
    }

    fn resolve(
        flags: &[(&str, &str)],
        environment: &[(&str, &str)],
        fallbacks: &[(&str, &str)],
    ) -> Result<Variables> {
        let plan = Plan::new(Manifest::parse(MANIFEST)?)?;
        let environment = pairs(environment);
        Variables::resolve(
            &plan,
            &Given {
                flags: &pairs(flags),
                environment: &|key| find(&environment, key),
                fallbacks: &pairs(fallbacks),
            },
        )
    }

    #[test]
    fn a_flag_wins_over_the_environment_over_the_manifest_over_the_fallback() {
        let environment = [
            ("SPIN_VARIABLE_USUAL", "env"),
            ("SPIN_VARIABLE_NEEDED", "env"),
        ];
        let all = resolve(&[("usual", "flag")], &environment, &[("needed", "x")]).unwrap();
        assert_eq!(all.application("usual"), Some("flag"));
        assert_eq!(all.application("needed"), Some("env"));
        let fallback = resolve(&[], &[], &[("needed", "random"), ("usual", "x")]).unwrap();
        assert_eq!(fallback.application("usual"), Some("manifest"));
        let one = ComponentId::try_from("one".to_owned()).unwrap();
        assert_eq!(fallback.component(&one, "both").unwrap(), "random/manifest");
    }

    #[test]
    fn a_required_variable_without_a_value_is_named_with_the_way_to_set_it() {
        let error = resolve(&[], &[], &[]).err().unwrap().to_string();
        assert!(
            error.contains("needed") && error.contains("SPIN_VARIABLE_NEEDED"),
            "{error}"
        );
    }

    #[test]
    fn a_component_sees_only_what_it_declares() {
        let all = resolve(&[("needed", "x")], &[], &[]).unwrap();
        let one = ComponentId::try_from("one".to_owned()).unwrap();
        assert!(matches!(
            all.component(&one, "needed"),
            Err(LookupError::Undefined(_))
        ));
        assert!(matches!(
            all.component(&one, "No"),
            Err(LookupError::InvalidName(_))
        ));
    }
}
