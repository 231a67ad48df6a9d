//! What nodes say to each other (Raft, Figure 2; thesis §6.4 and §9.6).

use crate::{Entry, LogIndex, NodeId, Term};

/// A message and whom it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The receiver.
    pub to: NodeId,
    /// What is said.
    pub message: Message,
}

/// One message. `term` is the sender's term, but for pre-vote requests: the term it would have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// "Would you vote for me?" when `pre`, else "vote for me" (Raft §5.2; thesis §9.6).
    RequestVote {
        /// The candidate's term (with `pre`: the term it would campaign in).
        term: Term,
        /// Index of the candidate's last entry.
        last_index: LogIndex,
        /// Term of the candidate's last entry.
        last_term: Term,
        /// Whether this only asks.
        pre: bool,
        /// Whether the leader itself wants this election: then that it is well is no reason to
        /// withhold the vote (thesis §4.2.3). Never with `pre`.
        transfer: bool,
    },
    /// The answer to `RequestVote`.
    Vote {
        /// The term the vote is for (granted), or the voter's own term (refused).
        term: Term,
        /// Whether it is granted.
        granted: bool,
        /// Whether it answers a pre-vote.
        pre: bool,
    },
    /// Entries to append, or none: then it is a heartbeat, with the same checks (Raft §5.3).
    Append {
        /// The leader's term.
        term: Term,
        /// Index of the entry just before `entries`.
        previous_index: LogIndex,
        /// Its term.
        previous_term: Term,
        /// The leader's commit index.
        commit: LogIndex,
        /// The entries, contiguous from `previous_index + 1`.
        entries: Vec<Entry>,
        /// The leader's number for this round of contact. A follower answers a new one at once
        /// (entries, otherwise, only when they are durable) and echoes the greatest it has seen
        /// in this term. Confirms leadership for reads (thesis §6.4).
        round: u64,
    },
    /// "My log matches yours through `matched`, durably."
    AppendAccepted {
        /// The follower's term.
        term: Term,
        /// The follower's log equals the leader's through this index, and that is durable.
        matched: LogIndex,
        /// The greatest round seen.
        round: u64,
    },
    /// "My log does not have that previous entry": back up (Raft §5.3, last paragraphs).
    AppendRejected {
        /// The follower's term.
        term: Term,
        /// The `previous_index` that was refused.
        previous_index: LogIndex,
        /// Where the leader should look next: the follower's log through this index may match.
        hint_index: LogIndex,
        /// The term of the follower's entry at `hint_index`; the leader skips its entries of
        /// greater terms.
        hint_term: Term,
        /// The greatest round seen.
        round: u64,
    },
    /// "What you need next is gone from my log; pull my snapshot." Sent in the place of Appends,
    /// answered like a heartbeat with `AppendAccepted` (Raft §7).
    SnapshotOffer {
        /// The leader's term.
        term: Term,
        /// The last index that the snapshot contains.
        index: LogIndex,
        /// The term of the entry there.
        snapshot_term: Term,
        /// As in `Append`.
        round: u64,
    },
    /// "Campaign now, and lead in my place" (thesis §3.10).
    TimeoutNow {
        /// The leader's term.
        term: Term,
    },
    /// A follower asks the leader for an index at which a batch of reads is linearizable.
    ReadIndexRequest {
        /// The follower's term.
        term: Term,
        /// The follower's number for this batch.
        sequence: u64,
    },
    /// The answer to `ReadIndexRequest`.
    ReadIndexResponse {
        /// The leader's term.
        term: Term,
        /// The batch.
        sequence: u64,
        /// The index; `None` when the leader cannot say (it lost its place, or is overloaded).
        index: Option<LogIndex>,
    },
}
