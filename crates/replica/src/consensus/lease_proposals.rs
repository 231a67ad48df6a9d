//! Leases: what the leader has the log say of them. That a lease ends when its time is over; now and
//! then how much of it is left; and, before it is renewed, that this no longer holds.
//!
//! Nobody waits for these commands and nobody sends them on, so what the log does not take is proposed
//! again when the clock ([`crate::lease_clock`]) says so, and nothing is lost by waiting: a lease may
//! live longer, never shorter.

use bytes::Bytes;
use prost::Message as _;
use quorate_kv::LEASE_CHECKPOINTS_MAX;
use quorate_proto::envelope::CommandKind;
use quorate_proto::etcdserverpb as pb;
use quorate_raft::{Instant, LogIndex};

use super::Consensus;
use super::routing::seal;
use crate::cluster_version::Admission;

impl Consensus {
    /// A lease's end is for the log to say.
    pub(super) fn revoke_expired_leases(&mut self, now: Instant, wall_ms: u64) {
        let ids = self.leases.clock.take_expired(now, self.applied);
        if ids.is_empty() {
            return;
        }
        let bodies = ids
            .iter()
            .map(|id| pb::LeaseRevokeRequest { id: *id }.encode_to_vec());
        let bodies = bodies.map(Bytes::from).collect();
        match self.propose_own(now, wall_ms, CommandKind::LeaseRevoke, bodies) {
            Some(first) => {
                self.leases.clock.revokes_appended(&ids, first);
                self.leases.expired += ids.len() as u64;
            }
            None => self.leases.clock.revokes_refused(&ids),
        }
    }

    pub(super) fn checkpoint_leases(&mut self, now: Instant, wall_ms: u64) {
        let checkpoints = self.leases.clock.take_checkpoints(now);
        if !checkpoints.is_empty() {
            // Refused, the next one says it: that none came only gives leases more time.
            let body = checkpoint_body(&checkpoints);
            self.propose_own(now, wall_ms, CommandKind::LeaseCheckpoint, vec![body]);
        }
    }

    /// Has the log say that these leases have all their time; gives those for which it will not.
    pub(super) fn strike_out(&mut self, now: Instant, wall_ms: u64, ids: &[i64]) -> Vec<i64> {
        let mut refused = Vec::new();
        for part in ids.chunks(LEASE_CHECKPOINTS_MAX) {
            let all: Vec<_> = part.iter().map(|id| (*id, 0)).collect();
            let body = checkpoint_body(&all);
            let kind = CommandKind::LeaseCheckpoint;
            if self.propose_own(now, wall_ms, kind, vec![body]).is_none() {
                refused.extend(part);
            }
        }
        refused
    }

    /// Proposes commands of the leader's own; gives the index of the first. They are applied once
    /// each, wherever they end up in the log, since nobody sends them on.
    fn propose_own(
        &mut self,
        now: Instant,
        wall_ms: u64,
        kind: CommandKind,
        bodies: Vec<Bytes>,
    ) -> Option<LogIndex> {
        // A lease may be heard of a moment before the version that it came with.
        let is_known = self.versions.admits(kind, self.applied) == Admission::Granted;
        if !is_known || self.is_overloaded() {
            return None;
        }
        let origin = (self.settings.member.0, self.settings.boot_nonce);
        let log_time_ms = self.log_clock.stamp(now, wall_ms);
        let commands = bodies.into_iter();
        let commands = commands.map(|body| seal(origin, 0, kind, body, log_time_ms));
        let accepted = self.append(now, commands).ok()?;
        Some(accepted.first)
    }

    /// Grants among what was appended through `last`.
    pub(super) fn note_lease_grants(&mut self, ids: &[i64], last: LogIndex) {
        for id in ids {
            self.leases.clock.grant_appended(*id, last);
        }
    }
}

/// The lease that a command grants, if it does.
pub(super) fn granted_lease(kind: CommandKind, body: &Bytes) -> Option<i64> {
    if kind != CommandKind::LeaseGrant {
        return None;
    }
    let grant = pb::LeaseGrantRequest::decode(body.clone()).ok()?;
    Some(grant.id)
}

fn checkpoint_body(leases: &[(i64, i64)]) -> Bytes {
    let checkpoints = leases.iter().map(|(id, remaining)| pb::LeaseCheckpoint {
        id: *id,
        remaining_ttl: *remaining,
    });
    let request = pb::LeaseCheckpointRequest {
        checkpoints: checkpoints.collect(),
    };
    Bytes::from(request.encode_to_vec())
}
