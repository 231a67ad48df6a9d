//! Reads on a lease: without a round of contact, while no one else can have been elected (Raft
//! thesis §6.4.1). Off unless [`Config::lease_reads`](crate::Config::lease_reads) says so.
//!
//! A voter that hears its leader gives no vote for an election timeout. So once a quorum has
//! heard a leader, and until that time is over, there is no other leader, and what this one has
//! committed is all that is committed: it may serve reads from it at once.
//!
//! **When a lease begins.** With the *sending* of what the quorum heard. The leader knows only
//! when it sent a round and when the echo came; the voter heard it somewhere in between, and
//! counts from there. So each round's beginning is remembered, and a voter that echoed a round
//! gives a lease from the beginning of that round. (Not of every round: of one that was not
//! noted, the last noted before it stands in, which began earlier.)
//!
//! **When it ends.** An election timeout later by the *voters'* clocks; the leader's lease is
//! shorter by a margin for clocks that run at different speeds
//! ([`LEASE_MARGIN_DIVISOR`](crate::limits::LEASE_MARGIN_DIVISOR)). Only speeds matter: no clock
//! is compared with another. Time is the embedder's monotonic clock and is read *after* an input
//! arrived, never before; else a process that stood still in between acts on a time long gone.
//!
//! **What voters promise.** To give no vote, not even their own, for an election timeout after
//! they heard a leader, unless that leader itself wants another in its place (`transfer.rs`; its
//! lease is void by then), whatever happens meanwhile: a higher term from elsewhere, which makes a
//! follower forget its leader, does not release it. Nor does a crash, so a node that starts
//! keeps still for an election timeout as well: it may have promised just before. All members
//! have to be set up alike.
//!
//! **Joint memberships.** The lease is of a quorum of the membership in force, both majorities
//! while it is joint; it meets the quorum of anyone who could be elected, as in `read_index.rs`.
//!
//! It is void before the leader has committed in its term, as a read index is.

use std::collections::VecDeque;
use std::time::Duration;

use crate::config::Config;
use crate::limits::{LEASE_MARGIN_DIVISOR, LEASE_ROUNDS_KEPT};
use crate::raft::Raft;
use crate::role::{Leader, RoleState};
use crate::types::Instant;

/// When rounds of contact began.
#[derive(Debug, Default)]
pub(crate) struct Lease {
    /// Rounds, oldest first, and when each began: at most [`LEASE_ROUNDS_KEPT`] and one, evenly
    /// over an election timeout. Never round 0, which peers that have echoed nothing stand at.
    rounds: VecDeque<(u64, Instant)>,
}

impl Lease {
    fn begun(&mut self, round: u64, now: Instant, election_timeout: Duration) {
        let spacing = election_timeout / LEASE_ROUNDS_KEPT;
        if (self.rounds.back()).is_some_and(|(_, begun)| now < *begun + spacing) {
            return;
        }
        while self
            .rounds
            .pop_front_if(|(_, begun)| *begun + election_timeout <= now)
            .is_some()
        {}
        self.rounds.push_back((round, now));
    }

    /// When a round began, or earlier; `None` when that is too long ago to matter.
    fn begin_of(&self, round: u64) -> Option<Instant> {
        let through = self.rounds.partition_point(|(noted, _)| *noted <= round);
        let (_, begun) = self.rounds.get(through.checked_sub(1)?)?;
        Some(*begun)
    }
}

/// How long a lease lasts.
fn duration(config: &Config) -> Duration {
    config.election_timeout - config.election_timeout / LEASE_MARGIN_DIVISOR
}

impl Leader {
    /// Begins a new round of contact.
    pub(crate) fn begin_round(&mut self, now: Instant, config: &Config) {
        self.round += 1;
        if config.lease_reads {
            self.lease.begun(self.round, now, config.election_timeout);
        }
    }
}

impl Raft {
    /// Whether this leader may serve reads without asking anyone.
    pub(crate) fn holds_lease(&self) -> bool {
        let RoleState::Leader(leader) = &self.role else {
            return false;
        };
        if !self.config.lease_reads || self.lease_is_void() {
            return false;
        }
        let me = self.config.id;
        let late = self.log.begins_late();
        let since = self
            .configuration
            .reached(|id| match leader.peers.get(&id) {
                Some(progress)
                    if late && planted::bug("lease-from-the-answer-after-a-snapshot") =>
                {
                    Some(progress.last_contact)
                }
                Some(progress) => leader.lease.begin_of(progress.round_echoed),
                None => (id == me).then_some(self.now),
            });
        since.is_some_and(|since| self.now < since + duration(&self.config))
    }

    /// Whether something speaks against serving on a lease, however fresh. A leadership transfer
    /// must: its target is elected although the voters heard their leader. And not only while it
    /// lasts, but to the end of the term: the message that starts the election may come late.
    fn lease_is_void(&self) -> bool {
        !self.commit_is_complete() || self.may_be_unseated_by_transfer()
    }

    /// This node heard a leader, or has just started and may have heard one before.
    pub(crate) fn promise_no_vote(&mut self) {
        if self.config.lease_reads {
            self.no_vote_before = self.now + self.config.election_timeout;
        }
    }

    /// Whether a leader may hold a lease that counts on this node.
    pub(crate) fn has_promised_no_vote(&self) -> bool {
        self.now < self.no_vote_before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_millis(640);

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn a_round_is_never_said_to_have_begun_later_than_it_did() {
        let mut lease = Lease::default();
        for round in 1..2_000 {
            lease.begun(round, at(3 * round), TIMEOUT);
            for echoed in 1..=round {
                if let Some(begun) = lease.begin_of(echoed) {
                    assert!(begun <= at(3 * echoed), "round {echoed} of {round}");
                }
            }
            let newest = lease.begin_of(round).unwrap();
            assert!(at(3 * round).since(newest) < TIMEOUT / LEASE_ROUNDS_KEPT);
            assert!(lease.rounds.len() <= 1 + LEASE_ROUNDS_KEPT as usize);
        }
        assert_eq!(lease.begin_of(1), None, "long ago");
    }

    #[test]
    fn who_has_echoed_nothing_gives_no_lease() {
        let mut lease = Lease::default();
        assert_eq!(lease.begin_of(0), None);
        lease.begun(1, at(1), TIMEOUT);
        assert_eq!(lease.begin_of(0), None);
        assert_eq!(lease.begin_of(1), Some(at(1)));
        assert_eq!(lease.begin_of(9), Some(at(1)), "the last noted before it");
    }

    #[test]
    fn a_lease_is_shorter_than_the_election_timeout_by_more_than_clocks_drift() {
        let mut config = Config::joining(crate::NodeId(1));
        config.election_timeout = TIMEOUT;
        // The leader's clock five in a hundred slow, a voter's as much fast.
        let in_true_time = duration(&config).as_secs_f64() / 0.95;
        assert!(in_true_time < TIMEOUT.as_secs_f64() / 1.05);
    }
}
