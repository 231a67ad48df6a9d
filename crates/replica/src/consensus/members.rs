//! Changes of the members: what the leader makes of one that was asked for.
//!
//! The leader alone can tell what a change leads to, so it is asked with a `MemberChange` and
//! appends an entry with the whole new table. It knows the table as its applier told it. That is
//! the newest one only if whatever changes tables and stands in the log was applied: commands
//! that update members, and earlier changes. Until then a change waits, for
//! [`CHANGE_PATIENCE`] at most; so two changes never start from one table.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use prost::Message as _;
use quorate_proto::envelope::{CommandEnvelope, CommandKind};
use quorate_proto::peer;
use quorate_raft::{
    ChangeError, Entry, Instant, LogIndex, MembershipChange, NodeId, Payload, Role,
};

use super::Consensus;
use super::routing::seal;
use crate::error::RequestError;
use crate::limits::{CHANGE_PATIENCE, MAX_WAITING_CHANGES};
use crate::members::{MemberError, MemberTable};
use crate::proposals::Proposal;
use crate::wire::{ForwardedProposal, PeerMessage, RefusalReason};

/// What consensus knows of the members, beyond Raft's membership.
#[derive(Debug, Default)]
pub(super) struct Members {
    /// As the applier told last.
    table: Arc<MemberTable>,
    /// Entries through here may hold commands that change the table.
    updates_through: LogIndex,
    waiting: VecDeque<WaitingChange>,
    retry_at: Option<Instant>,
    second_voter: Option<SecondVoter>,
    /// The newest table in the log, and its index, until it is durable here.
    unwritten: Option<(LogIndex, MemberTable)>,
}

/// The only voter takes a second one, which can hardly start before its addition was answered, and
/// without which nothing is committed any more. But as soon as the entry is durable here nothing
/// can undo it: whoever is to lead needs this node's vote, and so the entry. It is answered then.
#[derive(Debug)]
struct SecondVoter {
    sequence: u64,
    index: LogIndex,
    table: Arc<MemberTable>,
}

/// A change that cannot begin yet.
#[derive(Debug)]
struct WaitingChange {
    /// The member that took the request, and its boot.
    origin: (u64, u32),
    sequence: u64,
    body: Bytes,
    until: Instant,
}

/// Why a change does not begin.
enum Obstacle {
    /// It may, in a moment.
    NotYet,
    /// It may, in a moment: some voter has not taken entries from this leader yet.
    NotAllFollow,
    /// We do not lead.
    NotLeader,
    /// It will not.
    Never(MemberError),
}

impl Members {
    pub(super) fn new(table: &Arc<MemberTable>) -> Members {
        Members {
            table: Arc::clone(table),
            ..Members::default()
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.retry_at
    }
}

impl Consensus {
    /// The applier has another table of the members.
    pub fn members_applied(&mut self, table: Arc<MemberTable>) {
        self.members.table = table;
    }

    /// Of the commands through `last` some may change the table.
    pub(super) fn note_updates(&mut self, last: LogIndex) {
        self.members.updates_through = self.members.updates_through.max(last);
    }

    /// Another node leads, or this one anew. What stands in the log by now was not seen from here.
    pub(super) fn leadership_moved(&mut self) {
        let last = self.raft.status().last_index;
        self.note_updates(last);
        self.members.second_voter = None;
    }

    /// The log is durable further than before.
    pub(super) fn note_durable_tables(&mut self) {
        if self.members.unwritten.is_none() && self.members.second_voter.is_none() {
            return;
        }
        let durable = self.raft.status().durable_index;
        let unwritten = self
            .members
            .unwritten
            .take_if(|(index, _)| *index <= durable);
        if let Some((_, table)) = unwritten {
            self.effects.durable_members = Some(table);
        }
        let second_voter = &mut self.members.second_voter;
        if let Some(change) = second_voter.take_if(|change| change.index <= durable)
            && self.proposals.take(change.sequence)
        {
            self.effects.changes.push((change.sequence, change.table));
        }
    }

    /// One of our own requests.
    pub(super) fn change_members_here(&mut self, now: Instant, wall_ms: u64, proposal: Proposal) {
        let origin = (self.settings.member.0, self.settings.boot_nonce);
        // It waits in the line of changes: nothing was appended and nothing forwarded.
        self.proposals
            .appended(std::slice::from_ref(&proposal), LogIndex(u64::MAX));
        self.begin_or_wait(now, wall_ms, origin, proposal.sequence, proposal.body);
    }

    /// A follower's.
    pub(super) fn change_members_of(
        &mut self,
        now: Instant,
        wall_ms: u64,
        from: NodeId,
        proposal: ForwardedProposal,
    ) {
        let origin = (from.0, proposal.boot_nonce);
        self.begin_or_wait(now, wall_ms, origin, proposal.sequence, proposal.body);
    }

    fn begin_or_wait(
        &mut self,
        now: Instant,
        wall_ms: u64,
        origin: (u64, u32),
        sequence: u64,
        body: Bytes,
    ) {
        let change = WaitingChange {
            origin,
            sequence,
            body,
            until: now + CHANGE_PATIENCE,
        };
        if self.members.waiting.len() >= MAX_WAITING_CHANGES {
            return self.refuse_change(&change, &Obstacle::NotYet);
        }
        self.members.waiting.push_back(change);
        self.begin_waiting_changes(now, wall_ms);
    }

    /// Begins what can begin and ends what has waited long enough.
    pub(super) fn begin_waiting_changes(&mut self, now: Instant, wall_ms: u64) {
        if !self.members.waiting.is_empty() {
            self.members.retry_at = Some(now + self.settings.retry_after);
        }
        for _ in 0..self.members.waiting.len() {
            let Some(change) = self.members.waiting.pop_front() else {
                return;
            };
            let obstacle = match self.begin_change(now, wall_ms, &change) {
                Ok(()) => continue,
                Err(Obstacle::NotYet | Obstacle::NotAllFollow) if change.until > now => {
                    self.members.waiting.push_back(change);
                    continue;
                }
                Err(obstacle) => obstacle,
            };
            self.refuse_change(&change, &obstacle);
        }
        if self.members.waiting.is_empty() {
            self.members.retry_at = None;
        }
    }

    fn change_began(&mut self, change: &WaitingChange, index: LogIndex, table: MemberTable) {
        if change.origin != (self.settings.member.0, self.settings.boot_nonce) {
            return;
        }
        self.proposals.moved(change.sequence, index);
        let membership = self.raft.status().membership;
        if membership.voters_outgoing == [self.settings.member] && membership.voters.len() == 2 {
            self.members.second_voter = Some(SecondVoter {
                sequence: change.sequence,
                index,
                table: Arc::new(table),
            });
        }
    }

    fn refuse_change(&mut self, change: &WaitingChange, obstacle: &Obstacle) {
        let (member, boot_nonce) = change.origin;
        let error = match obstacle {
            Obstacle::Never(error) => *error,
            Obstacle::NotYet | Obstacle::NotLeader => MemberError::UnderWay,
            Obstacle::NotAllFollow => MemberError::Unhealthy,
        };
        if member != self.settings.member.0 {
            let reason = match obstacle {
                Obstacle::NotLeader => RefusalReason::NotLeader,
                _ => RefusalReason::Members(error),
            };
            let sequences = vec![change.sequence];
            let refused = PeerMessage::ForwardRefused {
                reason,
                boot_nonce,
                sequences,
            };
            self.effects.send.push((NodeId(member), refused));
        } else if let Obstacle::NotLeader = obstacle {
            // It has had no effect: whoever leads next may have it.
            self.proposals.wait_for_leader(
                change.sequence,
                CommandKind::MemberChange,
                &change.body,
            );
        } else if self.proposals.take(change.sequence) {
            self.fail(change.sequence, RequestError::Members(error));
        }
    }

    fn begin_change(
        &mut self,
        now: Instant,
        wall_ms: u64,
        change: &WaitingChange,
    ) -> Result<(), Obstacle> {
        if self.state.role != Role::Leader {
            return Err(Obstacle::NotLeader);
        }
        let asked = peer::MemberChange::decode(change.body.clone())
            .map_err(|_| Obstacle::Never(MemberError::NotFound))?;
        let status = self.raft.status();
        let is_newest = status.membership_index <= self.applied
            && self.members.updates_through <= self.applied
            && self.members.table.membership() == status.membership;
        if !is_newest {
            return Err(Obstacle::NotYet);
        }
        let (table, step) = self
            .members
            .table
            .changed(&asked)
            .map_err(Obstacle::Never)?;
        if !self.would_be_healthy(now, &step) {
            return Err(Obstacle::Never(MemberError::Unhealthy));
        }
        if matches!(step, MembershipChange::AddVoter(_)) && !self.all_voters_follow() {
            return Err(Obstacle::NotAllFollow);
        }
        let log_time_ms = self.log_clock.stamp(now, wall_ms);
        let kind = CommandKind::MemberTable;
        let context = seal(
            change.origin,
            change.sequence,
            kind,
            table.encode(),
            log_time_ms,
        );
        let begun = self.raft.change_membership(now, step, context.encode());
        let accepted = begun.map_err(|error| match error {
            ChangeError::NotLeader { .. } => Obstacle::NotLeader,
            ChangeError::NothingCommittedYet
            | ChangeError::UnderWay { .. }
            | ChangeError::Transferring { .. } => Obstacle::NotYet,
            ChangeError::AlreadyMember { .. } | ChangeError::ZeroNode => {
                Obstacle::Never(MemberError::Exists)
            }
            ChangeError::NotAMember { .. } => Obstacle::Never(MemberError::NotFound),
            ChangeError::AlreadyVoter { .. }
            | ChangeError::Unchanged
            | ChangeError::Demotion { .. } => Obstacle::Never(MemberError::NotLearner),
            ChangeError::NotCaughtUp { .. } => Obstacle::Never(MemberError::LearnerNotReady),
            ChangeError::NoVotersLeft => Obstacle::Never(MemberError::NotEnoughStarted),
            ChangeError::TooManyMembers { .. } | ChangeError::ContextTooLarge { .. } => {
                Obstacle::Never(MemberError::TooManyMembers)
            }
        })?;
        self.change_began(change, accepted.first, table);
        Ok(())
    }

    /// Whether the change leaves a majority that answers. etcd's rules: a voter comes only while
    /// all are well, and one that is well goes only if enough others are. Who is refilled answers, and
    /// does not count: beside it a newcomer that never starts would take the majority away.
    fn would_be_healthy(&self, now: Instant, step: &MembershipChange) -> bool {
        let status = self.raft.status();
        let is_well = |id: NodeId| {
            let mut peers = status.peers.iter().filter(|peer| peer.id == id);
            id == status.id
                || peers.any(|peer| {
                    self.links.contains(&id)
                        && !peer.refilling
                        && now < peer.last_contact + self.settings.election_timeout
                })
        };
        let voters = &status.membership.voters;
        let well = voters.iter().filter(|id| is_well(**id)).count();
        match step {
            MembershipChange::AddVoter(_) => well == voters.len(),
            MembershipChange::Remove(id) if voters.contains(id) && is_well(*id) => {
                let rest = voters.len() - 1;
                well > rest / 2 + 1
            }
            _ => true,
        }
    }

    /// Whether every other voter has taken entries from this leader: of one that was heard and no
    /// more, it is not known yet whether it has to be refilled.
    fn all_voters_follow(&self) -> bool {
        let status = self.raft.status();
        let voters = &status.membership.voters;
        let mut others = status.peers.iter().filter(|peer| voters.contains(&peer.id));
        others.all(|peer| peer.replicating)
    }

    /// Entries that are on their way to the disk may name members that have to be reached.
    pub(super) fn note_tables(&mut self, entries: &[Entry]) {
        for entry in entries {
            if let Payload::Membership { context, .. } = &entry.payload
                && let Some(table) = table_of(context)
            {
                self.members.unwritten = Some((entry.index, table.clone()));
                self.effects.members = Some(table);
            }
        }
    }

    /// Tells the rest who is a member now.
    pub(super) fn membership_changed(&mut self, membership: quorate_raft::Membership) {
        let me = self.settings.member;
        let mut others = membership.members();
        others.retain(|id| *id != me);
        self.versions.members(others);
        self.effects.membership = Some(membership);
    }
}

/// The table in the context of a membership entry, if there is one.
pub(crate) fn table_of(context: &Bytes) -> Option<MemberTable> {
    let envelope = CommandEnvelope::decode(context).ok()?;
    let is_table = envelope.kind == CommandKind::MemberTable;
    is_table
        .then(|| MemberTable::decode(&envelope.body))
        .flatten()
}
