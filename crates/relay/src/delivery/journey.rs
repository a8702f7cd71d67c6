//! One batch's way to the app and back, as metrics and traces see it. It decides nothing.

use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderValue, response};
use parlour_protocol::relay::header;

use crate::core::metrics::Answered;
use crate::core::trace::BatchSpan;
use crate::namespace::{Batch, Namespace};
use crate::shared::Shared;

pub struct Journey<'a> {
    namespace: &'a Namespace,
    events: usize,
    /// When its first event came. None for a tick, which nobody waits for.
    since: Option<Instant>,
    /// The last attempt.
    bytes: usize,
    sent: Instant,
    answered: Instant,
    commit: Option<Duration>,
    span: BatchSpan,
}

impl<'a> Journey<'a> {
    pub fn new(shared: &'a Shared, namespace: &'a Namespace, batch: &Batch) -> Journey<'a> {
        let now = Instant::now();
        let span = shared
            .tracing
            .batch(namespace.name(), batch.count(), batch.since);
        Journey {
            namespace,
            events: batch.count(),
            since: batch.since.filter(|_| !batch.is_tick()),
            bytes: 0,
            sent: now,
            answered: now,
            commit: None,
            span,
        }
    }

    /// A header for the app, if the batch is traced.
    pub fn traceparent(&self) -> Option<HeaderValue> {
        self.span.traceparent()
    }

    /// It is sent to the app, for the first time or again.
    pub fn sent(&mut self, bytes: usize) {
        (self.bytes, self.sent) = (bytes, Instant::now());
        self.span.sent();
    }

    /// The whole answer is here.
    pub fn answered(&mut self, answer: &response::Parts) {
        (self.answered, self.commit) = (Instant::now(), commit_time(&answer.headers));
        self.span.answered(answer.status.as_u16());
    }

    /// It is not tried again as it is.
    pub fn failed(&mut self, problem: &str) {
        self.span.failed(problem);
    }

    /// The answer is carried out.
    pub fn ended(&mut self) {
        self.span.done();
        let since = |since: Instant| (self.answered - since, since.elapsed());
        self.namespace.metrics().answered(&Answered {
            events: self.events,
            bytes: self.bytes,
            took: self.answered - self.sent,
            commit: self.commit,
            since_first: self.since.map(since),
        });
    }
}

/// What the app says that the commit took.
fn commit_time(headers: &HeaderMap) -> Option<Duration> {
    let timing = headers.get(header::SERVER_TIMING)?.to_str().ok()?;
    let commit = timing.split(',').find_map(|metric| {
        let (name, parameters) = metric.split_once(';')?;
        (name.trim() == header::COMMIT).then_some(parameters)
    })?;
    let milliseconds = commit.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        (name.trim() == "dur").then(|| value.trim().parse::<f64>().ok())?
    })?;
    Duration::try_from_secs_f64(milliseconds / 1000.0).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commit_is_found_among_what_else_took_time() {
        let time = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::SERVER_TIMING, value.parse().unwrap());
            commit_time(&headers)
        };
        let expected = Some(Duration::from_micros(1250));
        assert_eq!(time("commit;dur=1.25"), expected);
        assert_eq!(
            time("cache, db;dur=7, commit; desc=\"fsync\"; dur=1.25"),
            expected
        );
        for without in ["", "commit", "commit;dur=soon", "commit;dur=-1", "db;dur=7"] {
            assert_eq!(time(without), None, "{without}");
        }
        assert_eq!(commit_time(&HeaderMap::new()), None);
    }
}
