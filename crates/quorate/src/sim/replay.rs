//! `quorate sim replay`: one world again, event by event.

use std::io::{self, BufWriter, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use quorate_sim::replay_seed;
use quorate_sim::world::World;

use super::{panics, run};

/// Makes the world of one seed again and prints what happens.
#[derive(Args, Debug)]
pub(super) struct ReplayArguments {
    /// Whose world
    #[arg(long, value_name = "S")]
    seed: u64,
    /// Stop at so many seconds of virtual time
    #[arg(long, value_name = "T", value_parser = seconds)]
    until: Option<Duration>,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let number: f64 = text
        .trim_end_matches('s')
        .parse()
        .map_err(|_| format!("{text:?} is no number of seconds"))?;
    Duration::try_from_secs_f64(number).map_err(|error| error.to_string())
}

/// Prints the plan, then a line an event.
pub(super) fn main(arguments: &ReplayArguments) -> anyhow::Result<ExitCode> {
    let ReplayArguments { seed, until } = *arguments;
    let mut out = BufWriter::new(io::stdout());
    writeln!(out, "seed {seed}")?;
    writeln!(out, "{:#?}", World::from_seed(seed).plan)?;
    let trace = move |now: quorate_sim::Instant, words: &str| {
        let seconds = now.as_nanos() as f64 / 1e9;
        // Whoever reads has perhaps seen enough (`| head`); the verdict still counts.
        let _ = writeln!(out, "{seconds:12.6}  {words}");
    };
    let (result, place) = panics::in_world(|| replay_seed(seed, until, Box::new(trace)));
    match result {
        Ok(Some(report)) => println!(
            "all is well after {:?}: {} events, hash {:016x}",
            report.simulated, report.events, report.hash
        ),
        Ok(None) => println!("stopped at {:?}", until.unwrap_or_default()),
        Err(failure) => return Ok(run::verdict(Some(&run::with_place(failure, place)))),
    }
    Ok(ExitCode::SUCCESS)
}
