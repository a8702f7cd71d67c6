//! What an answer to a check means, also where it is none: a path without a route, another secret, a component that is
//! not there.

use bytes::Bytes;
use http::StatusCode;
use parlour_protocol::relay::check::{Finding, Report, Served};
use serde::Deserialize;

/// Nobody answered who could know.
#[derive(Debug)]
pub struct Away(pub String);

#[derive(Debug)]
pub enum Answer {
    Given { status: StatusCode, body: Bytes },
    Late,
}

/// How errors are worded in the relay protocol.
#[derive(Deserialize)]
struct Problem {
    error: Error,
}

#[derive(Deserialize)]
struct Error {
    code: String,
    message: String,
}

impl Answer {
    /// The answer of `role`, which should be at `path`, about itself.
    pub fn of_component(self, role: &str, path: &str) -> Result<Result<Report, Finding>, Away> {
        let Answer::Given { status, body } = self else {
            return Ok(Err(late(path)));
        };
        let said = serde_json::from_slice::<Problem>(&body).ok();
        Ok(match (status.as_u16(), said) {
            (200, _) => reported(role, path, &body),
            (502..=504, None) => {
                return Err(Away(format!("{path} is answered with {status}")));
            }
            (400, Some(Problem { error })) if matches!(&*error.code, "header" | "lane") => {
                Err(Finding::warning(format!(
                    "the component at {path} does not know checks, so that it cannot say whether it is set up well \
                     (it says: {}): use a relay and an app of one release",
                    error.message
                )))
            }
            (401, Some(_)) => Err(Finding::error(
                "the relay and the app have different secrets: give both the same variable relay_secret",
            )),
            (502..=504, Some(Problem { error })) => {
                Err(Finding::warning(error.message).of(&format!("the component at {path}")))
            }
            (_, Some(Problem { error })) => {
                Err(Finding::error(error.message).of(&format!("the component at {path}")))
            }
            (500, None) => Err(Finding::error(format!(
                "the component at {path} fails ({status}): the app's log says why"
            ))),
            (_, None) => Err(no_route(role, path, &format!("{status}"))),
        })
    }

    /// The router's answer about a namespace.
    pub fn of_namespace(self, served: &Served) -> Result<Report, Finding> {
        let Served {
            namespace,
            component,
        } = served;
        let whose = format!("the namespace {namespace}");
        let Answer::Given { status, body } = self else {
            return Err(late(&format!("the component {component} of {whose}")));
        };
        if let Ok(report) = serde_json::from_slice::<Report>(&body) {
            return Ok(report);
        }
        if let Ok(Problem { error }) = serde_json::from_slice(&body) {
            return Err(Finding::error(error.message).of(&whose));
        }
        Err(Finding::error(format!(
            "{whose}: its component {component} cannot be asked (the router ends with {status}): is there a \
             [component.{component}] in spin.toml, with exactly one [[trigger.http]], which has route = {{ private = \
             true }}? The app's log says more"
        )))
    }
}

fn reported(role: &str, path: &str, body: &[u8]) -> Result<Report, Finding> {
    match serde_json::from_slice::<Report>(body) {
        Ok(report) if report.component == role => {
            let whose = format!("the component at {path}");
            let findings = report.findings.into_iter();
            Ok(Report {
                findings: findings.map(|finding| finding.of(&whose)).collect(),
                ..report
            })
        }
        Ok(report) => Err(Finding::error(format!(
            "the route {path} leads to the component {}, and must lead to {role}: change the component in its \
             [[trigger.http]] of spin.toml",
            report.component
        ))),
        // Another's app, which answers every batch.
        Err(_)
            if serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(body)
                .is_ok() =>
        {
            Ok(Report {
                component: role.to_owned(),
                version: String::new(),
                findings: Vec::new(),
                namespaces: Vec::new(),
            })
        }
        Err(_) => Err(no_route(role, path, "a page")),
    }
}

fn no_route(role: &str, path: &str, answer: &str) -> Finding {
    let whose = match role {
        "handshake" => "handshakes",
        _ => "batches of namespaces",
    };
    Finding::error(format!(
        "nothing takes {whose}: {path} is answered with {answer}; add to spin.toml [[trigger.http]] with route = \
         \"{path}\" and component = \"{role}\""
    ))
}

fn late(who: &str) -> Finding {
    Finding::warning(format!(
        "{who} has not answered in time: is the database held by another process, or the machine busy?"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(status: u16, body: &str) -> Answer {
        Answer::Given {
            status: StatusCode::from_u16(status).unwrap(),
            body: Bytes::from(body.to_owned()),
        }
    }

    fn found(status: u16, body: &str) -> Finding {
        let answer = given(status, body).of_component("router", "/relay");
        answer.unwrap().unwrap_err()
    }

    #[test]
    fn a_path_without_a_route_is_named_with_the_lines_to_add() {
        for (status, body) in [(404, ""), (405, "no"), (200, "<html>"), (403, "")] {
            let finding = found(status, body);
            assert!(finding.is_error(), "{finding:?}");
            for part in ["route = \"/relay\"", "component = \"router\""] {
                assert!(finding.message.contains(part), "{finding:?}");
            }
        }
    }

    #[test]
    fn what_a_component_says_is_passed_on() {
        let error = |code: &str| format!(r#"{{"error":{{"code":"{code}","message":"words"}}}}"#);
        assert!(
            found(401, &error("secret"))
                .message
                .contains("relay_secret")
        );
        let finding = found(500, &error("configuration"));
        assert_eq!(finding.message, "the component at /relay: words");
        assert!(!found(400, &error("header")).is_error());
        assert!(!found(503, &error("unavailable")).is_error());
        assert!(found(500, "").message.contains("log"));
    }

    #[test]
    fn an_app_that_is_not_there_is_no_finding() {
        for status in [502, 503, 504] {
            assert!(given(status, "").of_component("router", "/relay").is_err());
        }
    }

    #[test]
    fn two_routes_that_are_exchanged_are_told_apart() {
        let finding = found(200, r#"{"component":"handshake","version":"1"}"#);
        assert!(
            finding.message.contains("must lead to router"),
            "{finding:?}"
        );
    }

    #[test]
    fn anothers_app_need_not_know_checks() {
        let answer = given(200, r#"{"commands":[]}"#).of_component("router", "/relay");
        assert!(answer.unwrap().unwrap().findings.is_empty());
    }

    #[test]
    fn a_namespace_whose_component_ends_its_caller_is_named() {
        let served = Served {
            namespace: "/shop".into(),
            component: "shopp".into(),
        };
        let finding = given(500, "").of_namespace(&served).unwrap_err();
        for part in ["/shop", "[component.shopp]", "private"] {
            assert!(finding.message.contains(part), "{finding:?}");
        }
        assert!(!Answer::Late.of_namespace(&served).unwrap_err().is_error());
    }
}
