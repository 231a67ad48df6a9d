//! One run: a fresh cluster, a load, and what it cost.
//!
//! **The window.** The generator counts what completes in the S seconds that follow W seconds of warm-up,
//! which begin when it has connected, some milliseconds after its start. Processor time is read W and
//! W + S seconds after the start: an interval just as long and a few milliseconds earlier, which lies
//! within the load from end to end. So it is set against the operations by their rates.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::arguments::Cell;
use crate::cluster::Cluster;
use crate::generator::{self, Load, Outcome};
use crate::interrupt;
use crate::proc_stat::{Reading, ticks_per_second};

/// Costs are given per so many operations.
pub(crate) const OPERATIONS_UNIT: f64 = 10_000.0;

/// Whose cluster it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum System {
    Quorate,
    Etcd,
}

/// What all runs have in common.
#[derive(Clone, Debug)]
pub(crate) struct Bench {
    /// Quorate's binary: one of the servers, and the load generator for both.
    pub(crate) quorate: PathBuf,
    pub(crate) etcd: PathBuf,
    /// For the data, on a disk.
    pub(crate) directory: PathBuf,
    pub(crate) seconds: f64,
    pub(crate) warmup_seconds: f64,
    /// Written before reads.
    pub(crate) keys: u64,
}

/// What one run gave.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Run {
    pub(crate) system: System,
    /// As the load generator reports it.
    pub(crate) load: Outcome,
    /// Over all nodes.
    pub(crate) server_cpu_seconds_per_10000: f64,
    pub(crate) generator_cpu_seconds_per_10000: f64,
    /// Of each node, in the interval of `interval_seconds`.
    pub(crate) server_cpu_seconds: Vec<f64>,
    /// From one reading of the processor times to the other.
    pub(crate) interval_seconds: f64,
    /// From 0 to 1: what neither the servers nor the generator used of the machine.
    pub(crate) others_share: f64,
}

impl Bench {
    /// Founds a cluster, loads it, and removes it.
    pub(crate) fn run(&self, system: System, cell: Cell) -> anyhow::Result<Run> {
        let mut cluster = self.found(system)?;
        let log = cluster.directory().join("generator.log");
        if cell.kind.reads() {
            generator::preload(&self.quorate, &cluster.endpoints(), self.keys, &log)?;
            // A server that has just written much may read more slowly (etcd 3.4 does).
            cluster.restart()?;
        }
        let run = self.load(system, cell, &mut cluster, &log)?;
        cluster.remove()?;
        Ok(run)
    }

    /// A cluster with no data.
    pub(crate) fn found(&self, system: System) -> anyhow::Result<Cluster> {
        let directory = self.directory.join(system.to_string().to_lowercase());
        Cluster::found(system, self.program(system), &directory)
    }

    fn load(
        &self,
        system: System,
        cell: Cell,
        cluster: &mut Cluster,
        log: &Path,
    ) -> anyhow::Result<Run> {
        let warmup = Duration::from_secs_f64(self.warmup_seconds);
        let length = Duration::from_secs_f64(self.seconds);
        let start = Instant::now();
        let load = Load::start(
            &self.quorate,
            &cluster.endpoints(),
            cell,
            self.keys,
            warmup,
            length,
            log,
        )?;
        let generator = load.process_id();
        let servers = cluster.process_ids();
        interrupt::pause_until(start + warmup)?;
        cluster.check_running()?;
        let opened = Reading::take(&servers, generator)?;
        interrupt::pause_until(start + warmup + length)?;
        let closed = Reading::take(&servers, generator)?;
        cluster.check_running()?;
        let outcome = load.finish()?;
        cluster.check_running()?;
        let usage = closed.since(&opened, ticks_per_second());
        let server_cpu_seconds: f64 = usage.server_cpu_seconds.iter().sum();
        let per_unit = |cpu_seconds: f64| {
            rounded(cpu_seconds / usage.seconds / outcome.ops_per_second * OPERATIONS_UNIT)
        };
        Ok(Run {
            system,
            server_cpu_seconds_per_10000: per_unit(server_cpu_seconds),
            generator_cpu_seconds_per_10000: per_unit(usage.generator_cpu_seconds),
            server_cpu_seconds: usage.server_cpu_seconds,
            interval_seconds: rounded(usage.seconds),
            others_share: rounded(usage.others_share),
            load: outcome,
        })
    }

    pub(crate) fn program(&self, system: System) -> &Path {
        match system {
            System::Quorate => &self.quorate,
            System::Etcd => &self.etcd,
        }
    }
}

impl fmt::Display for System {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            System::Quorate => "Quorate",
            System::Etcd => "etcd",
        })
    }
}

/// To a ten-thousandth, below which the clocks tell nothing.
pub(crate) fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}
