//! The load: `quorate bench`, the same program for both servers.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};

use crate::arguments::{Cell, Kind};
use crate::child::Child;

const KEY_BYTES: usize = 8;
const VALUE_BYTES: usize = 256;
/// Different keys that puts write.
const PUT_KEYS: u64 = 100_000;
/// That one range takes in.
const RANGE_KEYS: u64 = 1_000;
const WATCHERS_PER_STREAM: usize = 100;
/// What a load may take beyond its own length: connecting, and the slowest last answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// Writing keys beforehand may take so long.
const PRELOAD_DEADLINE: Duration = Duration::from_secs(600);

/// What the generator reports; `docs/bench.md` says what each field means.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Outcome {
    pub(crate) operations: u64,
    pub(crate) errors: u64,
    pub(crate) not_found: u64,
    pub(crate) seconds: f64,
    pub(crate) ops_per_second: f64,
    pub(crate) latency_us: Latency,
    pub(crate) first_errors: BTreeMap<String, u64>,
    pub(crate) client_cpu_seconds: f64,
    pub(crate) clients: usize,
    pub(crate) connections: usize,
    pub(crate) threads: usize,
}

/// Microseconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Latency {
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    pub(crate) max: f64,
    pub(crate) mean: f64,
}

/// A load that runs.
pub(crate) struct Load {
    process: Child,
    deadline: Instant,
}

/// Writes `keys` keys, in order.
pub(crate) fn preload(
    program: &Path,
    endpoints: &str,
    keys: u64,
    log: &Path,
) -> anyhow::Result<()> {
    let keys = keys.to_string();
    // The load that goes with it is a single read.
    let rest = ["--clients=1", "--total=1", "--warmup-seconds=0"].map(str::to_owned);
    let mut arguments = common(Kind::Get, endpoints);
    arguments.extend([format!("--key-space={keys}"), format!("--preload={keys}")]);
    arguments.extend(rest);
    let process = start(program, &arguments, log)?;
    let text = process
        .finish(Instant::now() + PRELOAD_DEADLINE)
        .context("cannot write the keys that reads need")?;
    parse(&text).map(|_| ())
}

impl Load {
    /// Starts it: it connects, warms up for so long, measures for so long, and ends.
    pub(crate) fn start(
        program: &Path,
        endpoints: &str,
        cell: Cell,
        keys: u64,
        warmup: Duration,
        length: Duration,
        log: &Path,
    ) -> anyhow::Result<Load> {
        let key_space = match cell.kind {
            kind if kind.reads() => keys,
            _ => PUT_KEYS,
        };
        let mut arguments = common(cell.kind, endpoints);
        match cell.kind {
            // Only ranges that lie within the keys written are asked for.
            Kind::Range => arguments.push(format!("--range-keys={}", RANGE_KEYS.min(keys))),
            Kind::Watch => arguments.push(format!("--watchers-per-stream={WATCHERS_PER_STREAM}")),
            _ => {}
        }
        arguments.extend([
            format!("--clients={}", cell.clients),
            format!("--connections={}", cell.connections()),
            format!("--key-space={key_space}"),
            format!("--warmup-seconds={}", warmup.as_secs_f64()),
            format!("--seconds={}", length.as_secs_f64()),
        ]);
        Ok(Load {
            process: start(program, &arguments, log)?,
            deadline: Instant::now() + warmup + length + PATIENCE,
        })
    }

    pub(crate) fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// Waits for its report.
    pub(crate) fn finish(self) -> anyhow::Result<Outcome> {
        parse(&self.process.finish(self.deadline)?)
    }
}

fn common(kind: Kind, endpoints: &str) -> Vec<String> {
    vec![
        "bench".to_owned(),
        kind.to_string(),
        format!("--endpoints={endpoints}"),
        format!("--key-size={KEY_BYTES}"),
        format!("--value-size={VALUE_BYTES}"),
        "--json".to_owned(),
    ]
}

fn start(program: &Path, arguments: &[String], log: &Path) -> anyhow::Result<Child> {
    let output = Some(Stdio::piped());
    Child::start("the load generator", program, arguments, log, output)
}

fn parse(text: &str) -> anyhow::Result<Outcome> {
    let outcome: Outcome = serde_json::from_str(text)
        .with_context(|| format!("the load generator's report is not understood: {text}"))?;
    if outcome.not_found > 0 {
        bail!(
            "{} of {} reads found no key, although all were written beforehand",
            outcome.not_found,
            outcome.operations
        );
    }
    Ok(outcome)
}
