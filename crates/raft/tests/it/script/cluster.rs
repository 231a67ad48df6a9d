//! The nodes of a script, and what can be done with them.
//!
//! Every node has a clock of its own, which stands still unless a command moves it. Messages
//! queue on their links until they are delivered.
//!
//! | command | does |
//! | --- | --- |
//! | `cluster 3 key=value…` | makes the nodes n1, n2, n3; keys are fields of `Config`, in bytes or on/off |
//! | `timeout n1` | moves n1's clock to its next deadline |
//! | `pass 100ms n1 n2` | moves these clocks (without names: all), doing what becomes due |
//! | `settle` | delivers messages, ends writes and fetches, until nothing is left to do |
//! | `propose n1 a b` | proposes commands; `300b` is one of 300 bytes |
//! | `read n1 7` | asks for read 7 |
//! | `join n4` | makes a node that knows no members yet |
//! | `change n1 add-learner n4` | changes the membership; also `add-voter`, `promote`, `remove`, and `replace n1 n2 + n4`, with learners after the plus |
//! | `members` | prints which membership is in force where |
//! | `hold n1>n2`, `hold n1` | messages stay in the queue of this link (of all from and to n1) |
//! | `deliver n1>n2 2` | delivers the second message of the queue (by default the first) |
//! | `repeat n1>n2 2` | delivers a copy of it |
//! | `lose n1>n2`, `lose n1` | empties the queue |
//! | `flow n1>n2`, `flow n1`, `flow` | ends `hold` and `cut` |
//! | `cut n1>n2`, `cut n1` | messages are lost as they are sent |
//! | `slow-disk n1`, `fast-disk n1` | writes wait for `wrote n1 2` (two of them; by default one) |
//! | `slow-fetch n1`, `fetched n1` | the same for ranges read back |
//! | `slow-apply n1`, `applied n1` | the same for what is handed out |
//! | `transfer n1 n2` | asks n1 to hand leadership to n2 |
//! | `snapshot n1 keep=3` | n1 takes a snapshot, and keeps the log from 3 on (by default, none of it) |
//! | `installed n3`, `install-failed n3` | n3 has the snapshot that it wants, or cannot have it |
//! | `link-lost n1 n2` | tells n1 that its link to n2 was lost |
//! | `crash n1`, `restart n1` | loses all that is not on disk; starts from it |
//! | `copy n1`, `put-back n1`, `empty n1` | keeps a copy of n1's disk; swaps it for that, or for an empty one |
//! | `rejoin n1` | n1 starts, from its disk, as one that was told of no members |
//! | `damage n1 3`, `damage n1 3 term` | an entry on n1's disk is damaged; its term is lost too |
//! | `forge n2>n1 AppendAccepted term=1 matched=9` | delivers a made-up message |
//! | `show` | prints where each node stands |
//! | `quietly …` | any of these without its trace |

mod carry_out;
mod members;
mod snapshots;
mod transfers;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use quorate_raft::{
    Config, Envelope, Fetch, InstallWanted, Instant, LogIndex, Message, NodeId, Raft, ReadId,
    Standing, Term, Write,
};

use super::print;
use super::words::{Link, forged, link, node_id, number};
use crate::image::Image;

#[derive(Default)]
pub(super) struct Cluster {
    config: Option<Config>,
    nodes: BTreeMap<NodeId, Node>,
    queues: BTreeMap<Link, VecDeque<Message>>,
    held: BTreeSet<Link>,
    cut: BTreeSet<Link>,
    trace: Vec<String>,
}

#[derive(Default)]
struct Node {
    raft: Option<Raft>,
    now: Instant,
    disk: Image,
    copy: Image,
    writes: VecDeque<(Write, Vec<Envelope>)>,
    fetches: VecDeque<Fetch>,
    applying: VecDeque<LogIndex>,
    /// The last entry that was handed out, or that the restored snapshot stands for.
    applied: (LogIndex, Term),
    /// The snapshot that was wanted last.
    wanted: Option<InstallWanted>,
    slow_disk: bool,
    slow_fetch: bool,
    slow_apply: bool,
    /// It came later, and was not told of any members.
    joined: bool,
}

impl Cluster {
    /// Runs one command; returns what it made the nodes do.
    pub(super) fn run(&mut self, command: &str) -> Result<Vec<String>, String> {
        let words: Vec<&str> = command.split_whitespace().collect();
        let (quiet, words) = match words.split_first() {
            Some((&"quietly", rest)) => (true, rest),
            _ => (false, &words[..]),
        };
        let (name, arguments) = words.split_first().ok_or("no command")?;
        self.execute(name, arguments)?;
        let trace = std::mem::take(&mut self.trace);
        Ok(if quiet { Vec::new() } else { trace })
    }

    fn execute(&mut self, name: &str, arguments: &[&str]) -> Result<(), String> {
        match name {
            "cluster" => return self.create(arguments),
            "settle" => return self.settle(),
            "show" => return self.show(),
            "members" => return self.show_members(),
            "pass" => return self.pass(arguments),
            "flow" if arguments.is_empty() => {
                self.held.clear();
                self.cut.clear();
                return Ok(());
            }
            _ => {}
        }
        let (target, rest) = arguments.split_first().ok_or("on what?")?;
        match name {
            "join" => return self.join(node_id(target)?),
            "hold" => self.held.extend(self.links(target)?),
            "cut" => self.cut.extend(self.links(target)?),
            "flow" => {
                for link in self.links(target)? {
                    self.held.remove(&link);
                    self.cut.remove(&link);
                }
            }
            "lose" => {
                for link in self.links(target)? {
                    self.queues.remove(&link);
                }
            }
            "deliver" => self.deliver(link(target)?, number(rest.first(), 1)?, false)?,
            "repeat" => self.deliver(link(target)?, number(rest.first(), 1)?, true)?,
            "forge" => self.receive(link(target)?, forged(rest)?)?,
            _ => return self.on_node(name, node_id(target)?, rest),
        }
        Ok(())
    }

    fn on_node(&mut self, name: &str, id: NodeId, rest: &[&str]) -> Result<(), String> {
        match name {
            "timeout" => {
                let deadline = self.raft(id)?.deadline().ok_or("nothing will be due")?;
                let node = self.node(id)?;
                node.now = node.now.max(deadline);
                self.tick(id)?;
            }
            "propose" => self.propose(id, rest)?,
            "change" => self.change(id, rest)?,
            "read" => {
                let (now, read) = (self.node(id)?.now, ReadId(number(rest.first(), 0)?));
                if let Err(error) = self.raft(id)?.read(now, read) {
                    self.trace
                        .push(format!("n{id} refuses read {read}: {error}"));
                }
                self.carry_out(id)?;
            }
            "slow-disk" => self.node(id)?.slow_disk = true,
            "slow-fetch" => self.node(id)?.slow_fetch = true,
            "slow-apply" => self.node(id)?.slow_apply = true,
            "fast-disk" => {
                self.node(id)?.slow_disk = false;
                let count = self.node(id)?.writes.len();
                self.wrote(id, count)?;
            }
            "wrote" => self.wrote(id, number(rest.first(), 1)? as usize)?,
            "fetched" => self.fetched(id)?,
            "applied" => {
                let index = self
                    .node(id)?
                    .applying
                    .pop_front()
                    .ok_or("nothing is being applied")?;
                self.trace.push(format!("n{id} applied through {index}"));
                self.raft(id)?.applied(index);
                self.carry_out(id)?;
            }
            "link-lost" => {
                let peer = node_id(rest.first().ok_or("to whom?")?)?;
                let now = self.node(id)?.now;
                self.raft(id)?.link_lost(now, peer);
                self.carry_out(id)?;
            }
            "crash" => {
                let node = self.node(id)?;
                node.raft = None;
                node.writes.clear();
                node.fetches.clear();
                node.applying.clear();
            }
            "damage" => {
                let index = LogIndex(number(rest.first(), 0)?);
                let term_too = rest.get(1) == Some(&"term");
                self.node(id)?.disk.damage(index, term_too);
            }
            "copy" => {
                let node = self.node(id)?;
                node.copy = node.disk.clone();
            }
            "put-back" => {
                let node = self.node(id)?;
                node.disk = node.copy.clone();
            }
            "empty" => self.node(id)?.disk = Image::default(),
            "rejoin" => {
                self.node(id)?.joined = true;
                self.start(id)?;
            }
            "restart" => self.start(id)?,
            "transfer" => self.transfer(id, rest)?,
            "snapshot" => self.take_snapshot(id, rest)?,
            "installed" => self.installed(id, rest)?,
            "install-failed" => self.install_failed(id)?,
            _ => return Err(format!("no command {name}")),
        }
        Ok(())
    }

    fn node(&mut self, id: NodeId) -> Result<&mut Node, String> {
        self.nodes
            .get_mut(&id)
            .ok_or_else(|| format!("there is no n{id}"))
    }

    fn raft(&mut self, id: NodeId) -> Result<&mut Raft, String> {
        self.node(id)?
            .raft
            .as_mut()
            .ok_or_else(|| format!("n{id} is down"))
    }

    /// One link, or all links of a node.
    fn links(&self, target: &str) -> Result<Vec<Link>, String> {
        if target.contains('>') {
            return Ok(vec![link(target)?]);
        }
        let id = node_id(target)?;
        let others = self.nodes.keys().filter(|other| **other != id);
        Ok(others
            .flat_map(|other| [(id, *other), (*other, id)])
            .collect())
    }

    fn create(&mut self, arguments: &[&str]) -> Result<(), String> {
        *self = Cluster::default();
        let count = number(arguments.first(), 3)?;
        let voters: Vec<NodeId> = (1..=count).map(NodeId).collect();
        let mut config = Config::new(NodeId(1), voters.clone());
        for setting in &arguments[1.min(arguments.len())..] {
            let (key, value) = setting.split_once('=').ok_or("key=value")?;
            let bytes = value.parse().unwrap_or(0);
            match key {
                "record_interval" => config.record_interval = Duration::from_millis(bytes as u64),
                "pre_vote" => config.pre_vote = value == "on",
                "check_quorum" => config.check_quorum = value == "on",
                "lease_reads" => {
                    config.lease_reads = value == "on";
                    config.doubt_leader_on_lost_link &= value != "on";
                }
                "empty_entry_on_election" => config.empty_entry_on_election = value == "on",
                "max_append_bytes" => config.max_append_bytes = bytes,
                "max_inflight_bytes" => config.max_inflight_bytes = bytes,
                "max_inflight_appends" => config.max_inflight_appends = bytes,
                "max_uncommitted_bytes" => config.max_uncommitted_bytes = bytes,
                "max_committed_bytes_per_ready" => config.max_committed_bytes_per_ready = bytes,
                "max_unapplied_bytes" => config.max_unapplied_bytes = bytes,
                "max_pending_reads" => config.max_pending_reads = bytes,
                "max_memory_log_bytes" => config.max_memory_log_bytes = bytes,
                _ => return Err(format!("no setting {key}")),
            }
        }
        self.config = Some(config);
        for id in voters {
            self.nodes.insert(id, Node::default());
            self.start(id)?;
        }
        Ok(())
    }

    fn start(&mut self, id: NodeId) -> Result<(), String> {
        let mut config = self.config.clone().ok_or("no cluster")?;
        config.id = id;
        let node = self.node(id)?;
        if node.joined {
            config.voters.clear();
        }
        config.seed = node.now.as_nanos();
        let restored = node.disk.restored();
        node.wanted = None;
        let mark = node.disk.mark;
        node.applied = mark.map_or_else(Default::default, |mark| (mark.index, mark.term));
        let raft = Raft::new(config, restored, node.now).map_err(|error| error.to_string())?;
        node.raft = Some(raft);
        self.carry_out(id)
    }

    fn tick(&mut self, id: NodeId) -> Result<(), String> {
        let now = self.node(id)?.now;
        self.raft(id)?.tick(now);
        self.carry_out(id)
    }

    fn pass(&mut self, arguments: &[&str]) -> Result<(), String> {
        let (time, names) = arguments.split_first().ok_or("how long?")?;
        let millis = time
            .strip_suffix("ms")
            .and_then(|digits| digits.parse().ok());
        let time = Duration::from_millis(millis.ok_or("a time like 100ms")?);
        let named: Result<Vec<NodeId>, String> = names.iter().map(|name| node_id(name)).collect();
        let ids = if names.is_empty() {
            self.nodes.keys().copied().collect()
        } else {
            named?
        };
        for id in ids {
            let until = self.node(id)?.now + time;
            while self.nodes[&id].raft.is_some() {
                let Some(deadline) = self.raft(id)?.deadline().filter(|at| *at <= until) else {
                    break;
                };
                let node = self.node(id)?;
                node.now = node.now.max(deadline);
                self.tick(id)?;
            }
            self.node(id)?.now = until;
        }
        Ok(())
    }

    fn propose(&mut self, id: NodeId, words: &[&str]) -> Result<(), String> {
        let commands = words.iter().map(|word| {
            match word
                .strip_suffix('b')
                .and_then(|digits| digits.parse().ok())
            {
                Some(size) => Bytes::from(vec![b'.'; size]),
                None => Bytes::from((*word).to_owned()),
            }
        });
        let now = self.node(id)?.now;
        let line = match self.raft(id)?.propose(now, commands.collect()) {
            Ok(accepted) => format!(
                "n{id} accepts {}..={} in term {}",
                accepted.first, accepted.last, accepted.term
            ),
            Err(error) => format!("n{id} refuses: {error}"),
        };
        self.trace.push(line);
        self.carry_out(id)
    }

    fn deliver(&mut self, link: Link, position: u64, keep: bool) -> Result<(), String> {
        let queue = self.queues.get_mut(&link).ok_or("no message there")?;
        let place = position as usize - 1;
        let message = if keep {
            queue.get(place).cloned()
        } else {
            queue.remove(place)
        };
        self.receive(link, message.ok_or("no such message")?)
    }

    fn receive(&mut self, (from, to): Link, message: Message) -> Result<(), String> {
        let now = self.node(to)?.now;
        if self.nodes[&to].raft.is_none() {
            return Ok(());
        }
        if let Err(error) = self.raft(to)?.receive(now, from, message) {
            self.trace.push(format!("n{to} refuses: {error}"));
        }
        self.carry_out(to)
    }

    fn settle(&mut self) -> Result<(), String> {
        for _ in 0..10_000 {
            let next = self
                .queues
                .iter()
                .find(|(link, queue)| !self.held.contains(link) && !queue.is_empty());
            let Some((link, _)) = next else { return Ok(()) };
            let link = *link;
            self.deliver(link, 1, false)?;
        }
        Err("it never settles".to_owned())
    }

    fn show(&mut self) -> Result<(), String> {
        for (id, node) in &self.nodes {
            let Some(raft) = &node.raft else {
                self.trace.push(format!(
                    "n{id} is down, on disk {}",
                    print::disk(&node.disk)
                ));
                continue;
            };
            let status = raft.status();
            let leader = status
                .leader
                .map_or("none".to_owned(), |id| format!("n{id}"));
            self.trace.push(format!(
                "n{id} {:?} term={} leader={leader} commit={} last={} durable={} disk={}",
                status.role,
                status.term,
                status.commit,
                status.last_index,
                status.durable_index,
                print::disk(&node.disk)
            ));
            if let Some(first) = status.first_damaged {
                let count = status.damaged_entries;
                self.trace.push(format!("   lacks {count} from {first} on"));
            }
            if status.standing != Standing::Sound {
                let waits: Vec<String> = status
                    .unanswered
                    .iter()
                    .map(|id| format!(", waits for n{id}"))
                    .collect();
                let told = status.rewound.map_or(String::new(), |rewound| {
                    let record = print::record(&rewound.record);
                    format!(", told by n{}: {record}", rewound.by)
                });
                let standing = print::standing(status.standing);
                let waits = waits.concat();
                self.trace.push(format!("   {standing}{waits}{told}"));
            }
            for peer in &status.peers {
                let refilling = if peer.refilling { " refilling" } else { "" };
                self.trace.push(format!(
                    "   of n{}:{refilling} {} matched={} next={} under way: {} Appends of {} bytes",
                    peer.id,
                    if peer.replicating {
                        "replicates"
                    } else if peer.needs_snapshot {
                        "needs a snapshot"
                    } else {
                        "probes"
                    },
                    peer.matched,
                    peer.next,
                    peer.inflight_appends,
                    peer.inflight_bytes
                ));
            }
        }
        Ok(())
    }
}
