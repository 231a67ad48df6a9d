//! One world from its seed to its verdict.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use quorate_raft::Instant;

use crate::Tally;
use crate::failure::{Failure, words_of};
use crate::world::{Trace, World};

/// What a world that ended well was like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunReport {
    /// Its seed.
    pub seed: u64,
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
    /// Faults injected, rare states reached.
    pub tally: Tally,
}

/// Runs the world of this seed: first whatever goes wrong in it, then everything heals and all must
/// be well in bounded time.
///
/// # Errors
/// What was found, if anything was that must never be. A panic of the core is caught and told so.
pub fn run_seed(seed: u64) -> Result<RunReport, Box<Failure>> {
    run(seed, &mut make(seed, World::from_seed)?, None).map(|(report, _)| report)
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

/// Runs the world of this seed again, and hands each event to `trace` as it happens. With `until`
/// it stops at that virtual time and gives no report.
///
/// # Errors
/// As [`run_seed`].
pub fn replay_seed(
    seed: u64,
    until: Option<Duration>,
    trace: Trace,
) -> Result<Option<RunReport>, Box<Failure>> {
    let mut world = make(seed, World::from_seed)?;
    world.trace = Some(trace);
    run(seed, &mut world, until).map(|(report, ended)| ended.then_some(report))
}

/// Runs the world of this seed again, as [`run_seed`] or [`replay_seed`] does, with a picture of
/// all that happens in it; none if it fails before its first event. The run is the same as without.
pub fn trace_seed(seed: u64, until: Option<Duration>) -> (Ran, Option<quorate_trace::Trace>) {
    let mut world = match make(seed, World::drawn_from_seed) {
        Ok(world) => world,
        Err(failure) => return (Err(failure), None),
    };
    let ran = run(seed, &mut world, until).map(|(report, ended)| ended.then_some(report));
    let failure = ran.as_ref().err().map(|failure| failure.what.as_str());
    let drawn = world.picture.take();
    let trace = drawn.map(|drawn| drawn.picture.finish(world.now, failure));
    (ran, trace)
}

/// How a world that was to be looked at ended; without a report if it was stopped before its end.
pub type Ran = Result<Option<RunReport>, Box<Failure>>;

fn make(seed: u64, world: fn(u64) -> World) -> Result<World, Box<Failure>> {
    catch_unwind(|| world(seed)).map_err(|panic| {
        Box::new(Failure {
            seed,
            at: Duration::ZERO,
            what: words_of(&*panic),
            state: String::new(),
        })
    })
}

fn run(
    seed: u64,
    world: &mut World,
    until: Option<Duration>,
) -> Result<(RunReport, bool), Box<Failure>> {
    world.stop_at = until.map(|until| Instant::ZERO + until);
    let ran = catch_unwind(AssertUnwindSafe(|| {
        world.run_for(Duration::from_millis(world.plan.chaos_ms));
        if !world.is_stopped() {
            world.heal_and_judge();
        }
    }));
    match ran {
        Ok(()) => Ok((report(seed, world), !world.is_stopped())),
        Err(panic) => Err(Box::new(Failure {
            seed,
            at: world.now.since(Instant::ZERO),
            what: words_of(&*panic),
            // What broke may break again when it is looked at.
            state: catch_unwind(AssertUnwindSafe(|| world.describe())).unwrap_or_default(),
        })),
    }
}

fn report(seed: u64, world: &World) -> RunReport {
    let count = |holds: fn(&crate::world::Op) -> bool| {
        world.ops.iter().filter(|op| holds(op)).count() as u64
    };
    RunReport {
        seed,
        simulated: world.now.since(Instant::ZERO),
        events: world.events,
        hash: world.hash,
        operations: world.ops.len() as u64,
        acknowledged_writes: count(crate::world::Op::is_acknowledged),
        reads: count(crate::world::Op::was_read),
        nodes: world.plan.nodes,
        tally: world.tally.clone(),
    }
}
