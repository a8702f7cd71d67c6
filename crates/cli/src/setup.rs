//! Whether an app is set up as it must be: it is asked so (docs/relay-protocol.md, "Checks"), by the same routes and
//! with the same secret as by a relay. What it answers, and what no component of Parlour would answer, become findings:
//! a line each, with the remedy.

mod answer;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, header};
use http_body_util::{BodyExt as _, Full, Limited};
use parlour_protocol::relay::check::{Finding, Question, Report, Served};
use parlour_protocol::relay::{self, CHECK_LANE, HANDSHAKE_PATH, PATH};
use parlour_relay::{Body, Origin};

use answer::Answer;

pub use answer::Away;

/// How long the app may take for one answer: longer than the 5 s for which SQLite waits for a lock.
const PATIENCE: Duration = Duration::from_secs(8);

/// The most bytes of an answer that are read.
const MAX_ANSWER: usize = 1024 * 1024;

/// How long a relay waits before it asks an app again that is not there: at first, and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LAST_PAUSE: Duration = Duration::from_secs(10);

/// What came of a check.
#[derive(Debug, Default)]
pub struct Outcome {
    pub findings: Vec<Finding>,
    pub namespaces: Vec<Served>,
}

impl Outcome {
    /// The lines of what keeps clients from being served.
    pub fn errors(&self) -> Vec<&str> {
        let errors = self.findings.iter().filter(|finding| finding.is_error());
        errors.map(|finding| &*finding.message).collect()
    }

    fn log(&self) {
        for finding in &self.findings {
            match finding.is_error() {
                true => tracing::error!("{}", finding.message),
                false => tracing::warn!("{}", finding.message),
            }
        }
    }
}

/// For `parlour up`, before anybody can connect: an error if something is wrong that would keep clients from being
/// served.
pub async fn before_serving(origin: &dyn Origin, secret: &str) -> Result<()> {
    let mut outcome = match check(origin, secret).await {
        Ok(outcome) => outcome,
        Err(Away(problem)) => bail!("the app cannot be asked: {problem}"),
    };
    let errors = outcome.errors().join("\nparlour: ");
    outcome.findings.retain(|finding| !finding.is_error());
    outcome.log();
    if errors.is_empty() {
        return Ok(());
    }
    bail!(errors)
}

/// For `parlour relay`, which may be started before its app: asks until it is there, and logs what is wrong.
pub async fn when_it_answers(origin: Arc<dyn Origin>, secret: String) {
    let mut pause = FIRST_PAUSE;
    loop {
        match check(&*origin, &secret).await {
            Ok(outcome) => return outcome.log(),
            Err(Away(problem)) if pause == FIRST_PAUSE => {
                tracing::warn!("the app is not there yet: {problem}");
            }
            Err(Away(_)) => {}
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LAST_PAUSE);
    }
}

/// Asks once.
pub async fn check(origin: &dyn Origin, secret: &str) -> Result<Outcome, Away> {
    let mut outcome = Outcome::default();
    let about_itself = Question::default();
    let handshake = ask(origin, HANDSHAKE_PATH, secret, &about_itself).await?;
    outcome.add(handshake.of_component("handshake", HANDSHAKE_PATH)?);
    let router = ask(origin, PATH, secret, &about_itself).await?;
    let known = outcome.add(router.of_component("router", PATH)?);
    // One after the other: on Spin, a call to a component that does not exist ends the router's instance, and with it
    // whatever else it is at.
    for served in &known {
        let question = Question {
            namespace: Some((&*served.namespace).into()),
        };
        let namespace = ask(origin, PATH, secret, &question).await?;
        outcome.add(namespace.of_namespace(served));
    }
    outcome.namespaces = known;
    Ok(outcome)
}

impl Outcome {
    /// Takes the findings; the namespaces that the component serves are returned.
    fn add(&mut self, answer: Result<Report, Finding>) -> Vec<Served> {
        match answer {
            Ok(report) => {
                self.findings.extend(report.findings);
                report.namespaces
            }
            // Both paths may say the same of one secret.
            Err(finding) if self.findings.contains(&finding) => Vec::new(),
            Err(finding) => {
                self.findings.push(finding);
                Vec::new()
            }
        }
    }
}

async fn ask(
    origin: &dyn Origin,
    path: &'static str,
    secret: &str,
    question: &Question<'_>,
) -> Result<Answer, Away> {
    let exchange = async {
        let response = origin.call(request(path, secret, question)).await;
        let (head, body) = response
            .map_err(|error| Away(error.to_string()))?
            .into_parts();
        let body = Limited::new(body, MAX_ANSWER).collect().await;
        let body = body.map_err(|error| Away(format!("its answer broke off: {error}")))?;
        Ok(Answer::Given {
            status: head.status,
            body: body.to_bytes(),
        })
    };
    tokio::time::timeout(PATIENCE, exchange)
        .await
        .unwrap_or(Ok(Answer::Late))
}

fn request(path: &'static str, secret: &str, question: &Question<'_>) -> Request<Body> {
    let body = serde_json::to_vec(question).unwrap_or_default();
    let length = body.len();
    let body = Full::new(Bytes::from(body))
        .map_err(|never| match never {})
        .boxed_unsync();
    let mut request = Request::new(body);
    *request.method_mut() = Method::POST;
    *request.uri_mut() = http::Uri::from_static(path);
    let headers = request.headers_mut();
    if let Ok(mut authorization) = HeaderValue::from_str(&format!("Bearer {secret}")) {
        authorization.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, authorization);
    }
    headers.insert(header::CONTENT_LENGTH, length.into());
    // A batch like any other, of a relay that has no sockets.
    for (name, value) in [
        ("content-type", "application/json"),
        (relay::header::PROTOCOL, relay::VERSION),
        (relay::header::RELAY, "check"),
        (relay::header::EPOCH, "0"),
        (relay::header::LANE, CHECK_LANE),
        (relay::header::SEQUENCE, "0"),
        (relay::header::ATTEMPT, "1"),
        (relay::header::CONNECTS, "0"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    request
}
