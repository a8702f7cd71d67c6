//! Names with rules: of components, variables and dependencies. A value of these types is valid;
//! nothing here knows what it stands for.

use std::fmt;

use serde::Deserialize;

/// A component's id: kebab-case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct ComponentId(String);

impl ComponentId {
    /// The id of a component that the manifest does not name (inline, or split by trigger).
    pub fn synthetic(id: String) -> Self {
        ComponentId(id)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ComponentId {
    type Error = String;

    fn try_from(id: String) -> Result<Self, String> {
        if is_delimited(&id, '-') {
            Ok(ComponentId(id))
        } else {
            Err(format!(
                "{id:?} is not a component id: use kebab-case, like `my-component`"
            ))
        }
    }
}

impl fmt::Display for ComponentId {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A variable's name: lower-case letters, digits and single underscores.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct VariableName(String);

impl VariableName {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for VariableName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let reason = if name.is_empty() {
            "must not be empty".to_owned()
        } else if let Some(c) = name
            .chars()
            .find(|c| !(c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '_'))
        {
            format!(
                "invalid character {c:?}. Variable names may contain only lower-case letters, numbers, and underscores."
            )
        } else if !name.starts_with(|c: char| c.is_ascii_lowercase()) {
            "must start with a lowercase ASCII letter".to_owned()
        } else if name.ends_with('_') {
            "must end with a lowercase ASCII letter or digit".to_owned()
        } else if name.contains("__") {
            "must not contain multiple consecutive underscores".to_owned()
        } else {
            return Ok(VariableName(name));
        };
        Err(format!("{name:?}: {reason}"))
    }
}

impl fmt::Display for VariableName {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The key of a component's dependency: `package:name`, `package:name/interface`, either with
/// `@version`, or a plain kebab-case import.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct DependencyName {
    text: String,
    package: String,
    interface: Option<String>,
    version: Option<String>,
}

impl TryFrom<String> for DependencyName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let (name, version) = match text.split_once('@') {
            Some((name, version)) => (name, Some(version.to_owned())),
            None => (text.as_str(), None),
        };
        let (package, interface) = match name.split_once('/') {
            Some((package, interface)) => (package.to_owned(), Some(interface.to_owned())),
            None => (name.to_owned(), None),
        };
        let valid = match package.split_once(':') {
            Some((namespace, name)) => is_delimited(namespace, '-') && is_delimited(name, '-'),
            None => interface.is_none() && version.is_none() && is_delimited(&package, '-'),
        };
        if !valid || interface.as_deref().is_some_and(|i| !is_delimited(i, '-')) {
            return Err(format!(
                "{text:?} names no import: write `namespace:package/interface@version`"
            ));
        }
        Ok(DependencyName {
            text,
            package,
            interface,
            version,
        })
    }
}

impl DependencyName {
    /// Whether an import of a component is one this dependency is meant for.
    pub fn matches(&self, import: &str) -> bool {
        let (name, version) = match import.split_once('@') {
            Some((name, version)) => (name, Some(version)),
            None => (import, None),
        };
        let (package, interface) = match name.split_once('/') {
            Some((package, interface)) => (package, Some(interface)),
            None => (name, None),
        };
        package == self.package
            && (self.interface.is_none() || self.interface.as_deref() == interface)
            && (self.version.is_none() || self.version.as_deref() == version)
    }

    /// The package without interface and version.
    pub fn package(&self) -> &str {
        &self.package
    }
}

impl fmt::Display for DependencyName {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A label of a database or store: kebab-case or snake_case.
pub fn is_label(text: &str) -> bool {
    is_delimited(text, '-') || is_delimited(text, '_')
}

/// Words of letters and digits that begin with a letter and do not mix case, joined by one delimiter.
fn is_delimited(text: &str, delimiter: char) -> bool {
    !text.is_empty()
        && text.split(delimiter).all(|word| {
            word.starts_with(|c: char| c.is_ascii_alphabetic())
                && word.chars().all(|c| c.is_ascii_alphanumeric())
                && !(word.contains(|c: char| c.is_ascii_uppercase())
                    && word.contains(|c: char| c.is_ascii_lowercase()))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dependency_matches_the_imports_it_names() {
        let interface = DependencyName::try_from("a:b/c@0.1.0".to_owned()).unwrap();
        assert!(interface.matches("a:b/c@0.1.0"));
        assert!(!interface.matches("a:b/c@0.2.0"));
        assert!(!interface.matches("a:b/d@0.1.0"));
        let package = DependencyName::try_from("a:b".to_owned()).unwrap();
        assert!(package.matches("a:b/c@0.1.0"));
        assert!(!package.matches("a:x/c@0.1.0"));
    }

    #[test]
    fn names_that_break_the_rules_are_refused() {
        for id in ["", "Web_app", "a--b", "1a", "a b"] {
            assert!(ComponentId::try_from(id.to_owned()).is_err(), "{id}");
        }
        for name in ["", "A", "a__b", "a_", "1a", "a-b"] {
            assert!(VariableName::try_from(name.to_owned()).is_err(), "{name}");
        }
        for name in ["a:b/", "a/b", "a:b:c", "a@1.0.0"] {
            assert!(DependencyName::try_from(name.to_owned()).is_err(), "{name}");
        }
    }
}
