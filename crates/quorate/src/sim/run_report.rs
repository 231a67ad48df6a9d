//! What a row of worlds did, in numbers.

use std::collections::BTreeMap;
use std::time::Duration;

use quorate_sim::{Counter, Failure, Fault, Rare, RunReport, Site, Tally};
use serde::Serialize;

use super::{counted, grouped, workers};

/// Worlds after which a rare state should have been reached.
const LONG_RUN: u64 = 500;

/// The sum of many worlds.
#[derive(Debug, Default)]
pub(super) struct Sum {
    pub(super) worlds: u64,
    simulated: Duration,
    cpu: Duration,
    /// Of the worlds with three nodes alone: the cluster that most people run.
    three_nodes: Share,
    events: u64,
    operations: u64,
    acknowledged_writes: u64,
    reads: u64,
    tally: Tally,
}

#[derive(Debug, Default)]
struct Share {
    simulated: Duration,
    cpu: Duration,
    operations: u64,
}

impl Share {
    fn speed(&self) -> f64 {
        self.simulated.as_secs_f64() / self.cpu.as_secs_f64()
    }

    fn operations_per_second(&self) -> f64 {
        self.operations as f64 / self.simulated.as_secs_f64()
    }
}

impl Sum {
    pub(super) fn add(&mut self, report: &RunReport, cpu: Duration) {
        self.worlds += 1;
        self.simulated += report.simulated;
        self.cpu += cpu;
        if report.nodes == 3 {
            self.three_nodes.simulated += report.simulated;
            self.three_nodes.cpu += cpu;
            self.three_nodes.operations += report.operations;
        }
        self.events += report.events;
        self.operations += report.operations;
        self.acknowledged_writes += report.acknowledged_writes;
        self.reads += report.reads;
        self.tally.add(&report.tally);
    }

    pub(super) fn hours(&self) -> f64 {
        self.simulated.as_secs_f64() / 3_600.0
    }

    /// Simulated seconds in a second of one core's time.
    fn speed(&self) -> f64 {
        self.simulated.as_secs_f64() / self.cpu.as_secs_f64()
    }

    fn never_reached(&self) -> Vec<&'static str> {
        let rare = Rare::ALL.iter().filter(|rare| self.tally.rare(**rare) == 0);
        let sites = Site::ALL.iter().filter(|site| self.tally.site(**site) == 0);
        let rare = rare.map(|rare| rare.label());
        rare.chain(sites.map(|site| site.label())).collect()
    }
}

/// What `--json` prints.
#[derive(Serialize)]
struct Json<'a> {
    pub(super) worlds: u64,
    passed: bool,
    simulated_seconds: f64,
    real_seconds: f64,
    cores: usize,
    cpu_seconds: f64,
    simulated_seconds_per_core_second: f64,
    three_nodes_simulated_seconds_per_core_second: f64,
    three_nodes_operations_per_simulated_second: f64,
    events: u64,
    events_per_second: f64,
    operations: u64,
    acknowledged_writes: u64,
    reads: u64,
    faults: BTreeMap<&'static str, u64>,
    rare_states: BTreeMap<&'static str, u64>,
    chaos_sites: BTreeMap<&'static str, u64>,
    failure: Option<JsonFailure<'a>>,
}

#[derive(Serialize)]
struct JsonFailure<'a> {
    seed: u64,
    at_seconds: f64,
    what: &'a str,
    replay: String,
}

/// The sum as one JSON object.
pub(super) fn to_json(
    sum: &Sum,
    elapsed: Duration,
    failure: Option<&Failure>,
) -> serde_json::Result<String> {
    let (simulated, real) = (sum.simulated.as_secs_f64(), elapsed.as_secs_f64());
    let faults = Fault::ALL.iter();
    let rare = Rare::ALL.iter();
    let sites = Site::ALL.iter();
    serde_json::to_string(&Json {
        worlds: sum.worlds,
        passed: failure.is_none(),
        simulated_seconds: simulated,
        real_seconds: real,
        cores: workers::cores(),
        cpu_seconds: sum.cpu.as_secs_f64(),
        simulated_seconds_per_core_second: sum.speed(),
        three_nodes_simulated_seconds_per_core_second: sum.three_nodes.speed(),
        three_nodes_operations_per_simulated_second: sum.three_nodes.operations_per_second(),
        events: sum.events,
        events_per_second: sum.events as f64 / real,
        operations: sum.operations,
        acknowledged_writes: sum.acknowledged_writes,
        reads: sum.reads,
        faults: faults
            .map(|one| (one.label(), sum.tally.fault(*one)))
            .collect(),
        rare_states: rare
            .map(|one| (one.label(), sum.tally.rare(*one)))
            .collect(),
        chaos_sites: sites
            .map(|one| (one.label(), sum.tally.site(*one)))
            .collect(),
        failure: failure.map(|failure| JsonFailure {
            seed: failure.recipe.seed,
            at_seconds: failure.at.as_secs_f64(),
            what: &failure.what,
            replay: format!("quorate sim replay --seed {}", failure.recipe),
        }),
    })
}

/// The sum for people.
pub(super) fn print(sum: &Sum, elapsed: Duration) {
    let (simulated, real) = (sum.simulated.as_secs_f64(), elapsed.as_secs_f64());
    let cores = workers::cores();
    println!(
        "{}, {:.2} simulated hours in {real:.1} s on {} ({:.1} s of their time)",
        counted(sum.worlds, "world"),
        sum.hours(),
        counted(cores as u64, "core"),
        sum.cpu.as_secs_f64()
    );
    let of_three = match sum.three_nodes.cpu {
        Duration::ZERO => String::new(),
        _ => format!(
            "; with three nodes {:.0}, at {:.0} operations a simulated second",
            sum.three_nodes.speed(),
            sum.three_nodes.operations_per_second()
        ),
    };
    println!(
        "{:.0} simulated seconds per core-second{of_three}",
        sum.speed()
    );
    println!(
        "{} events, {} a second; {} operations ({:.0} a simulated second): {} writes acknowledged, {} \
         reads served",
        grouped(sum.events),
        grouped((sum.events as f64 / real) as u64),
        grouped(sum.operations),
        sum.operations as f64 / simulated,
        grouped(sum.acknowledged_writes),
        grouped(sum.reads)
    );
    print_counts("faults injected", |fault: Fault| sum.tally.fault(fault));
    print_counts("rare states reached", |rare: Rare| sum.tally.rare(rare));
    print_counts("chaos sites of the core, paths taken", |site: Site| {
        sum.tally.site(site)
    });
    let never = sum.never_reached();
    if sum.worlds >= LONG_RUN && !never.is_empty() {
        println!(
            "never reached, though {} worlds should: {}",
            grouped(sum.worlds),
            never.join(", ")
        );
    }
}

fn print_counts<C: Counter>(title: &str, count: impl Fn(C) -> u64) {
    println!("{title}:");
    for counter in C::ALL {
        println!("{:>14}  {}", grouped(count(*counter)), counter.label());
    }
}
