//! One node and its shell: the threads of the server as events.
//!
//! What `crates/server/src/threads` does with real threads, locks and inboxes happens here in the
//! same order, but each hand-over from one machine to the next is an event with a delay of its
//! own, so that everything that threads can do to each other is done by some seed.

use std::collections::{BTreeMap, VecDeque};

use quorate_disk::SimDisk;
use quorate_kv::{Store, WatchHub};
use quorate_raft::{
    Entry, Fetch, InstallWanted, Instant, LogIndex, NodeId, ReadGrant, ReadId, Record,
    SnapshotMeta, WriteId,
};
use quorate_replica::{
    Applier, Consensus, LeaseNews, LeaseQuestion, LogWriter, MemberTable, Node, NodeSettings,
    OpenError, PeerMessage, Proposal, RecordsFile, Repaired, WriteRequest,
};
use quorate_wal::snapshot::SnapshotFiles;
use quorate_wal::{Note, Preparer, SnapshotMark};

use super::clock::NodeClock;
use super::snapshots::Snapshots;

/// What consensus is told (the server's `ConsensusInput`).
#[derive(Debug)]
pub enum Input {
    /// A client writes.
    Propose(Proposal),
    /// Clients wait to read.
    ReadsWait,
    /// A client asks about a lease.
    AskLease(LeaseQuestion),
    /// Messages from this peer.
    Received(NodeId, Vec<PeerMessage>),
    /// The link to this peer is up; the highest protocol version it speaks.
    LinkUp(NodeId, u32),
    /// The link to this peer is lost.
    LinkLost(NodeId),
    /// This write and all before it are durable.
    Wrote(WriteId),
    /// Entries from this index on were read back from the log.
    Fetched(LogIndex, Vec<Entry>),
    /// Damaged entries were written back, or not.
    Repaired(Repaired),
    /// A snapshot of this node's own is durable.
    SnapshotTaken(SnapshotMeta),
    /// A snapshot that was wanted is durable here.
    Installed(SnapshotMeta),
    /// It could not be had.
    InstallFailed(InstallWanted),
}

/// What the applier is told (the server's `ApplyInput`).
pub(crate) enum ApplyInput {
    Entries(Vec<Entry>),
    Granted(ReadGrant),
    Restore(SnapshotMeta),
}

/// How far the applier is, as it has told the others.
#[derive(Clone, Copy, Default)]
pub(crate) struct Applied {
    pub(crate) index: u64,
    pub(crate) log_time_ms: u64,
    pub(crate) cluster_version: u32,
}

/// What was written, and what may now be said.
pub(crate) struct Group {
    pub(crate) last: Option<WriteId>,
    pub(crate) then_send: Vec<(NodeId, PeerMessage)>,
    /// The newest mark in it.
    pub(crate) mark: Option<SnapshotMark>,
}

/// A process that runs.
pub struct Process {
    /// The highest protocol version that this program speaks.
    pub(crate) speaks: u32,
    /// Consensus.
    pub consensus: Consensus,
    pub(crate) log_writer: LogWriter<SimDisk>,
    /// Reads entries back from the log.
    pub log_reader: quorate_replica::LogReader<SimDisk>,
    pub(crate) preparer: Preparer<SimDisk>,
    /// Its snapshot files.
    pub files: SnapshotFiles<SimDisk>,
    pub(crate) snapshots: Snapshots,
    pub(crate) records_file: RecordsFile<SimDisk>,
    /// The newest table of records that is not written yet.
    pub(crate) records: Option<Vec<Record>>,
    /// Applies what is committed.
    pub applier: Applier,
    /// What it is applied to.
    pub store: Store,
    /// Who watches it.
    pub(crate) hub: WatchHub,
    pub(crate) inbox: Vec<Input>,
    /// When consensus runs next, and the token of the event that makes it.
    pub(crate) wakes_at: Option<Instant>,
    pub(crate) wake_token: u64,
    pub(crate) log_queue: Vec<WriteRequest>,
    /// The group being written, when it was written at the beginning of its time.
    /// Whether the log's thread is at work; for ever, if a test says so.
    pub log_busy: bool,
    pub(crate) log_group: Option<Group>,
    /// Damaged entries that are to be written back, and what became of the last ones.
    pub(crate) repair_queue: Vec<Entry>,
    pub(crate) repaired: Option<Repaired>,
    pub(crate) fetch_queue: VecDeque<Fetch>,
    pub(crate) apply_inbox: Vec<ApplyInput>,
    pub(crate) apply_busy: bool,
    pub(crate) applied: Applied,
    pub(crate) unnoticed_bytes: usize,
    /// What the applier has told of leases, and consensus has not heard.
    pub(crate) lease_news: Vec<LeaseNews>,
    /// Reads in line, and the batches that were asked for: numbers of operations.
    pub(crate) reads_waiting: Vec<usize>,
    pub(crate) read_batches: BTreeMap<ReadId, Vec<usize>>,
    pub(crate) last_read_id: u64,
    /// Writes that wait for their answers: operation by sequence.
    pub(crate) answers: BTreeMap<u64, usize>,
    pub(crate) next_sequence: u64,
    /// Questions about leases that wait for the leader's answers, likewise.
    pub(crate) lease_questions: BTreeMap<u64, usize>,
    /// Sequences that were forwarded and not refused since.
    pub(crate) forwarded: BTreeMap<u64, bool>,
    /// Whether it led when it was last asked.
    pub(crate) led: bool,
    /// By the newest entry that says so and is durable here.
    pub(crate) durable_members: MemberTable,
}

/// A member: its disk, and its process while it lives.
pub struct Member {
    /// Its id.
    pub id: NodeId,
    /// Whether it is a member.
    pub presence: super::Presence,
    /// The highest protocol version that the program speaks which is started here next.
    pub speaks: u32,
    /// The members when it joined.
    pub(crate) contacts: MemberTable,
    /// It was removed and is about to stop.
    pub(crate) leaves: bool,
    /// Its disk.
    pub disk: SimDisk,
    /// Earlier states of it.
    pub(crate) copies: Vec<SimDisk>,
    pub(crate) process: Option<Process>,
    /// Counts processes; events of an earlier one find no one.
    pub(crate) life: u64,
    /// Until when its process stands still (SIGSTOP, a virtual machine that is moved).
    pub(crate) paused_until: Instant,
    /// The same, and nothing cuts it short.
    pub(crate) stood_until: Instant,
    /// What its wall clock shows beyond the true time, in milliseconds.
    pub(crate) wall_skew_ms: i64,
    /// What it measures time by.
    pub(crate) clock: NodeClock,
}

impl Process {
    /// Opens the node as the server does at its start; tells what recovery noted.
    ///
    /// # Errors
    /// Those of [`Node::open`].
    pub fn open(
        disk: &SimDisk,
        settings: &NodeSettings,
        now: Instant,
        wall_ms: u64,
    ) -> Result<(Process, Vec<Note>), OpenError> {
        let node = Node::open(disk.clone(), settings, now, wall_ms)?;
        let Node {
            consensus,
            log_writer,
            log_reader,
            preparer,
            applier,
            store,
            snapshots: files,
            records_file,
            notes,
            members: durable_members,
            ..
        } = node;
        let applied = Applied {
            index: applier.applied().0,
            log_time_ms: applier.log_time_ms(),
            cluster_version: applier.cluster_version(),
        };
        let process = Process {
            speaks: settings.highest_version,
            consensus,
            log_writer,
            log_reader,
            preparer,
            files,
            snapshots: Snapshots::default(),
            records_file,
            records: None,
            applier,
            hub: WatchHub::new(store.revision()),
            store,
            inbox: Vec::new(),
            wakes_at: None,
            wake_token: 0,
            log_queue: Vec::new(),
            log_busy: false,
            log_group: None,
            repair_queue: Vec::new(),
            repaired: None,
            fetch_queue: VecDeque::new(),
            apply_inbox: Vec::new(),
            apply_busy: false,
            applied,
            unnoticed_bytes: 0,
            lease_news: Vec::new(),
            reads_waiting: Vec::new(),
            read_batches: BTreeMap::new(),
            last_read_id: 0,
            answers: BTreeMap::new(),
            next_sequence: 1,
            lease_questions: BTreeMap::new(),
            forwarded: BTreeMap::new(),
            led: false,
            durable_members,
        };
        Ok((process, notes))
    }

    /// The read queue's `take_batch`.
    pub(crate) fn take_reads(&mut self) -> Option<ReadId> {
        if self.reads_waiting.is_empty() {
            return None;
        }
        self.last_read_id += 1;
        let id = ReadId(self.last_read_id);
        let batch = std::mem::take(&mut self.reads_waiting);
        self.read_batches.insert(id, batch);
        Some(id)
    }

    /// A write may be forwarded again only after a refusal: never a silent second try.
    pub(crate) fn note_forwarded(&mut self, sequence: u64) {
        let under_way = self.forwarded.insert(sequence, true);
        assert_ne!(
            under_way,
            Some(true),
            "{sequence} is forwarded a second time"
        );
    }

    /// Every queue has its bound; in worlds of this size, a small one.
    pub(crate) fn check_bounds(&self) {
        let waiting: usize = self.read_batches.values().map(Vec::len).sum();
        let sizes = [
            ("inbox", self.inbox.len(), 10_000),
            ("log queue", self.log_queue.len(), 10_000),
            ("fetch queue", self.fetch_queue.len(), 8),
            ("apply inbox", self.apply_inbox.len(), 10_000),
            ("reads", waiting + self.reads_waiting.len(), 1_000),
            ("answers", self.answers.len(), 1_000),
        ];
        for (queue, size, bound) in sizes {
            assert!(size <= bound, "{queue} holds {size}");
        }
    }
}
