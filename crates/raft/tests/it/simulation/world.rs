//! The world: virtual time, a network, disks, and a seed that decides.

mod carry_out;
mod clocks;
mod healing;
mod members;
mod mishaps;
mod nature;
mod seen;
mod snapshots;
mod swaps;
mod transfers;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::time::Duration;

use quorate_raft::{
    Config, Entry, Envelope, Fetch, InstallWanted, LogIndex, Membership, Message, NodeId, Raft,
    ReadId, Role, Write, WriteId,
};

use super::judge::Judge;
use crate::image::Image;
use nature::Nature;
pub(super) use seen::Seen;
use snapshots::{File, Files};

const MILLISECOND: u64 = 1_000_000;
const ELECTION_TIMEOUT: Duration = Duration::from_millis(150);
/// How long the faults last, in virtual time.
const FAULTY_NANOS: u64 = 4_000 * MILLISECOND;

#[derive(Debug)]
enum Event {
    Deliver {
        from: NodeId,
        to: NodeId,
        message: Message,
    },
    LinkLost {
        node: NodeId,
        peer: NodeId,
    },
    WriteDone {
        node: NodeId,
        life: u64,
        id: WriteId,
    },
    Fetched {
        node: NodeId,
        life: u64,
        fetch: Fetch,
    },
    Applied {
        node: NodeId,
        life: u64,
        index: LogIndex,
    },
    SnapshotTaken {
        node: NodeId,
        life: u64,
        index: LogIndex,
        file: File,
    },
    Pulled {
        node: NodeId,
        life: u64,
        wanted: InstallWanted,
    },
    /// Damaged entries are written back.
    Repair {
        node: NodeId,
        life: u64,
        entries: Vec<Entry>,
    },
    Client,
    /// A read that waited for its node.
    ReadBy(NodeId),
    Fault,
    /// Somebody changes the membership.
    Change,
    /// A leader that was cut from one node is cut from the others, which start anew.
    Ambush {
        leader: NodeId,
        spared: NodeId,
    },
    /// Somebody switches off nodes that were removed.
    Sweep,
}

struct Node {
    raft: Option<Raft>,
    /// Not one of the first members.
    joins: bool,
    life: u64,
    /// Until when it stands still.
    paused_until: u64,
    /// What its clock counts in a million nanoseconds.
    clock_per_million: u64,
    disk: Image,
    /// The log as the machine sees it: the disk once all writes are done.
    memory: Image,
    writes: VecDeque<(Write, Vec<Envelope>)>,
    /// When each of them began.
    write_times: VecDeque<u64>,
    handed_out: LogIndex,
    /// The state machine's state there, and the membership.
    state: u64,
    membership: Membership,
    /// Its snapshots, durable, and where the last was begun.
    files: Files,
    snapshot_begun: LogIndex,
    /// To whom it is handing leadership, and since when.
    transfer: Option<(NodeId, u64)>,
    /// Of the membership that it was last told.
    membership_index: LogIndex,
    /// Earlier states of its disk.
    copies: VecDeque<(Image, Files)>,
    /// The disks that it lost, until it has got back what it promised with them.
    lost: Vec<Image>,
    /// A swap of its disk that it has to notice.
    must_notice: bool,
}

pub(super) struct World {
    now: u64,
    state: u64,
    sequence: u64,
    events: BinaryHeap<Reverse<(u64, u64, usize)>>,
    bodies: BTreeMap<usize, Event>,
    nodes: BTreeMap<NodeId, Node>,
    cut: BTreeSet<(NodeId, NodeId)>,
    nature: Nature,
    config: Config,
    judge: Judge,
    /// Reads that wait: for each, how much was committed when it was asked.
    reads: BTreeMap<(NodeId, u64, ReadId), u64>,
    next_read: u64,
    next_command: u64,
    granted: u64,
    healed: bool,
    steps: u64,
    pub(super) seen: Seen,
}

impl World {
    /// A world of members that never change.
    pub(super) fn new(seed: u64, count: u64) -> World {
        World::with_spares(seed, count, 0)
    }

    /// A world of `count` members, and `spares` nodes that may join them.
    pub(super) fn with_spares(seed: u64, count: u64, spares: u64) -> World {
        let voters: Vec<NodeId> = (1..=count).map(NodeId).collect();
        let mut world = World {
            now: 0,
            state: seed.wrapping_mul(0x2545_F491_4F6C_DD1D) ^ 0x5DEE_CE66,
            sequence: 0,
            events: BinaryHeap::new(),
            bodies: BTreeMap::new(),
            nodes: BTreeMap::new(),
            cut: BTreeSet::new(),
            nature: Nature {
                loss_percent: 0,
                repeat_percent: 0,
                slow_percent: 0,
                stall_percent: 0,
                snapshot_every: None,
                spares,
                rot_percent: 0,
                swaps: false,
                leases: false,
            },
            config: Config::new(NodeId(1), voters.clone()),
            judge: Judge::default(),
            reads: BTreeMap::new(),
            next_read: 0,
            next_command: 0,
            granted: 0,
            healed: false,
            steps: 0,
            seen: Seen::default(),
        };
        world.draw_nature();
        let release_grain = [1, 1, 7, 20][world.below(4) as usize];
        for id in (1..=count + spares).map(NodeId) {
            let disk = Image::with_release_grain(release_grain);
            let node = Node {
                raft: None,
                joins: id.0 > count,
                life: 0,
                memory: disk.clone(),
                disk,
                paused_until: 0,
                clock_per_million: 1_000_000,
                writes: VecDeque::new(),
                write_times: VecDeque::new(),
                handed_out: LogIndex::ZERO,
                state: 0,
                membership: Membership::default(),
                files: Files::default(),
                snapshot_begun: LogIndex::ZERO,
                transfer: None,
                membership_index: LogIndex::ZERO,
                copies: VecDeque::new(),
                lost: Vec::new(),
                must_notice: false,
            };
            world.nodes.insert(id, node);
        }
        world.draw_clocks();
        for id in (1..=count + spares).map(NodeId) {
            world.start(id);
        }
        world.schedule(0, Event::Client);
        world.schedule(50 * MILLISECOND, Event::Fault);
        if spares > 0 {
            world.schedule(50 * MILLISECOND, Event::Change);
        }
        world
    }

    fn random(&mut self) -> u64 {
        // xorshift64* (Vigna 2016); the state is never zero.
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, bound: u64) -> u64 {
        (self.random() >> 11) % bound
    }

    fn happens(&mut self, percent: u64) -> bool {
        !self.healed && self.below(100) < percent
    }

    fn schedule(&mut self, after: u64, event: Event) {
        self.sequence += 1;
        let key = self.sequence as usize;
        self.bodies.insert(key, event);
        self.events
            .push(Reverse((self.now + after, self.sequence, key)));
    }

    fn start(&mut self, id: NodeId) {
        let mut config = self.config.clone();
        config.id = id;
        config.seed = self.random();
        let now = self.local(id);
        let node = self.nodes.get_mut(&id).unwrap();
        if node.joins {
            config.voters.clear();
        }
        node.life += 1;
        node.memory = node.disk.clone();
        let restored = node.disk.restored();
        node.handed_out = restored.applied;
        node.snapshot_begun = restored.applied;
        let file = node.files.get(&restored.applied);
        node.state = file.map_or(0, |file| file.state);
        let first = Membership::of_voters(config.voters.clone());
        node.membership = file.map_or(first, |file| file.membership.clone());
        node.membership_index = LogIndex::ZERO;
        node.raft = Some(Raft::new(config, restored, now).unwrap());
        self.carry_out(id);
    }

    /// Of a node that has none in its log.
    fn first_membership(&self, id: NodeId) -> Membership {
        if self.nodes[&id].joins {
            return Membership::default();
        }
        Membership::of_voters(self.config.voters.clone())
    }

    pub(super) fn run_with_faults(&mut self) {
        self.run_until(FAULTY_NANOS, |_| false);
    }

    fn run_until(&mut self, end: u64, done: impl Fn(&World) -> bool) {
        while self.now < end && !done(self) {
            self.steps += 1;
            let of_event = self
                .events
                .peek()
                .map_or(u64::MAX, |Reverse((at, _, _))| *at);
            let timer = self.next_timer();
            match timer {
                // What waited for a node that stood still may be handled before its timers.
                Some((at, id)) if at < of_event || at == of_event && self.below(2) == 0 => {
                    self.now = self.now.max(at);
                    let now = self.local(id);
                    let led = self.machine(id).status().role == Role::Leader;
                    self.machine(id).tick(now);
                    let leads = self.machine(id).status().role == Role::Leader;
                    let limit = ELECTION_TIMEOUT.as_nanos() as u64 * 9 / 10;
                    let oldest = self.nodes[&id].write_times.front();
                    if led && !leads && oldest.is_some_and(|began| self.now > began + limit) {
                        self.seen.note("gave way because the disk stalled");
                    }
                    self.carry_out(id);
                }
                _ => {
                    let Reverse((at, _, key)) = self.events.pop().unwrap();
                    self.now = at;
                    let event = self.bodies.remove(&key).unwrap();
                    if let Some(event) = self.put_off(event) {
                        self.handle(event);
                    }
                }
            }
        }
    }

    fn machine(&mut self, id: NodeId) -> &mut Raft {
        self.nodes.get_mut(&id).unwrap().raft.as_mut().unwrap()
    }

    fn is_up(&self, id: NodeId, life: Option<u64>) -> bool {
        let node = &self.nodes[&id];
        node.raft.is_some() && life.is_none_or(|life| life == node.life)
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Deliver { from, to, message } => {
                if self.is_up(to, None) && !self.cut.contains(&(from, to)) {
                    let now = self.local(to);
                    let result = self.machine(to).receive(now, from, message.clone());
                    self.judge_refusal(to, from, &message, &result);
                    self.carry_out(to);
                }
            }
            Event::LinkLost { node, peer } => {
                if self.is_up(node, None) {
                    let now = self.local(node);
                    self.machine(node).link_lost(now, peer);
                    self.carry_out(node);
                }
            }
            Event::WriteDone {
                node: id,
                life,
                id: write,
            } if self.is_up(id, Some(life)) => {
                self.write_done(id, write);
            }
            Event::Fetched {
                node: id,
                life,
                fetch,
            } if self.is_up(id, Some(life)) => {
                let entries = self.read_back(id, fetch);
                let now = self.local(id);
                self.machine(id).fetched(now, fetch.first, entries);
                self.carry_out(id);
            }
            Event::Applied {
                node: id,
                life,
                index,
            } if self.is_up(id, Some(life)) => {
                self.machine(id).applied(index);
                self.carry_out(id);
            }
            Event::SnapshotTaken {
                node: id,
                life,
                index,
                file,
            } if self.is_up(id, Some(life)) => {
                self.snapshot_taken(id, index, file);
            }
            Event::Pulled {
                node: id,
                life,
                wanted,
            } if self.is_up(id, Some(life)) => {
                self.pulled(id, wanted);
            }
            Event::Repair {
                node: id,
                life,
                entries,
            } if self.is_up(id, Some(life)) => self.repair(id, entries),
            Event::WriteDone { .. }
            | Event::Repair { .. }
            | Event::Fetched { .. }
            | Event::Applied { .. }
            | Event::SnapshotTaken { .. }
            | Event::Pulled { .. } => {}
            Event::Client => self.client(),
            Event::ReadBy(id) => self.read_by(id),
            Event::Fault => self.fault(),
            Event::Change => self.change_membership(),
            Event::Sweep => self.sweep(),
            Event::Ambush { leader, spared } => self.spring_ambush(leader, spared),
        }
    }

    pub(super) fn fingerprint(&self) -> (u64, u64, usize) {
        (self.steps, self.state, self.judge.committed.len())
    }
}
