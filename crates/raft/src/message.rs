//! What nodes say to each other (Raft, Figure 2; thesis §6.4 and §9.6).

use crate::{Entry, LogIndex, Membership, NodeId, Record, Rejection, Term};

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
    /// "My entries `first..=last` are damaged: send me yours, if your log has the entry `anchor`",
    /// or, with an anchor before `first`, "if you lead this term and have it" (`doubt.rs`).
    EntryWanted {
        /// The asker's term.
        term: Term,
        /// The first entry wanted.
        first: LogIndex,
        /// The last.
        last: LogIndex,
        /// Index of an entry by which two logs are shown to be the same up to there.
        anchor_index: LogIndex,
        /// Its term.
        anchor_term: Term,
    },
    /// The answer to `EntryWanted`.
    EntryFound {
        /// The speaker's term.
        term: Term,
        /// As in the question.
        first: LogIndex,
        /// As in the question: an entry that the speaker's log has.
        anchor_index: LogIndex,
        /// Its term.
        anchor_term: Term,
        /// Entries from `first` on; none if the speaker does not have it, or not for certain.
        entries: Vec<Entry>,
    },
    /// "This is what the members acknowledged, for all I know", of a leader (`records.rs`).
    Records {
        /// The leader's term.
        term: Term,
        /// What it knows, by member, ascending.
        records: Vec<Record>,
    },
    /// "I have started. What did I acknowledge in my earlier lives, for all you know?"
    /// (`asking.rs`). Nobody adopts the term in it.
    RecordWanted {
        /// The asker's term.
        term: Term,
        /// A number of the asker's own for its present life.
        life: u64,
    },
    /// The answer to `RecordWanted`. Nor in this.
    RecordFound {
        /// The speaker's term.
        term: Term,
        /// As in the question.
        life: u64,
        /// What the asker acknowledged, if the speaker knows of anything.
        record: Option<Record>,
        /// The membership in force on the speaker, and the index of its entry: who else is to be
        /// asked.
        membership: Membership,
        /// See there.
        membership_index: LogIndex,
    },
    /// "I lost promises that I made. Of your log I have this much; count nothing of it": in the
    /// place of `AppendAccepted` and `AppendRejected` (`refilling.rs`).
    Refill {
        /// The follower's term.
        term: Term,
        /// A number of the follower's own for its present life.
        life: u64,
        /// The follower's log equals the leader's through this index, and that is durable.
        matched: LogIndex,
        /// The greatest round seen. It confirms nothing.
        round: u64,
        /// An Append that was refused, too.
        rejected: Option<Rejection>,
    },
    /// "Enough others have my log through here, which none of your earlier lives can have seen":
    /// whoever has it as well has lost nothing any more.
    Refilled {
        /// The leader's term.
        term: Term,
        /// As in `Refill`.
        life: u64,
        /// The index of the entry that the leader appended after it heard of this life.
        through: LogIndex,
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
