//! The router's variable `namespaces`: which component is which namespace, and who must have judged those who
//! want to enter. The router acts by it; whoever starts an application checks its manifest against it.

use std::fmt::{self, Formatter};

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};

/// The response header of `POST /connect` by which each middleware that a request has passed says so, by its
/// name. Clients cannot send it: it is in no request.
pub const JUDGED: &str = "parlour-judged";

/// The most characters of a component's name, Spin's own limit being that of a host's label.
const MAX_COMPONENT_CHARS: usize = 63;

/// Where one namespace lives.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// The Spin component's id.
    pub component: String,
    /// The component that is asked `POST /connect` instead, behind middleware of its own.
    #[serde(default)]
    door: Option<String>,
    #[serde(default, deserialize_with = "middleware")]
    pub middleware: Middleware,
    #[serde(default)]
    proof: Option<Proof>,
}

/// Which middleware must have judged a client before it may enter.
#[derive(Debug, Default, PartialEq)]
pub enum Middleware {
    /// `false`: everybody may enter, and nobody is asked.
    None,
    /// `true`, or nothing: whichever there is, but there must be some.
    #[default]
    Some,
    /// Each of these, by the ids of their components.
    These(Vec<String>),
}

/// How it is known at each connect that the middleware is there. Where a namespace does not say so: by its
/// header, or if it does not name its middleware by either.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Proof {
    /// It says so in the answer, by [`JUDGED`].
    Header,
    /// It does not know how to say so. But it refuses somebody who has nothing to show.
    Refusal,
}

impl Route {
    /// Which component judges those who want to enter, if one does.
    pub fn door(&self) -> Option<&str> {
        let door = self.door.as_ref().unwrap_or(&self.component);
        (self.middleware != Middleware::None).then_some(door)
    }

    /// What is missing of the middleware that must have said that it has judged, in words, if anything.
    pub fn missing_in<'a>(&self, judged: impl IntoIterator<Item = &'a str>) -> Option<String> {
        match self.proof {
            Some(Proof::Refusal) => Some("proof".to_owned()),
            Some(Proof::Header) | None => self.middleware.missing_in(judged),
        }
    }

    /// Whether it is enough that somebody is refused who has nothing to show.
    pub fn is_proven_by_refusal(&self) -> bool {
        match self.proof {
            Some(proof) => proof == Proof::Refusal,
            None => self.middleware == Middleware::Some,
        }
    }

    /// Every component that it names.
    pub fn components(&self) -> impl Iterator<Item = &str> {
        [Some(&self.component), self.door.as_ref()]
            .into_iter()
            .flatten()
            .map(String::as_str)
    }

    /// What a namespace must not be given, if it was.
    fn problem(&self) -> Option<String> {
        let these = match &self.middleware {
            Middleware::These(these) => &these[..],
            Middleware::None | Middleware::Some => &[],
        };
        let mut names = self.components().chain(these.iter().map(String::as_str));
        if let Some(name) = names.find(|name| !is_component(name)) {
            return Some(format!(
                "the component {name:?}, which is no id of a Spin component"
            ));
        }
        if self.middleware != Middleware::None {
            return None;
        }
        if let Some(door) = &self.door {
            return Some(format!(
                "the door {door:?} and \"middleware\": false, so that nobody would be asked at the door: \
                 leave one of them out"
            ));
        }
        (self.proof == Some(Proof::Refusal)).then(|| {
            "\"proof\": \"refusal\" and \"middleware\": false, so that nobody could refuse"
                .to_owned()
        })
    }
}

impl Middleware {
    /// What is missing of the middleware that there must be, in words, if anything.
    pub fn missing_in<'a>(&self, there: impl IntoIterator<Item = &'a str>) -> Option<String> {
        let there: Vec<&str> = there.into_iter().collect();
        match self {
            Self::None => None,
            Self::Some => there.is_empty().then(|| "some middleware".to_owned()),
            Self::These(these) => {
                let missing = these.iter().filter(|one| !there.contains(&one.as_str()));
                let missing: Vec<&str> = missing.map(String::as_str).collect();
                (!missing.is_empty()).then(|| format!("the middleware {}", missing.join(", ")))
            }
        }
    }
}

/// Reads the variable: each namespace with its route, in the order in which they are written. The error is the
/// end of a sentence about the variable.
pub fn parse(text: &str) -> Result<Vec<(String, Route)>, String> {
    let Routes(routes) = serde_json::from_str(text).map_err(|error| {
        format!(
            "must be JSON like {{\"/\": {{\"component\": \"lobby\", \"middleware\": false}}}}: {error}"
        )
    })?;
    for (namespace, route) in &routes {
        if let Some(problem) = route.problem() {
            return Err(format!("gives {namespace:?} {problem}"));
        }
    }
    Ok(routes)
}

/// `false`, `true`, a name, or a list of names.
fn middleware<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Middleware, D::Error> {
    #[derive(Deserialize)]
    #[serde(
        untagged,
        expecting = "expected false, the middleware's name, or a list of names"
    )]
    enum Given {
        Whether(bool),
        One(String),
        Several(Vec<String>),
    }
    Ok(match Given::deserialize(deserializer)? {
        Given::Whether(false) => Middleware::None,
        Given::Whether(true) => Middleware::Some,
        Given::One(name) => Middleware::These(vec![name]),
        Given::Several(names) if names.is_empty() => Middleware::Some,
        Given::Several(names) => Middleware::These(names),
    })
}

/// In the order in which they are written.
struct Routes(Vec<(String, Route)>);

impl<'de> Deserialize<'de> for Routes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Routes;

            fn expecting(&self, f: &mut Formatter) -> fmt::Result {
                f.write_str("an object of namespaces")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Routes, A::Error> {
                let mut routes = Vec::new();
                while let Some(route) = map.next_entry()? {
                    routes.push(route);
                }
                Ok(Routes(routes))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

fn is_component(name: &str) -> bool {
    (1..=MAX_COMPONENT_CHARS).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name
            .chars()
            .all(|char| char.is_ascii_alphanumeric() || char == '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(text: &str) -> Route {
        let mut routes = parse(&format!("{{\"/\":{text}}}")).unwrap();
        routes.remove(0).1
    }

    #[test]
    fn a_namespace_is_judged_unless_it_says_otherwise() {
        let open = route(r#"{"component": "lobby", "middleware": false}"#);
        assert_eq!((open.door(), open.middleware.missing_in([])), (None, None));
        for closed in [
            r#"{"component": "members"}"#,
            r#"{"component": "members", "middleware": true}"#,
            r#"{"component": "members", "middleware": []}"#,
        ] {
            let members = route(closed);
            assert_eq!(members.door(), Some("members"));
            assert!(members.middleware.missing_in([]).is_some());
            assert!(members.middleware.missing_in(["any"]).is_none());
        }
    }

    #[test]
    fn a_door_is_asked_in_the_components_place() {
        let vip = route(r#"{"component": "vip", "door": "vip-door"}"#);
        assert_eq!((&*vip.component, vip.door()), ("vip", Some("vip-door")));
    }

    #[test]
    fn the_middleware_that_must_be_there_is_named() {
        let one = route(r#"{"component": "a", "middleware": "auth"}"#).middleware;
        assert!(one.missing_in(["rate-limit", "auth"]).is_none());
        let missing = one.missing_in(["rate-limit", "authx"]);
        assert_eq!(missing.unwrap(), "the middleware auth");
        let both = route(r#"{"component": "a", "middleware": ["rate-limit", "auth"]}"#).middleware;
        assert!(both.missing_in(["auth", "rate-limit"]).is_none());
        let missing = both.missing_in(["auth"]);
        assert_eq!(missing.unwrap(), "the middleware rate-limit");
    }

    #[test]
    fn middleware_that_cannot_say_that_it_judged_must_refuse_somebody() {
        let by = |text: &str| {
            let route = route(text);
            (
                route.missing_in(["key"]).is_none(),
                route.is_proven_by_refusal(),
            )
        };
        assert_eq!(
            by(r#"{"component": "a", "middleware": "key"}"#),
            (true, false)
        );
        assert_eq!(by(r#"{"component": "a"}"#), (true, true));
        let refusal = r#"{"component": "a", "middleware": "key", "proof": "refusal"}"#;
        assert_eq!(by(refusal), (false, true));
        assert_eq!(
            by(r#"{"component": "a", "proof": "header"}"#),
            (true, false)
        );
    }

    #[test]
    fn a_mistake_is_named() {
        for (text, said) in [
            ("", "must be JSON like"),
            (
                r#"{"/": {"component": "lobby", "midleware": true}}"#,
                "unknown field `midleware`",
            ),
            (
                r#"{"/": {"component": "lobby", "middleware": 7}}"#,
                "the middleware's name",
            ),
            (
                r#"{"/": {"component": "lobby", "middleware": "a b"}}"#,
                "\"a b\"",
            ),
            (r#"{"/": {}}"#, "missing field `component`"),
            (r#"{"/": {"component": "evil.example/"}}"#, "evil.example/"),
            (r#"{"/": {"component": "vip", "door": "a b"}}"#, "\"a b\""),
            (
                r#"{"/vip": {"component": "vip", "door": "vip-door", "middleware": false}}"#,
                "gives \"/vip\" the door \"vip-door\" and \"middleware\": false",
            ),
            (
                r#"{"/": {"component": "vip", "proof": "refusal", "middleware": false}}"#,
                "nobody could refuse",
            ),
        ] {
            let problem = parse(text).unwrap_err();
            assert!(problem.contains(said), "{problem}");
        }
    }
}
