//! Whether the application is set up as it must be (docs/relay-protocol.md, "Checks"). The router answers for itself, and
//! for one namespace at a time: on Spin, a call to a component that does not exist ends the caller, so that whoever
//! asks learns of which namespace that is only from the lack of this answer.

use parlour_envelope as envelope;
use parlour_protocol::relay::check::{Finding, Question, Report, Served, Severity};
use parlour_protocol::relay::from_slice;
use parlour_protocol::routes::{self, Route};
use serde::Deserialize;
use spin_sdk::http::{HeaderMap, StatusCode};
use spin_sdk::wasip3::http::types;

use crate::config::Config;
use crate::failure::Failure;
use crate::forward::{self, Answer};
use crate::{authorize, excerpt};

/// The path of a namespace that says what it thinks of its set-up.
const CHECK: &str = "/check";

/// The path by which its database is tried out, where it cannot say anything itself.
const PROBE: &str = "/probe";

/// The path that every namespace has.
const EVENTS: &str = "/events";

/// The report about what the question means.
pub async fn answer(body: &[u8]) -> Result<types::Response, Failure> {
    let question: Question<'_> = from_slice(body).map_err(envelope::Failure::Batch)?;
    let text = envelope::variable("namespaces").await?;
    let config = Config::known(text.clone())?;
    let report = match &question.namespace {
        None => own(&text).await?,
        Some(name) => {
            let routes = routes::parse(&text).unwrap_or_default();
            let named = routes.iter().find(|(namespace, _)| namespace == name);
            let route = named.map(|(_, route)| route).or(config.route(name));
            match route {
                Some(route) => report("namespace", of_namespace(name, route).await),
                None => report(
                    "router",
                    vec![Finding::error(format!(
                        "there is no namespace {name}: add it to the router's variable namespaces"
                    ))],
                ),
            }
        }
    };
    Ok(envelope::report(&report)?)
}

fn report(component: &str, findings: Vec<Finding>) -> Report {
    Report {
        component: component.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        findings,
        namespaces: Vec::new(),
    }
}

/// What the router's own variables say.
async fn own(namespaces: &str) -> Result<Report, Failure> {
    let mut findings = Vec::new();
    match envelope::optional_variable("recovery_skip_middlewares").await {
        Ok(text) => findings.extend(
            authorize::skips_recovered(text.as_deref())
                .err()
                .map(|failure| Finding::error(failure.to_string())),
        ),
        Err(failure) => findings.push(Finding::error(failure.to_string())),
    }
    let routes = routes::parse(namespaces).unwrap_or_default();
    if routes.is_empty() {
        findings.push(Finding::error(
            "the variable namespaces names none, so that nobody can enter: write it like \
             {\"/\": {\"component\": \"lobby\", \"middleware\": false}}",
        ));
    }
    let served = |(namespace, route): (String, Route)| Served {
        namespace,
        component: route.component,
    };
    Ok(Report {
        namespaces: routes.into_iter().map(served).collect(),
        ..report("router", findings)
    })
}

async fn of_namespace(namespace: &str, route: &Route) -> Vec<Finding> {
    let component = &*route.component;
    let mut findings = match ask(component, CHECK).await {
        Ok(answer) => match reading(component, &answer) {
            Reading::Said(findings) => findings,
            Reading::Silent => without_check(component).await,
        },
        Err(finding) => vec![finding],
    };
    if let Some(door) = route.door() {
        findings.extend(authorize::trial(namespace, door, route).await);
    }
    let whose = format!("the namespace {namespace} (component {component})");
    findings
        .into_iter()
        .map(|finding| finding.of(&whose))
        .collect()
}

async fn ask(component: &str, path: &'static str) -> Result<Answer, Finding> {
    let answer = forward::ask(component, path, HeaderMap::new(), Vec::new()).await;
    answer.map_err(|failure| {
        Finding::error(format!(
            "{failure}; is there a [component.{component}] in spin.toml, with exactly one [[trigger.http]], which has \
             route = {{ private = true }}, and has the router's component allowed_outbound_hosts = \
             [\"http://*.spin.internal\"]?"
        ))
    })
}

/// What a component's answer to a check means.
#[derive(Debug, PartialEq)]
enum Reading {
    Said(Vec<Finding>),
    /// It does not know checks.
    Silent,
}

fn reading(component: &str, Answer { status, body, .. }: &Answer) -> Reading {
    if *status == StatusCode::OK
        && let Ok(report) = serde_json::from_slice::<Report>(body)
    {
        return Reading::Said(report.findings);
    }
    match status.as_u16() {
        200..=299 | 404 | 405 => Reading::Silent,
        500..=599 => Reading::Said(vec![failing(CHECK, *status, body)]),
        _ => Reading::Said(vec![Finding::warning(format!(
            "the middleware before {component} refuses POST {CHECK} ({status}: {:?}), and so the batches, too: put it \
             before a door, see docs/middleware.md",
            excerpt::of(body)
        ))]),
    }
}

/// A component that failed at a question that is no event.
fn failing(path: &str, status: StatusCode, body: &[u8]) -> Finding {
    let said = excerpt::said(body);
    let message = match said.is_empty() {
        true => format!("it failed at POST {path} ({status}): its log says why"),
        false => said,
    };
    Finding {
        severity: match status {
            StatusCode::INTERNAL_SERVER_ERROR => Severity::Error,
            _ => Severity::Warning,
        },
        ..Finding::error(message)
    }
}

/// A namespace that was written without our SDK need not know checks; that it is a namespace shows all the same,
/// because it says in the relay protocol's words what is wrong with a batch that is none.
async fn without_check(component: &str) -> Vec<Finding> {
    let events = match ask(component, EVENTS).await {
        Ok(events) => events,
        Err(finding) => return vec![finding],
    };
    if !is_namespace(&events) {
        return vec![Finding::error(format!(
            "it is no namespace, because it answers POST {EVENTS} with {}: name in the router's variable namespaces a \
             component that is one, see docs/namespace.md",
            events.status
        ))];
    }
    match ask(component, PROBE).await {
        Ok(answer) if answer.status.is_server_error() => {
            vec![failing(PROBE, answer.status, &answer.body)]
        }
        Ok(_) => Vec::new(),
        Err(finding) => vec![finding],
    }
}

fn is_namespace(answer: &Answer) -> bool {
    #[derive(Deserialize)]
    struct Wrong {
        #[serde(rename = "error")]
        _error: serde_json::Map<String, serde_json::Value>,
    }
    let is_known = !matches!(answer.status.as_u16(), 404 | 405);
    is_known && serde_json::from_slice::<Wrong>(&answer.body).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: body.to_owned().into(),
        }
    }

    fn read(status: u16, body: &str) -> Vec<Finding> {
        match reading("lobby", &answer(status, body)) {
            Reading::Said(findings) => findings,
            Reading::Silent => panic!("{status} is silence"),
        }
    }

    #[test]
    fn a_component_speaks_for_itself() {
        let report = r#"{"component":"namespace","version":"1","findings":[{"message":"no"}]}"#;
        assert_eq!(read(200, report), [Finding::error("no")]);
        for (status, body) in [(404, ""), (405, ""), (200, "<html>"), (204, "")] {
            assert_eq!(reading("lobby", &answer(status, body)), Reading::Silent);
        }
    }

    #[test]
    fn a_failure_is_said_in_the_components_words() {
        let body = r#"{"error":{"code":"storage","message":"the disk\nis gone"}}"#;
        assert_eq!(read(500, body), [Finding::error("the disk is gone")]);
        assert_eq!(read(503, body), [Finding::warning("the disk is gone")]);
        assert!(read(500, "")[0].message.contains("its log says why"));
        let refused = &read(403, "no key")[0];
        assert!(!refused.is_error() && refused.message.contains("door"));
    }

    #[test]
    fn who_words_errors_as_the_relay_protocol_does_is_a_namespace() {
        let error = r#"{"error":{"code":"malformed","message":"no batch"}}"#;
        assert!(is_namespace(&answer(400, error)));
        for (status, body) in [(404, error), (405, ""), (200, "<html>"), (400, "bad")] {
            assert!(!is_namespace(&answer(status, body)), "{status} {body}");
        }
    }
}
