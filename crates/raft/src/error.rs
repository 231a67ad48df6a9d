//! What can be refused, and why. Each variant is something that a caller can act on.

use std::time::Duration;

use thiserror::Error;

use crate::types::{LogIndex, NodeId, Term};

/// The machine cannot be made from this configuration or this restored state.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// Zero is no one's id.
    #[error("node id 0 is reserved; ids start at 1")]
    ZeroNode,
    /// The node is not in its own configuration.
    #[error(
        "node {id} is not among the voters; add it, start the node that is, or name no voters to join a cluster that exists"
    )]
    NotAVoter {
        /// The node.
        id: NodeId,
    },
    /// The same id twice.
    #[error("node {id} stands twice among the voters")]
    DuplicateVoter {
        /// The id.
        id: NodeId,
    },
    /// More voters than [`limits::MAX_VOTERS`](crate::limits::MAX_VOTERS).
    #[error("{count} voters are more than {}", crate::limits::MAX_VOTERS)]
    TooManyVoters {
        /// How many.
        count: usize,
    },
    /// The times do not fit together.
    #[error(
        "election timeout {election:?} must be at least twice the heartbeat interval {heartbeat:?}, which must not be zero"
    )]
    Timeouts {
        /// The election timeout.
        election: Duration,
        /// The heartbeat interval.
        heartbeat: Duration,
    },
    /// Pre-vote alone lets a leader that hears no one block every election.
    #[error("pre_vote needs check_quorum")]
    PreVoteWithoutCheckQuorum,
    /// A lease counts on votes being withheld from whoever asks while the leader is well.
    #[error("lease_reads needs check_quorum")]
    LeaseReadsWithoutCheckQuorum,
    /// A lease counts on votes being withheld for a whole election timeout.
    #[error("lease_reads needs doubt_leader_on_lost_link to be off")]
    LeaseReadsWithDoubt,
    /// A limit of zero would let nothing through.
    #[error("{name} must not be zero")]
    ZeroLimit {
        /// The field.
        name: &'static str,
    },
    /// The restored state contradicts itself: the log or the term file is not this node's, or
    /// was damaged without its checksum telling.
    #[error("restored state makes no sense: {what}")]
    Restored {
        /// What is wrong.
        what: &'static str,
    },
}

/// A message that no correct peer sends. It is counted in [`Status`](crate::Status), and nothing of
/// it is taken in, beyond its term and the sign of life of a leader.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MessageError {
    /// The sender is this node itself; or it is not a member, at least not (or not any more) in
    /// the membership in force here, and this is not one of the messages that are heard from
    /// anyone: candidates' and leaders'.
    #[error("message from node {from}, which is not a peer in this configuration")]
    UnknownSender {
        /// The sender.
        from: NodeId,
    },
    /// Its parts contradict each other.
    #[error("malformed message from node {from}: {what}")]
    Malformed {
        /// The sender.
        from: NodeId,
        /// What is wrong.
        what: &'static str,
    },
    /// A second leader in one term: the cluster was set up wrongly (two nodes under one id, or
    /// different voters), or a node lost its disk and voted twice.
    #[error("node {from} claims to lead term {term}, which node {leader} leads")]
    TwoLeaders {
        /// The sender.
        from: NodeId,
        /// The term.
        term: Term,
        /// Who leads it as far as this node knows.
        leader: NodeId,
    },
    /// The sender claims entries that this leader never sent.
    #[error("node {from} claims to hold index {matched}, but this leader's log ends at {last}")]
    BeyondLog {
        /// The sender.
        from: NodeId,
        /// The claim.
        matched: LogIndex,
        /// The end of the log.
        last: LogIndex,
    },
    /// The leader wants to replace an entry that is committed here. Some node of the cluster lost
    /// acknowledged data; this one keeps what it has.
    #[error(
        "node {from} sent an entry that conflicts with index {index}, committed here through {commit}"
    )]
    ConflictsWithCommitted {
        /// The sender.
        from: NodeId,
        /// The first conflicting index.
        index: LogIndex,
        /// The commit index here.
        commit: LogIndex,
    },
}

/// A snapshot that was pulled from a peer and cannot be used. It has had no effect; the next offer
/// is told again.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InstallError {
    /// It says of itself what cannot be.
    #[error("the snapshot makes no sense: {what}")]
    Malformed {
        /// What is wrong.
        what: &'static str,
    },
    /// This node leads, and its log has another entry there: the snapshot is of another cluster, or
    /// some node lost acknowledged data.
    #[error("the snapshot at {}@{} conflicts with this leader's log", position.0, position.1)]
    ConflictsWithLeader {
        /// Index and term of its last entry.
        position: (LogIndex, Term),
    },
}

/// A proposal that was refused; it has had no effect and may be made again.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ProposeError {
    /// Only the leader takes proposals.
    #[error("not the leader{}", leader.map(|id| format!("; node {id} is")).unwrap_or_default())]
    NotLeader {
        /// Who is, if known.
        leader: Option<NodeId>,
    },
    /// Too much is proposed and not committed yet. Try again when some of it is.
    #[error("{pending} bytes are uncommitted, the limit is {limit}")]
    TooManyUncommitted {
        /// Bytes uncommitted now.
        pending: usize,
        /// The limit.
        limit: usize,
    },
    /// Leadership is being handed to another node. Try again, there or here, when that has ended.
    #[error("leadership is being transferred to node {to}")]
    Transferring {
        /// The node.
        to: NodeId,
    },
    /// A proposal without commands.
    #[error("nothing was proposed")]
    Empty,
}

/// A change of the membership that was refused; it has had no effect.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ChangeError {
    /// Only the leader changes the membership.
    #[error("not the leader{}", leader.map(|id| format!("; node {id} is")).unwrap_or_default())]
    NotLeader {
        /// Who is, if known.
        leader: Option<NodeId>,
    },
    /// The leader is new and does not know yet what is committed. Try again in a moment.
    #[error("the leader has not committed an entry of its term yet")]
    NothingCommittedYet,
    /// One change at a time. Try again when it is done.
    #[error("the change of membership at index {index} is still under way")]
    UnderWay {
        /// The entry that is not committed, or that is to be followed by another.
        index: LogIndex,
    },
    /// Leadership is being handed over. Try again, with whoever leads then.
    #[error("leadership is being transferred to node {to}")]
    Transferring {
        /// The target.
        to: NodeId,
    },
    /// Zero is no one's id.
    #[error("node id 0 is reserved; ids start at 1")]
    ZeroNode,
    /// The node is a member already.
    #[error("node {id} is a member already")]
    AlreadyMember {
        /// The node.
        id: NodeId,
    },
    /// The learner to be promoted is a voter already.
    #[error("node {id} is a voter already")]
    AlreadyVoter {
        /// The node.
        id: NodeId,
    },
    /// The node is not a member.
    #[error("node {id} is not a member")]
    NotAMember {
        /// The node.
        id: NodeId,
    },
    /// The membership wanted is the one in force.
    #[error("the membership is so already")]
    Unchanged,
    /// A voter cannot be made a learner in one change, nor be both.
    #[error(
        "node {id} cannot be a learner and a voter, nor go from voter to learner in one change: remove it first"
    )]
    Demotion {
        /// The node.
        id: NodeId,
    },
    /// A cluster without voters can decide nothing, not even to have some again.
    #[error("no voters would be left")]
    NoVotersLeft,
    /// Over [`limits::MAX_VOTERS`](crate::limits::MAX_VOTERS) or
    /// [`limits::MAX_LEARNERS`](crate::limits::MAX_LEARNERS).
    #[error(
        "{voters} voters and {learners} learners are too many; the limits are {} and {}",
        crate::limits::MAX_VOTERS,
        crate::limits::MAX_LEARNERS
    )]
    TooManyMembers {
        /// How many voters there would be.
        voters: usize,
        /// How many learners.
        learners: usize,
    },
    /// A learner is promoted only when it has nearly the whole log and answers.
    #[error(
        "node {id} is not caught up: it lacks {behind} entries, the limit is {}{}",
        crate::limits::PROMOTION_MAX_LAG_ENTRIES,
        if *.in_contact { "" } else { ", and it does not answer" }
    )]
    NotCaughtUp {
        /// The learner.
        id: NodeId,
        /// Entries of the leader's log that it is not known to have.
        behind: u64,
        /// Whether it takes Appends, and answered one within an election timeout.
        in_contact: bool,
    },
    /// Over [`limits::MAX_MEMBERSHIP_CONTEXT_BYTES`](crate::limits::MAX_MEMBERSHIP_CONTEXT_BYTES).
    #[error(
        "a context of {bytes} bytes is too large, the limit is {}",
        crate::limits::MAX_MEMBERSHIP_CONTEXT_BYTES
    )]
    ContextTooLarge {
        /// Its size.
        bytes: usize,
    },
}

/// A transfer of leadership that was not begun.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TransferError {
    /// Only the leader can hand over.
    #[error("not the leader{}", leader.map(|id| format!("; node {id} is")).unwrap_or_default())]
    NotLeader {
        /// Who is, if known.
        leader: Option<NodeId>,
    },
    /// The target is this node.
    #[error("this node leads already")]
    LeadsAlready,
    /// The target cannot lead.
    #[error("node {to} is not a voter")]
    NotAVoter {
        /// The target.
        to: NodeId,
    },
    /// One at a time. Try again when its outcome is known.
    #[error("leadership is being transferred to node {to} already")]
    UnderWay {
        /// The other transfer's target.
        to: NodeId,
    },
}

/// A read that was refused at once; it may be asked again.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ReadError {
    /// Too many reads wait already.
    #[error("{pending} reads are waiting, the limit is {limit}")]
    TooManyPending {
        /// How many.
        pending: usize,
        /// The limit.
        limit: usize,
    },
}
