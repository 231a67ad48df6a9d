//! `quorate sim replay`: one world again, event by event.

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use quorate_sim::world::Plan;
use quorate_sim::{Ran, Recipe, replay_seed, trace_seed};

use super::traces::{TraceArguments, seconds};
use super::{panics, run};

const AFTER_HELP: &str = "\
Examples:
  quorate sim replay --seed 17                     the plan of the world, then a line an event
  quorate sim replay --seed 17 --until 2           the first two seconds of virtual time
  quorate sim replay --seed 17 --trace a.html      a page to look at in a browser
  quorate sim replay --seed 17 --since 2 --until 3 --trace -    columns of text, of one second
  quorate sim replay --seed 17:clients=1,no-loss   the same world with some of it left out

What can be set or left out, with commas between:
  nodes=N, clients=N, chaos-ms=N, faults=N+N+…, salt=N, no-loss, no-duplication, no-reordering,
  no-slow-disks, no-slow-appliers, no-snapshots, no-steps, no-changes, no-sites, no-leases

Exit codes: 0 all was well as far as it was played; 1 the world failed; 2 wrong arguments.";

/// Makes the world of one seed again and prints what happens.
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub(super) struct ReplayArguments {
    /// Whose world; or a recipe, as `shrink` prints them: 17:clients=1,faults=3+9,no-loss
    #[arg(long, value_name = "S", value_parser = super::recipe)]
    seed: Recipe,
    /// Stop at so many seconds of virtual time
    #[arg(long, value_name = "T", value_parser = seconds)]
    until: Option<Duration>,
    #[command(flatten)]
    trace: TraceArguments,
}

/// Prints the plan, then a line an event; or draws it all, if that was asked for.
pub(super) fn main(arguments: &ReplayArguments) -> anyhow::Result<ExitCode> {
    let ReplayArguments { seed, until, .. } = arguments;
    let until = *until;
    if let Err(reason) = arguments.trace.check(until) {
        return Ok(super::refused("replay", &reason));
    }
    let ran = match arguments.trace.trace {
        None => in_lines(seed, until)?,
        Some(_) => {
            let ((ran, trace), place) = panics::in_world(|| trace_seed(seed.clone(), until));
            arguments.trace.draw(trace, until)?;
            ran.map_err(|failure| run::with_place(failure, place))
        }
    };
    match ran {
        Ok(Some(report)) => println!(
            "all is well after {:?}: {} events, hash {:016x}",
            report.simulated, report.events, report.hash
        ),
        Ok(None) => println!("stopped at {:?}", until.unwrap_or_default()),
        Err(failure) => return Ok(run::verdict(Some(&failure))),
    }
    Ok(ExitCode::SUCCESS)
}

fn in_lines(seed: &Recipe, until: Option<Duration>) -> io::Result<Ran> {
    let mut out = BufWriter::new(io::stdout());
    writeln!(out, "seed {seed}")?;
    for (subject, words) in Plan::of(seed).lines() {
        writeln!(out, "{subject:>12}  {}", folded(&words))?;
    }
    let trace = move |now: quorate_sim::Instant, words: &str| {
        let seconds = now.as_nanos() as f64 / 1e9;
        // Whoever reads has perhaps seen enough (`| head`); the verdict still counts.
        let _ = writeln!(out, "{seconds:12.6}  {words}");
    };
    let (result, place) = panics::in_world(|| replay_seed(seed.clone(), until, Box::new(trace)));
    Ok(result.map_err(|failure| run::with_place(failure, place)))
}

/// Where a line of the plan is broken, and where it goes on below.
const PLAN_WIDTH: usize = 84;
const PLAN_INDENT: usize = 14;

/// A long text on several lines, each but the first indented.
fn folded(words: &str) -> String {
    let mut text = String::new();
    let mut width = 0;
    for word in words.split(' ') {
        let length = word.chars().count();
        if width > 0 && width + 1 + length > PLAN_WIDTH {
            text += &format!("\n{:PLAN_INDENT$}", "");
            width = 0;
        } else if width > 0 {
            text.push(' ');
            width += 1;
        }
        text += word;
        width += length;
    }
    text
}
