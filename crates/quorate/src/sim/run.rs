//! `quorate sim run`: many worlds, one a core at a time.

use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use quorate_sim::{Failure, RunReport, run_seed, trace_seed};

use super::run_report::{Sum, print, to_json};
use super::traces::TraceArguments;
use super::{panics, traces, workers};

/// Worlds that are run unless it is said how many or for how long.
const DEFAULT_SEEDS: u64 = 1_000;

const STYLE: &str = "{prefix:8} {bar:40} {pos}/{len} {msg}";

const AFTER_HELP: &str = "\
Examples:
  quorate sim run                           a thousand worlds
  quorate sim run --seeds 200 --from 5000   two hundred others
  quorate sim run --minutes 10              as many as fit
  quorate sim run --trace failed.html       draw the first that fails, if one does
  quorate sim run --json                    the sums for programs

Worlds are run one a core at a time, until all have passed or one fails. --trace draws the one
that failed; if none did, it draws only when there was one world (--seeds 1).

Exit codes: 0 nothing was found; 1 a world failed, and the last line is the command that shows it
again; 2 wrong arguments.";

/// Makes worlds from seeds and judges them.
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub(super) struct RunArguments {
    /// How many worlds [default: 1000, or as many as fit into --minutes]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    seeds: Option<u64>,
    /// The seed of the first; the others follow it
    #[arg(long, value_name = "S", default_value_t = 0, value_parser = super::seed)]
    from: u64,
    /// Begin no more worlds after so many minutes of real time
    #[arg(long, value_name = "M", value_parser = super::number)]
    minutes: Option<f64>,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    trace: TraceArguments,
}

/// Runs worlds until one fails, or all that were asked for have passed.
pub(super) fn main(arguments: &RunArguments) -> anyhow::Result<ExitCode> {
    if arguments.json && arguments.trace.is_text() {
        return Ok(super::refused(
            "run",
            "--json and --trace - both want the standard output",
        ));
    }
    if let Err(reason) = arguments.trace.check(None) {
        return Ok(super::refused("run", &reason));
    }
    let unbounded = u64::MAX - arguments.from;
    let seeds = match (arguments.seeds, arguments.minutes) {
        (Some(seeds), _) => seeds.min(unbounded),
        (None, Some(_)) => unbounded,
        (None, None) => DEFAULT_SEEDS,
    };
    let minutes = arguments.minutes.unwrap_or(f64::INFINITY);
    let Ok(longest) = Duration::try_from_secs_f64((minutes * 60.0).min(1e9)) else {
        let reason = format!("--minutes {minutes} is no length of time");
        return Ok(super::refused("run", &reason));
    };
    let bar = progress(seeds);
    let begun = Instant::now();
    let mut sum = Sum::default();
    let mut failure: Option<Box<Failure>> = None;
    workers::share(
        seeds,
        |number| {
            let cpu = workers::thread_cpu();
            let result = run_one(arguments.from + number);
            (result, workers::thread_cpu().saturating_sub(cpu))
        },
        |_, (result, cpu)| {
            bar.inc(1);
            match result {
                Ok(report) => sum.add(&report, cpu),
                Err(found) => {
                    // Worlds that were under way may fail too: the least seed is told.
                    if failure
                        .as_ref()
                        .is_none_or(|old| found.recipe.seed < old.recipe.seed)
                    {
                        failure = Some(found);
                    }
                }
            }
            bar.set_message(format!("{:.1} simulated hours", sum.hours()));
            failure.is_none() && begun.elapsed() < longest
        },
    );
    bar.finish_and_clear();
    let elapsed = begun.elapsed();
    if arguments.json {
        println!("{}", to_json(&sum, elapsed, failure.as_deref())?);
    } else {
        print(&sum, elapsed);
        if failure.is_none() {
            println!(
                "nothing was found in {}",
                super::counted(sum.worlds, "world")
            );
        }
    }
    // What is drawn is a second run of the same seed: the others cost nothing for it.
    let drawn = match &failure {
        Some(failure) => Some(failure.recipe.seed),
        None => (seeds == 1).then_some(arguments.from),
    };
    draw(&arguments.trace, drawn, arguments.from)?;
    Ok(verdict(failure.as_deref()))
}

fn draw(arguments: &TraceArguments, seed: Option<u64>, first: u64) -> anyhow::Result<()> {
    match seed {
        _ if arguments.trace.is_none() => Ok(()),
        None => {
            let command = format!("quorate sim replay --seed {first}");
            traces::tell_nothing_drawn("world", &command);
            Ok(())
        }
        Some(seed) => {
            let ((_, trace), _) = panics::in_world(|| trace_seed(seed, None));
            arguments.draw(trace, None)
        }
    }
}

fn run_one(seed: u64) -> Result<RunReport, Box<Failure>> {
    let (result, place) = panics::in_world(|| run_seed(seed));
    result.map_err(|failure| with_place(failure, place))
}

/// Adds where a panic came from.
pub(super) fn with_place(mut failure: Box<Failure>, place: Option<String>) -> Box<Failure> {
    if let Some(place) = place {
        failure.what = format!("{} (at {place})", failure.what);
    }
    failure
}

/// Tells of a failure, and how to see it again as the last line.
pub(super) fn verdict(failure: Option<&Failure>) -> ExitCode {
    match failure {
        None => ExitCode::SUCCESS,
        Some(failure) => {
            eprint!("{}", words_of(failure));
            ExitCode::FAILURE
        }
    }
}

fn words_of(failure: &Failure) -> String {
    let recipe = &failure.recipe;
    format!(
        "{failure}\n`quorate sim shrink --seed {recipe}` looks for a smaller world that fails like it; \
         this one again:\nquorate sim replay --seed {recipe}\n"
    )
}

fn progress(seeds: u64) -> ProgressBar {
    let bar = match io::stderr().is_terminal() {
        true => ProgressBar::new(seeds),
        false => ProgressBar::hidden(),
    };
    bar.set_style(ProgressStyle::with_template(STYLE).expect("the template is correct"));
    bar.set_prefix("worlds");
    bar
}

#[cfg(test)]
mod tests {
    use quorate_sim::Recipe;

    use super::*;

    #[test]
    fn the_last_line_of_a_failure_is_the_command_that_shows_it_again() {
        let failure = Failure {
            recipe: Recipe::from(17),
            at: Duration::from_millis(1_500),
            what: "two leaders".to_owned(),
            faults: 3,
            state: "member 1 leads\n".to_owned(),
        };
        let words = words_of(&failure);
        assert!(
            words.starts_with("seed 17 failed at 1.5s: two leaders\n"),
            "{words}"
        );
        assert_eq!(words.lines().last(), Some("quorate sim replay --seed 17"));
    }
}
