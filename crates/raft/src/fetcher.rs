//! Reading back what is no longer in memory.
//!
//! Old entries are wanted for two ends: to be handed out as committed after a restart, and to be
//! sent to a peer that is far behind. Both ask here. A range that is being read already is not
//! asked for again, and no more than [`MAX_OUTSTANDING_FETCHES`] are read at once.
//!
//! What was read stays until the next `ready` has taken it or passed it by. An end asks only
//! when it could take what comes, so little is read in vain.

use crate::limits::MAX_OUTSTANDING_FETCHES;
use crate::ready::Fetch;
use crate::terms::TermRuns;
use crate::types::{Entry, LogIndex};

#[derive(Debug, Default)]
pub(crate) struct Fetcher {
    /// Asked for and not answered.
    outstanding: Vec<Fetch>,
    /// Of these, not told to the embedder yet.
    untold: Vec<Fetch>,
    /// Answers that no `ready` has seen yet. Each is contiguous and not empty.
    chunks: Vec<Vec<Entry>>,
}

impl Fetcher {
    /// The entries read back from `index` on, if it is among those that are here.
    pub(crate) fn entries_from(&self, index: LogIndex) -> Option<&[Entry]> {
        self.chunks.iter().find_map(|chunk| {
            let offset = index.0.checked_sub(chunk[0].index.0)?;
            chunk
                .get(usize::try_from(offset).ok()?..)
                .filter(|rest| !rest.is_empty())
        })
    }

    /// Whether [`Fetcher::want`] of a range that starts at `index` would ask for anything.
    pub(crate) fn would_ask(&self, index: LogIndex) -> bool {
        self.outstanding.len() < MAX_OUTSTANDING_FETCHES
            && !self
                .outstanding
                .iter()
                .any(|fetch| fetch.first <= index && index <= fetch.last)
    }

    /// Asks for a range, unless its beginning is being read already or too much is.
    pub(crate) fn want(&mut self, fetch: Fetch) {
        assert!(
            fetch.first <= fetch.last && fetch.first > LogIndex::ZERO,
            "{fetch:?}"
        );
        if self.would_ask(fetch.first) {
            self.outstanding.push(fetch);
            self.untold.push(fetch);
        }
    }

    /// An answer. Only what is still part of the log is kept: the log may have been truncated
    /// while the disk was being read, and an entry is known by its index and term (Log Matching,
    /// Raft §5.3). Answers to nothing are dropped.
    pub(crate) fn arrived(&mut self, first: LogIndex, mut entries: Vec<Entry>, terms: &TermRuns) {
        let Some(position) = self
            .outstanding
            .iter()
            .position(|fetch| fetch.first == first)
        else {
            return;
        };
        let fetch = self.outstanding.swap_remove(position);
        let mut expected = first;
        let good = entries
            .iter()
            .take_while(|entry| {
                let good = entry.index == expected
                    && entry.index <= fetch.last
                    && terms.term(entry.index) == Some(entry.term);
                expected = expected.next();
                good
            })
            .count();
        entries.truncate(good);
        if !entries.is_empty() {
            self.chunks.push(entries);
        }
    }

    /// Entries after `index` left the log.
    pub(crate) fn truncate_after(&mut self, index: LogIndex) {
        for chunk in &mut self.chunks {
            let kept = chunk.partition_point(|entry| entry.index <= index);
            chunk.truncate(kept);
        }
        self.chunks.retain(|chunk| !chunk.is_empty());
    }

    /// Whether the embedder has to be told of a wish.
    pub(crate) fn has_untold(&self) -> bool {
        !self.untold.is_empty()
    }

    /// Ends a `ready`: forgets the answers that it could have used, returns the new wishes.
    pub(crate) fn end_ready(&mut self) -> Vec<Fetch> {
        self.chunks.clear();
        std::mem::take(&mut self.untold)
    }
}
