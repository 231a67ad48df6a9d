//! What the log is handed and what it hands back: plain values, no rules of Raft in them.

use std::fmt;

use bytes::Bytes;

/// Whose log this is. Every segment carries it, so that a directory that was copied to the wrong
/// place is refused instead of being believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The cluster.
    pub cluster_id: u64,
    /// The member whose log it is.
    pub member_id: u64,
    /// The Raft group; 0 as long as a member has only one.
    pub group_id: u32,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "cluster {:x}, member {:x}, group {}",
            self.cluster_id, self.member_id, self.group_id
        )
    }
}

/// What must survive a crash besides the entries (Raft, Figure 2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HardState {
    /// The latest term this member has seen.
    pub term: u64,
    /// Whom it voted for in that term; 0 is no one.
    pub vote: u64,
    /// Whether the member found that this disk had gone back in time, and is being refilled.
    pub refilling: bool,
}

/// One entry of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its position; the first is 1.
    pub index: u64,
    /// The term of the leader that appended it. Never smaller than the term of the one before.
    pub term: u64,
    /// What kind of entry it is: the owner's to choose, kept as it is.
    pub kind: u8,
    /// The payload, at most [`MAX_ENTRY_BYTES`](crate::MAX_ENTRY_BYTES) long.
    pub data: Bytes,
}

/// A snapshot at `index` is durable (outside of the log): the log before it may be released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotMark {
    /// The last index that the snapshot contains.
    pub index: u64,
    /// The term of the entry at `index`.
    pub term: u64,
}

/// The unit of writing, and of tearing: after a crash all of it is there or none of it.
///
/// The parts apply in the order of the fields. An empty batch is legal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Term and vote, when they changed.
    pub hard_state: Option<HardState>,
    /// Entries after this index are void.
    pub truncate_after: Option<u64>,
    /// Entries to append: contiguous, the first one right after the log's last.
    pub entries: Vec<Entry>,
    /// A snapshot that is durable from here on. If the log does not hold the entry at its index
    /// with its term, the whole log is void and goes on after that index. It may be before the
    /// newest one, if the log holds that entry.
    pub snapshot: Option<SnapshotMark>,
}

/// The number of a batch: the first batch of a log has 1, each later one is one more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct BatchNumber(pub u64);

impl fmt::Display for BatchNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// What [`open`](crate::open) found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// Term and vote.
    pub hard_state: HardState,
    /// The snapshot mark that was written last, if any ever was.
    pub snapshot: Option<SnapshotMark>,
    /// The first index that the log holds, or would hold if it is empty.
    pub first_index: u64,
    /// The last index that the log holds; `first_index - 1` if it is empty.
    pub last_index: u64,
    /// The term of the entry before the first; 0 if that is not known, or if there is none.
    pub base_term: u64,
    /// Where each term begins: (index, term), rising; the first one starts at `first_index`.
    pub term_runs: Vec<(u64, u64)>,
    /// Entries that the log holds and that cannot be read back, by index, rising; empty unless
    /// [`Options::tolerate_damage`](crate::Options::tolerate_damage). They may have been
    /// acknowledged: until they are repaired (see [`Writer::repair`](crate::Writer::repair)) or
    /// known never to have been committed and cut, this member must not act as if it did not have
    /// them, nor as if it knew what they are. In `term_runs` they count as of the term before them.
    pub damaged: Vec<Damage>,
    /// Bytes of log in all segments (headers and batches; not the space prepared for more).
    pub bytes: u64,
    /// Whether there was no log and this is a new one.
    pub is_new: bool,
    /// What is worth a line in the server's log.
    pub notes: Vec<crate::Note>,
}

/// Entries in a row that the log holds and that cannot be read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The first of them.
    pub first_index: u64,
    /// The last one.
    pub last_index: u64,
    /// Their term, if there is only one that they can have.
    pub term: Option<u64>,
    /// None of them is of an earlier term.
    pub least_term: u64,
    /// None of them is of a later term; `None` if nothing after them tells.
    pub greatest_term: Option<u64>,
    /// The segment.
    pub file: String,
    /// Where in it, in bytes, the damaged part begins.
    pub offset: u64,
    /// The (first) batch that is damaged.
    pub batch: BatchNumber,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "write-ahead log: entries {} to {} cannot be read back: {} is damaged at byte {} \
             (batch {}): {}",
            self.first_index, self.last_index, self.file, self.offset, self.batch, self.what
        )
    }
}

impl Recovered {
    /// The term of the entry at `index`, or of the one before the first; `None` if the log does
    /// not hold it or cannot tell.
    pub fn term_at(&self, index: u64) -> Option<u64> {
        let in_damage =
            |damage: &&Damage| (damage.first_index..=damage.last_index).contains(&index);
        if let Some(damage) = self.damaged.iter().find(in_damage) {
            return damage.term;
        }
        if index + 1 == self.first_index {
            return (self.base_term > 0).then_some(self.base_term);
        }
        if !(self.first_index..=self.last_index).contains(&index) {
            return None;
        }
        let after = self.term_runs.partition_point(|run| run.0 <= index);
        after
            .checked_sub(1)
            .and_then(|at| self.term_runs.get(at))
            .map(|run| run.1)
    }
}

/// What [`Writer::release`](crate::Writer::release) did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Released {
    /// Segments kept for reuse.
    pub recycled: usize,
    /// Segments removed.
    pub removed: usize,
    /// The first index that the log still holds.
    pub first_index: u64,
}
