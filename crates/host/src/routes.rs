//! Which trigger a path belongs to: exact segments before `:parameters` before a trailing
//! wildcard, as Spin's router decides. Knows paths only, no requests.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};

/// The index of a trigger in the plan.
pub type TriggerIndex = usize;

/// All public routes.
#[derive(Debug, Default)]
pub struct Router {
    /// Most specific first.
    routes: Vec<PublicRoute>,
}

#[derive(Debug)]
struct PublicRoute {
    /// As written in the manifest.
    raw: String,
    segments: Vec<Segment>,
    trigger: TriggerIndex,
}

/// Ordered by how specific it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    Exact(String),
    Parameter(String),
    /// The rest of the path; last.
    Wildcard,
}

/// A path that belongs to a route.
#[derive(Debug, PartialEq)]
pub struct Match<'a> {
    pub trigger: TriggerIndex,
    /// The route as written.
    pub route: &'a str,
    pub parameters: BTreeMap<&'a str, &'a str>,
    /// What the trailing wildcard stands for, with its slash; empty without a wildcard.
    pub rest: String,
}

impl Router {
    /// Adds a route. Of two equal ones the later wins, as in Spin; the earlier is returned.
    pub fn add(&mut self, raw: &str, trigger: TriggerIndex) -> Result<Option<TriggerIndex>> {
        let segments = parse(raw)?;
        let replaced = self
            .routes
            .iter()
            .position(|route| route.raw == raw)
            .map(|index| self.routes.remove(index).trigger);
        self.routes.push(PublicRoute {
            raw: raw.to_owned(),
            segments,
            trigger,
        });
        self.routes
            .sort_by(|a, b| precedence(&a.segments).cmp(&precedence(&b.segments)));
        Ok(replaced)
    }

    pub fn find<'a>(&'a self, path: &'a str) -> Option<Match<'a>> {
        let segments: Vec<&str> = path.split('/').filter(|s| !s.is_empty()).collect();
        self.routes
            .iter()
            .find_map(|route| route.matches(path, &segments))
    }
}

impl PublicRoute {
    fn matches<'a>(&'a self, path: &str, segments: &[&'a str]) -> Option<Match<'a>> {
        let mut parameters = BTreeMap::new();
        let mut given = segments.iter();
        let mut rest = String::new();
        for segment in &self.segments {
            match segment {
                Segment::Exact(text) => (given.next()? == text).then_some(())?,
                Segment::Parameter(name) => {
                    parameters.insert(name.as_str(), *given.next()?);
                }
                Segment::Wildcard => {
                    for segment in given.by_ref() {
                        rest.push('/');
                        rest.push_str(segment);
                    }
                    if path.ends_with('/') {
                        rest.push('/');
                    }
                }
            }
        }
        given.next().is_none().then_some(Match {
            trigger: self.trigger,
            route: &self.raw,
            parameters,
            rest,
        })
    }
}

fn parse(raw: &str) -> Result<Vec<Segment>> {
    let mut segments = Vec::new();
    for part in raw.split('/').filter(|part| !part.is_empty()) {
        ensure!(
            segments.last() != Some(&Segment::Wildcard),
            "route {raw:?}: a wildcard `/...` must come last"
        );
        segments.push(match part {
            "..." | "*" => Segment::Wildcard,
            _ => match part.strip_prefix(':') {
                Some(name) => {
                    ensure!(
                        !name.is_empty(),
                        "route {raw:?}: a `:parameter` needs a name"
                    );
                    Segment::Parameter(name.to_owned())
                }
                None => Segment::Exact(part.to_owned()),
            },
        });
    }
    Ok(segments)
}

/// Sorts exact before parameter before wildcard at the first segment where two routes differ; of
/// two where one ends, the one without a wildcard, then the longer.
fn precedence(segments: &[Segment]) -> Vec<(u8, &str)> {
    let mut key: Vec<(u8, &str)> = segments
        .iter()
        .map(|segment| match segment {
            Segment::Exact(text) => (1, text.as_str()),
            Segment::Parameter(_) => (2, ""),
            Segment::Wildcard => (3, ""),
        })
        .collect();
    key.push((0, ""));
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    fn router(routes: &[&str]) -> Router {
        let mut router = Router::default();
        for (index, route) in routes.iter().enumerate() {
            router.add(route, index).unwrap();
        }
        router
    }

    fn found(routes: &[&str], path: &str) -> Option<usize> {
        router(routes).find(path).map(|m| m.trigger)
    }

    #[test]
    fn the_most_specific_route_wins_whatever_the_order() {
        let routes = ["/...", "/a/...", "/a/b", "/a/:x", "/a/b/..."];
        assert_eq!(found(&routes, "/"), Some(0));
        assert_eq!(found(&routes, "/z/y"), Some(0));
        assert_eq!(found(&routes, "/a"), Some(1));
        assert_eq!(found(&routes, "/a/b"), Some(2));
        assert_eq!(found(&routes, "/a/c"), Some(3));
        assert_eq!(found(&routes, "/a/c/d"), Some(1));
        assert_eq!(found(&routes, "/a/b/c"), Some(4));
    }

    #[test]
    fn an_exact_route_matches_nothing_below_it() {
        assert_eq!(found(&["/relay"], "/relay"), Some(0));
        assert_eq!(found(&["/relay"], "/relay/"), Some(0));
        assert_eq!(found(&["/relay"], "/relay/x"), None);
        assert_eq!(found(&["/relay"], "/"), None);
    }

    #[test]
    fn the_wildcard_gives_the_rest_of_the_path() {
        let router = router(&["/test/...", "/one/:two/..."]);
        for (path, rest) in [
            ("/test", ""),
            ("/test/", "/"),
            ("/test/hello", "/hello"),
            ("/test/hello/", "/hello/"),
            ("/one/2/3/4", "/3/4"),
        ] {
            assert_eq!(router.find(path).unwrap().rest, rest, "{path}");
        }
        assert_eq!(router.find("/one/2/3").unwrap().parameters["two"], "2");
    }

    #[test]
    fn of_two_equal_routes_the_later_wins() {
        let mut router = Router::default();
        assert_eq!(router.add("/a", 0).unwrap(), None);
        assert_eq!(router.add("/a", 1).unwrap(), Some(0));
        assert_eq!(router.find("/a").unwrap().trigger, 1);
    }

    #[test]
    fn a_wildcard_must_come_last() {
        assert!(parse("/.../a").is_err());
        assert!(parse("/:").is_err());
    }
}
