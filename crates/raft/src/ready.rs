//! What the machine wants done: one value that makes the wrong order hard to write.
//!
//! The embedder calls [`Raft::ready`](crate::Raft::ready) after it has fed in whatever was
//! waiting, and carries out the fields in any order, with three rules: `send_after` leaves only
//! once `write` is durable, writes become durable in the order of their ids, and `restore` comes
//! before `committed`.

use crate::{
    Entry, Envelope, HardState, InstallWanted, LogIndex, Membership, NodeId, ReadId, Record,
    SnapshotMark, Standing, Term, TransferOutcome, WriteId,
};

/// Everything the machine asks for since the last call.
#[derive(Debug, Default)]
pub struct Ready {
    /// Messages that assert nothing that is not durable yet: they may leave at once.
    pub send_now: Vec<Envelope>,
    /// One durable batch. Any number may be outstanding; completed in order by `Raft::wrote`.
    pub write: Option<Write>,
    /// Messages that assert a term, vote or log position which `write` makes durable: they may
    /// leave only after it is. Empty when `write` is `None`.
    pub send_after: Vec<Envelope>,
    /// The state machine is to be loaded from the installed snapshot at this index, in the place
    /// of all entries through it, before `committed` and whatever comes later; then it is reported
    /// to `Raft::applied`. The log on disk goes on after it by now.
    pub restore: Option<LogIndex>,
    /// Committed entries to apply, in order, each exactly once, never past what is durable here.
    pub committed: Vec<Entry>,
    /// Log ranges to be read back from the write-ahead log and given to `Raft::fetched`.
    pub fetch: Vec<Fetch>,
    /// Entries that were damaged on this disk, as others have them: to be written back in their
    /// places, after every write that was asked for before. Then `Raft::repaired`, or
    /// `Raft::repair_failed`.
    pub repair: Vec<Entry>,
    /// What members acknowledged, for all this node knows, when that changed: the whole table, in
    /// the place of an earlier one. To be kept durably soon, in no order with anything else, for
    /// [`Restored::records`](crate::Restored::records).
    pub records: Option<Vec<Record>>,
    /// A snapshot to be pulled from a peer and made durable, for `Raft::installed` or
    /// `Raft::install_failed`. Told once for each offer; a later one may replace it, or what was
    /// pulled already may be finished first.
    pub install: Option<InstallWanted>,
    /// Read requests that may be served once the given index has been applied.
    pub reads: Vec<ReadGrant>,
    /// Proposals and reads that this node no longer answers for.
    pub dropped: Vec<Dropped>,
    /// How the transfer of leadership that `Raft::transfer` began has ended.
    pub transfer: Option<TransferOutcome>,
    /// Role, term or leader, when any of them changed since the last call. A node starts as a
    /// follower without a leader in its restored term; that is not told.
    pub state: Option<LeadershipState>,
    /// What the node takes its disk for, when that changed since the last call. A node starts
    /// asking where [`Config::record_interval`](crate::Config::record_interval) is not zero, unless
    /// it has nobody to ask; that is not told, nor that it goes on being refilled.
    pub standing: Option<Standing>,
    /// The membership in force, when it changed since the last call: an entry with another one
    /// was appended, or cut off again. The one that the node was configured with is not told.
    /// The transport has to reach its members, and its voters' candidates have to reach us.
    pub membership: Option<Membership>,
}

/// One durable batch for the write-ahead log. Its parts apply in the order of the fields.
#[derive(Clone, Debug)]
pub struct Write {
    /// Its id, one more than the last.
    pub id: WriteId,
    /// Term and vote, when they changed.
    pub hard_state: Option<HardState>,
    /// Entries after this index are void (a conflicting suffix) before `entries` are appended.
    pub truncate_after: Option<LogIndex>,
    /// A snapshot is durable: notes it, and voids a log that does not hold its last entry. After
    /// this write is durable, the log before `release_before` may be released.
    pub snapshot: Option<SnapshotMark>,
    /// Entries to append, contiguous.
    pub entries: Vec<Entry>,
}

/// A range of the log that is no longer in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// First index wanted.
    pub first: LogIndex,
    /// Last index wanted, inclusive.
    pub last: LogIndex,
    /// The answer may stop early once it has this many bytes of payload (at least one entry).
    pub max_bytes: usize,
}

/// Permission to serve a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadGrant {
    /// The read that was asked for.
    pub id: ReadId,
    /// The read is linearizable on any state that has applied this index.
    pub index: LogIndex,
}

/// Work that this node no longer answers for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// This node was leader in `term` and is no longer. Whether its uncommitted entries from
    /// index `from` on are ever applied is for later leaders to decide: the outcome is unknown.
    Proposals {
        /// The first index whose outcome is unknown.
        from: LogIndex,
        /// The term they were proposed in.
        term: Term,
        /// Why.
        reason: DropReason,
    },
    /// A read that was not served and has had no effect; it may be asked again.
    Read {
        /// The read.
        id: ReadId,
        /// Why.
        reason: DropReason,
    },
}

/// Why something was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropReason {
    /// This node stopped being leader.
    LeadershipLost,
    /// The leader that a read was sent to changed, or its link was lost.
    LeaderChanged,
    /// The leader refused the read.
    Refused,
    /// No answer within the election timeout.
    TimedOut,
}

/// Who leads, as far as this node knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeadershipState {
    /// This node's role.
    pub role: Role,
    /// Its term.
    pub term: Term,
    /// The leader of that term, if known.
    pub leader: Option<NodeId>,
}

/// A node's role.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// Follows a leader or waits for one.
    #[default]
    Follower,
    /// Asks whether it could win an election, without raising its term (Raft thesis §9.6).
    PreCandidate,
    /// Asks for votes.
    Candidate,
    /// Leads.
    Leader,
}
