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
    #[error("node {id} is not among the voters; add it, or start the node that is")]
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
    /// The sender is not a member, or is this node itself.
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
