//! The cluster version: the greatest protocol version that every member speaks.
//!
//! It is agreed through the log, so that every member changes the meaning of commands at the
//! same entry. The leader learns each member's range of versions from the handshakes and
//! proposes the least of the greatest once it has heard from all; it never goes back.
//!
//! A cluster that was never complete is the exception. Clients expect all of it to work as soon as
//! most members run (etcd founds a cluster at its minimum version, which has leases), so when no
//! version is in force and a majority was heard for [`FOUNDING_PATIENCE`], the least of those heard
//! is proposed. Whoever is missing was never seen, so it has nothing to lose: if it turns out to be
//! older it stops before the first command that it does not know, says so, and is upgraded. Once a
//! version is in force, a member that is away may be one that goes by it, and a greater one waits
//! for all.

use std::collections::BTreeMap;

use quorate_raft::{Instant, NodeId, Term};

use crate::limits::FOUNDING_PATIENCE;

/// The lowest protocol version that this binary speaks.
pub const LOWEST_PROTOCOL_VERSION: u32 = 1;

/// The highest protocol version that this binary speaks.
pub const HIGHEST_PROTOCOL_VERSION: u32 = 2;

/// The cluster version from which on the log may hold commands on leases and alarms, and members ask
/// each other about leases. A member of an older version would stop before the first such command.
pub const LEASES_FROM_VERSION: u32 = 2;

/// What one member knows of the others' versions.
#[derive(Debug)]
pub(crate) struct ClusterVersions {
    others: Vec<NodeId>,
    highest: BTreeMap<NodeId, u32>,
    applied: u32,
    proposed: Option<(Term, u32)>,
    incomplete: Option<Incomplete>,
}

/// A leader of a cluster without a version misses members.
#[derive(Debug)]
struct Incomplete {
    term: Term,
    until: Instant,
    is_over: bool,
}

impl ClusterVersions {
    pub(crate) fn new() -> ClusterVersions {
        ClusterVersions {
            others: Vec::new(),
            highest: BTreeMap::new(),
            applied: 0,
            proposed: None,
            incomplete: None,
        }
    }

    /// Who the other members are.
    pub(crate) fn members(&mut self, others: Vec<NodeId>) {
        self.others = others;
    }

    /// A handshake told the highest version that `peer` speaks.
    pub(crate) fn heard(&mut self, peer: NodeId, highest: u32) {
        self.highest.insert(peer, highest);
    }

    /// The log has set this version.
    pub(crate) fn applied(&mut self, version: u32) {
        self.applied = self.applied.max(version);
    }

    /// The version in force; zero until the first has been agreed.
    pub(crate) fn in_force(&self) -> u32 {
        self.applied
    }

    /// The proposal was refused: it is to be made again.
    pub(crate) fn refused(&mut self) {
        self.proposed = None;
    }

    /// What a leader in `term` should propose now, at most once a term for each version.
    pub(crate) fn next_proposal(&mut self, now: Instant, term: Term) -> Option<u32> {
        let is_complete = self.heard_count() == self.others.len();
        if is_complete {
            self.incomplete = None;
        }
        let is_enough = is_complete || (self.applied == 0 && self.has_been_patient(now, term));
        if !is_enough {
            return None;
        }
        let heard = self.others.iter().filter_map(|id| self.highest.get(id));
        let least = heard.copied().fold(HIGHEST_PROTOCOL_VERSION, u32::min);
        if least <= self.applied || self.proposed == Some((term, least)) {
            return None;
        }
        self.proposed = Some((term, least));
        Some(least)
    }

    /// When [`ClusterVersions::next_proposal`] may have one that it has not now.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let waits = self.incomplete.as_ref().filter(|it| !it.is_over);
        waits.filter(|_| self.applied == 0).map(|it| it.until)
    }

    /// Somebody leads, or nobody does: not this node in the term that it was asked for last.
    pub(crate) fn lose_leader(&mut self) {
        self.incomplete = None;
    }

    /// Whether a majority is there, and the rest was waited for.
    fn has_been_patient(&mut self, now: Instant, term: Term) -> bool {
        let incomplete = self.incomplete.take().filter(|it| it.term == term);
        let incomplete = self.incomplete.insert(incomplete.unwrap_or(Incomplete {
            term,
            until: now + FOUNDING_PATIENCE,
            is_over: false,
        }));
        incomplete.is_over |= now >= incomplete.until;
        let is_over = incomplete.is_over;
        is_over && 2 * (self.heard_count() + 1) > self.others.len() + 1
    }

    fn heard_count(&self) -> usize {
        let heard = |id: &&NodeId| self.highest.contains_key(id);
        self.others.iter().filter(heard).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Instant = Instant::ZERO;

    fn later() -> Instant {
        START + FOUNDING_PATIENCE
    }

    #[test]
    fn nothing_is_proposed_before_every_member_was_heard() {
        let mut versions = ClusterVersions::new();
        versions.members(vec![NodeId(2), NodeId(3)]);
        versions.heard(NodeId(2), 1);
        assert_eq!(versions.next_proposal(START, Term(1)), None);
        versions.heard(NodeId(3), 1);
        assert_eq!(versions.next_proposal(START, Term(1)), Some(1));
        assert_eq!(versions.next_proposal(START, Term(1)), None, "once a term");
        assert_eq!(
            versions.next_proposal(START, Term(2)),
            Some(1),
            "again by the next leader"
        );
        versions.applied(1);
        assert_eq!(versions.next_proposal(START, Term(3)), None);
    }

    #[test]
    fn the_slowest_member_decides() {
        let mut versions = ClusterVersions::new();
        versions.members(vec![NodeId(2)]);
        versions.heard(NodeId(2), 0);
        assert_eq!(versions.next_proposal(START, Term(1)), None);
    }

    #[test]
    fn one_that_is_no_member_is_not_asked() {
        let mut versions = ClusterVersions::new();
        versions.heard(NodeId(2), 0);
        versions.members(vec![NodeId(3)]);
        versions.heard(NodeId(3), 1);
        assert_eq!(versions.next_proposal(START, Term(1)), Some(1));
    }

    #[test]
    fn a_cluster_that_was_never_complete_goes_by_the_majority_after_a_while() {
        let mut versions = ClusterVersions::new();
        versions.members(vec![NodeId(2), NodeId(3)]);
        assert_eq!(versions.next_proposal(START, Term(1)), None);
        assert_eq!(versions.next_proposal(later(), Term(1)), None, "alone");
        assert_eq!(versions.deadline(), None, "time changes nothing more");
        versions.heard(NodeId(2), 1);
        assert_eq!(versions.next_proposal(later(), Term(1)), Some(1));
    }

    #[test]
    fn each_leader_waits_for_the_missing_anew() {
        let mut versions = ClusterVersions::new();
        versions.members(vec![NodeId(2), NodeId(3)]);
        versions.heard(NodeId(2), 2);
        assert_eq!(versions.next_proposal(START, Term(1)), None);
        assert_eq!(versions.deadline(), Some(later()));
        versions.lose_leader();
        assert_eq!(versions.deadline(), None);
        assert_eq!(versions.next_proposal(later(), Term(2)), None);
        let last = later() + FOUNDING_PATIENCE;
        assert_eq!(versions.deadline(), Some(last));
        assert_eq!(versions.next_proposal(last, Term(2)), Some(2));
    }

    #[test]
    fn nobody_is_waited_for_once_all_have_come() {
        let mut versions = ClusterVersions::new();
        versions.members(vec![NodeId(2)]);
        assert_eq!(versions.next_proposal(START, Term(1)), None);
        versions.heard(NodeId(2), 2);
        assert_eq!(versions.next_proposal(START, Term(1)), Some(2));
        assert_eq!(versions.deadline(), None, "though it is not in force");
    }

    #[test]
    fn a_greater_version_than_one_in_force_waits_for_all() {
        let mut versions = ClusterVersions::new();
        versions.members(vec![NodeId(2), NodeId(3)]);
        versions.applied(1);
        versions.heard(NodeId(2), 2);
        for now in [START, later()] {
            assert_eq!(versions.next_proposal(now, Term(1)), None);
        }
        assert_eq!(versions.deadline(), None);
        versions.heard(NodeId(3), 2);
        assert_eq!(versions.next_proposal(later(), Term(1)), Some(2));
    }
}
