//! One server: consensus, its log on a simulated disk, and what its machines still have to do.

use bytes::Bytes;
use quorate_disk::{Crash, SimDisk};
use quorate_raft::{
    Accepted, Config, Entry, Envelope, Fetch, HardState, Instant, LogIndex, NodeId, Payload, Raft,
    Restored, Role, Term, Write, WriteId,
};
use quorate_trace::Run;
use quorate_wal::{Batch, Identity, Options, Reader, Recovered, Writer};

use crate::picture::runs_of;

/// Small, so that logs of a few hundred entries change segments.
const SEGMENT_BYTES: u64 = 64 << 10;

const KIND_EMPTY: u8 = 0;
const KIND_COMMAND: u8 = 1;

/// What all servers of a scenario have in common.
#[derive(Clone, Copy)]
pub(crate) struct Setup {
    pub(crate) servers: usize,
    pub(crate) empty_entry_on_election: bool,
}

/// A server's disk, and its process while it lives.
pub(crate) struct Server {
    pub(crate) disk: SimDisk,
    pub(crate) process: Option<Process>,
    /// Counts processes; what was on its way to an earlier one finds no one.
    pub(crate) life: u64,
    pub(crate) is_connected: bool,
}

pub(crate) struct Process {
    pub(crate) raft: Raft,
    writer: Writer<SimDisk>,
    reader: Reader<SimDisk>,
    /// What waits for the log's writer, and what it writes now.
    queue: Vec<(Write, Vec<Envelope>)>,
    group: Vec<(Write, Vec<Envelope>)>,
    /// The group is on the disk already, though nobody was told.
    is_written: bool,
    pub(crate) is_writing: bool,
    pub(crate) wakes_at: Option<Instant>,
    pub(crate) wake_token: u64,
    commands: CommandCounts,
}

/// How many of a log's entries, through each index, are commands. Known through the last write that
/// was asked for; what was proposed since then is counted apart.
#[derive(Default)]
struct CommandCounts {
    through: Vec<u64>,
    proposed: u64,
}

impl CommandCounts {
    fn total(&self) -> u64 {
        self.through.last().copied().unwrap_or_default()
    }

    fn push(&mut self, entry: &Entry) {
        self.through.truncate(entry.index.0 as usize - 1);
        let is_command = matches!(entry.payload, Payload::Command(_));
        self.through.push(self.total() + u64::from(is_command));
    }
}

/// A command that a leader took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Started {
    /// Its index in the leader's log.
    pub(crate) index: u64,
    /// Which command it is in that log, counted from 1.
    pub(crate) ordinal: u64,
    pub(crate) term: u64,
}

impl Server {
    pub(crate) fn new() -> Server {
        Server {
            disk: SimDisk::new(),
            process: None,
            life: 0,
            is_connected: false,
        }
    }

    /// Power goes; what was not synced is kept or lost as the seed says.
    pub(crate) fn crash(&mut self, seed: u64) {
        self.process = None;
        self.disk.crash(Crash::Random(seed));
    }

    /// Starts a process on what is on the disk; gives the log that it finds there.
    pub(crate) fn start(&mut self, server: usize, of: &Setup, now: Instant, seed: u64) -> Vec<Run> {
        assert!(self.process.is_none(), "it runs already");
        self.life += 1;
        let mut options = Options::new(Identity {
            cluster_id: 1,
            member_id: server as u64 + 1,
            group_id: 0,
        });
        options.segment_bytes = SEGMENT_BYTES;
        options.salt = seed;
        let opened = quorate_wal::open(self.disk.clone(), options)
            .expect("a crash leaves nothing that is not to be read");
        let mut config = Config::new(node_id(server), (0..of.servers).map(node_id).collect());
        config.seed = seed;
        config.empty_entry_on_election = of.empty_entry_on_election;
        let mut commands = CommandCounts::default();
        let mut log = Vec::new();
        let (first, last) = (opened.recovered.first_index, opened.recovered.last_index);
        if first <= last {
            let read = opened.reader.read(first, last, usize::MAX);
            for entry in read.expect("what was recovered can be read") {
                let entry = entry_from_log(entry);
                commands.push(&entry);
                log.extend(runs_of(&[entry]));
            }
        }
        self.process = Some(Process {
            raft: Raft::new(config, restored(&opened.recovered), now)
                .expect("a sound configuration"),
            writer: opened.writer,
            reader: opened.reader,
            queue: Vec::new(),
            group: Vec::new(),
            is_written: false,
            is_writing: false,
            wakes_at: None,
            wake_token: 0,
            commands,
        });
        log
    }
}

impl Process {
    /// Term, and whether it thinks that it leads.
    pub(crate) fn state(&self) -> (u64, bool) {
        let status = self.raft.status();
        (status.term.0, status.role == Role::Leader)
    }

    /// Whether the counts of commands cover the log: then a proposal's ordinal is known.
    pub(crate) fn knows_its_log(&self) -> bool {
        let known = self.commands.through.len() as u64 + self.commands.proposed;
        known == self.raft.status().last_index.0
    }

    /// Proposes a command; none if this server does not lead.
    pub(crate) fn propose(&mut self, now: Instant, command: Bytes) -> Option<Started> {
        let Accepted { last, term, .. } = self.raft.propose(now, vec![command]).ok()?;
        self.commands.proposed += 1;
        Some(Started {
            index: last.0,
            ordinal: self.commands.total() + self.commands.proposed,
            term: term.0,
        })
    }

    /// Takes in that these entries are to be written.
    pub(crate) fn queue_write(&mut self, write: Write, then_send: Vec<Envelope>) {
        if let Some(after) = write.truncate_after {
            self.commands.through.truncate(after.0 as usize);
        }
        for entry in &write.entries {
            self.commands.push(entry);
        }
        self.queue.push((write, then_send));
    }

    /// Everything that was asked for has been taken: what was proposed is part of a write, or of a
    /// log that is no more.
    pub(crate) fn settled(&mut self) {
        self.commands.proposed = 0;
    }

    pub(crate) fn has_queue(&self) -> bool {
        !self.queue.is_empty()
    }

    /// The log's writer takes what is queued; `at_once` it also reaches the disk.
    pub(crate) fn begin_group(&mut self, at_once: bool) {
        self.group = std::mem::take(&mut self.queue);
        self.is_written = false;
        if at_once {
            self.write_group();
        }
    }

    fn write_group(&mut self) {
        for (write, _) in &self.group {
            let appended = self.writer.append(&batch_of(write));
            appended.expect("this disk fails only by crashing");
        }
        let synced = self.writer.sync();
        synced.expect("this disk fails only by crashing");
        self.is_written = true;
    }

    /// The group is durable: the id of its last write, and what may now be sent.
    pub(crate) fn end_group(&mut self) -> (WriteId, Vec<Envelope>) {
        if !self.is_written {
            self.write_group();
        }
        let mut last = WriteId::ZERO;
        let mut then_send = Vec::new();
        for (write, messages) in self.group.drain(..) {
            last = write.id;
            then_send.extend(messages);
        }
        (last, then_send)
    }

    pub(crate) fn fetch(&mut self, now: Instant, fetch: Fetch) {
        let read = self
            .reader
            .read(fetch.first.0, fetch.last.0, fetch.max_bytes);
        // What has been cut off meanwhile is no longer wanted.
        let entries = read.unwrap_or_default().into_iter().map(entry_from_log);
        self.raft.fetched(now, fetch.first, entries.collect());
    }
}

pub(crate) fn node_id(server: usize) -> NodeId {
    NodeId(server as u64 + 1)
}

fn restored(recovered: &Recovered) -> Restored {
    let state = recovered.hard_state;
    let runs = recovered.term_runs.iter();
    Restored {
        hard_state: HardState {
            term: Term(state.term),
            vote: (state.vote != 0).then_some(NodeId(state.vote)),
        },
        first_index: LogIndex(recovered.first_index),
        last_index: LogIndex(recovered.last_index),
        term_runs: runs
            .map(|(index, term)| (LogIndex(*index), Term(*term)))
            .collect(),
        ..Restored::default()
    }
}

fn batch_of(write: &Write) -> Batch {
    Batch {
        hard_state: write.hard_state.map(|state| quorate_wal::HardState {
            term: state.term.0,
            vote: state.vote.map_or(0, |vote| vote.0),
        }),
        truncate_after: write.truncate_after.map(|index| index.0),
        entries: write.entries.iter().map(entry_to_log).collect(),
        snapshot: None,
    }
}

fn entry_to_log(entry: &Entry) -> quorate_wal::Entry {
    let (kind, data) = match &entry.payload {
        Payload::Command(bytes) => (KIND_COMMAND, bytes.clone()),
        other => {
            assert!(other.is_empty(), "these servers only propose commands");
            (KIND_EMPTY, Bytes::new())
        }
    };
    quorate_wal::Entry {
        index: entry.index.0,
        term: entry.term.0,
        kind,
        data,
    }
}

fn entry_from_log(entry: quorate_wal::Entry) -> Entry {
    Entry {
        index: LogIndex(entry.index),
        term: Term(entry.term),
        payload: match entry.kind {
            KIND_EMPTY => Payload::Empty,
            _ => Payload::Command(entry.data),
        },
    }
}
