//! Whether the middleware of a namespace can judge: it is asked about a client that has nothing to show.

use parlour_protocol::relay::check::Finding;
use parlour_protocol::routes::Route;

use super::CONNECT;
use super::decision::{self, Decision};
use super::question::{self, Question};
use crate::excerpt;
use crate::failure::Failure;
use crate::forward::{self, Answer};

/// What is wrong, if anything. Refused or let in, the client is nobody's.
pub async fn trial(namespace: &str, door: &str, route: &Route) -> Option<Finding> {
    let Ok(Ok(Question { headers, body })) = question::about_nobody(namespace) else {
        return None;
    };
    match forward::ask(door, CONNECT, headers, body).await {
        Ok(answer) => finding(&answer, door, route),
        Err(failure) => Some(Finding::error(failure.to_string())),
    }
}

fn finding(answer: &Answer, door: &str, route: &Route) -> Option<Finding> {
    let missing = match decision::from_answer(answer, door) {
        // One that refuses stands there, whatever it is called.
        Ok(Decision::Refused(_) | Decision::Skipped) => return None,
        Ok(Decision::Admitted(_)) if route.is_proven_by_refusal() => {
            "middleware that refuses who has nothing to show".to_owned()
        }
        Ok(Decision::Admitted(_)) => decision::missing(answer, route)?,
        Err(failure @ Failure::Away { .. }) => return Some(Finding::warning(failure.to_string())),
        Err(failure) => {
            let said = excerpt::said(&answer.body);
            return Some(Finding::error(match said.is_empty() {
                true => failure.to_string(),
                false => format!("the middleware before {door} cannot judge: {said}"),
            }));
        }
    };
    Some(Finding::warning(format!(
        "it is closed to everybody: {missing} must stand before {door}, and nothing shows that it has judged who wants \
         to enter; give {door} exactly one [[trigger.http]], which has it in dependencies.middleware, or see \
         docs/middleware.md"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use spin_sdk::http::{HeaderMap, StatusCode};

    fn found(route: &str, status: u16, body: &str, judged: &[&str]) -> Option<Finding> {
        let routes = parlour_protocol::routes::parse(&format!("{{\"/\":{route}}}")).unwrap();
        let mut headers = HeaderMap::new();
        for name in judged {
            headers.append(parlour_protocol::routes::JUDGED, name.parse().unwrap());
        }
        let answer = Answer {
            status: StatusCode::from_u16(status).unwrap(),
            headers,
            body: body.to_owned().into(),
        };
        finding(&answer, "members", &routes[0].1)
    }

    #[test]
    fn middleware_that_judges_is_well() {
        let auth = r#"{"component":"members","middleware":"auth"}"#;
        assert_eq!(found(auth, 401, "", &[]), None);
        assert_eq!(found(auth, 200, "null", &["auth"]), None);
        let unnamed = r#"{"component":"members"}"#;
        assert_eq!(found(unnamed, 401, "", &[]), None);
    }

    #[test]
    fn middleware_that_cannot_judge_says_why() {
        let auth = r#"{"component":"members","middleware":"auth"}"#;
        let body = r#"{"message":"the variable auth_secret is short","data":{}}"#;
        let finding = found(auth, 500, body, &[]).unwrap();
        assert!(finding.is_error(), "{finding:?}");
        assert!(
            finding
                .message
                .ends_with("cannot judge: the variable auth_secret is short")
        );
        assert!(!found(auth, 503, "", &[]).unwrap().is_error());
    }

    #[test]
    fn middleware_that_is_not_there_is_missed() {
        for route in [
            r#"{"component":"members","middleware":"auth"}"#,
            r#"{"component":"members"}"#,
            r#"{"component":"members","middleware":"key","proof":"refusal"}"#,
        ] {
            let finding = found(route, 200, "null", &[]).unwrap();
            assert!(
                finding.message.contains("closed to everybody"),
                "{finding:?}"
            );
        }
    }
}
