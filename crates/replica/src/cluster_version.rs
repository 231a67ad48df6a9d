//! The cluster version: the greatest protocol version that every member speaks.
//!
//! It is agreed through the log, so that every member changes the meaning of commands at the
//! same entry. The leader learns each member's range of versions from the handshakes and
//! proposes the least of the greatest once it has heard from all; it never goes back.

use std::collections::BTreeMap;

use quorate_raft::{NodeId, Term};

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
}

impl ClusterVersions {
    pub(crate) fn new() -> ClusterVersions {
        ClusterVersions {
            others: Vec::new(),
            highest: BTreeMap::new(),
            applied: 0,
            proposed: None,
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
    pub(crate) fn next_proposal(&mut self, term: Term) -> Option<u32> {
        let mut least = HIGHEST_PROTOCOL_VERSION;
        for other in &self.others {
            least = least.min(*self.highest.get(other)?);
        }
        if least <= self.applied || self.proposed == Some((term, least)) {
            return None;
        }
        self.proposed = Some((term, least));
        Some(least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_proposed_before_every_member_was_heard() {
        let mut versions = ClusterVersions::new();
        versions.members(vec![NodeId(2), NodeId(3)]);
        versions.heard(NodeId(2), 1);
        assert_eq!(versions.next_proposal(Term(1)), None);
        versions.heard(NodeId(3), 1);
        assert_eq!(versions.next_proposal(Term(1)), Some(1));
        assert_eq!(versions.next_proposal(Term(1)), None, "once a term");
        assert_eq!(
            versions.next_proposal(Term(2)),
            Some(1),
            "again by the next leader"
        );
        versions.applied(1);
        assert_eq!(versions.next_proposal(Term(3)), None);
    }

    #[test]
    fn the_slowest_member_decides() {
        let mut versions = ClusterVersions::new();
        versions.members(vec![NodeId(2)]);
        versions.heard(NodeId(2), 0);
        assert_eq!(versions.next_proposal(Term(1)), None);
    }

    #[test]
    fn one_that_is_no_member_is_not_asked() {
        let mut versions = ClusterVersions::new();
        versions.heard(NodeId(2), 0);
        versions.members(vec![NodeId(3)]);
        versions.heard(NodeId(3), 1);
        assert_eq!(versions.next_proposal(Term(1)), Some(1));
    }
}
