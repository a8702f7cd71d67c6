//! What the rounds found, as medians and as ratios: a table for people, JSON for programs. Measures nothing.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Value, json};

use crate::audit::percentile;
use crate::server;
use crate::work::{self, Sample};

/// Above this share of its core the generator, and not the server, may be what was measured.
pub const GENERATOR_LIMIT: f64 = 0.9;
/// Above this share of a core other programs have disturbed the run.
const OTHERS_LIMIT: f64 = 0.1;

/// What was measured: a work and the clients' thinking time in µs.
pub type Case = (work::Kind, u64);

#[derive(Debug, Default)]
pub struct Report {
    samples: BTreeMap<Case, BTreeMap<server::Kind, Vec<Sample>>>,
}

impl Report {
    pub fn add(&mut self, case: Case, server: server::Kind, sample: Sample) {
        self.samples
            .entry(case)
            .or_default()
            .entry(server)
            .or_default()
            .push(sample);
    }

    /// Medians of all rounds, a line for each figure, then Parlour's ratio to each peer.
    pub fn table(&self, servers: &[server::Kind]) -> String {
        let peers: Vec<_> = servers
            .iter()
            .filter(|kind| **kind != server::Kind::Parlour)
            .collect();
        let compared = servers.contains(&server::Kind::Parlour);
        let mut out = format!("{:<42} {:>5}", "", "think");
        for kind in servers {
            let _ = write!(out, " {:>12}", kind.label());
        }
        for peer in peers.iter().filter(|_| compared) {
            let _ = write!(out, " {:>14}", format!("÷ {}", peer.label()));
        }
        out.push('\n');
        for (case, of_servers) in &self.samples {
            for (index, (name, _)) in work::figures(case.0).iter().enumerate() {
                let median = |kind: &server::Kind| {
                    let samples = of_servers.get(kind)?;
                    let mut values: Vec<f64> =
                        samples.iter().map(|sample| sample.values[index]).collect();
                    Some(percentile(&mut values, 0.5))
                };
                let think = if case.0.is_load() {
                    format!("{} µs", case.1)
                } else {
                    String::new()
                };
                let _ = write!(out, "{name:<42} {think:>6}");
                for kind in servers {
                    let _ = write!(out, " {:>12}", median(kind).map_or("–".into(), grouped));
                }
                for peer in peers.iter().filter(|_| compared) {
                    let ratio = median(&server::Kind::Parlour)
                        .zip(median(peer))
                        .map_or("–".into(), |(own, other)| format!("{:.2}", own / other));
                    let _ = write!(out, " {ratio:>14}");
                }
                out.push('\n');
            }
        }
        out
    }

    pub fn json(&self, machine: &str, sync_us: f64) -> Value {
        let mut cases = Vec::new();
        for ((work, think), of_servers) in &self.samples {
            for (server, samples) in of_servers {
                for (index, (figure, more_is_better)) in work::figures(*work).iter().enumerate() {
                    let mut values: Vec<f64> =
                        samples.iter().map(|sample| sample.values[index]).collect();
                    let rounds = values.clone();
                    cases.push(json!({
                        "figure": figure,
                        "more_is_better": more_is_better,
                        "think_us": work.is_load().then_some(think),
                        "server": server.label(),
                        "median": percentile(&mut values, 0.5),
                        "rounds": rounds,
                        "delay_us": samples.iter().map(|sample| sample.delay).collect::<Vec<_>>(),
                        "server_cpu": samples.iter().map(|sample| sample.server_cpu).collect::<Vec<_>>(),
                        "generator_cpu": samples.iter().map(|sample| sample.generator_cpu).collect::<Vec<_>>(),
                        "others_cpu": samples.iter().map(|sample| sample.others_cpu).collect::<Vec<_>>(),
                    }));
                }
            }
        }
        json!({ "machine": machine, "sync_us": sync_us, "figures": cases })
    }
}

/// One run in a line: what the figure is, what the cores did.
pub fn line(case: Case, sample: &Sample) -> String {
    let mut out = String::new();
    for ((name, _), value) in work::figures(case.0).iter().zip(&sample.values) {
        let _ = write!(out, "{name} {}; ", grouped(*value));
    }
    if let Some((p50, p99)) = sample.delay {
        let _ = write!(
            out,
            "complete after p50 {} µs, p99 {} µs; ",
            grouped(p50),
            grouped(p99)
        );
    }
    let _ = write!(
        out,
        "server's CPU {:.0} %, generator's {:.0} %",
        sample.server_cpu * 100.0,
        sample.generator_cpu * 100.0
    );
    if sample.generator_cpu > GENERATOR_LIMIT {
        out.push_str("  <- the generator may be the limit");
    }
    if sample.others_cpu > OTHERS_LIMIT {
        let _ = write!(
            out,
            "  <- disturbed: other programs took {:.0} % of a core",
            sample.others_cpu * 100.0
        );
    }
    out
}

/// `1234567.8` as `1 234 568`.
fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) && digit.is_ascii_digit() {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!(grouped(999.4), "999");
        assert_eq!(grouped(1_234_567.8), "1 234 568");
    }

    #[test]
    fn the_table_has_medians_and_ratios() {
        let mut report = Report::default();
        for (server, values) in [
            (server::Kind::Parlour, [300.0, 100.0, 200.0]),
            (server::Kind::Node, [50.0, 70.0, 100.0]),
        ] {
            for value in values {
                let sample = Sample {
                    values: vec![value],
                    ..Sample::default()
                };
                report.add((work::Kind::Connects, 0), server, sample);
            }
        }
        let table = report.table(&[server::Kind::Parlour, server::Kind::Node]);
        let cells: Vec<&str> = table.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(cells, ["connects/s", "200", "70", "2.86"]);
    }
}
