//! What was measured, as one JSON object or a short table.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::Kind;
use super::load::Outcome;
use super::plan::Plan;

/// The JSON object; `docs/bench.md` says what each field means. Fields may be added, none changes its meaning.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) kind: Kind,
    pub(super) operations: u64,
    pub(super) errors: u64,
    seconds: f64,
    ops_per_second: f64,
    latency_us: Latency,
    not_found: u64,
    first_errors: BTreeMap<String, u64>,
    client_cpu_seconds: f64,
    clients: usize,
    connections: usize,
    threads: usize,
    endpoints: Vec<String>,
    key_size: usize,
    value_size: usize,
    key_space: u64,
    read_percent: u8,
    range_keys: u64,
    serializable: bool,
    sequential: bool,
    seed: u64,
    warmup_seconds: f64,
}

/// Microseconds; 0 when there was no operation.
#[derive(Debug, Serialize)]
struct Latency {
    p50: f64,
    p90: f64,
    p99: f64,
    p999: f64,
    max: f64,
    mean: f64,
}

impl Report {
    pub(super) fn new(plan: &Plan, outcome: &Outcome) -> Self {
        let seconds = outcome.elapsed.as_secs_f64();
        let rate = if seconds > 0.0 {
            outcome.operations as f64 / seconds
        } else {
            0.0
        };
        let at = |quantile| {
            rounded(
                outcome.latencies.value_at_quantile(quantile) as f64 / 1e3,
                1,
            )
        };
        Self {
            kind: plan.kind,
            operations: outcome.operations,
            errors: outcome.errors,
            seconds: rounded(seconds, 3),
            ops_per_second: rounded(rate, 1),
            latency_us: Latency {
                p50: at(0.5),
                p90: at(0.9),
                p99: at(0.99),
                p999: at(0.999),
                max: at(1.0),
                mean: rounded(outcome.latencies.mean() / 1e3, 1),
            },
            not_found: outcome.not_found,
            first_errors: outcome.error_texts.clone(),
            client_cpu_seconds: rounded(outcome.cpu.as_secs_f64(), 3),
            clients: plan.clients,
            connections: plan.connections,
            threads: plan.threads,
            endpoints: plan.endpoints.iter().map(ToString::to_string).collect(),
            key_size: plan.key_size,
            value_size: plan.value_size,
            key_space: plan.key_space,
            read_percent: plan.read_percent,
            range_keys: plan.range_keys,
            serializable: plan.serializable,
            sequential: plan.sequential,
            seed: plan.seed,
            warmup_seconds: rounded(plan.warmup.as_secs_f64(), 3),
        }
    }

    /// Says on standard error what went wrong, whichever form the result has.
    pub(super) fn print_errors(&self) {
        for (text, times) in &self.first_errors {
            eprintln!("{times} × {text}");
        }
        if self.not_found > 0 {
            eprintln!(
                "{} reads found no key; write the keys beforehand with --preload",
                self.not_found
            );
        }
        if self.operations == 0 {
            eprintln!("quorate bench: no operation succeeded");
        }
    }
}

fn rounded(value: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (value * scale).round() / scale
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Latency {
            p50,
            p90,
            p99,
            p999,
            max,
            mean,
        } = self.latency_us;
        let kind = self.kind;
        let endpoints = self.endpoints.len();
        writeln!(
            formatter,
            "{kind}: {} clients on {} connections to {endpoints} endpoints, {} + {} bytes",
            self.clients, self.connections, self.key_size, self.value_size
        )?;
        writeln!(
            formatter,
            "  operations     {:>12} in {:.3} s",
            self.operations, self.seconds
        )?;
        writeln!(
            formatter,
            "  throughput     {:>12.1} a second",
            self.ops_per_second
        )?;
        writeln!(formatter, "  errors         {:>12}", self.errors)?;
        writeln!(
            formatter,
            "  latency  p50   {p50:>12.1} µs\n           p90   {p90:>12.1} µs\n           \
             p99   {p99:>12.1} µs\n           p99.9 {p999:>12.1} µs\n           max   {max:>12.1} µs\n           \
             mean  {mean:>12.1} µs"
        )?;
        writeln!(
            formatter,
            "  own CPU        {:>12.3} s",
            self.client_cpu_seconds
        )
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::Parser;
    use hdrhistogram::Histogram;

    use super::*;
    use crate::bench::BenchArgs;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        bench: BenchArgs,
    }

    fn report() -> Report {
        let line = Line::try_parse_from(["bench", "get", "--clients", "4"]).unwrap();
        let mut latencies = Histogram::new(3).unwrap();
        (1..=100).for_each(|i| latencies += i * 10_000);
        let outcome = Outcome {
            operations: 100,
            elapsed: Duration::from_millis(500),
            latencies,
            errors: 2,
            not_found: 1,
            error_texts: BTreeMap::from([("etcdserver: no leader".to_owned(), 2)]),
            cpu: Duration::from_millis(40),
        };
        Report::new(&Plan::new(&line.bench).unwrap(), &outcome)
    }

    #[test]
    fn the_json_object_says_rate_latency_and_errors() {
        let json = serde_json::to_value(report()).unwrap();
        assert_eq!(json["kind"], "get");
        assert_eq!(json["operations"], 100);
        assert_eq!(json["ops_per_second"], 200.0);
        assert_eq!(json["errors"], 2);
        assert_eq!(json["first_errors"]["etcdserver: no leader"], 2);
        let near = |name: &str, expected: f64| {
            let value = json["latency_us"][name].as_f64().unwrap();
            assert!((value / expected - 1.0).abs() < 0.002, "{name} is {value}");
        };
        near("p50", 500.0);
        near("p90", 900.0);
        near("p99", 990.0);
        near("p999", 1_000.0);
        near("max", 1_000.0);
        near("mean", 505.0);
    }

    #[test]
    fn the_table_is_short() {
        let table = report().to_string();
        assert!(
            table.contains("throughput            200.0 a second"),
            "{table}"
        );
        assert!(
            table.contains("get: 4 clients on 4 connections to 1 endpoints"),
            "{table}"
        );
        assert_eq!(table.lines().count(), 11);
    }
}
