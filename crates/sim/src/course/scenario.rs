//! The list of scenarios, and how one is run.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::str::FromStr;
use std::time::Duration;

use quorate_raft::Instant;
use quorate_trace::Trace;

use super::baseline::Baseline;
use super::cluster::Cluster;
use super::executor::{Executor, Stopped};
use super::lab::{Failed, Lab, Verdict};
use super::picture::CoursePicture;
use super::{suite_2a, suite_2b, suite_2c};
use crate::failure::words_of;

/// No scenario may take longer, in virtual time.
const LIMIT: Duration = Duration::from_secs(120);

/// A part of the course.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suite {
    /// Election.
    Election2A,
    /// The log.
    Log2B,
    /// Persistence.
    Persistence2C,
    /// Snapshots.
    Snapshots2D,
    /// The key-value store.
    KeyValue3A,
    /// The key-value store with snapshots.
    KeyValue3B,
}

impl Suite {
    /// All of them, in the course's order.
    pub const ALL: [Suite; 6] = [
        Suite::Election2A,
        Suite::Log2B,
        Suite::Persistence2C,
        Suite::Snapshots2D,
        Suite::KeyValue3A,
        Suite::KeyValue3B,
    ];

    /// The course's name for it, as `2A`.
    pub fn name(self) -> &'static str {
        match self {
            Suite::Election2A => "2A",
            Suite::Log2B => "2B",
            Suite::Persistence2C => "2C",
            Suite::Snapshots2D => "2D",
            Suite::KeyValue3A => "3A",
            Suite::KeyValue3B => "3B",
        }
    }

    /// Its scenarios; none if the suite is not there yet.
    pub fn scenarios(self) -> Option<&'static [Scenario]> {
        match self {
            Suite::Election2A => Some(suite_2a::SCENARIOS),
            Suite::Log2B => Some(suite_2b::SCENARIOS),
            Suite::Persistence2C => Some(suite_2c::SCENARIOS),
            Suite::Snapshots2D | Suite::KeyValue3A | Suite::KeyValue3B => None,
        }
    }
}

impl FromStr for Suite {
    type Err = String;

    fn from_str(name: &str) -> Result<Suite, String> {
        let all = Suite::ALL.iter();
        all.clone()
            .find(|suite| suite.name().eq_ignore_ascii_case(name))
            .copied()
            .ok_or_else(|| {
                let names: Vec<&str> = all.map(|suite| suite.name()).collect();
                format!(
                    "there is no suite {name:?}; the suites are {}",
                    names.join(", ")
                )
            })
    }
}

pub(crate) type Steps = Pin<Box<dyn Future<Output = Verdict>>>;

/// One scenario of the course.
pub struct Scenario {
    /// The suite it belongs to.
    pub suite: Suite,
    /// The course's title for it.
    pub title: &'static str,
    /// The name of the test for it, in one word.
    pub name: &'static str,
    /// How many servers it has.
    pub servers: usize,
    /// What it cost in Go, where that is known.
    pub baseline: Option<Baseline>,
    pub(crate) steps: fn(Lab) -> Steps,
}

impl fmt::Debug for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.suite.name(), self.name)
    }
}

/// All scenarios there are.
pub fn scenarios() -> impl Iterator<Item = &'static Scenario> {
    let suites = Suite::ALL.iter().filter_map(|suite| suite.scenarios());
    suites.flatten()
}

/// What a scenario that passed did, as the course counts it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passed {
    /// How long it took, in virtual time.
    pub time: Duration,
    /// RPCs sent (a request and its answer are one).
    pub rpcs: u64,
    /// Bytes sent and received.
    pub bytes: u64,
    /// Commands applied.
    pub commits: u64,
    /// Of all that happened: equal for equal seeds.
    pub hash: u64,
    /// Events handled.
    pub events: u64,
}

/// A scenario that did not pass.
#[derive(Clone, Debug)]
pub struct ScenarioFailure {
    /// The virtual time at which it failed.
    pub at: Duration,
    /// What it demanded and did not get, or what broke.
    pub what: String,
    /// The state of the servers.
    pub state: String,
}

impl fmt::Display for ScenarioFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "failed after {:?}: {}\n{}",
            self.at, self.what, self.state
        )
    }
}

/// Runs a scenario once.
///
/// # Errors
/// What it demanded and did not get. A panic of the core is caught and told so.
pub fn run_scenario(scenario: &Scenario, seed: u64) -> Result<Passed, Box<ScenarioFailure>> {
    run(scenario, seed, false).0
}

/// Runs a scenario once as [`run_scenario`] does, with a picture of all that happens; none if it
/// fails before its first event. The run is the same as without.
pub fn trace_scenario(
    scenario: &Scenario,
    seed: u64,
) -> (Result<Passed, Box<ScenarioFailure>>, Option<Trace>) {
    run(scenario, seed, true)
}

fn run(
    scenario: &Scenario,
    seed: u64,
    is_drawn: bool,
) -> (Result<Passed, Box<ScenarioFailure>>, Option<Trace>) {
    let picture = is_drawn.then(|| Box::new(CoursePicture::new(scenario, seed)));
    let made = catch_unwind(AssertUnwindSafe(|| {
        Cluster::new(scenario.servers, seed, picture)
    }));
    let cluster = match made {
        Ok(cluster) => cluster,
        Err(panic) => {
            let failed = failure(Duration::ZERO, words_of(&*panic), String::new());
            return (Err(failed), None);
        }
    };
    let executor = Executor::new(cluster);
    let result = run_on(&executor, scenario);
    let drawn = executor
        .cluster
        .try_borrow_mut()
        .ok()
        .and_then(|mut cluster| {
            let (now, drawn) = (cluster.now, cluster.picture.take()?);
            let failure = result.as_ref().err().map(|failure| failure.what.as_str());
            Some(drawn.picture.finish(now, failure))
        });
    (result, drawn)
}

fn run_on(executor: &Rc<Executor>, scenario: &Scenario) -> Result<Passed, Box<ScenarioFailure>> {
    let lab = Lab::new(Rc::clone(executor));
    let steps = scenario.steps;
    let ran = catch_unwind(AssertUnwindSafe(|| {
        executor.run(async move { steps(lab).await }, LIMIT)
    }));
    let what = match ran {
        Ok(Ok(Ok(()))) => None,
        Ok(Ok(Err(Failed(what)))) | Ok(Err(Stopped::Broken(what))) => Some(what),
        Ok(Err(Stopped::TimedOut)) => Some(format!("took longer than {LIMIT:?}")),
        Err(panic) => Some(words_of(&*panic)),
    };
    let Ok(cluster) = executor.cluster.try_borrow() else {
        // A panic in the midst of an event leaves nothing that could be looked at.
        return Err(failure(
            Duration::ZERO,
            what.unwrap_or_default(),
            String::new(),
        ));
    };
    let time = cluster.now.since(Instant::ZERO);
    match what {
        Some(what) => Err(failure(time, what, cluster.describe())),
        None => Ok(Passed {
            time,
            rpcs: cluster.network.rpcs,
            bytes: cluster.network.bytes,
            commits: cluster.recorder.commands(),
            hash: cluster.hash,
            events: cluster.events,
        }),
    }
}

fn failure(at: Duration, what: String, state: String) -> Box<ScenarioFailure> {
    Box::new(ScenarioFailure { at, what, state })
}
