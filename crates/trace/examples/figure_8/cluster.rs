//! Five nodes in virtual time, told to a recorder: the least that a story needs.
//!
//! Messages take one to three milliseconds, a write to disk 400 microseconds. Pre-vote and
//! check-quorum are off, as in the paper's Figure 2, and so is the empty entry of a new leader.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use quorate_raft::{
    Config, Entry, Envelope, HardState, Instant, LogIndex, Message, NodeId, Raft, Restored, Role,
    Term, Write,
};
use quorate_trace::{
    FaultId, FaultKind, Letter, MessageId, OperationId, Outcome, Recorder, Start, Trace, View,
};

use crate::words;

const WRITE: Duration = Duration::from_micros(400);
/// Longer than any part of the story takes.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Default)]
struct Node {
    raft: Option<Raft>,
    /// Counts starts; what was under way in an earlier life is void.
    life: u64,
    paused: bool,
    held: Vec<(usize, Message, MessageId)>,
    writing: VecDeque<(Write, Vec<Envelope>)>,
    hard_state: HardState,
    disk: Vec<Entry>,
    /// Clients that wait until their entry is committed here.
    asked: Vec<(u64, OperationId)>,
}

enum Happening {
    Arrives {
        from: usize,
        to: usize,
        message: Message,
        id: MessageId,
    },
    Durable {
        node: usize,
        life: u64,
    },
}

pub(crate) struct Cluster {
    now: Instant,
    nodes: Vec<Node>,
    queue: BTreeMap<(Instant, u64), Happening>,
    next: u64,
    blocked: BTreeSet<(usize, usize)>,
    cuts: Vec<FaultId>,
    pauses: BTreeMap<usize, FaultId>,
    random: u64,
    /// What each sender last said in an Append or an answer to one, so that repetitions are known.
    said: BTreeMap<(usize, usize), (u64, u64)>,
    recorder: Recorder,
}

impl Cluster {
    pub(crate) fn new(title: &str, timeouts: [Duration; 5]) -> Cluster {
        let mut recorder = Recorder::new(title, ["S1", "S2", "S3", "S4", "S5"]);
        recorder.about("Five nodes of Raft as in the paper (section 5.4.2), in virtual time.");
        let mut cluster = Cluster {
            now: Instant::ZERO,
            nodes: (0..5).map(|_| Node::default()).collect(),
            queue: BTreeMap::new(),
            next: 0,
            blocked: BTreeSet::new(),
            cuts: Vec::new(),
            pauses: BTreeMap::new(),
            random: 8,
            said: BTreeMap::new(),
            recorder,
        };
        for (node, timeout) in timeouts.into_iter().enumerate() {
            cluster.start(node, timeout);
        }
        cluster
    }

    fn at(&self) -> u64 {
        self.now.as_nanos()
    }

    /// A number below `below`, by a linear congruence: good enough for delays.
    fn draw(&mut self, below: u64) -> u64 {
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.random >> 33) % below
    }

    // What the story does.

    pub(crate) fn start(&mut self, node: usize, election_timeout: Duration) {
        let ids = (1..=5).map(NodeId).collect();
        let mut config = Config::new(NodeId(node as u64 + 1), ids);
        config.election_timeout = election_timeout;
        config.heartbeat_interval = Duration::from_millis(50);
        config.pre_vote = false;
        config.check_quorum = false;
        config.empty_entry_on_election = false;
        let of = &mut self.nodes[node];
        config.seed = of.life;
        let mut term_runs: Vec<(LogIndex, Term)> = Vec::new();
        for entry in &of.disk {
            if term_runs.last().is_none_or(|(_, term)| *term != entry.term) {
                term_runs.push((entry.index, entry.term));
            }
        }
        let restored = Restored {
            hard_state: of.hard_state,
            last_index: LogIndex(of.disk.len() as u64),
            term_runs,
            ..Restored::default()
        };
        let start = Start {
            term: of.hard_state.term.0,
            vote: of.hard_state.vote.map(position),
            log: words::of_entries(&of.disk),
            ..Start::default()
        };
        let raft = Raft::new(config, restored, self.now).expect("the story's settings are good");
        of.raft = Some(raft);
        of.life += 1;
        self.recorder.started(self.now.as_nanos(), node, start);
        self.carry_out(node);
    }

    pub(crate) fn crash(&mut self, node: usize, how: &str) {
        self.recorder.crashed(self.now.as_nanos(), node, how);
        let of = &mut self.nodes[node];
        of.raft = None;
        of.writing.clear();
        of.life += 1;
        for (_, operation) in std::mem::take(&mut of.asked) {
            let answer = "no answer: the server died";
            let at = self.now.as_nanos();
            self.recorder
                .operation_ended(at, operation, Outcome::Unknown, answer);
        }
    }

    /// Answers whoever waited for an entry through `index`.
    fn answer(&mut self, node: usize, index: u64) {
        let at = self.at();
        let asked = std::mem::take(&mut self.nodes[node].asked);
        let (answered, waiting) = asked.into_iter().partition(|(of, _)| *of <= index);
        self.nodes[node].asked = waiting;
        let answered: Vec<(u64, OperationId)> = answered;
        for (of, operation) in answered {
            let answer = format!("committed as entry {of}");
            self.recorder
                .operation_ended(at, operation, Outcome::Done, answer);
        }
    }

    pub(crate) fn pause(&mut self, node: usize) {
        let at = self.at();
        let fault = self.recorder.fault_began(
            at,
            FaultKind::Pause,
            vec![vec![node]],
            "the process stands still",
        );
        self.pauses.insert(node, fault);
        self.nodes[node].paused = true;
    }

    pub(crate) fn resume(&mut self, node: usize) {
        let at = self.at();
        if let Some(fault) = self.pauses.remove(&node) {
            self.recorder.fault_ended(at, fault);
        }
        self.nodes[node].paused = false;
        for (from, message, id) in std::mem::take(&mut self.nodes[node].held) {
            self.arrives(from, node, message, id);
        }
    }

    pub(crate) fn cut(&mut self, sides: &[&[usize]], label: &str) {
        let groups: Vec<Vec<usize>> = sides.iter().map(|side| side.to_vec()).collect();
        let side_of = |one: usize| groups.iter().position(|side| side.contains(&one));
        for from in 0..5 {
            let across = (0..5).filter(|to| side_of(from) != side_of(*to));
            self.blocked.extend(across.map(|to| (from, to)));
        }
        let at = self.at();
        let fault = self
            .recorder
            .fault_began(at, FaultKind::Partition, groups, label);
        self.cuts.push(fault);
    }

    pub(crate) fn mend(&mut self) {
        let at = self.at();
        self.blocked.clear();
        for fault in std::mem::take(&mut self.cuts) {
            self.recorder.fault_ended(at, fault);
        }
    }

    pub(crate) fn propose(&mut self, node: usize, command: &'static str) {
        let at = self.at();
        let operation = self
            .recorder
            .operation_began(at, "client", Some(node), command);
        let raft = self.nodes[node].raft.as_mut().expect("it runs");
        let commands = vec![Bytes::from_static(command.as_bytes())];
        raft.propose(self.now, commands).expect("it leads");
        self.carry_out(node);
        let index = self.recorder.now().servers[node].last_index();
        self.nodes[node].asked.push((index, operation));
    }

    pub(crate) fn note(&mut self, text: &str) {
        self.recorder.note(self.now.as_nanos(), None, text);
    }

    pub(crate) fn finish(self) -> Trace {
        self.recorder.finish()
    }

    // What the story looks at.

    pub(crate) fn leads(&self, node: usize) -> bool {
        let raft = self.nodes[node].raft.as_ref();
        raft.is_some_and(|raft| raft.status().role == Role::Leader)
    }

    pub(crate) fn commit(&self, node: usize) -> u64 {
        let raft = self.nodes[node].raft.as_ref();
        raft.map_or(0, |raft| raft.status().commit.0)
    }

    pub(crate) fn durable(&self, node: usize) -> u64 {
        self.nodes[node].disk.len() as u64
    }

    // Time.

    pub(crate) fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while self.step(end) {}
        self.now = end;
    }

    pub(crate) fn run_until(&mut self, what: &str, mut met: impl FnMut(&mut Cluster) -> bool) {
        let end = self.now + PATIENCE;
        while !met(self) {
            assert!(self.step(end), "waited in vain until {what}");
        }
    }

    /// The next thing that happens, unless it is after `end`.
    fn step(&mut self, end: Instant) -> bool {
        let queued = self.queue.first_key_value().map(|((at, _), _)| *at);
        let ticking = |(node, of): (usize, &Node)| {
            let raft = of.raft.as_ref().filter(|_| !of.paused)?;
            raft.deadline().map(|at| (at.max(self.now), node))
        };
        let tick = self.nodes.iter().enumerate().filter_map(ticking).min();
        let tick_first = tick.filter(|(at, _)| queued.is_none_or(|queued| *at < queued));
        let next = tick_first.map(|(at, _)| at).or(queued);
        let Some(at) = next.filter(|at| *at <= end) else {
            return false;
        };
        self.now = at;
        if let Some((_, node)) = tick_first {
            let raft = self.nodes[node].raft.as_mut().expect("it has a deadline");
            raft.tick(at);
            self.carry_out(node);
        } else if let Some((_, happening)) = self.queue.pop_first() {
            self.happens(happening);
        }
        true
    }

    fn happens(&mut self, happening: Happening) {
        match happening {
            Happening::Arrives {
                from,
                to,
                message,
                id,
            } if self.nodes[to].paused => {
                self.nodes[to].held.push((from, message, id));
            }
            Happening::Arrives {
                from,
                to,
                message,
                id,
            } => self.arrives(from, to, message, id),
            Happening::Durable { node, life } if self.nodes[node].life == life => {
                self.durable_now(node);
            }
            Happening::Durable { .. } => {}
        }
    }

    fn arrives(&mut self, from: usize, to: usize, message: Message, id: MessageId) {
        let at = self.at();
        let blocked = self.blocked.contains(&(from, to));
        let Some(raft) = self.nodes[to].raft.as_mut().filter(|_| !blocked) else {
            let why = if blocked { "cut off" } else { "no one there" };
            self.recorder.lost(at, id, why);
            return;
        };
        self.recorder.received(at, id);
        let received = raft.receive(self.now, NodeId(from as u64 + 1), message);
        received.expect("members write nothing illegal");
        self.carry_out(to);
    }

    fn durable_now(&mut self, node: usize) {
        let of = &mut self.nodes[node];
        let (write, letters) = of.writing.pop_front().expect("a write was under way");
        of.hard_state = write.hard_state.unwrap_or(of.hard_state);
        if let Some(after) = write.truncate_after {
            of.disk.truncate(after.0 as usize);
        }
        of.disk.extend(write.entries);
        let raft = of.raft.as_mut().expect("this life goes on");
        raft.wrote(self.now, write.id);
        letters
            .into_iter()
            .for_each(|letter| self.send(node, letter));
        self.carry_out(node);
    }

    fn put(&mut self, at: Instant, happening: Happening) {
        self.next += 1;
        self.queue.insert((at, self.next), happening);
    }

    /// Does what a node asks for.
    fn carry_out(&mut self, node: usize) {
        loop {
            let of = &mut self.nodes[node];
            let Some(raft) = of.raft.as_mut().filter(|raft| raft.has_ready()) else {
                break;
            };
            let ready = raft.ready();
            let committed = ready.committed.last().map(|last| last.index);
            if let Some(last) = committed {
                raft.applied(last);
            }
            for fetch in &ready.fetch {
                let range = fetch.first.0 as usize - 1..fetch.last.0 as usize;
                raft.fetched(self.now, fetch.first, of.disk[range].to_vec());
            }
            self.look(node, ready.write.as_ref());
            if let Some(last) = committed {
                self.answer(node, last.0);
            }
            let life = self.nodes[node].life;
            if let Some(write) = ready.write {
                self.nodes[node]
                    .writing
                    .push_back((write, ready.send_after));
                self.put(self.now + WRITE, Happening::Durable { node, life });
            }
            ready
                .send_now
                .into_iter()
                .for_each(|letter| self.send(node, letter));
        }
        self.look(node, None);
    }

    // What the recorder is told.

    fn look(&mut self, node: usize, write: Option<&Write>) {
        let Some(raft) = &self.nodes[node].raft else {
            return;
        };
        let status = raft.status();
        let role = match status.role {
            Role::Follower => quorate_trace::Role::Follower,
            Role::PreCandidate => quorate_trace::Role::PreCandidate,
            Role::Candidate => quorate_trace::Role::Candidate,
            Role::Leader => quorate_trace::Role::Leader,
        };
        let view = View {
            role,
            term: status.term.0,
            vote: status.vote.map(position),
            leader: status.leader.map(position),
            commit: status.commit.0,
            applied: status.applied.0,
        };
        let cut_after = write.and_then(|write| write.truncate_after);
        let appended = write.map_or(Vec::new(), |write| words::of_entries(&write.entries));
        let at = self.now.as_nanos();
        let cut_after = cut_after.map(|after| after.0);
        if self
            .recorder
            .observe_write(at, node, view, cut_after, appended)
        {
            self.recorder.attach(words::of_status(&status));
        }
    }

    fn send(&mut self, from: usize, letter: Envelope) {
        let to = position(letter.to);
        let (kind, term, summary) = words::of_message(&letter.message);
        let said = match &letter.message {
            Message::Append {
                term,
                commit,
                entries,
                ..
            } if entries.is_empty() => Some((term.0, commit.0)),
            Message::AppendAccepted { term, matched, .. } => Some((term.0, matched.0)),
            _ => None,
        };
        let routine = said.is_some_and(|said| self.said.insert((from, to), said) == Some(said));
        let at = self.at();
        let letter_told = Letter {
            from,
            to,
            kind,
            term,
            summary: &summary,
            routine,
        };
        let id = self.recorder.sent(at, letter_told);
        let delay = Duration::from_micros(1_000 + self.draw(2_000));
        let message = letter.message;
        self.put(
            self.now + delay,
            Happening::Arrives {
                from,
                to,
                message,
                id,
            },
        );
    }
}

fn position(id: NodeId) -> usize {
    id.0 as usize - 1
}
