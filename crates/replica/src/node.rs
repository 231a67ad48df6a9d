//! Opens a node's log and puts its machines together.

use std::time::Duration;

use chaos::chaos;
use quorate_disk::Disk;
use quorate_kv::Store;
use quorate_raft::limits::DEFAULT_RECORD_INTERVAL;
use quorate_raft::{
    Config, HardState, Instant, LogIndex, Membership, NodeId, Payload, Raft, Restored, Term,
};
use quorate_wal::snapshot::SnapshotFiles;
use quorate_wal::{Damage, Identity, Note, Options, Preparer, Reader, SnapshotMark, WalError};

use crate::applier::Applier;
use crate::cluster_version::{check_speaks, version_needed};
use crate::consensus::{Consensus, ConsensusSettings, table_of};
use crate::damage::{begin_after_covered, check_somebody_has_it, damaged, term_runs};
use crate::entry_format::entry_payload;
use crate::error::{OpenError, SnapshotContentError};
use crate::limits::{MAX_LOG_BATCH_BYTES, REQUEST_TIMEOUT_BASE};
use crate::log_writer::LogWriter;
use crate::members::MemberTable;
use crate::records_file::RecordsFile;
use crate::snapshots::{LoadedSnapshot, load_snapshot};
use crate::wire::GROUP_ID;

/// What a node has to be told.
#[derive(Clone, Debug)]
pub struct NodeSettings {
    /// The cluster's id.
    pub cluster_id: u64,
    /// This member's id.
    pub member_id: u64,
    /// The members that the cluster began with. This one votes from the start if it is among
    /// them; else it has joined later, or is about to, and waits to be told by the log.
    pub founders: MemberTable,
    /// Drawn at this start of the process.
    pub boot_nonce: u32,
    /// How often a leader is heard from.
    pub heartbeat_interval: Duration,
    /// How long a leader may be silent.
    pub election_timeout: Duration,
    /// Whether a node asks before it campaigns.
    pub pre_vote: bool,
    /// How often a leader tells what members acknowledged, so that a disk that went back in time is
    /// noticed; the usual if none, never if zero. All members must agree.
    pub record_interval: Option<Duration>,
    /// Whether a leader serves reads on a lease, which counts on clocks
    /// ([`Config::lease_reads`](quorate_raft::Config::lease_reads)). All members must agree.
    pub lease_reads: bool,
    /// Whether to start with the disk as it is, whatever others remember of it
    /// ([`Config::accepts_old_disk`](quorate_raft::Config::accepts_old_disk)).
    pub accepts_old_disk: bool,
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
    /// Whether a leader has the log say now and then how much of leases is left
    /// (etcd: `--experimental-enable-lease-checkpoint`).
    pub lease_checkpoints: bool,
    /// The highest protocol version to speak: [`HIGHEST_PROTOCOL_VERSION`](crate::HIGHEST_PROTOCOL_VERSION),
    /// unless a person wants the way back to an older program kept open.
    pub highest_version: u32,
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
    /// What members acknowledged, for [`Effects::records`](crate::Effects::records).
    pub records_file: RecordsFile<D>,
    /// Prepares the log's next segments.
    pub preparer: Preparer<D>,
    /// Applies what is committed.
    pub applier: Applier,
    /// What it is applied to.
    pub store: Store,
    /// Who the members are by the newest entry of the log that says so, committed or not: those
    /// have to be reached.
    pub members: MemberTable,
    /// What recovery found that a person may want to know.
    pub notes: Vec<Note>,
    /// Entries of the log that recovery could not read back. The node fetches what it needs of
    /// them from the others.
    pub damaged: Vec<Damage>,
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
        // Who began alone has nobody to ask, for all that is known before the log is read; it is
        // refused with nothing changed.
        let founders = settings.founders.iter().map(|(id, _)| id);
        options.tolerate_damage = !founders.eq([member_id]);
        if let Some(bytes) = settings.segment_bytes {
            options.segment_bytes = bytes;
        }
        let records_disk = disk.clone();
        let mut snapshots = SnapshotFiles::new(disk.clone(), identity, options.salt);
        if let Some(bytes) = settings.snapshot_chunk_bytes {
            snapshots = snapshots.with_chunk_bytes(bytes);
        }
        let opened = quorate_wal::open(disk, options)?;
        let mut notes = opened.recovered.notes.clone();
        notes.extend(snapshots.tidy()?);
        let (records_file, kept) = RecordsFile::open(records_disk, identity)?;
        notes.extend(kept.note);
        let begun = begin(&opened.recovered, &snapshots, settings.highest_version)?;
        notes.extend(begun.notes);
        let config = raft_config(settings);
        let mut applier = Applier::new(
            member_id,
            settings.boot_nonce,
            settings.founders.clone(),
            settings.snapshot_log_bytes,
            settings.highest_version,
        );
        let mut restored = restored(&opened.recovered);
        let changes =
            changes_of_members(&opened.reader, &opened.recovered, settings.highest_version)?;
        restored.memberships = changes.memberships;
        restored.records = kept.records;
        let mut store = Store::new();
        if let Some(loaded) = begun.loaded {
            let meta = loaded.head.meta();
            restored.applied = meta.index;
            begin_after_covered(&mut restored, &meta);
            restored.snapshot = Some(meta);
            store = loaded.store;
            applier.restore(loaded.head, loaded.bytes);
        }
        let raft = Raft::new(config, restored, now)?;
        check_somebody_has_it(&opened.recovered.damaged, &raft.status())?;
        for mark in begun.refused {
            snapshots.remove(mark)?;
        }
        let request_timeout = REQUEST_TIMEOUT_BASE + 2 * settings.election_timeout;
        let consensus = ConsensusSettings {
            member: NodeId(member_id),
            boot_nonce: settings.boot_nonce,
            election_timeout: settings.election_timeout,
            request_timeout,
            retry_after: settings.heartbeat_interval,
            lease_checkpoints: settings.lease_checkpoints,
            highest_version: settings.highest_version,
        };
        let members = changes.newest_table;
        let members = members.unwrap_or_else(|| (**applier.members()).clone());
        Ok(Node {
            consensus: Consensus::new(consensus, raft, applier.members(), now, wall_ms),
            members,
            log_writer: LogWriter::new(opened.writer),
            log_reader: LogReader {
                reader: opened.reader,
            },
            preparer: opened.preparer,
            snapshots,
            records_file,
            applier,
            store,
            notes,
            damaged: opened.recovered.damaged,
            request_timeout,
        })
    }
}

/// The state to begin with.
struct Begun {
    loaded: Option<LoadedSnapshot>,
    notes: Vec<Note>,
    /// Sound files whose content is of no use: with a start without them, they must not count as
    /// something to fall back on.
    refused: Vec<SnapshotMark>,
}

/// Loads the newest snapshot that can be loaded and that the log goes on from. Two are kept, and
/// the log since the older, for the day on which the newer is of no use, whatever the reason.
fn begin<D: Disk>(
    recovered: &quorate_wal::Recovered,
    snapshots: &SnapshotFiles<D>,
    highest_version: u32,
) -> Result<Begun, OpenError> {
    let mut refused = Vec::new();
    let mut too_new = None;
    let load = |mark| match load_snapshot(snapshots, mark, highest_version) {
        Ok(loaded) => Ok(Ok(loaded)),
        Err(SnapshotContentError::TooNew(error)) => {
            // It is sound: nothing older is to take its place, nor is it to go.
            too_new = Some(error);
            Ok(Err(error.to_string()))
        }
        Err(SnapshotContentError::File(error @ WalError::Disk(_))) => Err(error),
        Err(error) => {
            refused.push(mark);
            Ok(Err(error.to_string()))
        }
    };
    let paired = quorate_wal::snapshot::pair_loading(recovered, snapshots, load);
    if let Some(too_new) = too_new {
        return Err(OpenError::TooNew(too_new));
    }
    let (start, loaded) = paired?;
    Ok(Begun {
        loaded,
        notes: start.notes,
        refused,
    })
}

fn raft_config(settings: &NodeSettings) -> Config {
    let id = NodeId(settings.member_id);
    let mut config = match settings.founders.get(settings.member_id) {
        Some(_) => Config::new(id, settings.founders.membership().voters),
        None => Config::joining(id),
    };
    config.election_timeout = settings.election_timeout;
    config.heartbeat_interval = settings.heartbeat_interval;
    config.pre_vote = settings.pre_vote;
    config.lease_reads = settings.lease_reads;
    config.accepts_old_disk = settings.accepts_old_disk;
    // A vote for another, because a link was lost, would break the promise that leases count on.
    config.doubt_leader_on_lost_link = !settings.lease_reads;
    config.empty_entry_on_election = settings.empty_entry_on_election;
    if let Some(bytes) = settings.memory_log_bytes {
        config.max_memory_log_bytes = bytes;
    }
    if let Some(bytes) = settings.append_bytes {
        config.max_append_bytes = bytes;
    }
    let usual = DEFAULT_RECORD_INTERVAL;
    config.record_interval = settings.record_interval.unwrap_or(usual);
    config.seed = settings.seed;
    config
}

fn restored(recovered: &quorate_wal::Recovered) -> Restored {
    let state = recovered.hard_state;
    let own = recovered.snapshot.is_some() || recovered.last_index > 0;
    let forgotten = planted::bug("restart-forgets-the-vote") && own;
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
            refilling: state.refilling,
        },
        first_index: LogIndex(recovered.first_index),
        last_index: LogIndex(recovered.last_index),
        term_runs: term_runs(recovered),
        damaged: damaged(&recovered.damaged),
        memberships: Vec::new(),
        applied: LogIndex::ZERO,
        records: Vec::new(),
    }
}

struct ChangesOfMembers {
    memberships: Vec<(LogIndex, Membership)>,
    newest_table: Option<MemberTable>,
}

/// The memberships in the log. They are in force before anything is applied, so consensus has to
/// be told of them at its start: the log is read once for this, in pieces, and what is damaged is
/// passed over. A log that holds what a newer version alone understands is refused, committed or not:
/// a node that went on would stop at it, perhaps in the midst of a fault that it was needed in.
fn changes_of_members<D: Disk>(
    reader: &Reader<D>,
    recovered: &quorate_wal::Recovered,
    highest_version: u32,
) -> Result<ChangesOfMembers, OpenError> {
    let mut changes = ChangesOfMembers {
        memberships: Vec::new(),
        newest_table: None,
    };
    let mut next = recovered.first_index;
    while next <= recovered.last_index {
        let mut damages = recovered.damaged.iter();
        let damage = damages.find(|damage| damage.last_index >= next);
        if let Some(damage) = damage.filter(|damage| damage.first_index <= next) {
            next = damage.last_index + 1;
            continue;
        }
        let last = damage.map_or(recovered.last_index, |damage| damage.first_index - 1);
        for entry in reader.read(next, last, MAX_LOG_BATCH_BYTES)? {
            let index = entry.index;
            let payload = entry_payload(u32::from(entry.kind), entry.data)
                .map_err(|reason| OpenError::Entry { index, reason })?;
            if let Payload::Command(command) = &payload {
                check_speaks(highest_version, version_needed(command))?;
            }
            if let Payload::Membership {
                membership,
                context,
            } = payload
            {
                changes.memberships.push((LogIndex(index), *membership));
                changes.newest_table = table_of(&context).or(changes.newest_table);
            }
            next = index + 1;
        }
    }
    Ok(changes)
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
    pub fn read(&self, fetch: quorate_raft::Fetch) -> Result<Vec<quorate_raft::Entry>, WalError> {
        let max_bytes = match chaos!("read-back-of-one-entry", 50) {
            true => 1,
            false => fetch.max_bytes,
        };
        let read = self.reader.read(fetch.first.0, fetch.last.0, max_bytes);
        let entries = match read {
            Err(WalError::BeyondEnd { .. } | WalError::Compacted { .. }) => Vec::new(),
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
