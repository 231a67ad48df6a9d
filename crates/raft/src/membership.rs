//! Who the members of the cluster are, and since which entry of the log (Raft §6; thesis §4.3).
//!
//! A membership is itself an entry of the log. It is in force on a node from the moment the entry
//! is *appended* there, committed or not, and no longer when the entry is cut off. Waiting for the
//! commit, or for the state machine, would let a node campaign or commit by a membership that
//! others have left behind: two majorities that do not meet (pitfall 6).
//!
//! A change of the voters takes two entries. The first is joint: until it is left, every decision
//! needs a majority of the voters that come *and* one of those that go. So whichever of the three
//! memberships a node goes by, any two neighbours among them cannot decide apart.
//!
//! Invariants:
//! - A [`Membership`] in a log has voters, within the limits, each list ascending without
//!   repeats, and no learner that is a voter too. Only the one a node starts with may be empty.
//! - The indexes in [`Memberships`] ascend; the first is committed, or was restored as such.

use crate::error::ConfigError;
use crate::limits::{MAX_LEARNERS, MAX_VOTERS};
use crate::types::{LogIndex, NodeId};

/// Who decides, and who only listens.
///
/// Where `voters_outgoing` is not empty the membership is joint: a decision needs a majority of
/// `voters` and a majority of `voters_outgoing` (Raft §6, C-old,new). Each list ascends and has
/// nobody twice; a learner is in neither of the other two. Empty all through, it is that of a
/// node which joins a cluster and has not heard yet who is in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Membership {
    /// The voters, or while the membership is joint, those that are to remain.
    pub voters: Vec<NodeId>,
    /// While it is joint, the voters before the change.
    pub voters_outgoing: Vec<NodeId>,
    /// Those that receive the log and have no say.
    pub learners: Vec<NodeId>,
}

impl Membership {
    /// The settled membership of these voters and learners, put in order.
    pub fn new(mut voters: Vec<NodeId>, mut learners: Vec<NodeId>) -> Membership {
        for list in [&mut voters, &mut learners] {
            list.sort_unstable();
            list.dedup();
        }
        Membership {
            voters,
            voters_outgoing: Vec::new(),
            learners,
        }
    }

    /// The settled membership of these voters and nobody else.
    pub fn of_voters(voters: Vec<NodeId>) -> Membership {
        Membership::new(voters, Vec::new())
    }

    /// Whether a change of the voters is half done.
    pub fn is_joint(&self) -> bool {
        !self.voters_outgoing.is_empty()
    }

    /// Whether this node has a say, be it only until the change is done.
    pub fn is_voter(&self, id: NodeId) -> bool {
        self.voters.contains(&id) || self.voters_outgoing.contains(&id)
    }

    /// Whether this node only listens.
    pub fn is_learner(&self, id: NodeId) -> bool {
        self.learners.contains(&id)
    }

    /// Whether this node is in it at all.
    pub fn contains(&self, id: NodeId) -> bool {
        self.is_voter(id) || self.is_learner(id)
    }

    /// All that are in it, ascending, each once.
    pub fn members(&self) -> Vec<NodeId> {
        let lists = [&self.voters, &self.voters_outgoing, &self.learners];
        let mut all: Vec<NodeId> = lists.into_iter().flatten().copied().collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// What follows this one when it is joint and committed: the voters that go have gone.
    #[must_use]
    pub fn settled(&self) -> Membership {
        Membership {
            voters: self.voters.clone(),
            voters_outgoing: Vec::new(),
            learners: self.learners.clone(),
        }
    }

    /// Whether it may stand in a log.
    ///
    /// # Errors
    /// What is wrong with it. What comes from a peer or a disk is to be asked this.
    pub fn check(&self) -> Result<(), &'static str> {
        if self.voters.is_empty() {
            return Err("a membership without voters");
        }
        let (voters, outgoing) = (self.voters.len(), self.voters_outgoing.len());
        if voters.max(outgoing) > MAX_VOTERS || self.learners.len() > MAX_LEARNERS {
            return Err("a membership of too many nodes");
        }
        for list in [&self.voters, &self.voters_outgoing, &self.learners] {
            if list.contains(&NodeId::ZERO) {
                return Err("a membership with node 0");
            }
            if list.windows(2).any(|pair| pair[0] >= pair[1]) {
                return Err("a membership out of order");
            }
        }
        if self.learners.iter().any(|id| self.is_voter(*id)) {
            return Err("a membership with a learner that votes");
        }
        Ok(())
    }
}

/// The memberships of a log: the newest one that is committed, and all after it.
#[derive(Debug)]
pub(crate) struct Memberships {
    /// Each with the index of its entry (the snapshot's, for the one in force there; zero for the
    /// one that the node was configured with).
    /// Never empty; the last is in force.
    history: Vec<(LogIndex, Membership)>,
}

impl Memberships {
    /// Only this one, which is committed: the whole log before it is covered by a snapshot.
    pub(crate) fn of_snapshot(index: LogIndex, membership: Membership) -> Memberships {
        Memberships {
            history: vec![(index, membership)],
        }
    }

    /// Those of a restored log, after the one of its snapshot, or the one that the node was
    /// configured with. A log that reaches back before its snapshot may hold older ones as well.
    pub(crate) fn restore(
        base: (LogIndex, Membership),
        of_log: Vec<(LogIndex, Membership)>,
        last: LogIndex,
    ) -> Result<Memberships, ConfigError> {
        let wrong = |what| Err(ConfigError::Restored { what });
        let covered = base.0;
        let mut history = vec![base];
        let mut before = LogIndex::ZERO;
        for (index, membership) in of_log {
            if index <= std::mem::replace(&mut before, index) || index > last {
                return wrong("memberships out of the log's order");
            }
            if let Err(what) = membership.check() {
                return wrong(what);
            }
            if index > covered {
                history.push((index, membership));
            }
        }
        Ok(Memberships { history })
    }

    /// The one in force.
    pub(crate) fn in_force(&self) -> &Membership {
        &self.history[self.history.len() - 1].1
    }

    /// The index of its entry; zero for the one that the node was configured with.
    pub(crate) fn in_force_index(&self) -> LogIndex {
        self.history[self.history.len() - 1].0
    }

    /// Whether this node should ask for votes: it is a voter, or it was one until an entry that
    /// is not known to be committed. Of a node that goes, no one else may have that entry, and
    /// then no one else can win: {1, 2} becomes {2}, and 1 dies before 2 has the last entry. 2
    /// still needs the vote of 1, whose log is ahead. So 1 must lead once more, by the vote of 2
    /// (thesis §4.2.2; its own vote does not count).
    pub(crate) fn may_campaign(&self, id: NodeId) -> bool {
        let goes = match self.history.as_slice() {
            [.., (_, before), _] => before.is_joint() && before.is_voter(id),
            _ => false,
        };
        self.in_force().is_voter(id) || goes
    }

    /// An entry with a membership was appended.
    pub(crate) fn push(&mut self, index: LogIndex, membership: Membership) {
        assert!(
            index > self.in_force_index(),
            "membership at {index} after {:?}",
            self.history
        );
        self.history.push((index, membership));
    }

    /// Entries after `index` left the log. Returns whether another membership is in force now.
    pub(crate) fn truncate_after(&mut self, index: LogIndex) -> bool {
        let kept = self.history.partition_point(|(of, _)| *of <= index);
        assert!(
            kept > 0,
            "truncation after {index} would cut a committed membership: {:?}",
            self.history
        );
        let undone = kept < self.history.len();
        self.history.truncate(kept);
        undone
    }

    /// Entries through `index` are committed: what they replaced will never be in force again.
    pub(crate) fn committed(&mut self, index: LogIndex) {
        if self.history.len() > 1 {
            let through = self.history.partition_point(|(of, _)| *of <= index);
            self.history.drain(..through.saturating_sub(1));
        }
    }
}

#[cfg(test)]
mod tests;
