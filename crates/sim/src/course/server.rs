//! One server: consensus, its log on a simulated disk, and what its machines still have to do.

use bytes::Bytes;
use quorate_disk::{Crash, SimDisk};
use quorate_raft::{
    Accepted, Config, Entry, Envelope, Fetch, HardState, Instant, LogIndex, NodeId, Payload, Raft,
    Restored, Role, Term, Write, WriteId,
};
use quorate_trace::Run;
use quorate_wal::snapshot::{SNAPSHOTS_KEPT, SnapshotFiles};
use quorate_wal::{Batch, Identity, Options, Reader, Recovered, Writer};

use super::log_book::LogBook;
use super::snapshots::{self, Snapshot, Snapshots};
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
    /// After how many commands a server takes a snapshot; never, if none.
    pub(crate) snapshot_every: Option<u64>,
}

/// A server's disk, and its process while it lives.
pub(crate) struct Server {
    pub(crate) disk: SimDisk,
    pub(crate) process: Option<Process>,
    /// Counts processes; what was on its way to an earlier one finds no one.
    pub(crate) life: u64,
    pub(crate) is_connected: bool,
    /// The raft state of a server that is down, in bytes.
    left_bytes: u64,
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
    book: LogBook,
    pub(crate) snapshots: Snapshots,
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
            left_bytes: 0,
        }
    }

    /// Bytes of the live records in its log: see `log_book`.
    pub(crate) fn raft_state_bytes(&self) -> u64 {
        let process = self.process.as_ref();
        process.map_or(self.left_bytes, Process::raft_state_bytes)
    }

    /// Power goes; what was not synced is kept or lost as the seed says.
    pub(crate) fn crash(&mut self, seed: u64) {
        self.left_bytes = self.raft_state_bytes();
        self.process = None;
        self.disk.crash(Crash::Random(seed));
    }

    /// Starts a process on what is on the disk; gives the snapshot that it begins with, and the log
    /// that it finds there, for a picture.
    pub(crate) fn start(
        &mut self,
        server: usize,
        of: &Setup,
        now: Instant,
        seed: u64,
    ) -> (Option<Snapshot>, Vec<Run>) {
        assert!(self.process.is_none(), "it runs already");
        self.life += 1;
        let identity = Identity {
            cluster_id: 1,
            member_id: server as u64 + 1,
            group_id: 0,
        };
        let mut options = Options::new(identity);
        options.segment_bytes = SEGMENT_BYTES;
        options.salt = seed;
        let opened = quorate_wal::open(self.disk.clone(), options)
            .expect("a crash leaves nothing that is not to be read");
        let files = SnapshotFiles::new(self.disk.clone(), identity, seed)
            .with_chunk_bytes(snapshots::CHUNK_BYTES);
        let snapshot = snapshots::at_start(&opened.recovered, &files);
        let config = config_of(server, of, seed);
        let mut restored = restored(&opened.recovered);
        if let Some(snapshot) = &snapshot {
            restored.applied = LogIndex(snapshot.mark.index);
            restored.snapshot = Some(snapshot.meta(of.servers));
        }
        let entries = entries_of(&opened.reader, &opened.recovered);
        let log = runs_of(&entries);
        self.process = Some(Process {
            raft: Raft::new(config, restored, now).expect("a sound configuration"),
            book: book_of(&entries, snapshot.as_ref()),
            snapshots: Snapshots::new(files),
            writer: opened.writer,
            reader: opened.reader,
            queue: Vec::new(),
            group: Vec::new(),
            is_written: false,
            is_writing: false,
            wakes_at: None,
            wake_token: 0,
        });
        (snapshot, log)
    }
}

fn config_of(server: usize, of: &Setup, seed: u64) -> Config {
    let mut config = Config::new(node_id(server), (0..of.servers).map(node_id).collect());
    config.seed = seed;
    config.empty_entry_on_election = of.empty_entry_on_election;
    config
}

fn entries_of(reader: &Reader<SimDisk>, recovered: &Recovered) -> Vec<Entry> {
    let (first, last) = (recovered.first_index, recovered.last_index);
    if first > last {
        return Vec::new();
    }
    let read = reader.read(first, last, usize::MAX);
    let read = read.expect("what was recovered can be read");
    read.into_iter().map(entry_from_log).collect()
}

/// What the log holds after the snapshot.
fn book_of(entries: &[Entry], snapshot: Option<&Snapshot>) -> LogBook {
    let base = snapshot.map_or(0, |snapshot| snapshot.mark.index);
    let commands = snapshot.map_or(0, |snapshot| snapshot.commands.len() as u64);
    let mut book = LogBook::new(base, commands);
    let after = entries.partition_point(|entry| entry.index.0 <= base);
    for entry in &entries[after..] {
        book.append(std::slice::from_ref(entry));
    }
    book
}

impl Process {
    /// Term, and whether it thinks that it leads.
    pub(crate) fn state(&self) -> (u64, bool) {
        let status = self.raft.status();
        (status.term.0, status.role == Role::Leader)
    }

    /// Whether the counts of commands cover the log: then a proposal's ordinal is known.
    pub(crate) fn knows_its_log(&self) -> bool {
        self.book.last_index() == self.raft.status().last_index.0
    }

    fn raft_state_bytes(&self) -> u64 {
        let snapshot = self.raft.status().snapshot_index;
        self.book.bytes_after(snapshot.0)
    }

    /// Proposes a command; none if this server does not lead.
    pub(crate) fn propose(&mut self, now: Instant, command: Bytes) -> Option<Started> {
        let Accepted { last, term, .. } = self.raft.propose(now, vec![command]).ok()?;
        Some(Started {
            index: last.0,
            ordinal: self.book.propose(),
            term: term.0,
        })
    }

    /// Takes in that these entries are to be written.
    pub(crate) fn queue_write(&mut self, write: Write, then_send: Vec<Envelope>) {
        self.book.write(&write);
        self.queue.push((write, then_send));
    }

    /// Everything that was asked for has been taken: what was proposed is part of a write, or of a
    /// log that is no more.
    pub(crate) fn settled(&mut self) {
        self.book.settled();
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
        const NO_FAULT: &str = "this disk fails only by crashing";
        for (write, _) in &self.group {
            for batch in batches_of(write) {
                self.writer.append(&batch).expect(NO_FAULT);
            }
        }
        self.writer.sync().expect(NO_FAULT);
        let mut marks = self.group.iter().filter_map(|(write, _)| write.snapshot);
        if let Some(mark) = marks.next_back() {
            let release = mark.release_before.previous().0;
            self.writer.release(release).expect(NO_FAULT);
            let mark = snapshots::to_log(mark.index, mark.term);
            let files = &self.snapshots.files;
            files.keep_newest(SNAPSHOTS_KEPT, mark).expect(NO_FAULT);
        }
        self.is_written = true;
    }

    /// A snapshot that was pulled is durable here.
    pub(crate) fn installed(&mut self, now: Instant, of: &Setup, snapshot: &Snapshot) {
        let commands = snapshot.commands.len() as u64;
        self.book.installed(snapshot.mark.index, commands);
        let installed = self.raft.installed(now, snapshot.meta(of.servers));
        installed.expect("what a leader took is sound");
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
            refilling: state.refilling,
        },
        first_index: LogIndex(recovered.first_index),
        last_index: LogIndex(recovered.last_index),
        term_runs: runs
            .map(|(index, term)| (LogIndex(*index), Term(*term)))
            .collect(),
        ..Restored::default()
    }
}

/// One batch, or two: a batch's mark comes after its entries, a write's before them.
fn batches_of(write: &Write) -> Vec<Batch> {
    let mut batch = Batch {
        hard_state: write.hard_state.map(|state| quorate_wal::HardState {
            term: state.term.0,
            vote: state.vote.map_or(0, |vote| vote.0),
            refilling: state.refilling,
        }),
        truncate_after: write.truncate_after.map(|index| index.0),
        entries: Vec::new(),
        snapshot: None,
    };
    let entries = write.entries.iter().map(entry_to_log).collect();
    let Some(mark) = write.snapshot else {
        batch.entries = entries;
        return vec![batch];
    };
    batch.snapshot = Some(snapshots::to_log(mark.index, mark.term));
    if entries.is_empty() {
        return vec![batch];
    }
    let after = Batch {
        entries,
        ..Batch::default()
    };
    vec![batch, after]
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
