//! One world from its seed to its verdict.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use quorate_raft::Instant;

use crate::failure::{Failure, words_of};
use crate::world::{Trace, World};
use crate::{Recipe, Tally};

/// What a world that ended well was like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunReport {
    /// What it was made from.
    pub recipe: Recipe,
    /// Virtual time from its beginning to its end.
    pub simulated: Duration,
    /// Events handled.
    pub events: u64,
    /// Of all events: equal for equal seeds, whenever and wherever they run.
    pub hash: u64,
    /// What clients asked for.
    pub operations: u64,
    /// Writes that were acknowledged.
    pub acknowledged_writes: u64,
    /// Linearizable reads that were served.
    pub reads: u64,
    /// Nodes of the cluster.
    pub nodes: usize,
    /// Faults that were due, whether they happened or the recipe left them out.
    pub faults: u64,
    /// Faults injected, rare states reached.
    pub tally: Tally,
}

/// Runs the world of this seed or recipe: first whatever goes wrong in it, then everything heals and
/// all must be well in bounded time.
///
/// # Errors
/// What was found, if anything was that must never be. A panic of the core is caught and told so.
pub fn run_seed(seed: impl Into<Recipe>) -> Result<RunReport, Box<Failure>> {
    let recipe = seed.into();
    let mut world = make(&recipe, World::from_recipe)?;
    run(recipe, &mut world, None).map(|(report, _)| report)
}

/// As [`run_seed`], with this planted bug in the core; none of its own if the build has no bugs.
///
/// # Errors
/// As [`run_seed`].
pub fn run_seed_with_bug(seed: u64, bug: &'static str) -> Result<RunReport, Box<Failure>> {
    planted::choose(Some(bug));
    let result = run_seed(seed);
    planted::choose(None);
    result
}

/// Runs the world of this seed or recipe again, and hands each event to `trace` as it happens. With `until`
/// it stops at that virtual time and gives no report.
///
/// # Errors
/// As [`run_seed`].
pub fn replay_seed(
    seed: impl Into<Recipe>,
    until: Option<Duration>,
    trace: Trace,
) -> Result<Option<RunReport>, Box<Failure>> {
    let recipe = seed.into();
    let mut world = make(&recipe, World::from_recipe)?;
    world.trace = Some(trace);
    run(recipe, &mut world, until).map(|(report, ended)| ended.then_some(report))
}

/// Runs the world of this seed or recipe again, as [`run_seed`] or [`replay_seed`] does, with a picture of
/// all that happens in it; none if it fails before its first event. The run is the same as without.
pub fn trace_seed(
    seed: impl Into<Recipe>,
    until: Option<Duration>,
) -> (Ran, Option<quorate_trace::Trace>) {
    let recipe = seed.into();
    let mut world = match make(&recipe, World::drawn_from_recipe) {
        Ok(world) => world,
        Err(failure) => return (Err(failure), None),
    };
    let ran = run(recipe, &mut world, until).map(|(report, ended)| ended.then_some(report));
    let failure = ran.as_ref().err().map(|failure| failure.what.as_str());
    let drawn = world.picture.take();
    let trace = drawn.map(|drawn| drawn.picture.finish(world.now, failure));
    (ran, trace)
}

/// How a world that was to be looked at ended; without a report if it was stopped before its end.
pub type Ran = Result<Option<RunReport>, Box<Failure>>;

fn make(recipe: &Recipe, world: fn(&Recipe) -> World) -> Result<World, Box<Failure>> {
    catch_unwind(|| world(recipe)).map_err(|panic| {
        Box::new(Failure {
            recipe: recipe.clone(),
            at: Duration::ZERO,
            what: words_of(&*panic),
            faults: 0,
            state: String::new(),
        })
    })
}

fn run(
    recipe: Recipe,
    world: &mut World,
    until: Option<Duration>,
) -> Result<(RunReport, bool), Box<Failure>> {
    world.stop_at = until.map(|until| Instant::ZERO + until);
    let ran = catch_unwind(AssertUnwindSafe(|| {
        world.run_for(Duration::from_millis(world.plan.chaos_ms));
        if !world.is_stopped() {
            world.heal_and_judge();
        }
        if !world.is_stopped() {
            world.judge_history();
        }
    }));
    match ran {
        Ok(()) => Ok((report(recipe, world), !world.is_stopped())),
        Err(panic) => Err(Box::new(Failure {
            recipe,
            at: world.now.since(Instant::ZERO),
            what: words_of(&*panic),
            faults: world.faults,
            // What broke may break again when it is looked at.
            state: catch_unwind(AssertUnwindSafe(|| world.describe())).unwrap_or_default(),
        })),
    }
}

fn report(recipe: Recipe, world: &World) -> RunReport {
    let count = |holds: fn(&crate::world::Op) -> bool| {
        world.ops.iter().filter(|op| holds(op)).count() as u64
    };
    RunReport {
        recipe,
        simulated: world.now.since(Instant::ZERO),
        events: world.events,
        hash: world.hash,
        operations: world.ops.len() as u64,
        acknowledged_writes: count(crate::world::Op::is_acknowledged),
        reads: count(crate::world::Op::was_read),
        nodes: world.plan.nodes,
        faults: world.faults,
        tally: world.tally_with_sites(),
    }
}
