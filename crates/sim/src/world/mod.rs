//! A small deterministic world: nodes, disks, links and clients on one queue of events in virtual
//! time, ordered by time and then by the order in which they were made. One seed, one run.
//!
//! - `event`: what happens at a point of time.
//! - `plan`: what kind of world a seed makes.
//! - `clock`: what a node measures time by.
//! - `node`: a process and its queues; `start` starts it, `machines` runs it, event by event.
//! - `network`: links between members; `links` runs them.
//! - `members`: who comes and who goes.
//! - `clients`: what is asked, and what must then be true of the answers.
//! - `faults`: what goes wrong; `disks`: on disks in use; `rot`: on disks at rest; `copies`: worse, on
//!   copies; `swaps`: disks that go back in time.
//! - `forged`: what no correct peer says.
//! - `leases`: their clients, and what must be true of how long they live.
//! - `judge`: what must be true of the nodes; `history`: what clients were told, for the checker.
//! - `versions`: members that run an older program than others, and are upgraded one by one.
//! - `watchers`: clients that are told what happens, and what must be true of that.
//! - `trace`: all of it in words; `picture`: all of it for the eyes.
//!
//! [`World::from_recipe`] draws everything; [`World::quiet`] is for tests that make their own trouble.

mod clients;
mod clock;
mod copies;
mod disks;
mod event;
mod faults;
mod forged;
mod history;
mod judge;
mod leases;
mod links;
mod machines;
mod members;
mod network;
mod node;
mod picture;
mod plan;
mod rot;
mod snapshots;
mod start;
mod swaps;
mod trace;
mod versions;
mod watchers;

use std::collections::BTreeMap;
use std::time::Duration;

use chaos::Chaos;
use quorate_disk::SimDisk;
use quorate_raft::{Instant, NodeId, Role};
use quorate_replica::{HIGHEST_PROTOCOL_VERSION, MemberTable};

pub use clients::{Asked, Op, Outcome};
use clock::NodeClock;
use event::Event;
pub use leases::granted_id;
pub use members::Presence;
pub use network::Network;
pub use node::{Input, Member, Process};
pub(crate) use picture::WorldPicture;
pub use plan::Plan;

use crate::{Random, Recipe, Tally};

/// How often a leader of a quiet world is heard.
pub const HEARTBEAT: Duration = Duration::from_millis(100);

/// Far more than any world handles that makes progress.
const MOST_EVENTS: u64 = 20_000_000;

/// What the chance of a world's course is drawn for, other than its plan and its faults.
const COURSE: u64 = 1;

/// What the chance of chaos sites is drawn for.
const SITES: u64 = 4;

/// The true time of day when a world begins, in milliseconds since 1970.
const EPOCH_MS: u64 = 1_700_000_000_000;

/// A cluster, its clients, and all that happens to them.
pub struct World {
    /// What kind of world it is.
    pub plan: Plan,
    pub(crate) random: Random,
    /// The core's chaos sites, while things go wrong.
    sites: Chaos,
    recipe: Recipe,
    /// Faults that were due so far.
    pub(crate) faults: u64,
    /// Virtual time since its beginning.
    pub now: Instant,
    made: u64,
    queue: BTreeMap<(Instant, u64), Event>,
    /// The positions of those that are, may become or were members; the id of each is its position
    /// and one.
    pub members: Vec<Member>,
    /// What lies between them.
    pub network: Network,
    /// What was asked so far, and what became of it.
    pub ops: Vec<Op>,
    pub(crate) judge: judge::Judge,
    watchers: watchers::Watchers,
    pub(crate) leases: leases::LeaseBook,
    /// Whose log was damaged last, until it has everything again.
    pub(crate) rotten: Option<usize>,
    /// Whose disk was swapped last, until it has got back what it promised.
    pub(crate) swapped: Option<swaps::Swapped>,
    /// Whether things still go wrong.
    pub(crate) chaos: bool,
    /// Whether the clients still ask.
    pub(crate) load: bool,
    /// Whom the last fault struck.
    pub(crate) struck: usize,
    /// Events handled.
    pub events: u64,
    /// Of all events so far: equal seeds give equal hashes.
    pub hash: u64,
    /// What a test does to frames: false drops one.
    pub filter: Option<Filter>,
    /// Faults injected, rare states reached.
    pub tally: Tally,
    /// Hears of each event as it happens.
    pub(crate) trace: Option<Trace>,
    /// Is shown what happens; never asked.
    pub(crate) picture: Option<Box<WorldPicture>>,
    /// The world ends here, in the midst of whatever it does.
    pub(crate) stop_at: Option<Instant>,
}

/// Looks at each message on its way: sender, receiver, message.
pub type Filter = Box<dyn FnMut(usize, usize, &quorate_replica::PeerMessage) -> bool>;

/// Hears what happens, as a line of words, and when.
pub type Trace = Box<dyn FnMut(Instant, &str)>;

impl World {
    /// The world that this recipe makes.
    pub fn from_recipe(recipe: &Recipe) -> World {
        World::new(Plan::of(recipe), recipe, true, None)
    }

    /// The same world, with a picture of it from its first moment.
    pub(crate) fn drawn_from_recipe(recipe: &Recipe) -> World {
        let plan = Plan::of(recipe);
        let (title, command) = (
            format!("World {recipe}"),
            format!("quorate sim replay --seed {recipe}"),
        );
        let picture = Box::new(WorldPicture::new(title, command, &plan));
        World::new(plan, recipe, true, Some(picture))
    }

    /// A world of so many nodes in which nothing goes wrong unless a test makes it.
    pub fn quiet(nodes: usize) -> World {
        World::quiet_with(nodes, 0)
    }

    /// As [`World::quiet`], of another seed, whose nodes' clocks go wrong by up to so many millionths.
    pub fn quiet_of(seed: u64, nodes: usize, clock_drift_ppm: u64) -> World {
        let plan = Plan {
            clock_drift_ppm,
            ..Plan::quiet(nodes)
        };
        World::new(plan, &Recipe::from(seed), false, None)
    }

    /// As [`World::quiet`], of members whose programs speak at most this protocol version.
    pub fn quiet_of_version(nodes: usize, speaks: u32) -> World {
        World::with_programs(Plan::quiet(nodes), &Recipe::from(1), false, None, speaks)
    }

    /// As [`World::quiet`], with so many spare positions, which may become members.
    pub fn quiet_with(nodes: usize, spare: usize) -> World {
        let plan = Plan {
            newcomers: spare,
            ..Plan::quiet(nodes)
        };
        World::new(plan, &Recipe::from(1), false, None)
    }

    pub(crate) fn new(
        plan: Plan,
        recipe: &Recipe,
        chaos: bool,
        picture: Option<Box<WorldPicture>>,
    ) -> World {
        World::with_programs(plan, recipe, chaos, picture, HIGHEST_PROTOCOL_VERSION)
    }

    /// As [`World::new`]; the programs speak at most this protocol version.
    fn with_programs(
        plan: Plan,
        recipe: &Recipe,
        chaos: bool,
        picture: Option<Box<WorldPicture>>,
        speaks: u32,
    ) -> World {
        let nodes = plan.nodes;
        let positions = (nodes + plan.newcomers) as u64;
        let members = (1..=positions).map(|id| Member {
            id: NodeId(id),
            presence: match id <= nodes as u64 {
                true => Presence::Present,
                false => Presence::Spare,
            },
            speaks,
            contacts: MemberTable::default(),
            leaves: false,
            disk: SimDisk::new(),
            copies: Vec::new(),
            process: None,
            life: 0,
            paused_until: Instant::ZERO,
            stood_until: Instant::ZERO,
            wall_skew_ms: 0,
            clock: NodeClock::draw(recipe.seed, id, plan.clock_drift_ppm),
        });
        let mut world = World {
            members: members.collect(),
            sites: Chaos::new(
                Random::of(recipe.seed, SITES, recipe.salt).next(),
                plan.open_sites,
            ),
            plan,
            random: Random::of(recipe.seed, COURSE, recipe.salt),
            recipe: recipe.clone(),
            faults: 0,
            now: Instant::ZERO,
            made: 0,
            queue: BTreeMap::new(),
            network: Network::default(),
            ops: Vec::new(),
            judge: judge::Judge::default(),
            watchers: watchers::Watchers::of(recipe),
            leases: leases::LeaseBook::new(recipe),
            rotten: None,
            swapped: None,
            chaos,
            load: chaos,
            struck: 0,
            events: 0,
            hash: 0,
            filter: None,
            tally: Tally::default(),
            trace: None,
            picture,
            stop_at: None,
        };
        for node in 0..nodes {
            world.start(node);
        }
        for client in 0..world.plan.clients {
            world.after(Duration::from_millis(1), Event::Client { client });
        }
        let others = world.plan.clients..world.plan.clients + world.plan.lease_clients;
        for client in others {
            world.after(Duration::from_millis(1), Event::LeaseClient { client });
        }
        if (world.plan.newcomers > 0 || world.plan.transfer_percent > 0) && chaos {
            world.after(Duration::from_millis(500), Event::Administrator);
        }
        if world.plan.fault_every_ms > 0 {
            world.after(Duration::from_millis(50), Event::Fault);
        }
        world
    }

    pub(crate) fn after(&mut self, delay: Duration, event: Event) {
        self.at(self.now + delay, event);
    }

    pub(crate) fn at(&mut self, time: Instant, event: Event) {
        self.made += 1;
        self.queue.insert((time, self.made), event);
    }

    pub(crate) fn wall_ms(&self, node: usize) -> u64 {
        let true_ms = EPOCH_MS + self.now.as_nanos() / 1_000_000;
        true_ms.saturating_add_signed(self.members[node].wall_skew_ms)
    }

    /// Handles the next event if it comes before this time; else time goes on to it, and no event is
    /// handled.
    pub(crate) fn step_before(&mut self, time: Instant) -> bool {
        let next = self.queue.first_key_value();
        let is_before = next.is_some_and(|(key, _)| key.0 < time);
        if !is_before {
            self.now = self.now.max(time);
        }
        is_before && self.step()
    }

    /// Handles the next event; false when there is none.
    pub fn step(&mut self) -> bool {
        if let Some(stop) = self.stop_at
            && self
                .queue
                .first_key_value()
                .is_none_or(|(key, _)| key.0 > stop)
        {
            self.now = stop;
            return false;
        }
        let Some(((time, _), event)) = self.queue.pop_first() else {
            return false;
        };
        self.now = time;
        self.events += 1;
        assert!(
            self.events < MOST_EVENTS,
            "{MOST_EVENTS} events, and time stands at {time:?}: something wakes itself for ever"
        );
        self.absorb(time.as_nanos());
        if let Some(resumes) = self.paused(&event) {
            self.at(resumes, event);
            return true;
        }
        if self.trace.is_some() {
            self.trace_event(&event);
        }
        let mut sites = std::mem::take(&mut self.sites);
        chaos::within(&mut sites, || self.handle(event));
        self.sites = sites;
        true
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Consensus { node, life, token } => {
                self.absorb(node as u64);
                self.on_consensus(node, life, token);
            }
            Event::LogBegin { node, life } => self.on_log_begin(node, life),
            Event::LogEnd { node, life } => self.on_log_end(node, life),
            Event::LogQuiet { node, life } => self.on_log_quiet(node, life),
            Event::Apply { node, life } => self.on_apply(node, life),
            Event::Fetch { node, life } => self.on_fetch(node, life),
            Event::KeepRecords { node, life } => self.on_keep_records(node, life),
            Event::SnapshotStep { node, life } => self.on_snapshot_step(node, life),
            Event::SnapshotMarked { node, life, mark } => self.on_marked(node, life, mark),
            Event::Release { node, life, up_to } => self.on_release(node, life, up_to),
            Event::PullAsk { node, life } => self.on_pull_ask(node, life),
            Event::PullArrived { node, life, part } => self.on_pull_arrived(node, life, part),
            Event::PullFailed { node, life } => self.on_pull_failed(node, life),
            Event::Flush { from, to, link } => self.on_flush(from, to, link),
            Event::Deliver {
                from,
                to,
                to_life,
                frame,
                letters,
            } => {
                self.absorb(u64::from(frame.checksum));
                self.on_deliver(from, to, to_life, &frame, &letters);
            }
            Event::Dial { from, life, to } => self.on_dial(from, life, to),
            Event::LinkDown {
                from,
                life,
                to,
                link,
            } => self.on_link_down(from, life, to, link),
            Event::Restart { node } => self.on_restart(node),
            Event::CutOff { node } => self.on_cut_off(node),
            Event::LeaderDies { lasts } => self.on_leader_dies(lasts),
            Event::DiskFreed { node } => self.on_disk_freed(node),
            Event::Fault => self.on_fault(),
            Event::FaultEnds { node } => self.on_fault_ends(node),
            Event::Client { client } => self.on_client(client),
            Event::LeaseClient { client } => self.on_lease_client(client),
            Event::Overdue { op } => self.on_overdue(op),
            Event::Administrator => self.on_administrator(),
            Event::Join { node } => self.on_join(node),
            Event::Publish { node } => self.on_publish(node),
            Event::Leave { node } => self.on_leave(node),
        }
    }

    /// When the process whose turn it is goes on, if it stands still.
    fn paused(&self, event: &Event) -> Option<Instant> {
        let (Event::Consensus { node, life, .. }
        | Event::LogBegin { node, life }
        | Event::LogEnd { node, life }
        | Event::LogQuiet { node, life }
        | Event::Apply { node, life }
        | Event::KeepRecords { node, life }
        | Event::SnapshotStep { node, life }
        | Event::SnapshotMarked { node, life, .. }
        | Event::Release { node, life, .. }
        | Event::PullAsk { node, life }
        | Event::PullArrived { node, life, .. }
        | Event::Fetch { node, life }) = event
        else {
            return None;
        };
        let member = &self.members[*node];
        let stands_still = member.life == *life && member.paused_until > self.now;
        stands_still.then_some(member.paused_until)
    }

    pub(crate) fn absorb(&mut self, word: u64) {
        let mixed = (self.hash ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.hash = mixed ^ (mixed >> 29);
    }

    /// Lets so much time pass.
    pub fn run_for(&mut self, time: Duration) {
        let until = self.now + time;
        while self
            .queue
            .first_key_value()
            .is_some_and(|(key, _)| key.0 <= until)
        {
            if !self.step() {
                return;
            }
        }
        self.now = until;
    }

    /// Runs until the condition holds, which must be within `limit`.
    pub fn run_until(
        &mut self,
        what: &str,
        limit: Duration,
        mut holds: impl FnMut(&World) -> bool,
    ) {
        let until = self.now + limit;
        while !holds(self) {
            assert!(
                self.now <= until && self.step(),
                "not within {limit:?}: {what}\n{}",
                self.describe()
            );
        }
    }

    /// The process of a member that runs.
    pub fn process(&self, node: usize) -> &Process {
        self.members[node].process.as_ref().expect("it runs")
    }

    /// The process of a member that runs.
    pub fn process_mut(&mut self, node: usize) -> &mut Process {
        self.members[node].process.as_mut().expect("it runs")
    }

    /// Whether it was ended before its time.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stop_at.is_some_and(|stop| stop <= self.now)
    }

    /// The process of that life, if it still runs.
    pub(crate) fn alive(&mut self, node: usize, life: u64) -> Option<&mut Process> {
        let member = &mut self.members[node];
        member.process.as_mut().filter(|_| member.life == life)
    }

    /// The leader of the greatest term that thinks it leads.
    pub fn leader(&self) -> Option<usize> {
        let led = |node: &usize| {
            let process = self.members[*node].process.as_ref()?;
            let state = process.consensus.leadership();
            (state.role == Role::Leader).then_some(state.term)
        };
        (0..self.members.len())
            .filter(|node| led(node).is_some())
            .max_by_key(led)
    }

    /// Faults injected, rare states reached, paths taken at chaos sites.
    pub(crate) fn tally_with_sites(&self) -> Tally {
        let mut tally = self.tally.clone();
        tally.took(&self.sites);
        tally
    }

    /// What every node is at, for the message of a failure.
    pub fn describe(&self) -> String {
        let mut text = format!("at {:?}, {:?}\n", self.now.since(Instant::ZERO), self.plan);
        for member in &self.members {
            let said = match &member.process {
                None => "is down".to_owned(),
                Some(process) => format!(
                    "applied {}, {:?}",
                    process.applied.index,
                    process.consensus.status()
                ),
            };
            text += &format!("member {} {said}\n", member.id);
        }
        for (number, op) in self.ops.iter().enumerate() {
            if op.outcome.is_none() {
                text += &format!("operation {number} waits: {op:?}\n");
            }
        }
        text
    }
}
