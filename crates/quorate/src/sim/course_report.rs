//! The course's line for each scenario: seconds, servers, RPCs, bytes, commits; beside it what a
//! correct implementation in Go needed, and how long ours really took.

use std::time::Duration;

use quorate_sim::course::{Passed, Scenario};
use serde::Serialize;

use super::course::Run;
use super::grouped;

/// A scenario and its runs.
pub(super) struct Line {
    scenario: &'static Scenario,
    runs: Vec<Run>,
}

/// Means over the runs that passed.
struct Means {
    seconds: f64,
    rpcs: u64,
    bytes: u64,
    commits: u64,
}

pub(super) fn print_head() {
    println!(
        "{:<18} {:>7} {:>3} {:>7} {:>11} {:>7}  | in Go: {:>6} {:>7} {:>11} {:>7}  | really",
        "", "seconds", "srv", "RPCs", "bytes", "commits", "sec.", "RPCs", "bytes", "commits"
    );
}

impl Line {
    pub(super) fn new(scenario: &'static Scenario, runs: Vec<Run>) -> Line {
        Line { scenario, runs }
    }

    pub(super) fn first_failure(&self) -> Option<&Run> {
        self.runs.iter().find(|run| run.result.is_err())
    }

    fn passed(&self) -> impl Iterator<Item = &Passed> {
        self.runs.iter().filter_map(|run| run.result.as_ref().ok())
    }

    fn means(&self) -> Means {
        let count = self.passed().count().max(1) as u64;
        let mean = |of: fn(&Passed) -> u64| self.passed().map(of).sum::<u64>() / count;
        let time: Duration = self.passed().map(|passed| passed.time).sum();
        Means {
            seconds: time.as_secs_f64() / count as f64,
            rpcs: mean(|passed| passed.rpcs),
            bytes: mean(|passed| passed.bytes),
            commits: mean(|passed| passed.commits),
        }
    }

    /// Real milliseconds of one run, on average.
    fn real_millis(&self) -> f64 {
        let real: Duration = self.runs.iter().map(|run| run.real).sum();
        real.as_secs_f64() * 1e3 / self.runs.len().max(1) as f64
    }

    pub(super) fn print(&self) {
        let Scenario { suite, title, .. } = self.scenario;
        let times = match self.runs.len() {
            1 => String::new(),
            count => format!(", {count} times (means)"),
        };
        println!("Test ({}): {title}{times} ...", suite.name());
        if let Some(run) = self.first_failure()
            && let Err(failure) = &run.result
        {
            println!("  ... FAILED -- seed {}: {failure}", run.seed);
            return;
        }
        let means = self.means();
        println!(
            "  ... Passed --    {:>7.1} {:>3} {:>7} {:>11} {:>7}  | {}  | {:.1} ms",
            means.seconds,
            self.scenario.servers,
            grouped(means.rpcs),
            grouped(means.bytes),
            grouped(means.commits),
            self.baseline(),
            self.real_millis()
        );
    }

    fn baseline(&self) -> String {
        match &self.scenario.baseline {
            Some(baseline) => format!(
                "       {:>6.1} {:>7} {:>11} {:>7}",
                baseline.seconds,
                grouped(baseline.rpcs),
                grouped(baseline.bytes),
                grouped(baseline.commits)
            ),
            None => format!("       {:>6} {:>7} {:>11} {:>7}", "–", "–", "–", "–"),
        }
    }
}

#[derive(Serialize)]
struct Json {
    passed: bool,
    scenarios: Vec<JsonScenario>,
}

#[derive(Serialize)]
struct JsonScenario {
    suite: &'static str,
    name: &'static str,
    title: &'static str,
    servers: usize,
    runs: usize,
    passed: bool,
    seconds: f64,
    rpcs: u64,
    bytes: u64,
    commits: u64,
    real_milliseconds: f64,
    failure: Option<JsonFailure>,
}

#[derive(Serialize)]
struct JsonFailure {
    seed: u64,
    what: String,
}

/// All lines as one JSON object; the numbers are means.
pub(super) fn to_json(lines: &[Line]) -> serde_json::Result<String> {
    let of_line = |line: &Line| {
        let means = line.means();
        let failure = line.first_failure().and_then(|run| {
            let failure = run.result.as_ref().err()?;
            Some(JsonFailure {
                seed: run.seed,
                what: failure.what.clone(),
            })
        });
        JsonScenario {
            suite: line.scenario.suite.name(),
            name: line.scenario.name,
            title: line.scenario.title,
            servers: line.scenario.servers,
            runs: line.runs.len(),
            passed: failure.is_none(),
            seconds: means.seconds,
            rpcs: means.rpcs,
            bytes: means.bytes,
            commits: means.commits,
            real_milliseconds: line.real_millis(),
            failure,
        }
    };
    serde_json::to_string(&Json {
        passed: lines.iter().all(|line| line.first_failure().is_none()),
        scenarios: lines.iter().map(of_line).collect(),
    })
}
