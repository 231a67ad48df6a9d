//! `quorate sim course`: the scenarios of the MIT 6.824 course.

use std::process::ExitCode;
use std::str::FromStr;
use std::time::{Duration, Instant};

use clap::Args;
use quorate_sim::course::{
    Passed, Scenario, ScenarioFailure, Suite, run_scenario, scenarios, trace_scenario,
};

use super::course_report::{Line, print_head, to_json};
use super::traces::{self, TraceArguments, seconds};
use super::{panics, workers};

const AFTER_HELP: &str = "\
Examples:
  quorate sim course                          all scenarios
  quorate sim course 2C 2D --repeat 100       two suites, each scenario with a hundred seeds
  quorate sim course figure_8 --seed 5        one scenario
  quorate sim course figure_8 --trace a.html  and a picture of it
  quorate sim course 3A --json                the numbers for programs
  quorate sim course list                     the scenarios, by suite

--trace draws the first failure; if nothing fails, it draws only one run of one scenario. Beside
each line stands what a correct implementation in Go needed, as far as the course says.

Exit codes: 0 all passed; 1 one failed, and the last line is the command that runs it again;
2 wrong arguments.";

/// The word for the list of what there is.
const LIST: &str = "list";

/// Runs the course's scenarios.
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub(super) struct CourseArguments {
    /// Suites (2A, 2B, 2C, 2D, 3A, 3B) or scenarios [default: all suites]
    #[arg(value_name = "SUITE|SCENARIO")]
    what: Vec<String>,
    /// How often, with a seed of its own each time
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    repeat: u64,
    /// The first seed; the others follow it
    #[arg(long, value_name = "S", default_value_t = 1, value_parser = super::seed)]
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
    if arguments.what == [LIST] {
        print!("{}", list());
        return Ok(ExitCode::SUCCESS);
    }
    let selection = match check(arguments) {
        Ok(selection) => selection,
        Err(reason) => return Ok(super::refused("course", &reason)),
    };
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
        let first = selection.first().map_or("figure_8", |first| first.name);
        let command = format!("quorate sim course {first} --seed {}", arguments.seed);
        traces::tell_nothing_drawn("scenario", &command);
        return Ok(());
    };
    let ((_, trace), _) = panics::in_world(|| trace_scenario(scenario, seed));
    arguments.trace.draw(trace, arguments.until)
}

/// What is to be run, if the arguments fit together.
fn check(arguments: &CourseArguments) -> Result<Vec<&'static Scenario>, String> {
    if arguments.json && arguments.trace.is_text() {
        return Err("--json and --trace - both want the standard output".to_owned());
    }
    arguments.trace.check(arguments.until)?;
    select(&arguments.what)
}

/// All scenarios, a line each below its suite.
fn list() -> String {
    let mut text = String::new();
    for suite in Suite::ALL {
        text += &format!("{}\n", suite.name());
        for scenario in suite.scenarios() {
            text += &format!("  {}\n", scenario.name);
        }
    }
    text
}

/// The scenarios that were named, or whose suite was, in the course's order; all, if nothing was.
fn select(names: &[String]) -> Result<Vec<&'static Scenario>, String> {
    let is_known = |name: &str| {
        Suite::from_str(name).is_ok() || scenarios().any(|scenario| scenario.name == name)
    };
    if let Some(unknown) = names.iter().find(|name| !is_known(name)) {
        let names = Suite::ALL.into_iter().map(Suite::name);
        let names = names.chain(scenarios().map(|scenario| scenario.name));
        return Err(format!(
            "there is no suite or scenario {unknown:?}{}\nThere are:\n{}",
            super::did_you_mean(unknown, names),
            list().trim_end()
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
