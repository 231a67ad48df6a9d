//! What a node finds on its disk when it starts.

use crate::error::ConfigError;
use crate::membership::{Membership, Memberships};
use crate::terms::TermRuns;
use crate::types::{HardState, LogIndex, Term};

/// The durable part of a node, as read back. [`Restored::default`] is an empty disk.
///
/// What is committed is not among it: that is for the leader to say after the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// Term and vote.
    pub hard_state: HardState,
    /// Index of the log's first entry, or where it will be: 1.
    pub first_index: LogIndex,
    /// Index of the last entry; `first_index - 1` when there is none.
    pub last_index: LogIndex,
    /// For each run of entries of one term, the index of its first entry and the term, ascending.
    pub term_runs: Vec<(LogIndex, Term)>,
    /// The memberships that stand in the log, each with the index of its entry, ascending.
    pub memberships: Vec<(LogIndex, Membership)>,
    /// The state machine holds the effect of entries through here; those after it are handed out.
    pub applied: LogIndex,
}

impl Default for Restored {
    fn default() -> Restored {
        Restored {
            hard_state: HardState::default(),
            first_index: LogIndex(1),
            last_index: LogIndex::ZERO,
            term_runs: Vec::new(),
            memberships: Vec::new(),
            applied: LogIndex::ZERO,
        }
    }
}

impl Restored {
    /// Checks that the parts fit together, and returns the memberships, the first of which is
    /// `initial`, and the log's terms.
    pub(crate) fn into_parts(
        self,
        initial: Membership,
    ) -> Result<(Memberships, TermRuns), ConfigError> {
        let wrong = |what| Err(ConfigError::Restored { what });
        if self.first_index != LogIndex(1) {
            return wrong("the log does not begin at index 1");
        }
        let terms = match TermRuns::restore(self.term_runs, self.last_index) {
            Ok(terms) => terms,
            Err(what) => return wrong(what),
        };
        if terms.last_term() > self.hard_state.term {
            return wrong("the log is of a later term than the node");
        }
        if self.applied > self.last_index {
            return wrong("more is applied than the log holds");
        }
        let mut memberships = Memberships::restore(initial, self.memberships, self.last_index)?;
        memberships.committed(self.applied);
        Ok((memberships, terms))
    }
}
