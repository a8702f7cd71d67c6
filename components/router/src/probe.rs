//! Whether the app can do its work (docs/relay-protocol.md, "Probes"): the component of each namespace is
//! asked to write to its database.

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use parlour_envelope as envelope;
use spin_sdk::http::{HeaderMap, StatusCode};
use spin_sdk::wasip3::http::types;

use crate::config::Config;
use crate::failure::Failure;
use crate::{excerpt, forward};

/// The path of a namespace that tries it out.
const PROBE: &str = "/probe";

/// How many components are asked at once.
const MAX_AT_ONCE: usize = 16;

/// 200 without commands, or why not.
pub async fn answer() -> Result<types::Response, Failure> {
    let config = Config::known(envelope::variable("namespaces").await?)?;
    let asked = config.components().into_iter().map(|component| async move {
        let answer = forward::ask(component, PROBE, HeaderMap::new(), Vec::new()).await;
        let answer = answer.map_err(|failure| unready(component, &failure.to_string()))?;
        judge(component, answer.status, &answer.body)
    });
    let all = stream::iter(asked).buffer_unordered(MAX_AT_ONCE);
    all.try_collect::<Vec<()>>().await?;
    Ok(envelope::ready()?)
}

/// A namespace need not have a probe. That it answers at all is something.
fn judge(component: &str, status: StatusCode, body: &[u8]) -> Result<(), Failure> {
    match status {
        StatusCode::OK | StatusCode::NOT_FOUND => Ok(()),
        _ => Err(unready(
            component,
            &format!("{status}, {}", excerpt::of(body)),
        )),
    }
}

fn unready(component: &str, problem: &str) -> Failure {
    Failure::Unready {
        component: component.to_owned(),
        problem: problem.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_is_ready_if_it_says_so_or_does_not_know() {
        assert!(judge("lobby", StatusCode::OK, b"{}").is_ok());
        assert!(judge("lobby", StatusCode::NOT_FOUND, b"").is_ok());
        let body = br#"{"error":{"code":"storage","message":"database is locked"}}"#;
        let failure = judge("lobby", StatusCode::INTERNAL_SERVER_ERROR, body).unwrap_err();
        assert_eq!(failure.status(), 503);
        let said = failure.to_string();
        assert!(
            said.contains("lobby") && said.contains("database is locked"),
            "{said}"
        );
    }
}
