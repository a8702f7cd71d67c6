//! Whether each namespace is behind the middleware that it must be behind, by the manifest: the router's variable
//! `namespaces` says what must be, the triggers what is. On Spin nobody reads both before clients come; there,
//! and here as well, the router lets nobody in whom the middleware has not judged.

use anyhow::{Result, anyhow, bail};
use parlour_host::{App, Front};
use parlour_protocol::relay;
use parlour_protocol::routes::{self, Middleware, Route};

use crate::nearest::instead;

/// Says what is wrong with an application before anybody can connect to it.
pub fn check(app: &App) -> Result<()> {
    let fronts = app.fronts();
    let router = fronts
        .iter()
        .find(|front| front.route.as_deref() == Some(relay::PATH));
    let Some(text) =
        router.and_then(|router| app.component_variable(&router.component, "namespaces"))
    else {
        return Ok(());
    };
    let routes = routes::parse(&text)
        .map_err(|problem| anyhow!("the router's variable namespaces {problem}"))?;
    for (namespace, route) in &routes {
        check_route(namespace, route, fronts, app.components())?;
    }
    Ok(())
}

fn check_route(
    namespace: &str,
    route: &Route,
    fronts: &[Front],
    components: &[String],
) -> Result<()> {
    for component in route.components() {
        if !components.iter().any(|one| one == component) {
            bail!(
                "the router's variable namespaces gives {namespace} the component {component}, and there is no \
                 [component.{component}] in the manifest: {}",
                instead(component, components.iter().map(String::as_str))
            );
        }
        let own: Vec<&Front> = fronts
            .iter()
            .filter(|front| front.component == component)
            .collect();
        if own.is_empty() {
            bail!(
                "the namespace {namespace} is the component {component}, which no request can reach: add \
                 [[trigger.http]] with route = {{ private = true }} and component = \"{component}\""
            );
        }
        let [front] = own[..] else {
            bail!(
                "the namespace {namespace} is the component {component}, which has {} entries [[trigger.http]]: it must \
                 have one, because with several, calls pass by the middleware",
                own.len()
            );
        };
        if let Some(path) = &front.route {
            bail!(
                "the namespace {namespace} is the component {component}, and everybody can send it requests by the route \
                 {path}: make it route = {{ private = true }}"
            );
        }
        let Some(door) = route.door() else {
            if !front.middleware.is_empty() {
                tracing::warn!(
                    namespace,
                    component,
                    "there is middleware before this namespace, but it has \"middleware\": false: nobody is judged"
                );
            }
            continue;
        };
        if door == component {
            check_middleware(namespace, &route.middleware, front)?;
        }
    }
    Ok(())
}

fn check_middleware(namespace: &str, wanted: &Middleware, front: &Front) -> Result<()> {
    let there = front.middleware.iter().map(String::as_str);
    if let Some(missing) = wanted.missing_in(there) {
        bail!(
            "the namespace {namespace} must have {missing} before its component {}, but the [[trigger.http]] of that \
             has not: add it to dependencies.middleware there, or say \"middleware\": false in the router's variable \
             namespaces if everybody may enter",
            front.component
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn front(component: &str, route: Option<&str>, middleware: &[&str]) -> Front {
        Front {
            component: component.into(),
            route: route.map(str::to_owned),
            middleware: middleware.iter().map(|one| (*one).to_owned()).collect(),
        }
    }

    fn problem(route: &str, fronts: &[Front]) -> Option<String> {
        let routes = routes::parse(&format!("{{\"/n\":{route}}}")).unwrap();
        let (namespace, route) = &routes[0];
        let components = ["a", "b"].map(str::to_owned);
        let checked = check_route(namespace, route, fronts, &components);
        checked.err().map(|error| error.to_string())
    }

    #[test]
    fn middleware_that_must_be_there_must_be_in_the_manifest() {
        let named = r#"{"component": "a", "middleware": ["rate-limit", "auth"]}"#;
        let both = [front("a", None, &["auth", "rate-limit"])];
        assert_eq!(problem(named, &both), None);
        let one = problem(named, &[front("a", None, &["rate-limit"])]).unwrap();
        assert!(
            one.contains("/n must have the middleware auth before its component a"),
            "{one}"
        );
        let unnamed = r#"{"component": "a"}"#;
        assert_eq!(problem(unnamed, &both), None);
        let none = problem(unnamed, &[front("a", None, &[])]).unwrap();
        assert!(none.contains("some middleware"), "{none}");
        let open = r#"{"component": "a", "middleware": false}"#;
        assert_eq!(problem(open, &[front("a", None, &[])]), None);
    }

    #[test]
    fn middleware_before_a_door_is_looked_for_there() {
        let door = r#"{"component": "a", "door": "b", "middleware": "key", "proof": "refusal"}"#;
        let good = [front("a", None, &[]), front("b", None, &["key"])];
        assert_eq!(problem(door, &good), None);
        let wrong = [front("a", None, &["key"]), front("b", None, &[])];
        assert!(problem(door, &wrong).unwrap().contains("component b"));
    }

    #[test]
    fn a_namespace_has_one_trigger_and_that_is_private() {
        let open = r#"{"component": "a", "middleware": false}"#;
        let public = problem(open, &[front("a", Some("/a"), &[])]).unwrap();
        assert!(public.contains("/a"), "{public}");
        let two = [front("a", None, &[]), front("a", None, &["auth"])];
        assert!(problem(open, &two).unwrap().contains("2 entries"));
        let none = problem(open, &[]).unwrap();
        assert!(none.contains("route = { private = true }"), "{none}");
    }

    #[test]
    fn a_component_that_does_not_exist_is_said_to_be_that() {
        let misspelt = r#"{"component": "aa", "middleware": false}"#;
        let said = problem(misspelt, &[front("a", None, &[])]).unwrap();
        assert!(said.contains("there is no [component.aa]"), "{said}");
        assert!(said.contains("there are a, b"), "{said}");
        let door = r#"{"component": "a", "door": "c", "middleware": "key"}"#;
        assert!(
            problem(door, &[front("a", None, &[])])
                .unwrap()
                .contains("[component.c]")
        );
    }
}
