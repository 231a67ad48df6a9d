//! Runs the rows that are wanted, one after the other, and says what was done.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::cluster::skip;
use crate::judge::Count;
use crate::leftovers::{self, Watcher};
use crate::real_faults::{Dice, requirements};
use crate::rows::{ROWS, Row};
use crate::trial::{Length, Trial};

/// How long all rows together go on; without it each does a few rounds.
const MINUTES: &str = "QUORATE_REAL_MINUTES";

/// As the test harness of Rust does it: words choose the rows whose names contain one of them,
/// `--list` names them, and other options are none of ours.
pub(crate) fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [first, parent] = &arguments[..]
        && first == leftovers::ARGUMENT
    {
        leftovers::watch(parent.parse().expect("a process id"));
        return ExitCode::SUCCESS;
    }
    let words: Vec<&String> = arguments
        .iter()
        .filter(|argument| !argument.starts_with("--"))
        .collect();
    let is_wanted =
        |row: &&Row| words.is_empty() || words.iter().any(|word| row.name.contains(word.as_str()));
    let rows: Vec<&Row> = ROWS.iter().filter(is_wanted).collect();
    if arguments.iter().any(|argument| argument == "--list") {
        for row in rows {
            println!("{}: test", row.name);
        }
        return ExitCode::SUCCESS;
    }
    run(&rows)
}

fn run(rows: &[&Row]) -> ExitCode {
    println!("\nrunning {} rows of real faults", rows.len());
    if rows.is_empty() {
        return ExitCode::SUCCESS;
    }
    let _watcher = Watcher::start();
    let began = Instant::now();
    let mut dice = Dice::new();
    let length = length(rows.len());
    let mut total = Total::default();
    for row in rows {
        let dice = dice.split();
        let Some(trial) = try_row(row, dice, length) else {
            continue;
        };
        match trial {
            Ok(trial) => total.add(&trial),
            Err(()) => total.failed.push(row.name),
        }
    }
    total.print(began.elapsed());
    match total.failed.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// Nothing if this machine cannot do it.
fn try_row(row: &Row, dice: Dice, length: Length) -> Option<Result<Trial, ()>> {
    let missing = requirements::what_is_missing(row.programs).or_else(row.obstacle);
    if let Some(why) = missing {
        let skipped = catch_unwind(|| skip(&format!("{}: {why}", row.name)));
        return skipped.is_err().then_some(Err(()));
    }
    let mut trial = Trial::new(dice, length);
    let ran = catch_unwind(AssertUnwindSafe(|| (row.run)(&mut trial)));
    Some(match ran {
        Ok(()) => {
            println!("test {} ... ok ({})", row.name, trial.report());
            Ok(trial)
        }
        Err(_) => {
            println!("test {} ... FAILED ({})", row.name, trial.report());
            Err(())
        }
    })
}

fn length(rows: usize) -> Length {
    match std::env::var(MINUTES) {
        Ok(text) => {
            let minutes: f64 = text
                .parse()
                .unwrap_or_else(|_| panic!("{MINUTES} is a number, not {text:?}"));
            Length::Long(Duration::from_secs_f64(60.0 * minutes / rows as f64))
        }
        Err(_) => Length::Short,
    }
}

/// Of all rows.
#[derive(Default)]
struct Total {
    passed: usize,
    failed: Vec<&'static str>,
    faults: BTreeMap<String, u64>,
    operations: Count,
}

impl Total {
    fn add(&mut self, trial: &Trial) {
        self.passed += 1;
        self.operations.add(trial.operations());
        for (fault, times) in trial.faults() {
            *self.faults.entry(fault.clone()).or_default() += times;
        }
    }

    fn print(&self, took: Duration) {
        println!("\nfaults:");
        for (fault, times) in &self.faults {
            println!("{times:>9} {fault}");
        }
        let Count {
            reads,
            writes,
            unknown,
        } = self.operations;
        println!(
            "operations in rows that passed: {writes} writes acknowledged, {reads} reads answered, \
             {unknown} writes of unknown outcome"
        );
        let result = match self.failed.is_empty() {
            true => "ok",
            false => "FAILED",
        };
        println!(
            "\nreal faults: {result}. {} passed; {} failed; finished in {:.1} s",
            self.passed,
            self.failed.len(),
            took.as_secs_f64()
        );
        for name in &self.failed {
            println!("    failed: {name}");
        }
    }
}
