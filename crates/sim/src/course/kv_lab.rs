//! What a scenario of the key-value store works with: whole nodes in a [`World`], and tasks on its
//! virtual time.
//!
//! The course's fault model, on the nodes' own links: an unreliable network loses a tenth of all
//! frames, delays them by up to 26 ms and lets them overtake each other; a partition cuts two sides off
//! from each other, and their transports notice sooner or later. Clerks (`clerk.rs`) reach every server,
//! also across a partition of the servers, unless a scenario says otherwise.
//!
//! **RPCs** are counted as in `network.rs`, with two differences: an answer is free if a request of its
//! kind was *sent* to who answers, whether or not it arrived; and what is pulled of a snapshot, on a
//! connection of its own, is not counted. A request of a clerk counts as one; its bytes do not count.
//!
//! **Raft state** is what `log_book.rs` says. A log tells its entries and not which of them share a
//! batch, so each is counted as if it were alone in its own: never too little.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use prost::Message as _;
use quorate_checker::{BUDGET_STEPS_DEFAULT, History, Verdict as Judgement, check_registers};
use quorate_disk::Crash;
use quorate_raft::{Fetch, Instant, Role};
use quorate_replica::{PeerMessage, wire};
use quorate_trace::Trace;

use super::executor::Stopped;
use super::lab::{Failed, Verdict};
use super::log_book::LogBook;
use super::network::{Network, call_of};
use super::scenario::Passed;
use crate::Recipe;
use crate::tally::Rare;
use crate::world::{Plan, World, WorldPicture};

/// What a reliable network and disk take at the most, in microseconds.
const LATENCY_US: u64 = 1_000;
/// What an unreliable network adds at the most.
const UNRELIABLE_LATENCY_US: u64 = 27_000;

type Task = Pin<Box<dyn Future<Output = ()>>>;

/// What kind of cluster a scenario has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KvSetup {
    pub(crate) is_unreliable: bool,
    /// Bytes of log after which a server takes a snapshot; never, if none.
    pub(crate) max_raft_state: Option<u64>,
}

/// A handle to a cluster and its tasks; clones are handles to the same.
#[derive(Clone)]
pub(crate) struct KvLab {
    shared: Rc<Shared>,
}

struct Shared {
    setup: KvSetup,
    world: RefCell<World>,
    network: Rc<RefCell<Network>>,
    history: RefCell<History>,
    tasks: RefCell<BTreeMap<usize, Task>>,
    next_task: Cell<usize>,
    current: Cell<usize>,
    /// Whose turn it is, now and later.
    ready: RefCell<VecDeque<usize>>,
    timers: RefCell<BTreeMap<(Instant, u64), usize>>,
    timers_made: Cell<u64>,
    /// Who waits for which operation.
    waiting: RefCell<BTreeMap<usize, usize>>,
    clerk_rpcs: Cell<u64>,
    clerk_operations: Cell<u64>,
    resolved: Cell<u64>,
}

/// A task's result, to be awaited or looked at.
pub(crate) struct Spawned<T> {
    result: Rc<RefCell<Option<T>>>,
}

impl<T> Spawned<T> {
    pub(crate) fn is_done(&self) -> bool {
        self.result.borrow().is_some()
    }
}

fn plan_of(servers: usize, setup: &KvSetup) -> Plan {
    let mut plan = Plan::quiet(servers);
    plan.latency_us = LATENCY_US;
    plan.disk_us = LATENCY_US;
    plan.segment_bytes = 32 << 10;
    plan.snapshot_log_bytes = setup.max_raft_state.unwrap_or(u64::MAX);
    plan.bounds_log = true;
    if setup.is_unreliable {
        plan.latency_us = UNRELIABLE_LATENCY_US;
        plan.loss_percent = 10;
        plan.reordering = true;
    }
    plan
}

impl KvLab {
    /// A cluster of so many servers; drawn, if there are a title and a command for the picture.
    pub(crate) fn new(
        servers: usize,
        setup: KvSetup,
        seed: u64,
        drawn: Option<(String, String)>,
    ) -> KvLab {
        let plan = plan_of(servers, &setup);
        let picture =
            drawn.map(|(title, command)| Box::new(WorldPicture::new(title, command, &plan)));
        let mut world = World::new(plan, &Recipe::from(seed), setup.is_unreliable, picture);
        let network = Rc::new(RefCell::new(Network::new(servers)));
        let counted = Rc::clone(&network);
        world.filter = Some(Box::new(move |from, to, message| {
            count(&mut counted.borrow_mut(), from, to, message);
            true
        }));
        KvLab {
            shared: Rc::new(Shared {
                setup,
                world: RefCell::new(world),
                network,
                history: RefCell::new(History::new().with_initial_value(Some("".into()))),
                tasks: RefCell::default(),
                next_task: Cell::new(0),
                current: Cell::new(0),
                ready: RefCell::default(),
                timers: RefCell::default(),
                timers_made: Cell::new(0),
                waiting: RefCell::default(),
                clerk_rpcs: Cell::new(0),
                clerk_operations: Cell::new(0),
                resolved: Cell::new(0),
            }),
        }
    }

    pub(crate) fn setup(&self) -> KvSetup {
        self.shared.setup
    }

    pub(crate) fn servers(&self) -> usize {
        self.shared.world.borrow().members.len()
    }

    pub(crate) fn now(&self) -> Instant {
        self.shared.world.borrow().now
    }

    /// Looks at the world, or changes it.
    pub(crate) fn world<R>(&self, with: impl FnOnce(&mut World) -> R) -> R {
        with(&mut self.shared.world.borrow_mut())
    }

    pub(crate) fn history<R>(&self, with: impl FnOnce(&mut History) -> R) -> R {
        with(&mut self.shared.history.borrow_mut())
    }

    /// A number below `bound`.
    pub(crate) fn below(&self, bound: u64) -> u64 {
        self.world(|world| world.random.below(bound))
    }

    pub(crate) fn percent(&self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// A clerk asks a server.
    pub(crate) fn count_clerk_rpc(&self) {
        let rpcs = &self.shared.clerk_rpcs;
        rpcs.set(rpcs.get() + 1);
    }

    /// A clerk is done with what it was asked for.
    pub(crate) fn count_clerk_operation(&self) {
        let operations = &self.shared.clerk_operations;
        operations.set(operations.get() + 1);
    }

    /// A clerk was not told of a change of its own, and read that it is done.
    pub(crate) fn count_resolved(&self) {
        let resolved = &self.shared.resolved;
        resolved.set(resolved.get() + 1);
    }

    pub(crate) async fn sleep(&self, time: Duration) {
        self.wait(time, None).await;
    }

    /// Waits so long at the most for the outcome of an operation; whether there is one.
    pub(crate) async fn wait(&self, most: Duration, op: Option<usize>) -> bool {
        let until = self.now() + most;
        let mut is_planned = false;
        poll_fn(|_| {
            let shared = &self.shared;
            let is_over = |op: usize| shared.world.borrow().ops[op].outcome.is_some();
            let has_ended = op.is_some_and(is_over);
            if has_ended || self.now() >= until {
                return Poll::Ready(has_ended);
            }
            if !std::mem::replace(&mut is_planned, true) {
                let task = shared.current.get();
                let number = shared.timers_made.get();
                shared.timers_made.set(number + 1);
                shared.timers.borrow_mut().insert((until, number), task);
                shared.waiting.borrow_mut().extend(op.map(|op| (op, task)));
            }
            Poll::Pending
        })
        .await
    }

    /// Begins something that goes on at the same time.
    pub(crate) fn spawn<T: 'static>(&self, work: impl Future<Output = T> + 'static) -> Spawned<T> {
        let result = Rc::new(RefCell::new(None));
        let filled = Rc::clone(&result);
        let task = async move {
            let value = work.await;
            filled.replace(Some(value));
        };
        let shared = &self.shared;
        let id = shared.next_task.replace(shared.next_task.get() + 1);
        shared.tasks.borrow_mut().insert(id, Box::pin(task));
        shared.ready.borrow_mut().push_back(id);
        Spawned { result }
    }

    /// Waits for a task; it is looked at every millisecond.
    pub(crate) async fn join<T>(&self, spawned: Spawned<T>) -> T {
        loop {
            if let Some(result) = spawned.result.take() {
                return result;
            }
            self.sleep(Duration::from_millis(1)).await;
        }
    }

    /// Runs everything until this work is done, at most for `limit`.
    pub(crate) fn run<T: 'static>(
        &self,
        work: impl Future<Output = T> + 'static,
        limit: Duration,
    ) -> Result<T, Stopped> {
        let main = self.spawn(work);
        let end = Instant::ZERO + limit;
        let result = loop {
            self.run_ready();
            if let Some(result) = main.result.take() {
                break Ok(result);
            }
            if self.now() > end {
                break Err(Stopped::TimedOut);
            }
            self.step(end);
        };
        // Tasks hold the lab that holds them.
        let left_over = std::mem::take(&mut *self.shared.tasks.borrow_mut());
        drop(left_over);
        result
    }

    fn run_ready(&self) {
        loop {
            let next = self.shared.ready.borrow_mut().pop_front();
            let Some(id) = next else {
                return;
            };
            // Out of the map meanwhile, since it may begin others.
            let Some(mut task) = self.shared.tasks.borrow_mut().remove(&id) else {
                continue;
            };
            self.shared.current.set(id);
            let mut context = Context::from_waker(Waker::noop());
            if task.as_mut().poll(&mut context).is_pending() {
                self.shared.tasks.borrow_mut().insert(id, task);
            }
        }
    }

    /// One event of the world, or the time at which some task goes on.
    fn step(&self, end: Instant) {
        let shared = &self.shared;
        let first = shared.timers.borrow().keys().next().copied();
        let until = first.map_or(end, |(time, _)| time);
        let mut world = shared.world.borrow_mut();
        if !world.step_before(until) {
            let task = shared.timers.borrow_mut().pop_first();
            shared.ready.borrow_mut().extend(task.map(|(_, task)| task));
            if task.is_none() {
                world.now = end + Duration::from_nanos(1);
            }
            return;
        }
        // Who reads has to look at the store before anything else happens.
        shared.waiting.borrow_mut().retain(|op, task| {
            let waits = world.ops[*op].outcome.is_none();
            if !waits {
                shared.ready.borrow_mut().push_back(*task);
            }
            waits
        });
    }

    pub(crate) fn leader(&self) -> Option<usize> {
        self.world(|world| {
            let leads = |node: &usize| {
                let process = world.members[*node].process.as_ref();
                process.is_some_and(|one| one.consensus.leadership().role == Role::Leader)
            };
            world.leader().filter(leads)
        })
    }

    /// Nothing passes between servers of different sides.
    pub(crate) fn partition(&self, side_of: &[usize]) {
        self.world(|world| world.take_sides(side_of));
    }

    pub(crate) fn heal(&self) {
        self.world(World::join_sides);
    }

    /// Power goes everywhere.
    pub(crate) fn crash_all(&self) {
        self.world(|world| {
            for node in 0..world.members.len() {
                let seed = world.random.next();
                world.crash(node, Crash::Random(seed));
            }
        });
    }

    pub(crate) fn start_all(&self) {
        self.world(|world| {
            for node in 0..world.members.len() {
                world.start(node);
            }
        });
    }

    /// The most that any running server's log holds after its last snapshot, in bytes.
    pub(crate) fn max_raft_state_bytes(&self) -> u64 {
        let nodes = 0..self.servers();
        nodes
            .map(|node| self.raft_state_bytes(node))
            .max()
            .unwrap_or_default()
    }

    fn raft_state_bytes(&self, node: usize) -> u64 {
        self.world(|world| {
            let Some(process) = &world.members[node].process else {
                return 0;
            };
            let status = process.consensus.status().raft;
            let snapshot = status.snapshot_index;
            if snapshot >= status.durable_index {
                return 0;
            }
            let fetch = Fetch {
                first: snapshot.next(),
                last: status.durable_index,
                max_bytes: usize::MAX,
            };
            let mut book = LogBook::new(snapshot.0, 0);
            for entry in process.log_reader.read(fetch).expect("nothing is damaged") {
                book.append(&[entry]);
            }
            book.bytes_after(snapshot.0)
        })
    }

    /// How often some server loaded a snapshot of another's.
    pub(crate) fn snapshots_installed(&self) -> u64 {
        self.world(|world| world.tally.rare(Rare::SnapshotInstalled))
    }

    /// Content of the largest newest snapshot of any running server, in bytes; 0 without one.
    pub(crate) fn max_snapshot_bytes(&self) -> u64 {
        self.world(|world| {
            let processes = world.members.iter().filter_map(|one| one.process.as_ref());
            let newest = processes.filter_map(|process| {
                let list = process.files.list().expect("nothing is damaged");
                list.snapshots.first().map(|id| id.bytes)
            });
            newest.max().unwrap_or_default()
        })
    }

    /// Whether what the clerks were told is linearizable; what cannot be judged is not.
    pub(crate) fn check_history(&self) -> Verdict {
        let history = self.shared.history.borrow();
        match check_registers(&history, BUDGET_STEPS_DEFAULT) {
            Judgement::Linearizable(_) => Ok(()),
            other => Err(Failed(format!(
                "the history is not linearizable: {other:?}"
            ))),
        }
    }

    /// What has been counted. A world in the midst of an event has nothing to tell.
    pub(crate) fn passed(&self) -> Passed {
        let shared = &self.shared;
        let world = shared.world.borrow();
        let network = shared.network.borrow();
        Passed {
            time: world.now.since(Instant::ZERO),
            rpcs: network.rpcs + shared.clerk_rpcs.get(),
            bytes: network.bytes,
            commits: shared.clerk_operations.get(),
            hash: world.hash,
            events: world.events,
        }
    }

    /// The picture of it all, if there is one; with what went wrong at its end.
    pub(crate) fn take_drawn(&self, failure: Option<&str>) -> Option<Trace> {
        let mut world = self.shared.world.try_borrow_mut().ok()?;
        let drawn = world.picture.take()?;
        Some(drawn.picture.finish(world.now, failure))
    }

    /// When it is, and what every server is at, unless that cannot be told.
    pub(crate) fn describe(&self) -> (Duration, String) {
        let Ok(world) = self.shared.world.try_borrow() else {
            return (Duration::ZERO, String::new());
        };
        (world.now.since(Instant::ZERO), world.describe())
    }
}

/// Counts what is sent as if it arrived at once.
fn count(network: &mut Network, from: usize, to: usize, message: &PeerMessage) {
    let call = match message {
        PeerMessage::Raft(message) => call_of(message),
        _ => (super::network::Call::Other, false),
    };
    let frames = wire::encode_messages(vec![message.clone()]);
    let bytes = frames.iter().map(|frame| frame.encoded_len() as u64).sum();
    let sent = network.count(from, to, call, bytes);
    network.arrived(from, to, sent, bytes);
}

#[cfg(test)]
mod tests;
