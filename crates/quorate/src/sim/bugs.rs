//! `quorate sim bugs`: how many worlds it takes to find each bug that was planted in the core.

use std::process::ExitCode;

use clap::Args;
use quorate_sim::{BUGS, BUGS_ARE_HERE, Bug, Failure, run_seed, run_seed_with_bug};
use serde::Serialize;

use super::{panics, workers};

/// Worlds that a bug may take, unless it is said how many.
const DEFAULT_LIMIT: u64 = 2_000;
/// From one start to the next: more than any limit that is worth waiting for.
const BETWEEN_STARTS: u64 = 1_000_000_000;

const HOW_TO_GET_THEM: &str = "\
quorate sim bugs: this binary has no bugs in it. One that has:
  cargo run --release -p quorate --features planted-bugs -- sim bugs";

const AFTER_HELP: &str = "\
Examples, with a binary that has bugs in it (cargo build --release --features planted-bugs):
  quorate sim bugs                                   all of them; each is given up after 2000 worlds
  quorate sim bugs --only NAME --repeat 5            one of them, five times over: the median
  quorate sim bugs --limit-seeds 500 --json          for programs

Exit codes: 0 every bug was found; 1 one survived, or a world fails without any; 2 wrong arguments,
or this binary has no bugs in it.";

/// Looks for each planted bug in worlds drawn from seeds, and says how many it took.
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub(super) struct BugsArguments {
    /// Only this bug
    #[arg(long, value_name = "NAME")]
    only: Option<String>,
    /// Give a bug up after so many worlds
    #[arg(long, value_name = "N", default_value_t = DEFAULT_LIMIT,
          value_parser = clap::value_parser!(u64).range(1..=BETWEEN_STARTS))]
    limit_seeds: u64,
    /// Look so many times, from different starts, and give the median
    #[arg(long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u64).range(1..=99))]
    repeat: u64,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
}

/// What became of one bug.
#[derive(Debug, Serialize)]
struct Found {
    name: &'static str,
    #[serde(rename = "crate")]
    crate_name: &'static str,
    what: &'static str,
    rule: &'static str,
    /// The median of `runs`; none if most of them found nothing.
    median_seeds: Option<u64>,
    /// Worlds that each run took; none if it found nothing.
    runs: Vec<Option<u64>>,
    /// What the last run that found it saw.
    symptom: Option<String>,
}

impl Found {
    fn has_survived(&self) -> bool {
        self.runs.iter().any(Option::is_none)
    }
}

#[derive(Serialize)]
struct Json<'a> {
    limit_seeds: u64,
    passed: bool,
    bugs: &'a [Found],
}

/// Hunts; 0 when every bug was found by every run.
pub(super) fn main(arguments: &BugsArguments) -> anyhow::Result<ExitCode> {
    if !BUGS_ARE_HERE {
        eprintln!("{HOW_TO_GET_THEM}");
        return Ok(ExitCode::from(crate::EXIT_USAGE));
    }
    let is_wanted = |bug: &&Bug| arguments.only.as_ref().is_none_or(|name| bug.name == name);
    let wanted: Vec<&Bug> = BUGS.iter().filter(is_wanted).collect();
    if wanted.is_empty() {
        let name = arguments.only.as_deref().unwrap_or_default();
        return Ok(super::refused("bugs", &no_such_bug(name)));
    }
    let mut found = Vec::new();
    for bug in wanted {
        let one = match look_for(bug, arguments) {
            Ok(one) => one,
            Err(failure) => {
                eprintln!(
                    "the world fails without any bug, so it says nothing of {}:",
                    bug.name
                );
                return Ok(super::run::verdict(Some(&failure)));
            }
        };
        if !arguments.json {
            println!("{}", line_of(&one));
        }
        found.push(one);
    }
    if arguments.json {
        let passed = !found.iter().any(Found::has_survived);
        let (limit_seeds, bugs) = (arguments.limit_seeds, &found);
        println!(
            "{}",
            serde_json::to_string(&Json {
                limit_seeds,
                passed,
                bugs
            })?
        );
    } else {
        println!("{}", sum_of(&found));
    }
    Ok(verdict(&found, arguments.limit_seeds))
}

fn no_such_bug(name: &str) -> String {
    let names = || BUGS.iter().map(|bug| bug.name);
    let mut words = format!(
        "there is no bug {name:?}{}",
        super::did_you_mean(name, names())
    );
    words += "\nThere are:";
    names().for_each(|name| words += &format!("\n  {name}"));
    words
}

/// Runs worlds with the bug until one fails, as often as is asked for.
fn look_for(bug: &Bug, arguments: &BugsArguments) -> Result<Found, Box<Failure>> {
    let mut runs = Vec::new();
    let mut symptom = None;
    for number in 0..arguments.repeat {
        let from = number * BETWEEN_STARTS;
        let failure = first_failure(bug.name, from, arguments.limit_seeds);
        if let Some(failure) = &failure {
            // A world that fails in any case finds nothing.
            panics::in_world(|| run_seed(failure.recipe.seed)).0?;
            symptom = failure.what.lines().next().map(str::to_owned);
        }
        runs.push(failure.map(|failure| failure.recipe.seed - from + 1));
    }
    Ok(Found {
        name: bug.name,
        crate_name: bug.crate_name,
        what: bug.what,
        rule: bug.rule,
        median_seeds: median(&runs),
        runs,
        symptom,
    })
}

/// The least seed from `from` on whose world fails with the bug. Every world before the first that is
/// seen to fail has begun by then, and is waited for.
fn first_failure(bug: &'static str, from: u64, limit: u64) -> Option<Box<Failure>> {
    let mut first: Option<Box<Failure>> = None;
    workers::share(
        limit,
        |number| panics::in_world(|| run_seed_with_bug(from + number, bug)).0,
        |_, result| {
            if let Err(failure) = result
                && first
                    .as_ref()
                    .is_none_or(|first| failure.recipe.seed < first.recipe.seed)
            {
                first = Some(failure);
            }
            first.is_none()
        },
    );
    first
}

/// The middle one, a run that found nothing counting as longer than any; of an even number the
/// greater of the two in the middle.
fn median(runs: &[Option<u64>]) -> Option<u64> {
    let mut sorted = runs.to_vec();
    sorted.sort_by_key(|run| run.unwrap_or(u64::MAX));
    sorted.get(sorted.len() / 2).copied().flatten()
}

fn line_of(found: &Found) -> String {
    let seeds = |run: Option<u64>| run.map_or("-".to_owned(), super::grouped);
    let mut line = format!(
        "{:>8}  {:8} {}",
        seeds(found.median_seeds),
        found.crate_name,
        found.name
    );
    if found.runs.len() > 1 {
        let runs: Vec<String> = found.runs.iter().map(|run| seeds(*run)).collect();
        line += &format!(" ({})", runs.join(", "));
    }
    if let Some(symptom) = &found.symptom {
        line += &format!("\n          {symptom}");
    }
    line
}

fn sum_of(found: &[Found]) -> String {
    let survivors = found.iter().filter(|one| one.has_survived()).count();
    let hard = found
        .iter()
        .filter(|one| one.median_seeds.is_some_and(|seeds| seeds > 20));
    format!(
        "{}, {} found; {} took more than 20 seeds",
        super::counted(found.len() as u64, "bug"),
        found.len() - survivors,
        hard.count()
    )
}

/// Names each bug that survived, and how to look for it again as the last line.
fn verdict(found: &[Found], limit: u64) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for one in found.iter().filter(|one| one.has_survived()) {
        let runs = match one.runs.len() {
            1 => String::new(),
            runs => format!(" --repeat {runs}"),
        };
        eprintln!("{} survived {limit} seeds: {}", one.name, one.what);
        eprintln!(
            "quorate sim bugs --only {} --limit-seeds {limit}{runs}",
            one.name
        );
        code = ExitCode::FAILURE;
    }
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_found_nothing_is_longer_than_any() {
        assert_eq!(median(&[Some(3), None, Some(900)]), Some(900));
        assert_eq!(median(&[None, Some(3), None]), None);
        assert_eq!(median(&[Some(7)]), Some(7));
    }
}
