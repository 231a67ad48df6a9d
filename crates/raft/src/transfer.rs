//! Handing leadership to another voter, without waiting for an election timeout (thesis §3.10).
//!
//! ```text
//!  leader                                       target
//!  transfer: refuses proposals
//!  Append, until the target has the whole log
//!  and all of it is committed ────────────────► AppendAccepted
//!  TimeoutNow ────────────────────────────────► campaigns at once, for real
//!  Vote ◄─────────────────────── RequestVote ── (transfer: a leader that is well is no obstacle)
//!  follows; Ready::transfer: Done ◄──── Append ─ leads
//! ```
//!
//! What must hold (pitfall 15):
//! - Proposals are refused while a transfer is under way, or the target might never have them all;
//!   they are taken again, by whoever leads then, after an election timeout at the latest.
//! - The target campaigns without asking first, and voters grant it although they hear from the
//!   leader. That is the leader's own wish, and the only case: so from the moment `TimeoutNow`
//!   leaves, votes are not withheld for this leader's sake, *for the rest of its term*, since the
//!   message may arrive late. A lease must not be counted on from then on.
//! - What makes an election safe is not bypassed: one vote a term, and only for a log that is as
//!   up to date as the voter's.
//!
//! Waiting until everything is committed costs a round trip, and saves every waiting client from
//! hearing that its outcome is unknown because leadership was lost.

use crate::error::{MessageError, TransferError};
use crate::message::Message;
use crate::raft::Raft;
use crate::role::RoleState;
use crate::types::{Instant, NodeId, Term};

/// How a transfer of leadership ended. Told once for each that was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransferOutcome {
    /// The target leads.
    Done {
        /// The target.
        to: NodeId,
    },
    /// Another node leads a later term.
    Elsewhere {
        /// The target.
        to: NodeId,
        /// Who leads.
        leader: NodeId,
    },
    /// No leader of a later term was heard within an election timeout.
    TimedOut {
        /// The target.
        to: NodeId,
        /// Whether the target, now or earlier in this term, was told to campaign: then it still may.
        invited: bool,
    },
}

/// What a node knows of transfers that it began, whatever its role now.
#[derive(Debug, Default)]
pub(crate) struct Transfers {
    under_way: Option<Transfer>,
    /// What the next `ready` says.
    outcome: Option<TransferOutcome>,
    /// The term in which it last told a peer to campaign, and which peer.
    invited: Option<(Term, NodeId)>,
}

#[derive(Clone, Copy, Debug)]
struct Transfer {
    to: NodeId,
    /// The term of the leader that began it.
    term: Term,
    deadline: Instant,
    /// Whether the target was told to campaign.
    invited: bool,
}

impl Transfers {
    /// The target of the transfer whose outcome is not told yet.
    fn busy_with(&self) -> Option<NodeId> {
        let under_way = self.under_way.map(|transfer| transfer.to);
        under_way.or(self.outcome.map(|outcome| match outcome {
            TransferOutcome::Done { to }
            | TransferOutcome::Elsewhere { to, .. }
            | TransferOutcome::TimedOut { to, .. } => to,
        }))
    }
}

impl Raft {
    /// Hands leadership to `to`, a voter; how it ended is told by `Ready::transfer`, within an
    /// election timeout. Proposals are refused meanwhile.
    pub fn transfer(&mut self, now: Instant, to: NodeId) -> Result<(), TransferError> {
        self.advance_clock(now);
        let RoleState::Leader(_) = &self.role else {
            let leader = self.leader();
            return Err(TransferError::NotLeader { leader });
        };
        if to == self.config.id {
            return Err(TransferError::LeadsAlready);
        }
        // Not one of those that go, who would have to hand over again when the change is done.
        if !self.memberships.in_force().voters.contains(&to) {
            return Err(TransferError::NotAVoter { to });
        }
        self.settle_transfer();
        if let Some(to) = self.transfers.busy_with() {
            return Err(TransferError::UnderWay { to });
        }
        self.transfers.under_way = Some(Transfer {
            to,
            term: self.persistent.term(),
            deadline: self.now + self.config.election_timeout,
            invited: false,
        });
        Ok(())
    }

    /// To whom this leader hands over at the moment.
    pub(crate) fn transferring_to(&self) -> Option<NodeId> {
        let transfer = self.transfers.under_way?;
        let leads = matches!(self.role, RoleState::Leader(_));
        (leads && transfer.term == self.persistent.term()).then_some(transfer.to)
    }

    /// Whether someone may be elected although its voters hear this leader: from the beginning of
    /// a transfer, and once its target was told to campaign, to the end of the term.
    pub(crate) fn may_be_unseated_by_transfer(&self) -> bool {
        let term = self.persistent.term();
        let invited = self.transfers.invited.is_some_and(|(of, _)| of == term);
        self.transferring_to().is_some() || invited
    }

    pub(crate) fn transfer_deadline(&self) -> Option<Instant> {
        Some(self.transfers.under_way?.deadline)
    }

    /// Gives up a transfer that took too long.
    pub(crate) fn expire_transfer(&mut self) {
        self.settle_transfer();
        let Some(transfer) = self.transfers.under_way else {
            return;
        };
        if transfer.deadline > self.now {
            return;
        }
        self.end_transfer(TransferOutcome::TimedOut {
            to: transfer.to,
            invited: self.transfers.invited == Some((transfer.term, transfer.to)),
        });
    }

    /// How the transfer ended, if a leader of a later term is known.
    fn transfer_result(&self) -> Option<TransferOutcome> {
        let Transfer { to, term, .. } = self.transfers.under_way?;
        let leader = self.leader().filter(|_| self.persistent.term() > term)?;
        Some(if leader == to {
            TransferOutcome::Done { to }
        } else {
            TransferOutcome::Elsewhere { to, leader }
        })
    }

    fn settle_transfer(&mut self) {
        if let Some(outcome) = self.transfer_result() {
            self.end_transfer(outcome);
        }
    }

    fn end_transfer(&mut self, outcome: TransferOutcome) {
        assert!(
            self.transfers.outcome.is_none(),
            "{outcome:?} before {:?} was told",
            self.transfers.outcome
        );
        self.transfers.under_way = None;
        self.transfers.outcome = Some(outcome);
    }

    /// Whether [`Raft::take_transfer_outcome`] would tell something.
    pub(crate) fn has_transfer_outcome(&self) -> bool {
        self.transfers.outcome.is_some() || self.transfer_result().is_some()
    }

    pub(crate) fn take_transfer_outcome(&mut self) -> Option<TransferOutcome> {
        if self.transfers.outcome.is_none() {
            self.settle_transfer();
        }
        self.transfers.outcome.take()
    }

    /// The target that is to be told to campaign: it has the whole log, and all of this leader's
    /// own entries are committed.
    pub(crate) fn candidate_to_invite(&self) -> Option<NodeId> {
        let to = self.transferring_to()?;
        let RoleState::Leader(leader) = &self.role else {
            return None;
        };
        let last = self.log.last_index();
        let invited = self.transfers.under_way.is_some_and(|other| other.invited);
        let has_all = leader
            .peers
            .get(&to)
            .is_some_and(|peer| peer.matched == last && peer.refill.is_none());
        let is_settled = self.commit == last || last < leader.term_start;
        (!invited && has_all && is_settled).then_some(to)
    }

    /// Tells the target to campaign, once it can win.
    pub(crate) fn invite_candidate(&mut self) {
        let Some(to) = self.candidate_to_invite() else {
            return;
        };
        let term = self.persistent.term();
        if let Some(transfer) = &mut self.transfers.under_way {
            transfer.invited = true;
        }
        self.transfers.invited = Some((term, to));
        self.say(to, Message::TimeoutNow { term });
    }

    /// The leader of this term wants this node to take over.
    pub(crate) fn on_timeout_now(&mut self, from: NodeId, term: Term) -> Result<(), MessageError> {
        if let Some(leader) = self.leader().filter(|leader| *leader != from) {
            return Err(MessageError::TwoLeaders { from, term, leader });
        }
        let may = self.may_campaign() && !self.disk_is_stalled();
        if may && let RoleState::Follower(_) = self.role {
            self.become_candidate(true);
        }
        Ok(())
    }
}
