//! What the router is configured with: which component is which namespace.
//! Reads no variable itself; it judges the texts it is given.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use parlour_envelope::Failure;
use parlour_protocol::routes::{self, Route};
use regex_lite::Regex;

/// The namespaces there are: by name, and by pattern in the order of the variable.
#[derive(Debug)]
pub struct Config {
    names: HashMap<String, Route>,
    patterns: Vec<(Regex, Route)>,
}

/// What the name of a namespace begins with that is a pattern: a regular expression for whole names.
const PATTERN: char = '~';

thread_local! {
    /// What the variable said when it was last parsed, and what that meant.
    static KNOWN: RefCell<Option<(String, Rc<Config>)>> = const { RefCell::new(None) };
}

impl Config {
    /// What the variable `namespaces` means. Patterns take some time, so the last meaning is remembered.
    pub fn known(text: String) -> Result<Rc<Self>, Failure> {
        let known = KNOWN.with_borrow(|known| {
            let known = known.as_ref().filter(|(before, _)| *before == text);
            known.map(|(_, config)| config.clone())
        });
        if let Some(config) = known {
            return Ok(config);
        }
        let config = Rc::new(Self::parse(&text)?);
        KNOWN.set(Some((text, config.clone())));
        Ok(config)
    }

    /// Parses the variable `namespaces`.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let mut config = Self {
            names: HashMap::new(),
            patterns: Vec::new(),
        };
        for (namespace, route) in routes::parse(text).map_err(invalid)? {
            if let Some(pattern) = namespace.strip_prefix(PATTERN) {
                config.patterns.push((whole(pattern)?, route));
            } else if namespace.starts_with('/') {
                config.names.insert(namespace, route);
            } else {
                return Err(invalid(format!(
                    "has the namespace {namespace:?}, which begins neither with / nor, being a pattern, with ~"
                )));
            }
        }
        Ok(config)
    }

    /// Every component that is a namespace, once.
    pub fn components(&self) -> BTreeSet<&str> {
        let by_pattern = self.patterns.iter().map(|(_, route)| route);
        let all = self.names.values().chain(by_pattern);
        all.map(|route| route.component.as_str()).collect()
    }

    /// A namespace's own route, else that of the first pattern that its name fits.
    pub fn route(&self, namespace: &str) -> Option<&Route> {
        let fits = |(pattern, _): &&(Regex, Route)| pattern.is_match(namespace);
        let by_pattern = || self.patterns.iter().find(fits).map(|(_, route)| route);
        self.names.get(namespace).or_else(by_pattern)
    }
}

/// A pattern that nothing may come before or after.
fn whole(pattern: &str) -> Result<Regex, Failure> {
    Regex::new(&format!("^(?:{pattern})$")).map_err(|error| {
        invalid(format!(
            "has the pattern {pattern:?}, which is no regular expression: {error}"
        ))
    })
}

fn invalid(problem: String) -> Failure {
    Failure::Variable {
        name: "namespaces",
        problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_can_be_named_by_a_pattern() {
        let config = Config::parse(
            r#"{"~/room-\\d+": {"component": "numbered"}, "~/room-.*": {"component": "named"},
                "/room-7": {"component": "seven"}}"#,
        )
        .unwrap();
        let component = |name| config.route(name).map(|route| route.component.as_str());
        assert_eq!(component("/room-1"), Some("numbered"));
        assert_eq!(component("/room-1x"), Some("named"));
        assert_eq!(component("/room-7"), Some("seven"));
        assert_eq!(component("/x/room-1"), None);
        assert_eq!(component("/room"), None);
    }

    #[test]
    fn a_mistake_in_namespaces_is_named() {
        for (text, said) in [
            ("", "must be JSON like"),
            (r#"{"members": {"component": "members"}}"#, "\"members\""),
            (r#"{"~/(": {"component": "members"}}"#, "\"/(\""),
        ] {
            let failure = Config::parse(text).unwrap_err();
            assert_eq!(failure.status(), 500);
            assert!(failure.to_string().contains(said), "{failure}");
            assert!(failure.to_string().starts_with("the variable namespaces "));
        }
    }
}
