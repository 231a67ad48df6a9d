//! `quorate sim course`: the scenarios of the MIT 6.824 course.

use std::process::ExitCode;
use std::str::FromStr;
use std::time::{Duration, Instant};

use clap::Args;
use quorate_sim::course::{
    Passed, Scenario, ScenarioFailure, Suite, run_scenario, scenarios, trace_scenario,
};

use super::course_report::{Line, print_head, to_json};
use super::traces::{TraceArguments, seconds};
use super::{panics, workers};

/// Runs the course's scenarios.
#[derive(Args, Debug)]
pub(super) struct CourseArguments {
    /// Suites (2A, 2B, 2C, 2D, 3A, 3B) or scenarios [default: all suites]
    #[arg(value_name = "SUITE|SCENARIO")]
    what: Vec<String>,
    /// How often, with a seed of its own each time
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    repeat: u64,
    /// The first seed; the others follow it
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    trace: TraceArguments,
    /// End the trace at so many seconds of virtual time
    #[arg(long, value_name = "T", value_parser = seconds, requires = "trace")]
    until: Option<Duration>,
}

/// One run of a scenario.
pub(super) struct Run {
    pub(super) seed: u64,
    pub(super) result: Result<Passed, Box<ScenarioFailure>>,
    pub(super) real: Duration,
}

/// Runs what was asked for, and prints the course's line for each scenario.
pub(super) fn main(arguments: &CourseArguments) -> anyhow::Result<ExitCode> {
    let selection = match select(&arguments.what) {
        Ok(selection) => selection,
        Err(reason) => {
            eprintln!("quorate sim course: {reason}");
            return Ok(ExitCode::from(crate::EXIT_USAGE));
        }
    };
    if arguments.json && arguments.trace.is_text() {
        eprintln!("quorate sim course: --json and --trace - both want the standard output");
        return Ok(ExitCode::from(crate::EXIT_USAGE));
    }
    let mut lines = Vec::new();
    let mut failed = None;
    if !arguments.json {
        print_head();
    }
    for scenario in &selection {
        let line = Line::new(scenario, run_all(scenario, arguments));
        if !arguments.json {
            line.print();
        }
        if failed.is_none() {
            failed = line.first_failure().map(|run| (*scenario, run.seed));
        }
        lines.push(line);
    }
    if arguments.json {
        println!("{}", to_json(&lines)?);
    }
    draw(arguments, &selection, failed)?;
    if let Some((scenario, seed)) = failed {
        eprintln!("quorate sim course {} --seed {seed}", scenario.name);
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// Draws the first failure, or the only run. It is run again for that: the others cost nothing for it.
fn draw(
    arguments: &CourseArguments,
    selection: &[&'static Scenario],
    failed: Option<(&'static Scenario, u64)>,
) -> anyhow::Result<()> {
    if arguments.trace.trace.is_none() {
        return Ok(());
    }
    let only = match selection[..] {
        [scenario] if arguments.repeat == 1 => Some((scenario, arguments.seed)),
        _ => None,
    };
    let Some((scenario, seed)) = failed.or(only) else {
        eprintln!("No scenario failed, so there is no trace: name one scenario to see it.");
        return Ok(());
    };
    let ((_, trace), _) = panics::in_world(|| trace_scenario(scenario, seed));
    arguments.trace.draw(trace, arguments.until)
}

/// The scenarios that were named, or whose suite was, in the course's order; all, if nothing was.
fn select(names: &[String]) -> Result<Vec<&'static Scenario>, String> {
    let is_known = |name: &str| {
        Suite::from_str(name).is_ok() || scenarios().any(|scenario| scenario.name == name)
    };
    if let Some(unknown) = names.iter().find(|name| !is_known(name)) {
        let suites = Suite::ALL.map(Suite::name).join(", ");
        let all: Vec<&str> = scenarios().map(|scenario| scenario.name).collect();
        return Err(format!(
            "there is no suite or scenario {unknown:?}; the suites are {suites}; the scenarios are {}",
            all.join(", ")
        ));
    }
    let is_wanted = |scenario: &&Scenario| {
        let is_named = |name: &String| {
            scenario.name == name || scenario.suite.name().eq_ignore_ascii_case(name)
        };
        names.is_empty() || names.iter().any(is_named)
    };
    Ok(scenarios().filter(is_wanted).collect())
}

/// Runs a scenario as often as was asked for, or until it fails; by rising seed.
fn run_all(scenario: &Scenario, arguments: &CourseArguments) -> Vec<Run> {
    let mut runs = Vec::new();
    workers::share(
        arguments.repeat,
        |number| {
            let seed = arguments.seed.wrapping_add(number);
            let begun = Instant::now();
            let (result, place) = panics::in_world(|| run_scenario(scenario, seed));
            let result = result.map_err(|mut failure| {
                if let Some(place) = place {
                    failure.what = format!("{} (at {place})", failure.what);
                }
                failure
            });
            Run {
                seed,
                result,
                real: begun.elapsed(),
            }
        },
        |_, run| {
            let passed = run.result.is_ok();
            runs.push(run);
            passed
        },
    );
    runs.sort_by_key(|run| run.seed);
    runs
}
