//! A small deterministic world: nodes, disks, links and clients on one queue of events in virtual
//! time, ordered by time and then by the order in which they were made. One seed, one run.
//!
//! - `plan`: what kind of world a seed makes.
//! - `node`: a process and its queues; `machines` runs them, event by event.
//! - `network`: links between members; `links` runs them.
//! - `clients`: what is asked, and what must then be true of the answers.
//! - `faults`: what goes wrong.
//! - `judge`: what must be true of the nodes.

mod clients;
mod faults;
mod judge;
mod links;
mod machines;
mod network;
mod node;
mod plan;
mod random;

use std::collections::BTreeMap;
use std::time::Duration;

use quorate_disk::SimDisk;
use quorate_proto::peer;
use quorate_raft::{Instant, NodeId, Role};
use quorate_replica::NodeSettings;

pub(crate) use clients::{Asked, Op, Outcome};
pub(crate) use network::Network;
pub(crate) use node::{Input, Member, Process};
pub(crate) use plan::Plan;
use random::Random;

pub(crate) const HEARTBEAT: Duration = Duration::from_millis(100);
pub(crate) const ELECTION_TIMEOUT: Duration = Duration::from_millis(500);

/// The true time of day when a world begins, in milliseconds since 1970.
const EPOCH_MS: u64 = 1_700_000_000_000;

/// What happens at a point of time. Members are named by their position.
#[derive(Debug)]
pub(crate) enum Event {
    Consensus {
        node: usize,
        life: u64,
        token: u64,
    },
    LogBegin {
        node: usize,
        life: u64,
    },
    LogEnd {
        node: usize,
        life: u64,
    },
    LogQuiet {
        node: usize,
        life: u64,
    },
    Apply {
        node: usize,
        life: u64,
    },
    Fetch {
        node: usize,
        life: u64,
    },
    Flush {
        from: usize,
        to: usize,
        link: u64,
    },
    Deliver {
        from: usize,
        to: usize,
        to_life: u64,
        frame: peer::Frame,
    },
    Dial {
        from: usize,
        life: u64,
        to: usize,
    },
    LinkDown {
        from: usize,
        life: u64,
        to: usize,
        link: u64,
    },
    Restart {
        node: usize,
    },
    /// Nothing passes to or from it any more.
    CutOff {
        node: usize,
    },
    Fault,
    FaultEnds {
        node: usize,
    },
    Client {
        client: usize,
    },
    Overdue {
        op: usize,
    },
}

pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) random: Random,
    pub(crate) now: Instant,
    made: u64,
    queue: BTreeMap<(Instant, u64), Event>,
    pub(crate) members: Vec<Member>,
    pub(crate) network: Network,
    pub(crate) ops: Vec<Op>,
    pub(crate) judge: judge::Judge,
    /// Whether things still go wrong.
    pub(crate) chaos: bool,
    /// Whether the clients still ask.
    pub(crate) load: bool,
    pub(crate) events: u64,
    /// Of all events so far: equal seeds give equal hashes.
    pub(crate) hash: u64,
    /// What a test does to frames: false drops one.
    pub(crate) filter: Option<Filter>,
}

/// Looks at each message on its way: sender, receiver, message.
pub(crate) type Filter = Box<dyn FnMut(usize, usize, &quorate_replica::PeerMessage) -> bool>;

impl World {
    pub(crate) fn from_seed(seed: u64) -> World {
        let mut random = Random::new(seed);
        let plan = Plan::from_seed(&mut random);
        World::new(plan, random, true)
    }

    pub(crate) fn quiet(nodes: usize) -> World {
        World::new(Plan::quiet(nodes), Random::new(1), false)
    }

    pub(crate) fn new(plan: Plan, random: Random, chaos: bool) -> World {
        let nodes = plan.nodes;
        let members = (1..=nodes as u64).map(|id| Member {
            id: NodeId(id),
            disk: SimDisk::new(),
            process: None,
            life: 0,
            paused_until: Instant::ZERO,
            wall_skew_ms: 0,
        });
        let mut world = World {
            members: members.collect(),
            plan,
            random,
            now: Instant::ZERO,
            made: 0,
            queue: BTreeMap::new(),
            network: Network::default(),
            ops: Vec::new(),
            judge: judge::Judge::default(),
            chaos,
            load: chaos,
            events: 0,
            hash: 0,
            filter: None,
        };
        for node in 0..nodes {
            world.start(node);
        }
        for client in 0..world.plan.clients {
            world.after(Duration::from_millis(1), Event::Client { client });
        }
        if world.plan.fault_every_ms > 0 {
            world.after(Duration::from_millis(50), Event::Fault);
        }
        world
    }

    pub(crate) fn settings(&self, node: usize) -> NodeSettings {
        let member = &self.members[node];
        NodeSettings {
            cluster_id: 7,
            member_id: member.id.0,
            member_ids: self.members.iter().map(|member| member.id.0).collect(),
            boot_nonce: (member.life as u32) << 8 | node as u32,
            heartbeat_interval: HEARTBEAT,
            election_timeout: ELECTION_TIMEOUT,
            pre_vote: self.plan.pre_vote,
            seed: member.life,
            segment_bytes: Some(self.plan.segment_bytes),
            snapshot_log_bytes: u64::MAX,
        }
    }

    /// Starts the process of a member that has none.
    pub(crate) fn start(&mut self, node: usize) {
        assert!(self.members[node].process.is_none(), "it runs already");
        self.members[node].life += 1;
        let settings = self.settings(node);
        let wall_ms = self.wall_ms(node);
        let member = &mut self.members[node];
        let life = member.life;
        match Process::open(&member.disk, &settings, self.now, wall_ms) {
            Ok(process) => member.process = Some(process),
            Err(error) => return self.power_failed(node, &error),
        }
        self.judge.started(node);
        for to in (0..self.members.len()).filter(|to| *to != node) {
            let delay = self.random.micros(100, 20_000);
            self.after(
                delay,
                Event::Dial {
                    from: node,
                    life,
                    to,
                },
            );
        }
        self.wake(node);
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

    /// Handles the next event; false when there is none.
    pub(crate) fn step(&mut self) -> bool {
        let Some(((time, _), event)) = self.queue.pop_first() else {
            return false;
        };
        self.now = time;
        self.events += 1;
        self.absorb(time.as_nanos());
        if let Some(resumes) = self.paused(&event) {
            self.at(resumes, event);
            return true;
        }
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
            Event::Flush { from, to, link } => self.on_flush(from, to, link),
            Event::Deliver {
                from,
                to,
                to_life,
                frame,
            } => {
                self.absorb(u64::from(frame.checksum));
                self.on_deliver(from, to, to_life, &frame);
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
            Event::Fault => self.on_fault(),
            Event::FaultEnds { node } => self.on_fault_ends(node),
            Event::Client { client } => self.on_client(client),
            Event::Overdue { op } => self.on_overdue(op),
        }
        true
    }

    /// When the process whose turn it is goes on, if it stands still.
    fn paused(&self, event: &Event) -> Option<Instant> {
        let (Event::Consensus { node, life, .. }
        | Event::LogBegin { node, life }
        | Event::LogEnd { node, life }
        | Event::LogQuiet { node, life }
        | Event::Apply { node, life }
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

    pub(crate) fn run_for(&mut self, time: Duration) {
        let until = self.now + time;
        while self
            .queue
            .first_key_value()
            .is_some_and(|(key, _)| key.0 <= until)
        {
            self.step();
        }
        self.now = until;
    }

    /// Runs until the condition holds, which must be within `limit`.
    pub(crate) fn run_until(
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

    pub(crate) fn process(&self, node: usize) -> &Process {
        self.members[node].process.as_ref().expect("it runs")
    }

    pub(crate) fn process_mut(&mut self, node: usize) -> &mut Process {
        self.members[node].process.as_mut().expect("it runs")
    }

    /// The process of that life, if it still runs.
    pub(crate) fn alive(&mut self, node: usize, life: u64) -> Option<&mut Process> {
        let member = &mut self.members[node];
        member.process.as_mut().filter(|_| member.life == life)
    }

    /// The leader of the greatest term that thinks it leads.
    pub(crate) fn leader(&self) -> Option<usize> {
        let led = |node: &usize| {
            let process = self.members[*node].process.as_ref()?;
            let state = process.consensus.leadership();
            (state.role == Role::Leader).then_some(state.term)
        };
        (0..self.members.len())
            .filter(|node| led(node).is_some())
            .max_by_key(led)
    }

    /// What every node is at, for the message of a failure.
    pub(crate) fn describe(&self) -> String {
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
