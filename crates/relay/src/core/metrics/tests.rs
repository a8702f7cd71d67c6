use super::*;
use std::time::Duration;

fn now(sockets: usize) -> Now {
    Now {
        sockets,
        rooms: 1,
        queue_bytes: 10,
    }
}

#[test]
fn names_and_values_are_those_that_prometheus_reads() {
    let metrics = Metrics::default();
    metrics.batches.add(3);
    metrics.connections.up();
    metrics.sent_bytes.add(7);
    metrics.closed("ping timeout");
    let text = metrics.render(4096, []);
    for line in [
        "# TYPE parlour_batches_total counter",
        "parlour_batches_total 3",
        "parlour_connections 1",
        "parlour_sent_bytes_total 7",
        "parlour_client_memory_bytes 4096",
        r#"parlour_closes_total{reason="ping timeout"} 1"#,
        r#"parlour_closes_total{reason="transport close"} 0"#,
    ] {
        assert!(text.lines().any(|it| it == line), "no {line} in {text}");
    }
}

#[test]
fn each_namespace_has_its_histograms() {
    let metrics = Metrics::default();
    metrics.of("/chat").answered(&Answered {
        events: 5,
        bytes: 900,
        took: Duration::from_micros(350),
        commit: Some(Duration::from_micros(300)),
        since_first: Some((Duration::from_millis(1), Duration::from_millis(2))),
    });
    // A tick of a namespace that commits nothing.
    metrics.of("/chat").answered(&Answered {
        events: 1,
        bytes: 100,
        took: Duration::from_micros(350),
        commit: None,
        since_first: None,
    });
    let text = metrics.render(0, []);
    for line in [
        r#"parlour_batch_events_sum{namespace="/chat"} 6.0"#,
        r#"parlour_batch_bytes_count{namespace="/chat"} 2"#,
        r#"parlour_batch_duration_seconds_bucket{namespace="/chat",le="0.0004"} 2"#,
        r#"parlour_commit_duration_seconds_count{namespace="/chat"} 1"#,
        r#"parlour_event_commit_seconds_sum{namespace="/chat"} 0.001"#,
        r#"parlour_event_write_seconds_sum{namespace="/chat"} 0.002"#,
    ] {
        assert!(text.lines().any(|it| it == line), "no {line} in {text}");
    }
}

#[test]
fn what_is_held_now_is_forgotten_when_the_namespace_ends() {
    let metrics = Metrics::default();
    let line = |count| format!(r#"parlour_namespace_sockets{{namespace="/a"}} {count}"#);
    for count in [2, 3] {
        let text = metrics.render(0, [(metrics.of("/a"), now(count))]);
        assert!(text.contains(&line(count)), "{text}");
    }
    let text = metrics.render(0, []);
    assert!(!text.contains("parlour_namespace_sockets{"), "{text}");
}

#[test]
fn namespaces_beyond_the_limit_are_counted_together() {
    let metrics = Metrics::default();
    for number in 0..1000 {
        metrics.of(&format!("/made-up-{number}"));
    }
    let late = ["/late", "/later"].map(|name| (metrics.of(name), now(4)));
    let text = metrics.render(0, late);
    let series = text.lines();
    let series = series.filter(|line| line.starts_with("parlour_batch_events_sum"));
    assert_eq!(series.count(), MAX_NAMESPACES);
    let together = r#"parlour_namespace_sockets{namespace="other"} 8"#;
    assert!(text.contains(together), "{text}");
}

/// The names of metrics in a text, without what a histogram's series add to its name.
fn names(text: &str) -> std::collections::BTreeSet<&str> {
    let is_part = |c: char| c.is_ascii_lowercase() || c == '_';
    text.split(|c| !is_part(c))
        .filter(|word| word.starts_with("parlour_"))
        .map(|word| {
            let ends = ["_bucket", "_count", "_sum"];
            let end = ends.iter().find_map(|end| word.strip_suffix(end));
            end.unwrap_or(word)
        })
        .collect()
}

/// All metrics there are, by the lines that give their types.
fn rendered() -> String {
    let metrics = Metrics::default();
    metrics.closed("ping timeout");
    let text = metrics.render(0, [(metrics.of("/"), now(1))]);
    text.lines()
        .filter(|line| line.starts_with("# TYPE"))
        .collect()
}

#[test]
fn the_dashboard_asks_for_metrics_that_there_are() {
    let rendered = rendered();
    let known = names(&rendered);
    let asked = names(include_str!("../../../../../docs/grafana-dashboard.json"));
    assert!(asked.len() > 10);
    let unknown: Vec<_> = asked.difference(&known).collect();
    assert!(unknown.is_empty(), "there are no metrics {unknown:?}");
}

#[test]
fn the_documentation_has_every_metric() {
    let rendered = rendered();
    let documented = names(include_str!("../../../../../docs/operations.md"));
    let missing: Vec<_> = names(&rendered)
        .into_iter()
        .filter(|name| !documented.contains(name))
        .collect();
    assert!(
        missing.is_empty(),
        "docs/operations.md does not have {missing:?}"
    );
}
