//! Who decides and who only listens.

use crate::types::NodeId;

/// The members by their part in decisions. Sorted, each once; a learner is no voter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Membership {
    /// A majority of these decides.
    pub voters: Vec<NodeId>,
    /// Not empty in a joint configuration: then a majority of these is needed as well.
    pub voters_outgoing: Vec<NodeId>,
    /// Receive the log, and have no vote.
    pub learners: Vec<NodeId>,
}

impl Membership {
    /// These voters, and no one else.
    pub fn of_voters(mut voters: Vec<NodeId>) -> Membership {
        voters.sort_unstable();
        voters.dedup();
        Membership {
            voters,
            ..Membership::default()
        }
    }
}
