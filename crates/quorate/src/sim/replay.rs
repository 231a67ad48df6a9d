//! `quorate sim replay`: one world again, event by event.

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use quorate_sim::world::Plan;
use quorate_sim::{Ran, Recipe, replay_seed, trace_seed};

use super::traces::{TraceArguments, seconds};
use super::{panics, run};

/// Makes the world of one seed again and prints what happens.
#[derive(Args, Debug)]
pub(super) struct ReplayArguments {
    /// Whose world; or a recipe, as `shrink` prints them: 17:clients=1,faults=3+9,no-loss
    #[arg(long, value_name = "S")]
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
    writeln!(out, "{:#?}", Plan::of(seed))?;
    let trace = move |now: quorate_sim::Instant, words: &str| {
        let seconds = now.as_nanos() as f64 / 1e9;
        // Whoever reads has perhaps seen enough (`| head`); the verdict still counts.
        let _ = writeln!(out, "{seconds:12.6}  {words}");
    };
    let (result, place) = panics::in_world(|| replay_seed(seed.clone(), until, Box::new(trace)));
    Ok(result.map_err(|failure| run::with_place(failure, place)))
}
