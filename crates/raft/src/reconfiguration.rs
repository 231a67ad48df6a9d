//! Changing the membership by joint consensus (Raft §6; thesis §4).
//!
//! ```text
//!            change_membership            committed: the leader          committed:
//!            appends the joint entry      appends the next by itself     done
//!  old ─────────────────────────► old,new ─────────────────────────► new ────────►
//!        from here on, majorities          from here on, a majority        a leader that is
//!        of both decide                    of the new alone                not in it leaves
//! ```
//!
//! A change that leaves the voters alone (a learner comes or goes) takes one entry, since no
//! quorum changes. A leader that finds a joint membership in its log, half done by an earlier
//! one, completes it as soon as that is committed: the change survives its leader.
//!
//! **When a change may begin.** One at a time: the membership in force must be committed and
//! settled. And the leader must have committed an entry of its own term: before, an earlier
//! leader's change may be under way that it does not know of (Ongaro, raft-dev 2015: "bug in
//! single-server membership changes"). So two memberships that were ever in force at the same
//! time are neighbours in one chain, and the quorums of neighbours meet: those of two
//! settlements do by the joint one between them, which holds a majority of each.
//!
//! **Who is heard.** A leader may be one that this node's log does not know yet: a node that
//! joins knows nobody, and one that lags knows only members of the past. So what leaders say
//! (Appends, offers of snapshots, and that it is time to take over) is taken from anyone, with
//! the usual checks; and votes are given to any candidate whose log is not
//! behind, because it may be a voter by an entry that is not here yet (thesis §4.1, §4.2). Both
//! rest on ids that can be believed: the transport's handshake says which member of *this*
//! cluster is speaking. Answers, and what is asked of a leader, come only from members of the
//! leader's own log: from anyone else they are refused, and without effect on the term. What a
//! member acknowledged in earlier lives may be asked by anyone, and who was asked may answer.
//!
//! **Who was removed.** It may not know, since its leader stops sending to it; it is told the
//! log for an election timeout longer, so that it usually does. If not, or if it forgot in a
//! restart that its removal was committed, it asks for votes for ever. Nobody whose leader is well answers with more than a refusal, and no term rises
//! ([`Config::pre_vote`](crate::Config::pre_vote) and
//! [`Config::check_quorum`](crate::Config::check_quorum); thesis §4.2.3).

use bytes::Bytes;

use crate::error::{ChangeError, MessageError};
use crate::limits::{
    MAX_LEARNERS, MAX_MEMBERSHIP_CONTEXT_BYTES, MAX_VOTERS, PROMOTION_MAX_LAG_ENTRIES,
};
use crate::log::entry_bytes;
use crate::membership::Membership;
use crate::message::Message;
use crate::progress::{Progress, ProgressState};
use crate::quorum::Configuration;
use crate::raft::{Accepted, Raft};
use crate::role::{Leader, RoleState};
use crate::types::{Entry, Instant, LogIndex, NodeId, Payload};
use crate::validate::{check_shape, term_of};

/// How the membership is to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MembershipChange {
    /// A node that is no member comes to learn.
    AddLearner(NodeId),
    /// A node that is no member comes to vote, whatever it lacks of the log.
    AddVoter(NodeId),
    /// A learner comes to vote; it must have caught up.
    Promote(NodeId),
    /// A member goes, be it the leader.
    Remove(NodeId),
    /// Several of these at once: who is to vote and who to learn when it is done. Learners that
    /// come to vote must have caught up.
    Replace {
        /// The voters.
        voters: Vec<NodeId>,
        /// The learners.
        learners: Vec<NodeId>,
    },
}

/// Whether a message is acted upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    Yes,
    /// It is from a peer that was removed, and would have been heard before.
    TooLate,
}

impl Membership {
    /// The settled membership that a change leads to, or why it cannot.
    fn after(&self, change: MembershipChange) -> Result<Membership, ChangeError> {
        let (mut voters, mut learners) = (self.voters.clone(), self.learners.clone());
        match change {
            MembershipChange::AddLearner(id) | MembershipChange::AddVoter(id)
                if self.contains(id) =>
            {
                return Err(ChangeError::AlreadyMember { id });
            }
            MembershipChange::Promote(id) if self.is_voter(id) => {
                return Err(ChangeError::AlreadyVoter { id });
            }
            MembershipChange::Promote(id) | MembershipChange::Remove(id) if !self.contains(id) => {
                return Err(ChangeError::NotAMember { id });
            }
            MembershipChange::AddLearner(id) => learners.push(id),
            MembershipChange::AddVoter(id) => voters.push(id),
            MembershipChange::Promote(id) => {
                learners.retain(|learner| *learner != id);
                voters.push(id);
            }
            MembershipChange::Remove(id) => {
                learners.retain(|learner| *learner != id);
                voters.retain(|voter| *voter != id);
            }
            MembershipChange::Replace {
                voters: wanted,
                learners: listening,
            } => (voters, learners) = (wanted, listening),
        }
        let target = Membership::new(voters, learners);
        self.check_target(&target)?;
        Ok(target)
    }

    fn check_target(&self, target: &Membership) -> Result<(), ChangeError> {
        if target.contains(NodeId::ZERO) {
            return Err(ChangeError::ZeroNode);
        }
        if target.voters.is_empty() {
            return Err(ChangeError::NoVotersLeft);
        }
        // Of one that is to vote and to learn, too, it is the same to say.
        let mut listening = target.learners.iter();
        if let Some(id) = listening.find(|id| self.is_voter(**id) || target.is_voter(**id)) {
            return Err(ChangeError::Demotion { id: *id });
        }
        let (voters, learners) = (target.voters.len(), target.learners.len());
        if voters > MAX_VOTERS || learners > MAX_LEARNERS {
            return Err(ChangeError::TooManyMembers { voters, learners });
        }
        if target == self {
            return Err(ChangeError::Unchanged);
        }
        Ok(())
    }

    /// The membership to append next on the way from this one to `target`.
    fn step_towards(&self, target: Membership) -> Membership {
        let voters_outgoing = if target.voters == self.voters {
            Vec::new()
        } else {
            self.voters.clone()
        };
        Membership {
            voters_outgoing,
            ..target
        }
    }
}

impl Raft {
    /// Begins a change of the membership. It is done when an entry with a membership that is not
    /// joint, at or after the returned index, is committed; it is as uncertain as any proposal
    /// until then, and if the returned one is committed in the returned term, it will be done.
    /// `context` stands in the entry for the embedder's own use.
    pub fn change_membership(
        &mut self,
        now: Instant,
        change: MembershipChange,
        context: Bytes,
    ) -> Result<Accepted, ChangeError> {
        self.now = self.now.max(now);
        let leader = self.leader();
        let RoleState::Leader(_) = self.role else {
            return Err(ChangeError::NotLeader { leader });
        };
        if !self.commit_is_complete() {
            return Err(ChangeError::NothingCommittedYet);
        }
        let current = self.memberships.in_force();
        let index = self.memberships.in_force_index();
        if index > self.commit || current.is_joint() {
            return Err(ChangeError::UnderWay { index });
        }
        if let Some(to) = self.transferring_to() {
            return Err(ChangeError::Transferring { to });
        }
        let bytes = context.len();
        if bytes > MAX_MEMBERSHIP_CONTEXT_BYTES {
            return Err(ChangeError::ContextTooLarge { bytes });
        }
        let target = current.after(change)?;
        for id in &target.voters {
            if current.is_learner(*id) {
                self.check_caught_up(*id)?;
            }
        }
        self.check_majority_counts(&target)?;
        let next = current.step_towards(target);
        let index = self.append_membership(next, context);
        Ok(Accepted {
            first: index,
            last: index,
            term: self.persistent.term(),
        })
    }

    /// Whether a learner has nearly all of the log, and answers.
    fn check_caught_up(&self, id: NodeId) -> Result<(), ChangeError> {
        let RoleState::Leader(leader) = &self.role else {
            return Ok(());
        };
        let progress = leader.peers.get(&id);
        let matched = progress.map_or(LogIndex::ZERO, |progress| progress.matched);
        let in_contact = progress.is_some_and(|progress| {
            progress.state == ProgressState::Replicate
                && progress.refill.is_none()
                && self.now < progress.last_contact + self.config.election_timeout
        });
        let behind = self.log.last_index().0 - matched.0;
        if behind > PROMOTION_MAX_LAG_ENTRIES || !in_contact {
            return Err(ChangeError::NotCaughtUp {
                id,
                behind,
                in_contact,
            });
        }
        Ok(())
    }

    /// Whether a majority of the voters to be are not being refilled: who is, neither acknowledges
    /// nor votes, and if this leader went, nobody could be elected to refill it.
    fn check_majority_counts(&self, target: &Membership) -> Result<(), ChangeError> {
        let RoleState::Leader(leader) = &self.role else {
            return Ok(());
        };
        let is_refilling = |id: &&NodeId| {
            let progress = leader.peers.get(*id);
            progress.is_some_and(|progress| progress.refill.is_some())
        };
        let voters = &target.voters;
        let counting = voters.len() - voters.iter().filter(is_refilling).count();
        match voters.iter().find(is_refilling) {
            Some(id) if 2 * counting <= voters.len() => self.check_caught_up(*id),
            _ => Ok(()),
        }
    }

    /// Appends an entry of this leader's that carries a membership.
    fn append_membership(&mut self, membership: Membership, context: Bytes) -> LogIndex {
        let index = self.log.last_index().next();
        let payload = Payload::Membership {
            membership: Box::new(membership),
            context,
        };
        if let RoleState::Leader(leader) = &mut self.role {
            let bytes = entry_bytes(&payload);
            leader.uncommitted.push_back((index, bytes));
            leader.uncommitted_bytes += bytes;
        }
        let term = self.persistent.term();
        self.append_entry(Entry {
            index,
            term,
            payload,
        });
        // Of the quorum now in force, a read's round may have enough echoes.
        self.confirm_reads();
        index
    }

    /// Appends an entry to the log, and goes by the membership in it, if it carries one.
    pub(crate) fn append_entry(&mut self, entry: Entry) {
        let index = entry.index;
        let membership = match &entry.payload {
            Payload::Membership { membership, .. } => Some((**membership).clone()),
            Payload::Empty | Payload::Command(_) => None,
        };
        self.log.append(entry);
        if let Some(membership) = membership {
            self.memberships.push(index, membership);
            self.membership_changed();
        }
    }

    /// Another membership is in force: an entry with one was appended, or cut off.
    pub(crate) fn membership_changed(&mut self) {
        self.configuration = Configuration::new(self.memberships.in_force());
        let last = self.log.last_index();
        if let RoleState::Leader(leader) = &mut self.role {
            let me = self.config.id;
            for id in self.configuration.members_except(me) {
                let progress = leader.peers.entry(id);
                let progress = progress.or_insert_with(|| Progress::new(last, self.now));
                progress.departs_at = None;
            }
            let departs_at = self.now + self.config.election_timeout;
            for (id, progress) in &mut leader.peers {
                if !self.configuration.contains(*id) {
                    progress.departs_at.get_or_insert(departs_at);
                }
            }
        }
        self.start_or_stop_timers();
    }

    /// A leader of others has heartbeats to send and a quorum to look after; one alone has not.
    fn start_or_stop_timers(&mut self) {
        let RoleState::Leader(leader) = &mut self.role else {
            return;
        };
        if leader.peers.is_empty() {
            (leader.heartbeat_at, leader.quorum_check_at) = (None, None);
            return;
        }
        let heartbeat_at = self.now + self.config.heartbeat_interval;
        leader.heartbeat_at.get_or_insert(heartbeat_at);
        if self.config.check_quorum {
            let check_at = self.now + self.config.election_timeout;
            leader.quorum_check_at.get_or_insert(check_at);
        }
    }

    /// Ends sending to peers that were removed long enough ago: an election timeout after their
    /// removal was committed.
    pub(crate) fn forget_departed(&mut self) {
        let is_committed = self.memberships.in_force_index() <= self.commit;
        let (now, later) = (self.now, self.now + self.config.election_timeout);
        let RoleState::Leader(leader) = &mut self.role else {
            return;
        };
        leader
            .peers
            .retain(|_, progress| match progress.departs_at {
                Some(_) if !is_committed => {
                    progress.departs_at = Some(later);
                    true
                }
                Some(at) => at > now,
                None => true,
            });
        self.start_or_stop_timers();
    }

    /// Something was committed, or this node came to lead: if that leaves a joint membership
    /// committed, appends the one that follows. A leader that is no voter by a committed
    /// membership gets ready to leave: everyone is to be told the commit first.
    pub(crate) fn settle_membership(&mut self) {
        let RoleState::Leader(_) = self.role else {
            return;
        };
        if self.memberships.in_force_index() > self.commit {
            return;
        }
        let current = self.memberships.in_force();
        if current.is_joint() {
            let settled = current.settled();
            self.append_membership(settled, Bytes::new());
        } else if !self.configuration.is_voter(self.config.id)
            && let RoleState::Leader(leader) = &mut self.role
        {
            leader.hurry_heartbeats();
        }
    }

    /// A leader that is not in the committed membership has done its last duty (thesis §4.2.2).
    pub(crate) fn leave_office_if_removed(&mut self) {
        let is_committed = self.memberships.in_force_index() <= self.commit;
        if is_committed && !self.configuration.is_voter(self.config.id) {
            self.become_follower(self.persistent.term(), None);
        }
    }

    /// What `Ready::membership` is to say.
    pub(crate) fn take_membership(&mut self) -> Option<Membership> {
        let current = self.memberships.in_force();
        if *current == self.membership_told {
            return None;
        }
        self.membership_told = current.clone();
        Some(current.clone())
    }

    /// Whether a message is heard, by who sent it: see this module's opening.
    pub(crate) fn check_sender(
        &self,
        from: NodeId,
        message: &Message,
    ) -> Result<Heard, MessageError> {
        if from == self.config.id || from == NodeId::ZERO {
            return Err(MessageError::UnknownSender { from });
        }
        let from_anyone = matches!(
            message,
            Message::Append { .. }
                | Message::SnapshotOffer { .. }
                | Message::TimeoutNow { .. }
                | Message::RequestVote { .. }
                | Message::Records { .. }
                | Message::RecordWanted { .. }
                | Message::RecordFound { .. }
        );
        // Whose entries it takes, its word on entries and reads counts too: the entry that says who
        // the members are may be on its way, or damaged here.
        let from_leader = self.leader() == Some(from)
            && matches!(
                message,
                Message::EntryWanted { .. }
                    | Message::EntryFound { .. }
                    | Message::ReadIndexResponse { .. }
                    | Message::Refilled { .. }
            );
        let mut heard = Heard::Yes;
        if !from_anyone && !from_leader && !self.configuration.contains(from) {
            let departs = matches!(&self.role, RoleState::Leader(leader)
                if leader.peers.contains_key(&from));
            if !departs {
                return Err(MessageError::UnknownSender { from });
            }
            if term_of(message) != self.persistent.term() {
                heard = Heard::TooLate;
            }
        }
        check_shape(from, message)?;
        Ok(heard)
    }
}

impl Leader {
    /// Every peer is sent an Append now, if only an empty one.
    fn hurry_heartbeats(&mut self) {
        for progress in self.peers.values_mut() {
            progress.heartbeat_due = true;
            progress.commit_notice = None;
        }
    }
}

#[cfg(test)]
mod tests;
