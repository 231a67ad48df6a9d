//! `quorate sim shrink`: the smallest world that fails as another does.

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use quorate_sim::world::Plan;
use quorate_sim::{Failing, Recipe, Shrunk, run_seed, shrink};

use super::{counted, panics, run};

const STYLE: &str = "shrinking {bar:40} {pos}/{len} worlds {msg}";

const AFTER_HELP: &str = "\
Examples:
  quorate sim shrink --seed 17                       the smallest world that fails as that of seed 17
  quorate sim shrink --seed 17:no-loss --runs 500    from a smaller one on, in no more worlds than 500

Leaves out faults, clients, nodes and difficulties, one after the other, as long as the world fails
in the same way. Its last line is the command that shows what is left.

Exit codes: 0 the world does not fail, so there is nothing to look for; 1 it does, and the smallest
found is told; 2 wrong arguments.";

/// Looks for the smallest world that fails as this one does.
#[derive(Args, Debug)]
#[command(after_help = AFTER_HELP)]
pub(super) struct ShrinkArguments {
    /// Whose world; or a recipe, as this command prints them: 17:clients=1,faults=3+9,no-loss
    #[arg(long, value_name = "S", value_parser = super::recipe)]
    seed: Recipe,
    /// Run no more worlds than this
    #[arg(long, value_name = "N", default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(1..))]
    runs: u64,
}

/// Prints what was left out, and the command that shows the smallest world that was found.
pub(super) fn main(arguments: &ShrinkArguments) -> anyhow::Result<ExitCode> {
    let bar = match io::stderr().is_terminal() {
        true => ProgressBar::new(arguments.runs),
        false => ProgressBar::hidden(),
    };
    bar.set_style(ProgressStyle::with_template(STYLE).expect("the template is correct"));
    let mut least = usize::MAX;
    let found = shrink(arguments.seed.clone(), arguments.runs, |recipe| {
        bar.inc(1);
        let failing = run_one(recipe)?;
        let size = failing.nodes + failing.clients + failing.faults as usize;
        if size < least {
            least = size;
            bar.set_message(in_words(recipe, &failing));
        }
        Some(failing)
    });
    bar.finish_and_clear();
    let Some(shrunk) = found else {
        println!(
            "The world of {} does not fail: nothing to look for.",
            arguments.seed
        );
        return Ok(ExitCode::SUCCESS);
    };
    tell(&arguments.seed, &shrunk);
    // Once more, for its state.
    let (ran, place) = panics::in_world(|| run_seed(shrunk.recipe.clone()));
    let failure = ran
        .err()
        .map(|failure| run::with_place(failure, place))
        .ok_or_else(|| anyhow::anyhow!("the same recipe made two different worlds"))?;
    Ok(run::verdict(Some(&failure)))
}

fn run_one(recipe: &Recipe) -> Option<Failing> {
    let (ran, _) = panics::in_world(|| run_seed(recipe.clone()));
    let failure = ran.err()?;
    let plan = Plan::of(recipe);
    Some(Failing {
        what: failure.what,
        at: failure.at,
        faults: failure.faults,
        nodes: plan.nodes,
        clients: plan.clients,
    })
}

fn tell(from: &Recipe, shrunk: &Shrunk) {
    println!("{} run", counted(shrunk.runs, "world"));
    if let Some(before) = run_one(from) {
        println!("before: {}", in_words(from, &before));
    }
    println!("after:  {}", in_words(&shrunk.recipe, &shrunk.failing));
}

fn in_words(recipe: &Recipe, failing: &Failing) -> String {
    let faults = (0..failing.faults).filter(|number| {
        recipe
            .faults
            .as_ref()
            .is_none_or(|faults| faults.contains(number))
    });
    format!(
        "{}, {}, {}, fails at {:.3} s",
        counted(failing.nodes as u64, "node"),
        counted(failing.clients as u64, "client"),
        counted(faults.count() as u64, "fault"),
        failing.at.as_secs_f64()
    )
}
