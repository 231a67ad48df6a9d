//! Reading back what is no longer in memory.
//!
//! Old entries are wanted for two ends: to be handed out as committed after a restart, and to be
//! sent to a peer that is far behind. Both ask here. A range that is being read already is not
//! asked for again, and no more than [`MAX_OUTSTANDING_FETCHES`] are read at once.
//!
//! An end asks only when it could take what comes. What was read stays as long as some end will
//! go on within it, and is forgotten otherwise: so there are never more chunks than ends.

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
    /// Answers. Each is contiguous and not empty.
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

    /// An answer. Only what is still part of the log is kept: the log may have been truncated or
    /// its start released while the disk was being read, and an entry is known by its index and
    /// term (Log Matching, Raft §5.3). Answers to nothing are dropped.
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
                let released = entry.index < terms.base().0;
                let good = entry.index == expected
                    && entry.index <= fetch.last
                    && (released || terms.term(entry.index) == Some(entry.term));
                expected = expected.next();
                good
            })
            .count();
        entries.truncate(good);
        entries.retain(|entry| entry.index > terms.base().0);
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

    /// Entries before `first` left the log. What is being read is answered all the same; what was
    /// only wished for is not read.
    pub(crate) fn release_before(&mut self, first: LogIndex) {
        for chunk in &mut self.chunks {
            chunk.retain(|entry| entry.index >= first);
        }
        self.chunks.retain(|chunk| !chunk.is_empty());
        self.withdraw(|fetch| fetch.first < first);
    }

    /// The whole log is another.
    pub(crate) fn restart(&mut self) {
        self.chunks.clear();
        self.withdraw(|_| true);
    }

    /// Takes back wishes that the embedder has not been told of.
    fn withdraw(&mut self, unwanted: impl Fn(&Fetch) -> bool) {
        let untold = std::mem::take(&mut self.untold);
        let (gone, kept): (Vec<_>, Vec<_>) = untold.into_iter().partition(unwanted);
        self.untold = kept;
        self.outstanding.retain(|fetch| !gone.contains(fetch));
    }

    /// Whether the embedder has to be told of a wish.
    pub(crate) fn has_untold(&self) -> bool {
        !self.untold.is_empty()
    }

    /// Ends a `ready`: keeps only chunks with an entry that is `wanted` next, and returns the
    /// new wishes.
    pub(crate) fn end_ready(&mut self, wanted: impl Fn(LogIndex, LogIndex) -> bool) -> Vec<Fetch> {
        self.chunks
            .retain(|chunk| wanted(chunk[0].index, chunk[chunk.len() - 1].index));
        std::mem::take(&mut self.untold)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Payload, Term};

    /// A log of indexes 1 to 9 in term 1.
    fn terms() -> TermRuns {
        let base = (LogIndex::ZERO, Term::ZERO);
        TermRuns::restore(base, vec![(LogIndex(1), Term(1))], LogIndex(9)).unwrap()
    }

    fn entries(indexes: std::ops::RangeInclusive<u64>, term: u64) -> Vec<Entry> {
        let entry = |index| Entry {
            index: LogIndex(index),
            term: Term(term),
            payload: Payload::Empty,
        };
        indexes.map(entry).collect()
    }

    fn asked(first: u64, last: u64) -> Fetcher {
        let mut fetcher = Fetcher::default();
        fetcher.want(Fetch {
            first: LogIndex(first),
            last: LogIndex(last),
            max_bytes: 100,
        });
        fetcher
    }

    #[test]
    fn a_range_that_is_being_read_is_not_asked_for_again() {
        let mut fetcher = asked(3, 7);
        assert!(!fetcher.would_ask(LogIndex(3)) && !fetcher.would_ask(LogIndex(7)));
        assert!(fetcher.would_ask(LogIndex(2)) && fetcher.would_ask(LogIndex(8)));
        fetcher.want(Fetch {
            first: LogIndex(5),
            last: LogIndex(9),
            max_bytes: 100,
        });
        assert_eq!(fetcher.end_ready(|_, _| true).len(), 1);
    }

    #[test]
    fn no_more_than_the_limit_is_read_at_once() {
        let mut fetcher = Fetcher::default();
        for index in (1..=9).map(LogIndex) {
            fetcher.want(Fetch {
                first: index,
                last: index,
                max_bytes: 100,
            });
        }
        assert_eq!(
            fetcher.end_ready(|_, _| true).len(),
            MAX_OUTSTANDING_FETCHES
        );
        fetcher.arrived(LogIndex(1), entries(1..=1, 1), &terms());
        assert!(fetcher.would_ask(LogIndex(9)));
    }

    #[test]
    fn an_answer_may_stop_early_and_may_be_used_from_the_middle() {
        let mut fetcher = asked(3, 7);
        fetcher.arrived(LogIndex(3), entries(3..=5, 1), &terms());
        assert_eq!(
            fetcher.entries_from(LogIndex(4)),
            Some(&entries(4..=5, 1)[..])
        );
        assert_eq!(fetcher.entries_from(LogIndex(2)), None);
        assert_eq!(fetcher.entries_from(LogIndex(6)), None);
    }

    #[test]
    fn an_answer_is_cut_where_it_is_not_our_log_any_more() {
        let mut terms = terms();
        terms.truncate_after(LogIndex(4));
        terms.push(LogIndex(5), Term(2));
        let mut fetcher = asked(3, 7);
        fetcher.arrived(LogIndex(3), entries(3..=7, 1), &terms);
        assert_eq!(
            fetcher.entries_from(LogIndex(3)),
            Some(&entries(3..=4, 1)[..])
        );
        fetcher.truncate_after(LogIndex(3));
        assert_eq!(
            fetcher.entries_from(LogIndex(3)),
            Some(&entries(3..=3, 1)[..])
        );
    }

    #[test]
    fn of_an_answer_whose_start_was_released_the_rest_is_used() {
        let mut terms = terms();
        let mut fetcher = asked(3, 7);
        fetcher.end_ready(|_, _| true);
        terms.release_through(LogIndex(4));
        fetcher.release_before(LogIndex(5));
        fetcher.arrived(LogIndex(3), entries(3..=7, 1), &terms);
        assert_eq!(fetcher.entries_from(LogIndex(4)), None);
        assert_eq!(
            fetcher.entries_from(LogIndex(5)),
            Some(&entries(5..=7, 1)[..])
        );
        terms.release_through(LogIndex(7));
        fetcher.release_before(LogIndex(8));
        assert!(fetcher.chunks.is_empty());
    }

    #[test]
    fn of_a_log_that_is_another_now_nothing_is_kept_and_nothing_asked() {
        let mut terms = terms();
        let mut fetcher = asked(3, 7);
        fetcher.end_ready(|_, _| true);
        fetcher.want(Fetch {
            first: LogIndex(8),
            last: LogIndex(9),
            max_bytes: 100,
        });
        terms.restart((LogIndex(5), Term(2)));
        terms.push(LogIndex(6), Term(3));
        fetcher.restart();
        assert!(!fetcher.has_untold() && fetcher.would_ask(LogIndex(8)));
        fetcher.arrived(LogIndex(3), entries(3..=7, 1), &terms);
        assert!(fetcher.chunks.is_empty(), "entries of the log that was");
    }

    #[test]
    fn answers_to_nothing_are_dropped() {
        let mut fetcher = asked(3, 7);
        fetcher.arrived(LogIndex(4), entries(4..=5, 1), &terms());
        assert_eq!(fetcher.entries_from(LogIndex(4)), None);
    }

    #[test]
    fn a_chunk_stays_while_it_is_wanted() {
        let mut fetcher = asked(3, 7);
        fetcher.arrived(LogIndex(3), entries(3..=5, 1), &terms());
        let wants = |index: u64| move |first, last| (first..=last).contains(&LogIndex(index));
        fetcher.end_ready(wants(5));
        assert!(fetcher.entries_from(LogIndex(5)).is_some());
        fetcher.end_ready(wants(6));
        assert!(fetcher.entries_from(LogIndex(5)).is_none());
    }
}
