//! `quorate sim`: the core in worlds of its own, on virtual time.
//!
//! `run` makes worlds from seeds and judges them, `replay` shows one again, `course` runs the scenarios
//! of the MIT 6.824 course. Everything that happens in a world follows from its seed, so a failure is
//! told with the one command that makes it happen again, as the last line; `shrink` looks for a smaller
//! world that fails like it. Each of `run`, `replay` and `course` takes `--trace`
//! and draws what happened: the first failure, or the one run they were asked for.

mod bugs;
mod course;
mod course_report;
mod panics;
mod replay;
mod run;
mod run_report;
mod shrink;
mod traces;
mod workers;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use quorate_sim::{Recipe, RecipeError, Without};

use crate::flags::nearest;

const AFTER_HELP: &str = "\
Examples:
  quorate sim run --seeds 2000              two thousand worlds, one a core at a time
  quorate sim replay --seed 17              one of them, event by event
  quorate sim shrink --seed 17              a smaller world that fails like it
  quorate sim course                        the course's scenarios
  quorate sim course 2C 2D --repeat 100     two suites, a hundred times
  quorate sim course figure_8 --seed 5      one scenario
  quorate sim replay --seed 17 --trace a.html           a page to look at in a browser
  quorate sim replay --seed 17 --since 2 --until 3 --trace -  columns of text, of one second
  quorate sim bugs --limit-seeds 500        how many worlds find each planted bug

Exit codes: 0 all is well; 1 something was found; 2 wrong arguments.";

/// Runs the core in simulated worlds.
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct SimArguments {
    #[command(subcommand)]
    command: SimCommand,
}

#[derive(Debug, Subcommand)]
enum SimCommand {
    /// Make worlds from seeds, let things go wrong in them, and judge them
    Run(run::RunArguments),
    /// Make the world of one seed again and print all that happens in it
    Replay(replay::ReplayArguments),
    /// Look for the smallest world that fails as the world of a seed does
    Shrink(shrink::ShrinkArguments),
    /// Run the scenarios of the MIT 6.824 course
    Course(course::CourseArguments),
    /// Look for the bugs that were planted on purpose, and say how many worlds it took
    Bugs(bugs::BugsArguments),
}

/// Does what was asked for.
///
/// # Errors
/// When the result cannot be printed.
pub(crate) fn main(arguments: &SimArguments) -> anyhow::Result<ExitCode> {
    panics::be_quiet_in_worlds();
    match &arguments.command {
        SimCommand::Run(arguments) => run::main(arguments),
        SimCommand::Replay(arguments) => replay::main(arguments),
        SimCommand::Shrink(arguments) => shrink::main(arguments),
        SimCommand::Course(arguments) => course::main(arguments),
        SimCommand::Bugs(arguments) => bugs::main(arguments),
    }
}

/// Says what is wrong with the arguments of a command.
fn refused(command: &str, reason: &str) -> ExitCode {
    eprintln!("quorate sim {command}: {reason}");
    ExitCode::from(crate::EXIT_USAGE)
}

/// What can be set in a recipe; the rest is what can be left out.
const SETTINGS: [&str; 5] = ["nodes", "clients", "chaos-ms", "faults", "salt"];

/// A seed with its changes, for an argument.
fn recipe(text: &str) -> Result<Recipe, String> {
    text.parse().map_err(|error| match error {
        RecipeError::Unknown(word) => no_such_change(&word),
        error => error.to_string(),
    })
}

/// A seed alone, for an argument.
fn seed(text: &str) -> Result<u64, String> {
    let words = "a seed is a whole number from 0 to 18446744073709551615";
    text.parse().map_err(|_| words.to_owned())
}

/// A number with or without a fraction, for an argument.
fn number(text: &str) -> Result<f64, String> {
    text.parse().map_err(|_| "it is no number".to_owned())
}

fn no_such_change(word: &str) -> String {
    let name = word.split('=').next().unwrap_or_default();
    let without = Without::ALL.map(Without::name);
    let meant = did_you_mean(name, SETTINGS.into_iter().chain(without));
    let mut words = format!("{word:?} changes nothing{meant}\n");
    words += "What can be changed, with commas between:\n";
    words += "  nodes=N, clients=N, chaos-ms=N, faults=N+N+…, salt=N";
    for pair in without.chunks(4) {
        words += &format!(",\n  {}", pair.join(", "));
    }
    words
}

/// The name that somebody may have wanted to write, as the end of a sentence.
fn did_you_mean<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> String {
    match nearest(&name.to_ascii_lowercase(), names) {
        Some(nearest) => format!("; did you mean {nearest}?"),
        None => String::new(),
    }
}

/// `1 world`, `2,000 worlds`.
fn counted(count: u64, one: &str) -> String {
    match count {
        1 => format!("1 {one}"),
        _ => format!("{} {one}s", grouped(count)),
    }
}

/// A number with a comma after each thousand.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{counted, grouped};

    #[test]
    fn one_world_is_one_world() {
        let words = [0, 1, 2_000].map(|count| counted(count, "world"));
        assert_eq!(words, ["0 worlds", "1 world", "2,000 worlds"]);
    }

    #[test]
    fn thousands_are_set_apart() {
        let cases = [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (1_234_567, "1,234,567"),
        ];
        for (number, text) in cases {
            assert_eq!(grouped(number), text);
        }
    }
}
