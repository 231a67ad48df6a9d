//! Opens a node's log and puts its machines together.

use std::time::Duration;

use quorate_disk::Disk;
use quorate_kv::Store;
use quorate_raft::{
    Config, HardState, Instant, LogIndex, Membership, NodeId, Payload, Raft, Restored, Term,
};
use quorate_wal::snapshot::SnapshotFiles;
use quorate_wal::{Identity, Note, Options, Preparer, Reader};

use crate::applier::Applier;
use crate::consensus::{Consensus, ConsensusSettings};
use crate::entry_format::entry_payload;
use crate::error::OpenError;
use crate::limits::{MAX_LOG_BATCH_BYTES, REQUEST_TIMEOUT_BASE};
use crate::log_writer::LogWriter;
use crate::snapshots::load_snapshot;
use crate::wire::GROUP_ID;

/// What a node has to be told.
#[derive(Clone, Debug)]
pub struct NodeSettings {
    /// The cluster's id.
    pub cluster_id: u64,
    /// This member's id.
    pub member_id: u64,
    /// All members' ids, this one's included.
    pub member_ids: Vec<u64>,
    /// Drawn at this start of the process.
    pub boot_nonce: u32,
    /// How often a leader is heard from.
    pub heartbeat_interval: Duration,
    /// How long a leader may be silent.
    pub election_timeout: Duration,
    /// Whether a node asks before it campaigns.
    pub pre_vote: bool,
    /// Whether a new leader appends an empty entry at once, so that what earlier leaders left is
    /// committed and reads are served before the first write. Off only where a test wants that.
    pub empty_entry_on_election: bool,
    /// Bytes of entries that are kept in memory; the usual if none. Older ones are read back.
    pub memory_log_bytes: Option<usize>,
    /// Bytes of entries in one message to a peer; the usual if none.
    pub append_bytes: Option<usize>,
    /// For election timeouts.
    pub seed: u64,
    /// The size of the log's segments, in bytes; the log's own default if none.
    pub segment_bytes: Option<u64>,
    /// Bytes of entries after which a snapshot is taken, at the least.
    pub snapshot_log_bytes: u64,
    /// Bytes of a chunk of a snapshot; the usual if none. All members must agree.
    pub snapshot_chunk_bytes: Option<u32>,
}

/// The machines of one node, and its store.
pub struct Node<D: Disk> {
    /// Consensus.
    pub consensus: Consensus,
    /// The log's writer.
    pub log_writer: LogWriter<D>,
    /// Reads entries back from the log.
    pub log_reader: LogReader<D>,
    /// Its snapshots.
    pub snapshots: SnapshotFiles<D>,
    /// Prepares the log's next segments.
    pub preparer: Preparer<D>,
    /// Applies what is committed.
    pub applier: Applier,
    /// What it is applied to.
    pub store: Store,
    /// What recovery found that a person may want to know.
    pub notes: Vec<Note>,
    /// How long a request may take.
    pub request_timeout: Duration,
}

impl<D: Disk> Node<D> {
    /// Opens the log on `disk`, or starts one, and builds the machines on what it holds.
    ///
    /// # Errors
    /// When the log cannot be trusted or belongs to another, or the settings make no sense.
    pub fn open(
        disk: D,
        settings: &NodeSettings,
        now: Instant,
        wall_ms: u64,
    ) -> Result<Node<D>, OpenError> {
        let NodeSettings {
            cluster_id,
            member_id,
            ..
        } = *settings;
        let identity = Identity {
            cluster_id,
            member_id,
            group_id: GROUP_ID,
        };
        let mut options = Options::new(identity);
        // No client can know it in advance, so no value it stores can pass for a batch of the log.
        options.salt = u64::from(settings.boot_nonce);
        if let Some(bytes) = settings.segment_bytes {
            options.segment_bytes = bytes;
        }
        let mut snapshots = SnapshotFiles::new(disk.clone(), identity, options.salt);
        if let Some(bytes) = settings.snapshot_chunk_bytes {
            snapshots = snapshots.with_chunk_bytes(bytes);
        }
        let opened = quorate_wal::open(disk, options)?;
        let mut notes = opened.recovered.notes.clone();
        notes.extend(snapshots.tidy()?);
        let start = quorate_wal::snapshot::pair(&opened.recovered, &snapshots)?;
        notes.extend(start.notes);
        let config = raft_config(settings);
        let initial = Membership::of_voters(config.voters.clone());
        let mut applier = Applier::new(
            member_id,
            settings.boot_nonce,
            initial,
            settings.snapshot_log_bytes,
        );
        let mut restored = restored(&opened.recovered);
        restored.memberships = memberships(&opened.reader, &opened.recovered)?;
        let mut store = Store::new();
        if let Some(id) = start.snapshot {
            let loaded = load_snapshot(&snapshots, id.mark)?;
            let meta = loaded.head.meta();
            restored.applied = meta.index;
            restored.snapshot = Some(meta);
            store = loaded.store;
            applier.restore(loaded.head, loaded.bytes);
        }
        let raft = Raft::new(config, restored, now)?;
        let request_timeout = REQUEST_TIMEOUT_BASE + 2 * settings.election_timeout;
        let consensus = ConsensusSettings {
            member: NodeId(member_id),
            boot_nonce: settings.boot_nonce,
            other_members: settings.member_ids.len() - 1,
            request_timeout,
            retry_after: settings.heartbeat_interval,
        };
        Ok(Node {
            consensus: Consensus::new(consensus, raft, now, wall_ms),
            log_writer: LogWriter::new(opened.writer),
            log_reader: LogReader {
                reader: opened.reader,
            },
            preparer: opened.preparer,
            snapshots,
            applier,
            store,
            notes,
            request_timeout,
        })
    }
}

fn raft_config(settings: &NodeSettings) -> Config {
    let voters = settings.member_ids.iter().map(|id| NodeId(*id)).collect();
    let mut config = Config::new(NodeId(settings.member_id), voters);
    config.election_timeout = settings.election_timeout;
    config.heartbeat_interval = settings.heartbeat_interval;
    config.pre_vote = settings.pre_vote;
    config.empty_entry_on_election = settings.empty_entry_on_election;
    if let Some(bytes) = settings.memory_log_bytes {
        config.max_memory_log_bytes = bytes;
    }
    if let Some(bytes) = settings.append_bytes {
        config.max_append_bytes = bytes;
    }
    config.seed = settings.seed;
    config
}

fn restored(recovered: &quorate_wal::Recovered) -> Restored {
    let state = recovered.hard_state;
    let own = recovered.snapshot.is_some() || recovered.last_index > 0;
    let forgotten = planted::bug("restart-forgets-the-vote") && own;
    let term_runs = recovered.term_runs.iter();
    let mut term = state.term;
    if planted::bug("restart-takes-its-term-from-the-log")
        && let Some(run) = recovered.term_runs.last()
    {
        term = run.1;
    }
    Restored {
        snapshot: None,
        hard_state: HardState {
            term: Term(term),
            vote: (state.vote != 0 && !forgotten).then_some(NodeId(state.vote)),
        },
        first_index: LogIndex(recovered.first_index),
        last_index: LogIndex(recovered.last_index),
        term_runs: term_runs
            .map(|(index, term)| (LogIndex(*index), Term(*term)))
            .collect(),
        memberships: Vec::new(),
        applied: LogIndex::ZERO,
    }
}

/// The memberships in the log. They are in force before anything is applied, so consensus has to
/// be told of them at its start: the log is read once for this, in pieces.
fn memberships<D: Disk>(
    reader: &Reader<D>,
    recovered: &quorate_wal::Recovered,
) -> Result<Vec<(LogIndex, Membership)>, OpenError> {
    let mut memberships = Vec::new();
    let mut next = recovered.first_index;
    while next <= recovered.last_index {
        for entry in reader.read(next, recovered.last_index, MAX_LOG_BATCH_BYTES)? {
            let index = entry.index;
            let payload = entry_payload(u32::from(entry.kind), entry.data)
                .map_err(|reason| OpenError::Entry { index, reason })?;
            if let Payload::Membership { membership, .. } = payload {
                memberships.push((LogIndex(index), *membership));
            }
            next = index + 1;
        }
    }
    Ok(memberships)
}

/// Reads entries back from the log, on a thread that may wait for the disk.
#[derive(Clone)]
pub struct LogReader<D: Disk> {
    reader: Reader<D>,
}

impl<D: Disk> LogReader<D> {
    /// The entries of `fetch`, or the first of them that fit its limit of bytes. None when they
    /// have left the log since they were asked for: a new leader's entries replace those that
    /// were never committed, and what a snapshot covers is released.
    ///
    /// # Errors
    /// Any error is final for the process: entries that were durable cannot be read.
    pub fn read(
        &self,
        fetch: quorate_raft::Fetch,
    ) -> Result<Vec<quorate_raft::Entry>, quorate_wal::WalError> {
        let read = self
            .reader
            .read(fetch.first.0, fetch.last.0, fetch.max_bytes);
        let entries = match read {
            Err(
                quorate_wal::WalError::BeyondEnd { .. } | quorate_wal::WalError::Compacted { .. },
            ) => Vec::new(),
            read => read?,
        };
        Ok(entries
            .into_iter()
            .map(|entry| quorate_raft::Entry {
                index: LogIndex(entry.index),
                term: Term(entry.term),
                payload: entry_payload(u32::from(entry.kind), entry.data)
                    .expect("this node wrote it, or understood it when it started"),
            })
            .collect())
    }
}
