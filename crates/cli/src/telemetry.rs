//! OpenTelemetry, set up by its own environment variables: traces go by OTLP (HTTP, protobuf) to where
//! `OTEL_EXPORTER_OTLP_ENDPOINT` says, and nowhere where it says nothing. What is asked for and cannot be done is
//! an error at start: traces that silently do not come are found out when they are needed.

use anyhow::{Context as _, Result, bail, ensure};
use http::Uri;
use opentelemetry::{Key, global};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;

const DISABLED: &str = "OTEL_SDK_DISABLED";
const EXPORTER: &str = "OTEL_TRACES_EXPORTER";
const SAMPLER: &str = "OTEL_TRACES_SAMPLER";

// What is said of traces goes before what is said of all signals.
const ENDPOINTS: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
];
const PROTOCOLS: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
    "OTEL_EXPORTER_OTLP_PROTOCOL",
];
const COMPRESSIONS: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION",
    "OTEL_EXPORTER_OTLP_COMPRESSION",
];

const HTTP_PROTOBUF: &str = "http/protobuf";

const SAMPLERS: [&str; 6] = [
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
];

/// What the relay calls itself unless the environment has a name for it.
const SERVICE: &str = "parlour-relay";

/// Exports what is traced until it is stopped.
pub struct Telemetry(Option<SdkTracerProvider>);

impl Telemetry {
    /// Installs the tracer, if the environment asks for one. Must not be called within a runtime.
    pub fn start() -> Result<Telemetry> {
        if endpoint(|name| std::env::var(name).ok())?.is_none() {
            return Ok(Telemetry(None));
        }
        // It reads the rest of its variables itself.
        let exporter = SpanExporter::builder()
            .with_http()
            .with_protocol(Protocol::HttpBinary)
            .build()
            .context("cannot export traces")?;
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource())
            .build();
        global::set_tracer_provider(provider.clone());
        tracing::info!("traces are exported by OTLP");
        Ok(Telemetry(Some(provider)))
    }

    /// Exports what is left.
    pub fn stop(self) {
        if let Some(provider) = self.0
            && let Err(error) = provider.shutdown()
        {
            tracing::warn!(%error, "the last traces could not be exported");
        }
    }
}

fn resource() -> Resource {
    let resource = Resource::builder().build();
    let name = resource.get(&Key::from_static_str("service.name"));
    match name.is_some_and(|name| !name.as_str().starts_with("unknown_service")) {
        true => resource,
        false => Resource::builder().with_service_name(SERVICE).build(),
    }
}

/// Where traces go, if anywhere.
fn endpoint(environment: impl Fn(&str) -> Option<String>) -> Result<Option<String>> {
    // OpenTelemetry takes an empty variable for one that is not set.
    let value = |name: &str| environment(name).filter(|value| !value.is_empty());
    let first = |names: [&'static str; 2]| {
        let mut values = names.into_iter().map(|name| Some((name, value(name)?)));
        values.find_map(|it| it)
    };
    if value(DISABLED).is_some_and(|it| it.eq_ignore_ascii_case("true")) {
        return Ok(None);
    }
    match value(EXPORTER).as_deref() {
        None | Some("otlp") => {}
        Some("none") => return Ok(None),
        Some(other) => bail!("{EXPORTER} is {other:?}: there is `otlp`, and `none`"),
    }
    let Some((name, endpoint)) = first(ENDPOINTS) else {
        return Ok(None);
    };
    let uri = endpoint.parse::<Uri>().ok();
    let uri = uri.filter(|uri| uri.host().is_some());
    match uri.as_ref().and_then(Uri::scheme_str) {
        Some("http") => {}
        // Its value is not shown: a URL can have a password.
        Some("https") => bail!(
            "{name} is https, and traces are exported without TLS: give http://host:port of a collector nearby, \
             which can pass them on with TLS"
        ),
        _ => bail!("{name} is no URL of a collector: give http://host:port"),
    }
    if let Some((name, protocol)) = first(PROTOCOLS) {
        ensure!(
            protocol == HTTP_PROTOBUF,
            "{name} is {protocol:?}: there is {HTTP_PROTOBUF} only (port 4318 of most collectors)"
        );
    }
    if let Some((name, compression)) = first(COMPRESSIONS) {
        ensure!(
            compression == "none",
            "{name} is {compression:?}: there is `none`"
        );
    }
    if let Some(sampler) = value(SAMPLER) {
        ensure!(
            SAMPLERS.contains(&&*sampler),
            "{SAMPLER} is {sampler:?}: there is {}",
            SAMPLERS.join(", ")
        );
    }
    Ok(Some(endpoint))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318");

    fn endpoint_of(variables: &[(&str, &str)]) -> Result<Option<String>> {
        endpoint(|name| {
            let found = variables.iter().find(|(other, _)| *other == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn traces_go_where_the_environment_says_and_nowhere_by_default() {
        assert_eq!(endpoint_of(&[]).unwrap(), None);
        assert_eq!(endpoint_of(&[(HERE.0, "")]).unwrap(), None);
        assert_eq!(endpoint_of(&[HERE]).unwrap().as_deref(), Some(HERE.1));
        let plain = [HERE, ("OTEL_EXPORTER_OTLP_COMPRESSION", "none")];
        assert!(endpoint_of(&plain).unwrap().is_some());
        let traces = (
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "http://other:1/v1/traces",
        );
        let found = endpoint_of(&[HERE, traces]).unwrap();
        assert_eq!(found.as_deref(), Some(traces.1));
        for off in [(DISABLED, "TRUE"), (EXPORTER, "none")] {
            assert_eq!(endpoint_of(&[HERE, off]).unwrap(), None);
        }
    }

    #[test]
    fn what_cannot_be_done_is_named() {
        for (name, value) in [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://example.com"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "localhost:4318"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "collector"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
            ("OTEL_TRACES_EXPORTER", "zipkin"),
            ("OTEL_TRACES_SAMPLER", "xray"),
        ] {
            let error = endpoint_of(&[(name, value), HERE]).unwrap_err().to_string();
            assert!(error.contains(name), "{value}: {error}");
        }
    }
}
