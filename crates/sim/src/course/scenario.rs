//! The list of scenarios, and how one is run.

use std::any::Any;
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
use super::kv_lab::{KvLab, KvSetup};
use super::lab::{Failed, Lab, Verdict};
use super::picture::CoursePicture;
use super::{suite_2a, suite_2b, suite_2c, suite_2d, suite_3a, suite_3b};
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

    /// Its scenarios.
    pub fn scenarios(self) -> &'static [Scenario] {
        match self {
            Suite::Election2A => suite_2a::SCENARIOS,
            Suite::Log2B => suite_2b::SCENARIOS,
            Suite::Persistence2C => suite_2c::SCENARIOS,
            Suite::Snapshots2D => suite_2d::SCENARIOS,
            Suite::KeyValue3A => suite_3a::SCENARIOS,
            Suite::KeyValue3B => suite_3b::SCENARIOS,
        }
    }

    /// After how many commands its servers take a snapshot, if they do.
    fn snapshot_every(self) -> Option<u64> {
        (self == Suite::Snapshots2D).then_some(suite_2d::SNAPSHOT_EVERY)
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
    pub(crate) script: Script,
}

/// What a scenario does, and on what.
#[derive(Clone, Copy)]
pub(crate) enum Script {
    /// On consensus, its log and a state machine that records.
    Raft(fn(Lab) -> Steps),
    /// On whole nodes.
    KeyValue(KvSetup, fn(KvLab) -> Steps),
}

impl fmt::Debug for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.suite.name(), self.name)
    }
}

/// All scenarios there are.
pub fn scenarios() -> impl Iterator<Item = &'static Scenario> {
    Suite::ALL.iter().flat_map(|suite| suite.scenarios())
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
    /// Commands applied; of the store, what its clerks were asked for.
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

type Ran = (Result<Passed, Box<ScenarioFailure>>, Option<Trace>);

fn run(scenario: &Scenario, seed: u64, is_drawn: bool) -> Ran {
    match scenario.script {
        Script::Raft(steps) => run_raft(scenario, steps, seed, is_drawn),
        Script::KeyValue(setup, steps) => run_key_value(scenario, setup, steps, seed, is_drawn),
    }
}

fn run_raft(scenario: &Scenario, steps: fn(Lab) -> Steps, seed: u64, is_drawn: bool) -> Ran {
    let picture = is_drawn.then(|| Box::new(CoursePicture::new(scenario, seed)));
    let snapshot_every = scenario.suite.snapshot_every();
    let made = catch_unwind(AssertUnwindSafe(|| {
        Cluster::new(scenario.servers, seed, snapshot_every, picture)
    }));
    let cluster = match made {
        Ok(cluster) => cluster,
        Err(panic) => return never_ran(&*panic),
    };
    let executor = Executor::new(cluster);
    let result = run_on(&executor, steps);
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

fn run_on(
    executor: &Rc<Executor>,
    steps: fn(Lab) -> Steps,
) -> Result<Passed, Box<ScenarioFailure>> {
    let lab = Lab::new(Rc::clone(executor));
    let ran = catch_unwind(AssertUnwindSafe(|| {
        executor.run(async move { steps(lab).await }, LIMIT)
    }));
    let what = what_failed(ran);
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

fn run_key_value(
    scenario: &Scenario,
    setup: KvSetup,
    steps: fn(KvLab) -> Steps,
    seed: u64,
    is_drawn: bool,
) -> Ran {
    let title = is_drawn.then(|| (title_of(scenario), command_of(scenario, seed)));
    let lab = match catch_unwind(|| KvLab::new(scenario.servers, setup, seed, title)) {
        Ok(lab) => lab,
        Err(panic) => return never_ran(&*panic),
    };
    let given = lab.clone();
    let ran = catch_unwind(AssertUnwindSafe(|| {
        lab.run(async move { steps(given).await }, LIMIT)
    }));
    let result = match what_failed(ran) {
        Some(what) => {
            let (at, state) = lab.describe();
            Err(failure(at, what, state))
        }
        None => Ok(lab.passed()),
    };
    let failure = result.as_ref().err().map(|failure| failure.what.as_str());
    let drawn = lab.take_drawn(failure);
    (result, drawn)
}

/// What heads the picture of a scenario.
pub(super) fn title_of(scenario: &Scenario) -> String {
    format!("Test ({}): {}", scenario.suite.name(), scenario.title)
}

/// The command that runs it again.
pub(super) fn command_of(scenario: &Scenario, seed: u64) -> String {
    format!("quorate sim course {} --seed {seed}", scenario.name)
}

/// A panic before the first event.
fn never_ran(panic: &(dyn Any + Send)) -> Ran {
    let failed = failure(Duration::ZERO, words_of(panic), String::new());
    (Err(failed), None)
}

/// Why a scenario did not pass, if it did not.
fn what_failed(ran: std::thread::Result<Result<Verdict, Stopped>>) -> Option<String> {
    match ran {
        Ok(Ok(Ok(()))) => None,
        Ok(Ok(Err(Failed(what)))) | Ok(Err(Stopped::Broken(what))) => Some(what),
        Ok(Err(Stopped::TimedOut)) => Some(format!("took longer than {LIMIT:?}")),
        Err(panic) => Some(words_of(&*panic)),
    }
}

fn failure(at: Duration, what: String, state: String) -> Box<ScenarioFailure> {
    Box::new(ScenarioFailure { at, what, state })
}
