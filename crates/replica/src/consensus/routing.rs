//! Where writes go: into our own log if we lead, to the leader if we do not, nowhere while there
//! is none or none that can be reached.
//!
//! A write makes one hop at most, once. What says that it had no effect (a refusal by the node
//! that has it) lets it wait again, or fails it with that reason; whatever leaves its fate open
//! (a lost link, another leader or term) fails it with "possibly due to previous leader failure".

use quorate_proto::envelope::{CommandEnvelope, CommandKind, RequestId};
use quorate_raft::{Accepted, Instant, NodeId, ProposeError, Role};

use super::Consensus;
use super::lease_proposals::granted_lease;
use crate::cluster_version::Admission;
use crate::error::RequestError;
use crate::limits::MAX_COMMAND_BYTES;
use crate::proposals::{Proposal, Route};
use crate::wire::{ForwardedProposal, PeerMessage, RefusalReason};

impl Consensus {
    pub(super) fn route(&self) -> Route {
        match (self.state.role, self.state.leader) {
            (Role::Leader, _) if self.is_transferring => Route::Wait,
            (Role::Leader, _) => Route::Lead(self.state.term),
            (Role::Follower, Some(leader))
                if self.links.contains(&leader)
                    && self.refused_by.is_none_or(|(peer, _)| peer != leader) =>
            {
                Route::Forward(leader)
            }
            _ => Route::Wait,
        }
    }

    /// Sends every waiting request to where it belongs.
    pub(super) fn dispatch(&mut self, now: Instant, wall_ms: u64) {
        while self.proposals.has_waiting() {
            let route = self.route();
            if route == Route::Wait {
                return;
            }
            let batch = self.proposals.next_batch();
            if batch.is_empty() {
                return;
            }
            match route {
                Route::Lead(_) => {
                    if !self.append_own(now, wall_ms, batch) {
                        return;
                    }
                }
                Route::Forward(leader) => self.forward(leader, &batch),
                Route::Wait => unreachable!("checked above"),
            }
        }
    }

    /// The only way for commands into the log, beside changes of the members. Whoever calls has refused,
    /// with a reason, what the log must not hold yet; this is there because a single such command would
    /// stop every member that does not know it.
    pub(super) fn append(
        &mut self,
        now: Instant,
        commands: impl Iterator<Item = CommandEnvelope>,
    ) -> Result<Accepted, ProposeError> {
        let (versions, applied) = (&self.versions, self.applied);
        let commands = commands.map(|command| {
            let admission = versions.admits(command.kind, applied);
            assert_eq!(
                admission,
                Admission::Granted,
                "{:?} must not be in the log while version {} is in force",
                command.kind,
                versions.in_force()
            );
            command.encode()
        });
        self.raft.propose(now, commands.collect())
    }

    /// Appends a batch of our own requests; false when they have to wait on.
    fn append_own(&mut self, now: Instant, wall_ms: u64, batch: Vec<Proposal>) -> bool {
        let is_change = |proposal: &Proposal| proposal.kind == CommandKind::MemberChange;
        let (changes, batch): (Vec<_>, Vec<_>) = batch.into_iter().partition(is_change);
        for change in changes {
            self.change_members_here(now, wall_ms, change);
        }
        let batch = self.refuse_unknown(batch);
        if batch.is_empty() {
            return true;
        }
        let log_time_ms = self.log_clock.stamp(now, wall_ms);
        let origin = (self.settings.member.0, self.settings.boot_nonce);
        let commands = batch
            .iter()
            .map(|p| seal(origin, p.sequence, p.kind, p.body.clone(), log_time_ms));
        match self.append(now, commands) {
            Ok(accepted) => {
                self.proposals.appended(&batch, accepted.first);
                let grants = batch.iter().filter_map(|p| granted_lease(p.kind, &p.body));
                let grants: Vec<i64> = grants.collect();
                self.note_lease_grants(&grants, accepted.last);
                if batch.iter().any(|p| p.kind == CommandKind::MemberUpdate) {
                    self.note_updates(accepted.last);
                }
            }
            Err(ProposeError::NotLeader { .. } | ProposeError::Transferring { .. }) => {
                self.proposals.wait_again(batch);
                return false;
            }
            Err(_) => {
                for proposal in batch {
                    self.proposals.take(proposal.sequence);
                    self.fail(proposal.sequence, RequestError::TooManyRequests);
                }
            }
        }
        true
    }

    /// Fails those of our own requests that the log must not hold. They were let in when they came, and a
    /// version that is in force stays so; none is expected here.
    fn refuse_unknown(&mut self, batch: Vec<Proposal>) -> Vec<Proposal> {
        let admits = |p: &Proposal| self.versions.admits(p.kind, self.applied);
        let is_known = |p: &Proposal| admits(p) == Admission::Granted;
        let (known, unknown): (Vec<_>, Vec<_>) = batch.into_iter().partition(is_known);
        for proposal in unknown {
            self.proposals.take(proposal.sequence);
            self.fail(proposal.sequence, RequestError::NotCapable);
        }
        known
    }

    fn forward(&mut self, leader: NodeId, batch: &[Proposal]) {
        self.proposals.forwarded(batch, leader);
        let forwarded = batch
            .iter()
            .map(|proposal| ForwardedProposal {
                boot_nonce: self.settings.boot_nonce,
                sequence: proposal.sequence,
                kind: proposal.kind,
                body: proposal.body.clone(),
            })
            .collect();
        self.effects
            .send
            .push((leader, PeerMessage::Forward(forwarded)));
    }

    /// A follower's requests: into our log if we lead, back to it if we do not. They are never
    /// sent on: one hop, so that a request cannot travel in circles.
    pub(super) fn take_forwarded(
        &mut self,
        now: Instant,
        wall_ms: u64,
        from: NodeId,
        proposals: Vec<ForwardedProposal>,
    ) {
        let is_change = |proposal: &ForwardedProposal| proposal.kind == CommandKind::MemberChange;
        let (changes, proposals): (Vec<_>, Vec<_>) = proposals.into_iter().partition(is_change);
        for change in changes {
            self.change_members_of(now, wall_ms, from, change);
        }
        let proposals = self.refuse_unknown_of(from, proposals);
        let Some(boot_nonce) = proposals.first().map(|proposal| proposal.boot_nonce) else {
            return;
        };
        let updates = proposals
            .iter()
            .any(|proposal| proposal.kind == CommandKind::MemberUpdate);
        let grants = proposals
            .iter()
            .filter_map(|p| granted_lease(p.kind, &p.body));
        let grants: Vec<i64> = grants.collect();
        let sequences: Vec<u64> = proposals.iter().map(|proposal| proposal.sequence).collect();
        let log_time_ms = self.log_clock.stamp(now, wall_ms);
        let too_large = proposals
            .iter()
            .any(|proposal| proposal.body.len() > MAX_COMMAND_BYTES);
        let outcome = if too_large {
            Err(RefusalReason::Illegal)
        } else if self.is_overloaded() {
            Err(RefusalReason::Overloaded)
        } else {
            let commands = proposals.into_iter().map(|p| {
                let origin = (from.0, p.boot_nonce);
                seal(origin, p.sequence, p.kind, p.body, log_time_ms)
            });
            self.append(now, commands).map_err(|error| match error {
                // It waits there, and is sent again, to whoever leads then.
                ProposeError::NotLeader { .. } | ProposeError::Transferring { .. } => {
                    RefusalReason::NotLeader
                }
                _ => RefusalReason::Overloaded,
            })
        };
        if let Ok(accepted) = &outcome {
            self.note_lease_grants(&grants, accepted.last);
            if updates {
                self.note_updates(accepted.last);
            }
        }
        if let Err(reason) = outcome {
            self.refuse_forwarded(from, reason, boot_nonce, sequences);
        }
    }

    /// Refuses those of a follower's requests that the log must not hold; gives the others. One that has
    /// just been elected may not have applied yet what its followers have: then they are to ask again.
    fn refuse_unknown_of(
        &mut self,
        from: NodeId,
        proposals: Vec<ForwardedProposal>,
    ) -> Vec<ForwardedProposal> {
        let admits = |p: &ForwardedProposal| self.versions.admits(p.kind, self.applied);
        let is_known = |p: &ForwardedProposal| admits(p) == Admission::Granted;
        let (known, unknown): (Vec<_>, Vec<_>) = proposals.into_iter().partition(is_known);
        if let Some(first) = unknown.first() {
            let may_ask_again =
                self.state.role != Role::Leader || admits(first) == Admission::NotSeenYet;
            let reason = match may_ask_again {
                true => RefusalReason::NotLeader,
                false => RefusalReason::NotCapable,
            };
            let sequences = unknown.iter().map(|proposal| proposal.sequence).collect();
            self.refuse_forwarded(from, reason, first.boot_nonce, sequences);
        }
        known
    }

    fn refuse_forwarded(
        &mut self,
        from: NodeId,
        reason: RefusalReason,
        boot_nonce: u32,
        sequences: Vec<u64>,
    ) {
        let refused = PeerMessage::ForwardRefused {
            reason,
            boot_nonce,
            sequences,
        };
        self.effects.send.push((from, refused));
    }

    pub(super) fn forward_refused(
        &mut self,
        now: Instant,
        from: NodeId,
        reason: RefusalReason,
        sequences: &[u64],
    ) {
        for sequence in sequences.iter().copied() {
            let error = match reason {
                RefusalReason::NotLeader => {
                    if self.proposals.refused_by(from, sequence) {
                        self.refused_by = Some((from, now + self.settings.retry_after));
                    }
                    continue;
                }
                RefusalReason::Overloaded => RequestError::TooManyRequests,
                RefusalReason::Illegal => RequestError::TooLarge,
                RefusalReason::NotCapable => RequestError::NotCapable,
                RefusalReason::Members(error) => RequestError::Members(error),
            };
            if self.proposals.take_refused_by(from, sequence) {
                self.fail(sequence, error);
            }
        }
    }

    pub(super) fn propose_cluster_version(&mut self, now: Instant, wall_ms: u64) {
        let Route::Lead(term) = self.route() else {
            return;
        };
        let Some(version) = self.versions.next_proposal(now, term, self.applied) else {
            return;
        };
        let body = bytes::Bytes::copy_from_slice(&version.to_le_bytes());
        let origin = (self.settings.member.0, self.settings.boot_nonce);
        let log_time_ms = self.log_clock.stamp(now, wall_ms);
        let command = seal(origin, 0, CommandKind::ClusterVersion, body, log_time_ms);
        if self.append(now, std::iter::once(command)).is_err() {
            self.versions.refused();
        }
    }
}

pub(super) fn seal(
    (member, boot_nonce): (u64, u32),
    sequence: u64,
    kind: CommandKind,
    body: bytes::Bytes,
    log_time_ms: u64,
) -> CommandEnvelope {
    CommandEnvelope {
        request_id: RequestId {
            member,
            boot_nonce,
            sequence,
        },
        kind,
        log_time_ms,
        user: String::new(),
        auth_revision: 0,
        session: 0,
        session_sequence: 0,
        body,
    }
}
