//! What a node finds on its disk when it starts.

use crate::error::ConfigError;
use crate::gaps::{Damaged, Gaps};
use crate::membership::{Membership, Memberships};
use crate::records::Record;
use crate::snapshot::SnapshotMeta;
use crate::terms::TermRuns;
use crate::types::{HardState, LogIndex, Term};

/// The durable part of a node, as read back. [`Restored::default`] is an empty disk.
///
/// What is committed is not among it: that is for the leader to say after the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// Term and vote.
    pub hard_state: HardState,
    /// The snapshot that the state machine was loaded from. Needed if the log does not begin at 1.
    pub snapshot: Option<SnapshotMeta>,
    /// Index of the log's first entry, or where it will be. At most one past the snapshot.
    pub first_index: LogIndex,
    /// Index of the last entry; `first_index - 1` when there is none.
    pub last_index: LogIndex,
    /// For each run of entries of one term, the index of its first entry and the term, ascending.
    pub term_runs: Vec<(LogIndex, Term)>,
    /// The entries on the disk that cannot be read back, ascending, those before `first_index`
    /// included. In `term_runs` they count as of the least term that they can have. The log has to
    /// begin after those that the snapshot covers.
    pub damaged: Vec<Damaged>,
    /// The memberships that stand in the log (but for damaged entries), each with the index of its entry, ascending.
    pub memberships: Vec<(LogIndex, Membership)>,
    /// The state machine holds the effect of entries through here; those after it are handed out.
    pub applied: LogIndex,
    /// What members acknowledged, as [`Ready::records`](crate::Ready::records) gave it last, or
    /// earlier; empty if that was lost.
    pub records: Vec<Record>,
}

impl Default for Restored {
    fn default() -> Restored {
        Restored {
            hard_state: HardState::default(),
            snapshot: None,
            first_index: LogIndex(1),
            last_index: LogIndex::ZERO,
            term_runs: Vec::new(),
            damaged: Vec::new(),
            memberships: Vec::new(),
            applied: LogIndex::ZERO,
            records: Vec::new(),
        }
    }
}

impl Restored {
    /// Checks that the parts fit together, and returns the memberships, the first of which is
    /// `initial`, the log's terms, and what of it is damaged.
    pub(crate) fn into_parts(
        self,
        initial: Membership,
    ) -> Result<(Memberships, TermRuns, Gaps), ConfigError> {
        let wrong = |what| Err(ConfigError::Restored { what });
        if self.first_index == LogIndex::ZERO {
            return wrong("the log begins at index 0");
        }
        let snapshot = match &self.snapshot {
            None => (LogIndex::ZERO, Term::ZERO),
            Some(meta) => match meta.membership.check() {
                Ok(()) => (meta.index, meta.term),
                Err(what) => return wrong(what),
            },
        };
        let before_first = self.first_index.previous();
        if snapshot.0 < before_first {
            return wrong("the log begins after what the snapshot covers");
        }
        // A log may begin with segments that are older than the snapshot; then nothing says of
        // what term the entry before its first was.
        let base_is_known = snapshot.0 == before_first || before_first == LogIndex::ZERO;
        let first_term = self.term_runs.first().map_or(Term::ZERO, |(_, term)| *term);
        let base_term = match (base_is_known, before_first) {
            (_, LogIndex::ZERO) => Term::ZERO,
            (true, _) => snapshot.1,
            (false, _) => first_term,
        };
        let base = (before_first, base_term);
        let mut terms = match TermRuns::restore(base, self.term_runs, self.last_index) {
            Ok(terms) => terms,
            Err(what) => return wrong(what),
        };
        if terms.term(snapshot.0) != Some(snapshot.1) {
            return wrong("the log does not hold the snapshot's last entry");
        }
        if !base_is_known {
            terms.release_through(self.first_index);
        }
        if terms.last_term() > self.hard_state.term {
            return wrong("the log is of a later term than the node");
        }
        if self.applied > self.last_index {
            return wrong("more is applied than the log holds");
        }
        if self.applied < snapshot.0 {
            return wrong("less is applied than the snapshot holds");
        }
        let base = match self.snapshot {
            Some(meta) => (meta.index, meta.membership),
            None => (LogIndex::ZERO, initial),
        };
        let mut memberships = Memberships::restore(base, self.memberships, self.last_index)?;
        memberships.committed(self.applied);
        let (last, term) = (self.last_index, self.hard_state.term);
        let gaps = match Gaps::restore(&self.damaged, last, term) {
            Ok(gaps) => gaps,
            Err(what) => return wrong(what),
        };
        let first = gaps.next_damaged(terms.base().0.next());
        if first.is_some_and(|first| first <= self.applied) {
            return wrong("the log begins before damaged entries that the snapshot covers");
        }
        Ok((memberships, terms, gaps))
    }
}

#[cfg(test)]
mod tests;
