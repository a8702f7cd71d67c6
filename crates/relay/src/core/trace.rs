//! One OpenTelemetry span for each batch, from the frame of its first event until all that came of it was
//! written. Its `traceparent` header (W3C Trace Context) makes the app's own spans its children. Where no
//! tracer is installed, nothing is recorded and no header is sent.

use std::time::{Instant, SystemTime};

use http::HeaderValue;
use opentelemetry::KeyValue;
use opentelemetry::global::{self, BoxedSpan, BoxedTracer};
use opentelemetry::trace::{Span, SpanKind, Status, Tracer};

/// Makes spans with the tracer that the process has installed before the relay is made.
pub struct Tracing(BoxedTracer);

impl Default for Tracing {
    fn default() -> Tracing {
        Tracing(global::tracer("parlour-relay"))
    }
}

/// The span of one batch. It ends when it is dropped.
pub struct BatchSpan(BoxedSpan);

impl Tracing {
    /// `since`: when the batch's first event came.
    pub fn batch(&self, namespace: &str, events: usize, since: Option<Instant>) -> BatchSpan {
        let now = SystemTime::now();
        let waited = since.map(|since| since.elapsed()).unwrap_or_default();
        let span = self
            .0
            .span_builder("batch")
            .with_kind(SpanKind::Client)
            .with_start_time(now.checked_sub(waited).unwrap_or(now))
            .with_attributes([
                KeyValue::new("parlour.namespace", namespace.to_owned()),
                KeyValue::new("messaging.batch.message_count", events as i64),
            ]);
        BatchSpan(span.start(&self.0))
    }
}

impl BatchSpan {
    /// The header that goes with each attempt at the batch.
    pub fn traceparent(&self) -> Option<HeaderValue> {
        let context = self.0.span_context();
        let header = context.is_valid().then(|| {
            format!(
                "00-{}-{}-{:02x}",
                context.trace_id(),
                context.span_id(),
                context.trace_flags().to_u8()
            )
        })?;
        HeaderValue::from_str(&header).ok()
    }

    /// The batch is sent to the app, for the first time or again.
    pub fn sent(&mut self) {
        self.0.add_event("sent", Vec::new());
    }

    /// The app has answered, whatever that was.
    pub fn answered(&mut self, status: u16) {
        let status = KeyValue::new("http.response.status_code", i64::from(status));
        self.0.add_event("answered", vec![status]);
    }

    /// All that came of the batch is written.
    pub fn done(&mut self) {
        self.0.set_status(Status::Ok);
    }

    pub fn failed(&mut self, problem: &str) {
        self.0.set_status(Status::error(problem.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_tracer_there_is_no_header() {
        let mut span = Tracing::default().batch("/", 1, Some(Instant::now()));
        span.sent();
        span.answered(200);
        span.done();
        assert_eq!(span.traceparent(), None);
    }
}
