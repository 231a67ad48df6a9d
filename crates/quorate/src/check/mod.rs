//! `quorate check`: is this history of clients linearizable?
//!
//! It reads a file, lets `quorate-checker` judge it, and says the verdict in plain words, as JSON, and as a page that
//! draws the operations that prove a violation. What a history looks like is in `docs/check.md`.

mod page;
mod report;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use quorate_checker::{
    BUDGET_STEPS_DEFAULT, Call, Format, History, Verdict, check_registers, check_revisions,
    check_watch, read_history,
};

use crate::EXIT_USAGE;
use report::Report;

const AFTER_HELP: &str = "\
Examples:
  quorate check history.jsonl                        say whether it is linearizable
  quorate check history.jsonl --html violation.html  and draw what proves that it is not
  quorate check history.jsonl --json                 the verdict for programs
  quorate check etcd_000.log --budget 100000000      a log of Jepsen's register test, with patience

FILE is in Quorate's JSON lines (docs/check.md), a log of Jepsen's register test, or lines of Clojure maps; which,
is told by its content. The page is written whatever the verdict.

Exit codes:
  0  linearizable
  1  not linearizable
  2  the file cannot be read, or wrong flags
  3  undecided: the budget was spent";

/// The exit code for a history that could not be judged within the budget.
const EXIT_UNDECIDED: u8 = 3;

/// A history larger than this is refused: it is held in memory some ten times over.
const FILE_BYTES_MAX: u64 = 2 << 30;

/// Judges a recorded history of clients.
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct CheckArgs {
    /// The history
    file: PathBuf,
    /// Print the verdict as one JSON object
    #[arg(long)]
    json: bool,
    /// Draw the violating window into this file
    #[arg(long, value_name = "OUT.html")]
    html: Option<PathBuf>,
    /// Steps of search after which to give up
    #[arg(long, value_name = "STEPS", default_value_t = BUDGET_STEPS_DEFAULT)]
    budget: u64,
}

/// Judges the file, and prints the verdict on standard output.
///
/// # Errors
/// The page cannot be written.
pub(crate) fn main(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let (format, history) = match read(&args.file) {
        Ok(read) => read,
        Err(reason) => {
            eprintln!("quorate check: {}: {reason}", args.file.display());
            return Ok(ExitCode::from(EXIT_USAGE));
        }
    };
    let report = Report::new(&args.file, format, &history, judge(&history, args.budget));
    if let Some(path) = &args.html {
        let page = page::render(&report);
        fs::write(path, page).map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?;
    }
    if args.json {
        println!("{}", report.json());
    } else {
        print!("{report}");
        if let Some(path) = &args.html {
            println!("drawn in {}", path.display());
        }
    }
    Ok(ExitCode::from(match report.verdict() {
        Verdict::Linearizable(_) => 0,
        Verdict::Violation(_) => 1,
        Verdict::Undecided(_) => EXIT_UNDECIDED,
    }))
}

fn read(path: &Path) -> Result<(Format, History), String> {
    let metadata = fs::metadata(path).map_err(|error| error.to_string())?;
    if metadata.len() > FILE_BYTES_MAX {
        let bytes = metadata.len();
        return Err(format!(
            "{bytes} bytes; at most {FILE_BYTES_MAX} can be judged at once"
        ));
    }
    let bytes = fs::read(path).map_err(|error| error.to_string())?;
    let text = String::from_utf8(bytes).map_err(|_| "not UTF-8 text".to_owned())?;
    read_history(&text).map_err(|error| error.to_string())
}

/// The checks that a history calls for, by name. After a violation no further one is made.
fn judge(history: &History, budget: u64) -> Vec<(&'static str, Verdict)> {
    let is_register = |call: &Call| matches!(call, Call::Register(..));
    let mut calls = history.operations().iter().map(|operation| &operation.call);
    let has_store = calls.clone().any(|call| !is_register(call));
    let has_watch = !history.watches().is_empty();
    let has_register = calls.any(is_register) || !(has_store || has_watch);
    let checks: [(&str, bool, &dyn Fn() -> Verdict); 3] = [
        ("registers", has_register, &|| {
            check_registers(history, budget)
        }),
        ("revisions", has_store, &|| check_revisions(history)),
        ("watches", has_watch, &|| check_watch(history)),
    ];
    let mut verdicts = Vec::new();
    for (name, wanted, check) in checks {
        if wanted {
            verdicts.push((name, check()));
        }
        if verdicts
            .last()
            .is_some_and(|(_, verdict)| verdict.is_violation())
        {
            break;
        }
    }
    verdicts
}
