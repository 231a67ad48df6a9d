//! Elections: campaigning and voting (Raft §5.2, §5.4.1; thesis §4.2.3, §9.6).
//!
//! ```text
//!            timeout              quorum would vote           quorum voted
//! Follower ──────────► PreCandidate ─────────────► Candidate ─────────────► Leader
//!     ▲                     │  (term not raised)       │ (term + 1)           │
//!     └─────────────────────┴──────────────────────────┴──────────────────────┘
//!       a leader of this term or anything of a higher term is heard; a quorum refuses;
//!       a leader has had no answer from a quorum for an election timeout
//! ```
//!
//! What makes it safe: one vote a term, durable before it is told; only for a log at least as up
//! to date as the voter's own. What makes it calm: pre-votes, and no votes against a leader that
//! was heard within an election timeout.

use std::collections::{BTreeMap, VecDeque};

use crate::lease::Lease;
use crate::message::Message;
use crate::progress::Progress;
use crate::quorum::Tally;
use crate::raft::Raft;
use crate::read_index::LeaderReads;
use crate::role::{Campaign, Leader, RoleState};
use crate::types::{Entry, LogIndex, NodeId, Payload, Term};

/// What a candidate asks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct VoteRequest {
    pub(crate) term: Term,
    pub(crate) last_index: LogIndex,
    pub(crate) last_term: Term,
    /// On the wish of the leader itself, to whom a promise not to vote was made.
    pub(crate) transfer: bool,
}

impl Raft {
    /// Whether this node may ask for votes: learners, nodes that know of their removal and nodes
    /// that do not know the members yet have none to win, and would only disturb. A node whose log
    /// is damaged could not lead with it, and one that may have forgotten promises must not.
    pub(crate) fn may_campaign(&self) -> bool {
        self.takes_part()
            && !self.log.is_in_doubt()
            && self.memberships.may_campaign(self.config.id)
    }

    /// Whether this node remembers all that a vote must be measured by.
    fn may_vote(&self) -> bool {
        let late = self.log.begins_late();
        !self.is_refilling() || (late && planted::bug("refilling-node-votes-after-a-snapshot"))
    }

    /// The election timer fired.
    pub(crate) fn campaign(&mut self) {
        if self.disk_is_stalled() {
            let deadline = self.now + self.random.jittered(self.config.election_timeout);
            self.role.postpone_election(deadline);
        } else if self.config.pre_vote {
            self.become_pre_candidate();
        } else {
            self.become_candidate(false);
        }
    }

    fn become_pre_candidate(&mut self) {
        let campaign = self.new_campaign();
        self.change_role(RoleState::PreCandidate(campaign));
        // It would campaign in the next term, but has not entered it: nothing to make durable.
        let request = self.vote_request(self.persistent.term().next(), true, false);
        for peer in self.configuration.voters_except(self.config.id) {
            self.outbox.say_freely(peer, request.clone());
        }
        self.count_votes();
    }

    /// Campaigns in a new term; on the leader's own wish if `transfer`.
    pub(crate) fn become_candidate(&mut self, transfer: bool) {
        self.persistent.enter_term(self.persistent.term().next());
        self.persistent.vote_for(self.config.id);
        let campaign = self.new_campaign();
        self.change_role(RoleState::Candidate(campaign));
        let request = self.vote_request(self.persistent.term(), false, transfer);
        for peer in self.configuration.voters_except(self.config.id) {
            self.outbox
                .say(peer, request.clone(), &self.persistent, &self.log.disk);
        }
        self.count_votes();
    }

    fn new_campaign(&mut self) -> Campaign {
        Campaign {
            votes: BTreeMap::from([(self.config.id, true)]),
            election_deadline: self.now + self.random.jittered(self.config.election_timeout),
        }
    }

    fn vote_request(&self, term: Term, pre: bool, transfer: bool) -> Message {
        let (last_index, last_term) = (self.log.last_index(), self.log.last_term());
        Message::RequestVote {
            term,
            last_index,
            last_term,
            pre,
            transfer,
        }
    }

    /// Looks how the campaign stands, and goes on if it is decided.
    fn count_votes(&mut self) {
        let (RoleState::PreCandidate(campaign) | RoleState::Candidate(campaign)) = &self.role
        else {
            return;
        };
        let tally = self
            .configuration
            .tally(|id| campaign.votes.get(&id).copied());
        match (tally, &self.role) {
            (Tally::Open, _) => {}
            // A leader would give way at once.
            (Tally::Won, _) if self.is_hindered() => {
                self.become_follower(self.persistent.term(), None);
            }
            (Tally::Lost, _) => self.become_follower(self.persistent.term(), None),
            (Tally::Won, RoleState::PreCandidate(_)) => self.become_candidate(false),
            (Tally::Won, _) => self.become_leader(),
        }
    }

    fn become_leader(&mut self) {
        assert!(
            !self.log.is_in_doubt() && self.takes_part(),
            "leads with a damaged log, or one that went back in time: {:?}",
            self.status()
        );
        let last = self.log.last_index();
        let peers: BTreeMap<NodeId, Progress> = self
            .configuration
            .members_except(self.config.id)
            .map(|peer| (peer, Progress::new(last, self.now)))
            .collect();
        let has_peers = !peers.is_empty();
        let checks_quorum = has_peers && self.config.check_quorum;
        let leader = Leader {
            peers,
            term_start: last.next(),
            round: 0,
            heartbeat_at: has_peers.then(|| self.now + self.config.heartbeat_interval),
            quorum_check_at: checks_quorum.then(|| self.now + self.config.election_timeout),
            uncommitted: VecDeque::new(),
            uncommitted_bytes: 0,
            reads: LeaderReads::default(),
            lease: Lease::default(),
        };
        self.change_role(RoleState::Leader(Box::new(leader)));
        if self.config.empty_entry_on_election {
            let term = self.persistent.term();
            self.log.append(Entry {
                index: last.next(),
                term,
                payload: Payload::Empty,
            });
        }
        self.settle_membership();
    }

    /// Whether a leader is known to be well, so that no one else should be helped to unseat it.
    pub(crate) fn leader_is_well(&self) -> bool {
        if self.has_promised_no_vote() {
            return true; // Whether it is or not, somebody may count on it.
        }
        match &self.role {
            RoleState::Leader(_) => true, // It steps down by itself when it is not.
            RoleState::Follower(follower) => follower.leader.is_some_and(|(_, heard)| {
                !follower.doubts_leader && self.now < heard + self.config.election_timeout
            }),
            RoleState::PreCandidate(_) | RoleState::Candidate(_) => false,
        }
    }

    /// "Would you vote for me?" Nothing changes here, whatever the answer.
    pub(crate) fn on_pre_vote_request(&mut self, from: NodeId, request: VoteRequest) {
        let granted = request.term > self.persistent.term()
            && self.may_vote()
            && self
                .log
                .is_not_ahead_of(request.last_index, request.last_term)
            && !self.leader_is_well();
        if granted {
            let term = request.term;
            self.outbox.say_freely(
                from,
                Message::Vote {
                    term,
                    granted,
                    pre: true,
                },
            );
        } else {
            // With our term, so that a candidate of an older one learns of it.
            let term = self.persistent.term();
            self.say(
                from,
                Message::Vote {
                    term,
                    granted,
                    pre: true,
                },
            );
        }
    }

    /// "Vote for me", in this node's term.
    pub(crate) fn on_vote_request(&mut self, from: NodeId, request: VoteRequest) {
        let free = match self.persistent.vote() {
            Some(voted) => {
                let again = planted::bug("second-vote-in-a-term-after-a-snapshot");
                voted == from || (self.log.begins_late() && again)
            }
            None => self.leader().is_none(),
        };
        let granted = free
            && self.may_vote()
            && (request.transfer || !self.has_promised_no_vote())
            && self
                .log
                .is_not_ahead_of(request.last_index, request.last_term);
        if granted {
            self.persistent.vote_for(from);
            let deadline = self.now + self.random.jittered(self.config.election_timeout);
            if let RoleState::Follower(follower) = &mut self.role {
                follower.election_deadline = deadline;
            }
        } else {
            self.make_way_for(request.last_index, request.last_term);
        }
        let term = self.persistent.term();
        self.say(
            from,
            Message::Vote {
                term,
                granted,
                pre: false,
            },
        );
    }

    /// A candidate was refused, and not for its log. If that has more than ours, it is the better
    /// candidate and we may be in its way: our election timer starts anew.
    ///
    /// A voter may go by a membership of the past, in which it can never win, while the only node
    /// that can win needs its vote. It does not tell that node of its campaigns; without
    /// pre-votes each of them takes it a term further; and the other learns of the term by being
    /// refused in it, one term too late every time. Left to their timers, they would have to
    /// drift apart until the better one campaigns twice in a row, which takes 12 election
    /// timeouts on average and more than 30 in 7 cases of 100. If the worse one waits afresh
    /// after each refusal, every second try succeeds: 4 timeouts, more than 20 in 1 of 2,000.
    ///
    /// Safe, since only a timer moves: neither term, nor vote, nor log; and a node may wait as
    /// long as it likes before it campaigns. Live, since "has more than" has no cycles: the
    /// node with the best log makes way for nobody; and one that makes way for a candidate which
    /// cannot win (removed, with a tail that was never committed) draws its wait as that one
    /// does, so it comes first half of the time.
    pub(crate) fn make_way_for(&mut self, last_index: LogIndex, last_term: Term) {
        let has_more = (last_term, last_index) > (self.log.last_term(), self.log.last_index());
        if has_more && self.leader().is_none() {
            let deadline = self.now + self.random.jittered(self.config.election_timeout);
            self.role.postpone_election(deadline);
        }
    }

    /// An answer. One of an earlier campaign, or of the other kind, is not counted: a promise to
    /// vote is not a vote.
    pub(crate) fn on_vote(&mut self, from: NodeId, term: Term, granted: bool, pre: bool) {
        let current = self.persistent.term();
        let campaign = match &mut self.role {
            RoleState::PreCandidate(campaign) if pre => {
                let ours = if granted {
                    term == current.next()
                } else {
                    term <= current
                };
                ours.then_some(campaign)
            }
            RoleState::Candidate(campaign) if !pre && term == current => Some(campaign),
            _ => None,
        };
        if let Some(campaign) = campaign {
            campaign.votes.insert(from, granted);
            self.count_votes();
        }
    }
}
