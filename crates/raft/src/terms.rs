//! The terms of all log entries, as runs: a log of millions of entries has a handful of them.
//!
//! Kept in memory for the whole log, so that the questions of the protocol ("what is the term
//! at index i", "how far may our logs agree") never wait for a disk.
//!
//! Invariants:
//! - Runs ascend strictly both in first index and in term, because terms in a log never fall.
//! - A run ends where the next begins; the last one ends at `last`.
//! - No runs means that the log is empty.

use crate::types::{LogIndex, Term};

#[derive(Clone, Debug)]
pub(crate) struct TermRuns {
    /// First index of each run, and its term.
    runs: Vec<(LogIndex, Term)>,
    /// Last index of the log; zero when it is empty.
    last: LogIndex,
}

impl TermRuns {
    /// The runs of a restored log, or what is wrong with them.
    pub(crate) fn restore(
        runs: Vec<(LogIndex, Term)>,
        last: LogIndex,
    ) -> Result<TermRuns, &'static str> {
        let ascending = runs
            .windows(2)
            .all(|pair| pair[0].0 < pair[1].0 && pair[0].1 < pair[1].1);
        if !ascending {
            return Err("terms of the log do not ascend");
        }
        match (runs.first(), runs.last()) {
            (None, None) if last == LogIndex::ZERO => Ok(TermRuns { runs, last }),
            (Some((first, term)), Some((start, _)))
                if *first == LogIndex(1) && *term > Term::ZERO && *start <= last =>
            {
                Ok(TermRuns { runs, last })
            }
            _ => Err("term runs do not span the log"),
        }
    }

    pub(crate) fn last_index(&self) -> LogIndex {
        self.last
    }

    pub(crate) fn last_term(&self) -> Term {
        self.runs.last().map_or(Term::ZERO, |(_, term)| *term)
    }

    /// The term of the entry at `index`: zero before the first, `None` after the last.
    pub(crate) fn term(&self, index: LogIndex) -> Option<Term> {
        if index > self.last {
            return None;
        }
        match self.runs.last() {
            // Nearly every question is about the newest run.
            Some((first, term)) if *first <= index => Some(*term),
            _ => {
                let runs_before = self.runs.partition_point(|(first, _)| *first <= index);
                Some(
                    runs_before
                        .checked_sub(1)
                        .map_or(Term::ZERO, |run| self.runs[run].1),
                )
            }
        }
    }

    /// The greatest index, not above `index`, whose term is not above `term`. Where two logs
    /// may agree: if the other log has `term` at `index`, then ours cannot match it where our
    /// terms are greater, because terms in a log never fall. Index zero always qualifies.
    pub(crate) fn last_at_most(&self, index: LogIndex, term: Term) -> LogIndex {
        let index = index.min(self.last);
        let runs_not_above = self.runs.partition_point(|(_, of_run)| *of_run <= term);
        match self.runs.get(runs_not_above) {
            Some((first_above, _)) => index.min(first_above.previous()),
            None => index,
        }
    }

    /// Notes one more entry at the end.
    pub(crate) fn push(&mut self, index: LogIndex, term: Term) {
        assert!(
            index == self.last.next() && term >= self.last_term() && term > Term::ZERO,
            "entry {index}@{term} appended to a log that ends at {}@{}",
            self.last,
            self.last_term()
        );
        if term > self.last_term() {
            self.runs.push((index, term));
        }
        self.last = index;
    }

    /// Forgets everything after `index`.
    pub(crate) fn truncate_after(&mut self, index: LogIndex) {
        assert!(
            index <= self.last,
            "truncation after {index} of a log that ends at {}",
            self.last
        );
        self.last = index;
        while self.runs.last().is_some_and(|(first, _)| *first > index) {
            self.runs.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Index 1 2 3 4 5 6 7, term 1 1 2 2 2 5 5.
    fn sample() -> TermRuns {
        let mut runs = TermRuns::restore(Vec::new(), LogIndex::ZERO).unwrap();
        for (index, term) in [1, 1, 2, 2, 2, 5, 5].into_iter().enumerate() {
            runs.push(LogIndex(index as u64 + 1), Term(term));
        }
        runs
    }

    #[test]
    fn every_index_knows_its_term() {
        let runs = sample();
        let terms: Vec<_> = (0..=8)
            .map(|index| runs.term(LogIndex(index)).map(|t| t.0))
            .collect();
        let expected = [0, 1, 1, 2, 2, 2, 5, 5].map(Some);
        assert_eq!(terms[..8], expected);
        assert_eq!(terms[8], None);
    }

    #[test]
    fn the_last_index_of_a_term_or_below_agrees_with_a_walk_back() {
        let runs = sample();
        for index in 0..=9 {
            for term in 0..=6 {
                let walked = (0..=index.min(7))
                    .rev()
                    .find(|i| runs.term(LogIndex(*i)).unwrap() <= Term(term))
                    .unwrap();
                assert_eq!(
                    runs.last_at_most(LogIndex(index), Term(term)),
                    LogIndex(walked)
                );
            }
        }
    }

    #[test]
    fn truncation_forgets_runs_that_began_later() {
        let mut runs = sample();
        runs.truncate_after(LogIndex(5));
        assert_eq!(
            (runs.last_index(), runs.last_term()),
            (LogIndex(5), Term(2))
        );
        runs.truncate_after(LogIndex(1));
        runs.push(LogIndex(2), Term(7));
        assert_eq!(runs.term(LogIndex(2)), Some(Term(7)));
        runs.truncate_after(LogIndex(0));
        assert_eq!(
            (runs.last_index(), runs.last_term()),
            (LogIndex(0), Term(0))
        );
    }

    #[test]
    fn runs_that_contradict_the_log_are_refused() {
        let restore = |runs: &[(u64, u64)], last| {
            let runs = runs
                .iter()
                .map(|(index, term)| (LogIndex(*index), Term(*term)))
                .collect();
            TermRuns::restore(runs, LogIndex(last))
        };
        assert!(restore(&[(1, 1), (4, 3)], 4).is_ok());
        assert!(
            restore(&[(1, 1), (4, 3)], 3).is_err(),
            "a run beyond the end"
        );
        assert!(restore(&[(2, 1)], 4).is_err(), "a gap at the start");
        assert!(restore(&[(1, 3), (2, 1)], 4).is_err(), "falling terms");
        assert!(restore(&[(1, 0)], 4).is_err(), "term zero");
        assert!(restore(&[], 4).is_err(), "entries without terms");
        assert!(restore(&[(1, 1)], 0).is_err(), "terms without entries");
    }
}
