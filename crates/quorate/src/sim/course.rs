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
    /// A suite (2A, 2B, 2C …) or a scenario [default: all suites]
    #[arg(value_name = "SUITE|SCENARIO")]
    what: Option<String>,
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

/// What was asked for.
struct Selection {
    scenarios: Vec<&'static Scenario>,
    /// Suites that were asked for and are not there yet.
    missing: Vec<Suite>,
}

/// One run of a scenario.
pub(super) struct Run {
    pub(super) seed: u64,
    pub(super) result: Result<Passed, Box<ScenarioFailure>>,
    pub(super) real: Duration,
}

/// Runs what was asked for, and prints the course's line for each scenario.
pub(super) fn main(arguments: &CourseArguments) -> anyhow::Result<ExitCode> {
    let selection = match select(arguments.what.as_deref()) {
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
    if !arguments.json && !selection.scenarios.is_empty() {
        print_head();
    }
    for scenario in &selection.scenarios {
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
        println!("{}", to_json(&lines, &selection.missing)?);
    }
    draw(arguments, &selection, failed)?;
    for suite in &selection.missing {
        eprintln!(
            "quorate sim course: suite {} is not there yet",
            suite.name()
        );
    }
    if let Some((scenario, seed)) = failed {
        eprintln!("quorate sim course {} --seed {seed}", scenario.name);
        return Ok(ExitCode::FAILURE);
    }
    if selection.missing.is_empty() {
        Ok(ExitCode::SUCCESS)
    } else {
        Ok(ExitCode::from(crate::EXIT_USAGE))
    }
}

/// Draws the first failure, or the only run. It is run again for that: the others cost nothing for it.
fn draw(
    arguments: &CourseArguments,
    selection: &Selection,
    failed: Option<(&'static Scenario, u64)>,
) -> anyhow::Result<()> {
    if arguments.trace.trace.is_none() {
        return Ok(());
    }
    let only = match selection.scenarios[..] {
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

fn select(what: Option<&str>) -> Result<Selection, String> {
    let Some(what) = what else {
        let missing = Suite::ALL.into_iter();
        return Ok(Selection {
            scenarios: scenarios().collect(),
            missing: missing
                .filter(|suite| suite.scenarios().is_none())
                .collect(),
        });
    };
    if let Some(scenario) = scenarios().find(|scenario| scenario.name == what) {
        return Ok(Selection {
            scenarios: vec![scenario],
            missing: Vec::new(),
        });
    }
    let suite = Suite::from_str(what).map_err(|error| {
        let names: Vec<&str> = scenarios().map(|scenario| scenario.name).collect();
        format!("{error}; the scenarios are {}", names.join(", "))
    })?;
    Ok(match suite.scenarios() {
        Some(scenarios) => Selection {
            scenarios: scenarios.iter().collect(),
            missing: Vec::new(),
        },
        None => Selection {
            scenarios: Vec::new(),
            missing: vec![suite],
        },
    })
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
