//! A look at the machine from outside, for metrics and for people.

use crate::error::MessageError;
use crate::membership::Membership;
use crate::progress::ProgressState;
use crate::raft::Raft;
use crate::ready::Role;
use crate::refilling::{Rewound, Standing};
use crate::role::RoleState;
use crate::types::{Instant, LogIndex, NodeId, Term};

/// Where a node stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// This node.
    pub id: NodeId,
    /// Its role.
    pub role: Role,
    /// Its term.
    pub term: Term,
    /// Whom it voted for in that term.
    pub vote: Option<NodeId>,
    /// The term's leader, if known.
    pub leader: Option<NodeId>,
    /// The members, by the membership in force.
    pub membership: Membership,
    /// The index of its entry; zero for the one that the node was configured with. It can still
    /// be undone while this is above `commit`.
    pub membership_index: LogIndex,
    /// Entries through here are known to be committed.
    pub commit: LogIndex,
    /// Entries through here were handed out to be applied.
    pub handed_out: LogIndex,
    /// Entries through here were reported as applied.
    pub applied: LogIndex,
    /// What the newest snapshot covers; zero without one.
    pub snapshot_index: LogIndex,
    /// Start of the log: what is before it is only in the snapshot.
    pub first_index: LogIndex,
    /// End of the log.
    pub last_index: LogIndex,
    /// The log is durable on this node through here.
    pub durable_index: LogIndex,
    /// Bytes of log entries in memory, overhead included.
    pub memory_log_bytes: usize,
    /// Bytes proposed here and not committed (leader only).
    pub uncommitted_bytes: usize,
    /// To whom this node, which leads, is handing leadership over.
    pub transferring_to: Option<NodeId>,
    /// Whether this node, as leader, would serve a read on its lease now.
    pub holds_lease: bool,
    /// Reads that wait on this node.
    pub pending_reads: usize,
    /// What the leader knows of each peer, by id; empty on other nodes. Learners are among
    /// them, and for a moment those that were removed.
    pub peers: Vec<PeerStatus>,
    /// Entries of the log that are damaged and not whole again. While there are any, the node
    /// does not campaign, and acknowledges nothing from the first of them on.
    pub damaged_entries: u64,
    /// The first of them.
    pub first_damaged: Option<LogIndex>,
    /// Entries that were damaged at the start and have been written back since.
    pub repaired_entries: u64,
    /// What the node takes its disk for.
    pub standing: Standing,
    /// How it came to know that it lost promises, while it is refilling; `None` if it knew
    /// when it started.
    pub rewound: Option<Rewound>,
    /// The members whose answers a node that is asking lacks.
    pub unanswered: Vec<NodeId>,
    /// Messages refused since the start.
    pub refused: RefusedMessages,
}

/// What a leader knows of one peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerStatus {
    /// The peer.
    pub id: NodeId,
    /// Its log is durable and equal to the leader's through here.
    pub matched: LogIndex,
    /// The next index to send.
    pub next: LogIndex,
    /// Whether its log position is known, so that Appends are pipelined; else it is probed for.
    pub replicating: bool,
    /// Whether it is being refilled: its log may be there, and counts for nothing.
    pub refilling: bool,
    /// Whether what it needs next is gone from the log, so that it has to pull a snapshot.
    pub needs_snapshot: bool,
    /// Bytes under way to it.
    pub inflight_bytes: usize,
    /// Appends under way to it.
    pub inflight_appends: usize,
    /// When it last answered.
    pub last_contact: Instant,
}

/// How many messages were refused, by [`MessageError`](crate::MessageError).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RefusedMessages {
    /// From nodes that are no peers, or no longer.
    pub unknown_sender: u64,
    /// With parts that contradict each other.
    pub malformed: u64,
    /// From a second leader in one term.
    pub two_leaders: u64,
    /// That claim more than the leader's log.
    pub beyond_log: u64,
    /// That would replace committed entries.
    pub conflicts_with_committed: u64,
}

impl RefusedMessages {
    pub(crate) fn count(&mut self, error: &MessageError) {
        let counter = match error {
            MessageError::UnknownSender { .. } => &mut self.unknown_sender,
            MessageError::Malformed { .. } => &mut self.malformed,
            MessageError::TwoLeaders { .. } => &mut self.two_leaders,
            MessageError::BeyondLog { .. } => &mut self.beyond_log,
            MessageError::ConflictsWithCommitted { .. } => &mut self.conflicts_with_committed,
        };
        *counter += 1;
    }
}

impl Raft {
    /// Where this node stands.
    pub fn status(&self) -> Status {
        let (peers, uncommitted_bytes) = match &self.role {
            RoleState::Leader(leader) => {
                let peers = leader.peers.iter().map(|(id, progress)| PeerStatus {
                    id: *id,
                    matched: progress.matched,
                    next: progress.next,
                    refilling: progress.refill.is_some(),
                    replicating: progress.state == ProgressState::Replicate,
                    needs_snapshot: matches!(progress.state, ProgressState::Snapshot { .. }),
                    inflight_bytes: progress.inflight.bytes(),
                    inflight_appends: progress.inflight.appends(),
                    last_contact: progress.last_contact,
                });
                (peers.collect(), leader.uncommitted_bytes)
            }
            _ => (Vec::new(), 0),
        };
        Status {
            id: self.config.id,
            role: self.role.role(),
            term: self.persistent.term(),
            vote: self.persistent.vote(),
            leader: self.leader(),
            membership: self.memberships.in_force().clone(),
            membership_index: self.memberships.in_force_index(),
            commit: self.commit,
            handed_out: self.handed_out,
            applied: self.unapplied.index(),
            snapshot_index: self.snapshots.position().0,
            first_index: self.log.first_index(),
            last_index: self.log.last_index(),
            durable_index: self.log.durable(),
            memory_log_bytes: self.log.memory_bytes(),
            uncommitted_bytes,
            transferring_to: self.transferring_to(),
            holds_lease: self.holds_lease(),
            pending_reads: self.reads.pending,
            peers,
            damaged_entries: self.log.gaps.entries_after(self.log.base().0),
            first_damaged: self.log.first_damaged(),
            repaired_entries: self.doubt.repaired_entries,
            standing: self.standing(),
            rewound: self.rewound,
            unanswered: self.unanswered(),
            refused: self.refused,
        }
    }
}
