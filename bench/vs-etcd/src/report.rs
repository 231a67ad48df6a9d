//! The result: medians and ratios over the rounds, as tables for people or as one JSON object.

use std::fs;

use anyhow::Context as _;
use serde::Serialize;

use crate::arguments::{Arguments, Cell, Form};
use crate::machine::{Machine, today};
use crate::measure::{Bench, Run, System};
use crate::ratio::{Spread, ratio};
use crate::rounds::Pair;
use crate::storage::Description;

mod tables;
pub(crate) use tables::table;
#[cfg(test)]
mod tests;

/// Everything, as `--json` prints it.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    date: String,
    command: String,
    machine: Machine,
    storage: Description,
    versions: Versions,
    rounds: u32,
    seconds: f64,
    warmup_seconds: f64,
    keys: u64,
    cells: Vec<Summary>,
    runs: Vec<Pair>,
}

/// As both programs name themselves.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Versions {
    pub(crate) quorate: String,
    pub(crate) etcd: String,
}

/// One cell over all rounds.
#[derive(Debug, Serialize)]
struct Summary {
    #[serde(flatten)]
    cell: Cell,
    quorate: Values,
    etcd: Values,
    /// Quorate's divided by etcd's, round by round.
    ratios: Ratios,
}

/// What one server gave.
#[derive(Debug, Serialize)]
struct Values {
    system: System,
    ops_per_second: Spread,
    p50_us: Spread,
    p99_us: Spread,
    server_cpu_seconds_per_10000: Spread,
    generator_cpu_seconds_per_10000: Spread,
    others_share: Spread,
    /// Operations that failed, in all rounds.
    errors: u64,
}

#[derive(Debug, Serialize)]
struct Ratios {
    ops_per_second: Ratio,
    p50: Ratio,
    p99: Ratio,
    server_cpu_seconds: Ratio,
}

/// A ratio in each round; null where etcd's value was 0.
#[derive(Debug, Serialize)]
struct Ratio {
    rounds: Vec<Option<f64>>,
    spread: Option<Spread>,
}

impl Report {
    /// `pairs` are all rounds of all cells.
    pub(crate) fn new(
        arguments: &Arguments,
        bench: &Bench,
        versions: Versions,
        storage: &Description,
        pairs: &[Pair],
    ) -> Report {
        let mut command = vec!["vs-etcd".to_owned()];
        command.extend(std::env::args().skip(1));
        Report {
            date: today(),
            command: command.join(" "),
            machine: Machine::this(),
            storage: storage.clone(),
            versions,
            rounds: arguments.rounds,
            seconds: bench.seconds,
            warmup_seconds: bench.warmup_seconds,
            keys: bench.keys,
            cells: arguments
                .cells()
                .into_iter()
                .filter_map(|cell| Summary::new(cell, pairs))
                .collect(),
            runs: pairs.to_vec(),
        }
    }

    /// Prints it in the form asked for, and saves it if asked to.
    pub(crate) fn print(&self, arguments: &Arguments) -> anyhow::Result<()> {
        let json = serde_json::to_string_pretty(self)?;
        match arguments.form() {
            Form::Json => println!("{json}"),
            Form::Text => print!("{}", self.text()),
            Form::Markdown => print!("{}", self.markdown()),
        }
        if let Some(path) = &arguments.save {
            fs::write(path, json + "\n")
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }

    /// The greatest share of the machine that others used in any run, from 0 to 1.
    pub(crate) fn others_share(&self) -> f64 {
        let of = |pair: &Pair| pair.quorate.others_share.max(pair.etcd.others_share);
        self.runs.iter().map(of).fold(0.0, f64::max)
    }

    pub(crate) fn failed_operations(&self) -> u64 {
        self.cells
            .iter()
            .map(|summary| summary.quorate.errors + summary.etcd.errors)
            .sum()
    }
}

impl Summary {
    /// Nothing if there is no round of it.
    fn new(cell: Cell, pairs: &[Pair]) -> Option<Summary> {
        let pairs: Vec<&Pair> = pairs.iter().filter(|pair| pair.cell == cell).collect();
        let compare = |value: fn(&Run) -> f64| {
            let rounds: Vec<Option<f64>> = pairs
                .iter()
                .map(|pair| ratio(value(&pair.quorate), value(&pair.etcd)))
                .collect();
            Ratio {
                spread: Spread::of(rounds.iter().copied().flatten()),
                rounds,
            }
        };
        Some(Summary {
            cell,
            quorate: Values::new(pairs.iter().map(|pair| &pair.quorate))?,
            etcd: Values::new(pairs.iter().map(|pair| &pair.etcd))?,
            ratios: Ratios {
                ops_per_second: compare(|run| run.load.ops_per_second),
                p50: compare(|run| run.load.latency_us.p50),
                p99: compare(|run| run.load.latency_us.p99),
                server_cpu_seconds: compare(|run| run.server_cpu_seconds_per_10000),
            },
        })
    }
}

impl Values {
    fn new<'a>(runs: impl Iterator<Item = &'a Run>) -> Option<Values> {
        let runs: Vec<&Run> = runs.collect();
        let spread = |value: fn(&Run) -> f64| Spread::of(runs.iter().map(|run| value(run)));
        Some(Values {
            system: runs.first()?.system,
            ops_per_second: spread(|run| run.load.ops_per_second)?,
            p50_us: spread(|run| run.load.latency_us.p50)?,
            p99_us: spread(|run| run.load.latency_us.p99)?,
            server_cpu_seconds_per_10000: spread(|run| run.server_cpu_seconds_per_10000)?,
            generator_cpu_seconds_per_10000: spread(|run| run.generator_cpu_seconds_per_10000)?,
            others_share: spread(|run| run.others_share)?,
            errors: runs.iter().map(|run| run.load.errors).sum(),
        })
    }
}
