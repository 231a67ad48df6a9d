//! What a node is, and what it knows only while it is that.
//!
//! A role's data lives and dies with it: a follower has no match indexes to go stale, a leader no
//! election timer to fire. [`Raft::change_role`] is the only way from one to the next, and it
//! settles what the old role leaves behind (reads and proposals it can no longer answer for).

use std::collections::{BTreeMap, VecDeque};

use crate::lease::Lease;
use crate::message::Message;
use crate::progress::Progress;
use crate::raft::Raft;
use crate::read_index::{LeaderReads, PendingRead};
use crate::ready::{DropReason, Dropped, Role};
use crate::types::{Instant, LogIndex, NodeId, Term};

#[derive(Debug)]
pub(crate) enum RoleState {
    Follower(Follower),
    PreCandidate(Campaign),
    Candidate(Campaign),
    Leader(Box<Leader>),
}

/// Follows the leader of its term, or waits for one.
#[derive(Debug)]
pub(crate) struct Follower {
    /// The term's leader, and when it was last heard.
    pub(crate) leader: Option<(NodeId, Instant)>,
    /// The link to the leader was lost since it was last heard.
    pub(crate) doubts_leader: bool,
    /// When to campaign.
    pub(crate) election_deadline: Instant,
    /// Our log equals the term's leader's through here: as far as its Appends have shown, which
    /// may be less than our log's length.
    pub(crate) verified: LogIndex,
    /// The greatest round that the leader sent.
    pub(crate) round: u64,
    /// What the last answer claimed.
    pub(crate) acknowledged: LogIndex,
    /// An Append is to be answered.
    pub(crate) answer_due: bool,
    /// An Append was refused: its previous index and term. The lowest, of several.
    pub(crate) rejected: Option<(LogIndex, Term)>,
    /// Reads sent to the leader: for each request its number and the reads it carries.
    pub(crate) asked: VecDeque<(u64, Vec<PendingRead>)>,
}

impl Follower {
    pub(crate) fn new(leader: Option<(NodeId, Instant)>, election_deadline: Instant) -> Follower {
        Follower {
            leader,
            doubts_leader: false,
            election_deadline,
            verified: LogIndex::ZERO,
            round: 0,
            acknowledged: LogIndex::ZERO,
            answer_due: false,
            rejected: None,
            asked: VecDeque::new(),
        }
    }
}

/// Asks for votes, or (as pre-candidate) whether it would get them.
#[derive(Debug)]
pub(crate) struct Campaign {
    /// Who answered, and what.
    pub(crate) votes: BTreeMap<NodeId, bool>,
    /// When to give up and campaign again.
    pub(crate) election_deadline: Instant,
}

/// Leads.
#[derive(Debug)]
pub(crate) struct Leader {
    /// What it knows of each peer, by id.
    pub(crate) peers: BTreeMap<NodeId, Progress>,
    /// Index of the first entry that it appends. Once this is committed, so is everything before
    /// it that ever was (Raft §5.4.2, §8).
    pub(crate) term_start: LogIndex,
    /// Number of the current round of contact; rises with each heartbeat and read round.
    pub(crate) round: u64,
    /// When to send heartbeats next. `None` without peers.
    pub(crate) heartbeat_at: Option<Instant>,
    /// When to look next whether a quorum has answered. `None` when that does not matter.
    pub(crate) quorum_check_at: Option<Instant>,
    /// Its proposals that are not committed: the last index and the bytes of each, in order.
    pub(crate) uncommitted: VecDeque<(LogIndex, usize)>,
    /// Their bytes.
    pub(crate) uncommitted_bytes: usize,
    pub(crate) reads: LeaderReads,
    pub(crate) lease: Lease,
}

impl RoleState {
    pub(crate) fn role(&self) -> Role {
        match self {
            RoleState::Follower(_) => Role::Follower,
            RoleState::PreCandidate(_) => Role::PreCandidate,
            RoleState::Candidate(_) => Role::Candidate,
            RoleState::Leader(_) => Role::Leader,
        }
    }

    /// Starts the election timer anew. Leaders have none.
    pub(crate) fn postpone_election(&mut self, deadline: Instant) {
        match self {
            RoleState::Follower(follower) => follower.election_deadline = deadline,
            RoleState::PreCandidate(campaign) | RoleState::Candidate(campaign) => {
                campaign.election_deadline = deadline;
            }
            RoleState::Leader(_) => {}
        }
    }

    /// When the node campaigns unless something happens. Leaders never do.
    pub(crate) fn election_deadline(&self) -> Option<Instant> {
        match self {
            RoleState::Follower(follower) => Some(follower.election_deadline),
            RoleState::PreCandidate(campaign) | RoleState::Candidate(campaign) => {
                Some(campaign.election_deadline)
            }
            RoleState::Leader(_) => None,
        }
    }
}

impl Raft {
    /// The leader of this term, if known.
    pub(crate) fn leader(&self) -> Option<NodeId> {
        match &self.role {
            RoleState::Follower(follower) => follower.leader.map(|(leader, _)| leader),
            RoleState::Leader(_) => Some(self.config.id),
            RoleState::PreCandidate(_) | RoleState::Candidate(_) => None,
        }
    }

    /// Becomes a follower in `term`, which must not be before the current one.
    ///
    /// The election timer starts anew only if a leader was heard, or if there was none (for a
    /// leader stepping down). A node that merely learned of a newer term keeps its timer: else
    /// a candidate that cannot win could keep from campaigning those that can.
    pub(crate) fn become_follower(&mut self, term: Term, leader: Option<NodeId>) {
        if term > self.persistent.term() {
            self.persistent.enter_term(term);
        }
        assert_eq!(term, self.persistent.term(), "terms never fall");
        let deadline = match (leader, self.role.election_deadline()) {
            (None, Some(deadline)) => deadline,
            _ => self.now + self.random.jittered(self.config.election_timeout),
        };
        let leader = leader.map(|id| (id, self.now));
        self.change_role(RoleState::Follower(Follower::new(leader, deadline)));
    }

    /// Takes on a role and settles what the old one leaves behind.
    pub(crate) fn change_role(&mut self, role: RoleState) {
        match std::mem::replace(&mut self.role, role) {
            RoleState::Follower(follower) => {
                let reads = follower.asked.into_iter().flat_map(|(_, reads)| reads);
                self.reads.drop_all(reads, DropReason::LeaderChanged);
            }
            RoleState::PreCandidate(_) | RoleState::Candidate(_) => {}
            RoleState::Leader(leader) => self.settle_leadership(*leader),
        }
    }

    /// Says what becomes of a former leader's proposals and reads.
    fn settle_leadership(&mut self, leader: Leader) {
        let from = leader.term_start.max(self.commit.next());
        let last = self.log.last_index();
        if from <= last {
            // The term of what was proposed: the log's last, since the leader appended it.
            let term = self.log.last_term();
            let reason = DropReason::LeadershipLost;
            self.reads
                .dropped
                .push(Dropped::Proposals { from, term, reason });
        }
        let (local, remote) = leader.reads.into_unserved();
        self.reads.drop_all(local, DropReason::LeadershipLost);
        for (peer, sequence) in remote {
            let term = self.persistent.term();
            self.say(
                peer,
                Message::ReadIndexResponse {
                    term,
                    sequence,
                    index: None,
                },
            );
        }
    }
}
