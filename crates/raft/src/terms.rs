//! The terms of all log entries, as runs: a log of millions of entries has a handful of them.
//!
//! Kept in memory for the whole log, so that the questions of the protocol ("what is the term
//! at index i", "how far may our logs agree") never wait for a disk.
//!
//! A log need not begin at 1: what a snapshot stands for may be released. The **base** is the
//! index and term of the last entry before the log's first; (0, 0) for a log from the start. It is
//! committed and part of every leader's log, and the last index whose term is still known.
//!
//! Invariants:
//! - Runs ascend strictly both in first index and in term, because terms in a log never fall; the
//!   first begins right after the base, in the base's term or a later one.
//! - A run ends where the next begins; the last one ends at `last`.
//! - No runs means that the log is empty: `last` is the base.

use crate::types::{Entry, LogIndex, Term};

#[derive(Clone, Debug)]
pub(crate) struct TermRuns {
    /// Index and term of the entry before the first.
    base: (LogIndex, Term),
    /// First index of each run, and its term.
    runs: Vec<(LogIndex, Term)>,
    /// Last index of the log; the base's when it is empty.
    last: LogIndex,
}

impl TermRuns {
    /// The runs of a restored log that goes on after `base`, or what is wrong with them.
    pub(crate) fn restore(
        base: (LogIndex, Term),
        runs: Vec<(LogIndex, Term)>,
        last: LogIndex,
    ) -> Result<TermRuns, &'static str> {
        let ascending = runs
            .windows(2)
            .all(|pair| pair[0].0 < pair[1].0 && pair[0].1 < pair[1].1);
        if !ascending {
            return Err("terms of the log do not ascend");
        }
        let (base_index, base_term) = base;
        let spans = match (runs.first(), runs.last()) {
            (Some((first, term)), Some((start, _))) => {
                *first == base_index.next()
                    && *term >= base_term
                    && *term > Term::ZERO
                    && *start <= last
            }
            _ => last == base_index,
        };
        if spans {
            Ok(TermRuns { base, runs, last })
        } else {
            Err("term runs do not span the log")
        }
    }

    /// Index and term of the entry before the first.
    pub(crate) fn base(&self) -> (LogIndex, Term) {
        self.base
    }

    pub(crate) fn last_index(&self) -> LogIndex {
        self.last
    }

    pub(crate) fn last_term(&self) -> Term {
        self.runs.last().map_or(self.base.1, |(_, term)| *term)
    }

    /// The term of the entry at `index`: `None` before the base and after the last.
    pub(crate) fn term(&self, index: LogIndex) -> Option<Term> {
        if index > self.last || index < self.base.0 {
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
                        .map_or(self.base.1, |run| self.runs[run].1),
                )
            }
        }
    }

    /// The greatest index, not above `index`, whose term is not above `term`. Where two logs
    /// may agree: if the other log has `term` at `index`, then ours cannot match it where our
    /// terms are greater, because terms in a log never fall. Of what is before the base nothing
    /// is known, so nothing there is ruled out.
    pub(crate) fn last_at_most(&self, index: LogIndex, term: Term) -> LogIndex {
        let index = index.min(self.last);
        if self.base.1 > term {
            return index.min(self.base.0.previous());
        }
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
        if self.runs.last().is_none_or(|(_, newest)| term > *newest) {
            self.runs.push((index, term));
        }
        self.last = index;
    }

    /// The terms of these entries, contiguous and part of the log, are known now: they were damaged.
    pub(crate) fn fill(&mut self, entries: &[Entry]) {
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else {
            return;
        };
        if first.index <= self.base.0 || last.index > self.last {
            return;
        }
        let after = last.index.next();
        let after_term = self.term(after).filter(|_| last.index < self.last);
        let begin = self.runs.partition_point(|(of, _)| *of < first.index);
        let tail = self.runs.split_off(begin);
        let inside = entries.iter().map(|entry| (entry.index, entry.term));
        let next = after_term.map(|term| (after, term));
        let rest = tail.into_iter().filter(|(of, _)| *of > after);
        for (index, term) in inside.chain(next).chain(rest) {
            // What is still damaged after them counts as of a term that it may be too low for.
            if self.runs.last().is_none_or(|(_, newest)| term > *newest) {
                self.runs.push((index, term));
            }
        }
    }

    /// Forgets everything after `index`.
    pub(crate) fn truncate_after(&mut self, index: LogIndex) {
        assert!(
            self.base.0 <= index && index <= self.last,
            "truncation after {index} of a log from after {} through {}",
            self.base.0,
            self.last
        );
        self.last = index;
        while self.runs.last().is_some_and(|(first, _)| *first > index) {
            self.runs.pop();
        }
    }

    /// Forgets everything through `index`, which becomes the base.
    pub(crate) fn release_through(&mut self, index: LogIndex) {
        let Some(term) = self.term(index) else {
            panic!(
                "release through {index} of a log from after {} through {}",
                self.base.0, self.last
            );
        };
        let through = self
            .runs
            .partition_point(|(first, _)| *first <= index.next());
        // The run that goes on after the base stays, and begins there.
        let gone = if index == self.last {
            through
        } else {
            through - 1
        };
        self.runs.drain(..gone);
        if let Some((first, _)) = self.runs.first_mut() {
            *first = (*first).max(index.next());
        }
        self.base = (index, term);
    }

    /// Forgets everything; the log goes on after `base`.
    pub(crate) fn restart(&mut self, base: (LogIndex, Term)) {
        self.runs.clear();
        self.last = base.0;
        self.base = base;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: (LogIndex, Term) = (LogIndex::ZERO, Term::ZERO);

    /// Index 1 2 3 4 5 6 7, term 1 1 2 2 2 5 5.
    fn sample() -> TermRuns {
        let mut runs = TermRuns::restore(START, Vec::new(), LogIndex::ZERO).unwrap();
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
            TermRuns::restore(START, runs, LogIndex(last))
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

    #[test]
    fn what_is_released_is_forgotten_but_for_the_base() {
        for released in 1..=7 {
            let (whole, mut cut) = (sample(), sample());
            cut.release_through(LogIndex(released));
            let base = cut.base();
            assert_eq!(Some(base.1), whole.term(LogIndex(released)));
            assert_eq!(cut.last_term(), whole.last_term());
            for index in 0..=9 {
                let known = whole.term(LogIndex(index)).filter(|_| index >= released);
                assert_eq!(cut.term(LogIndex(index)), known, "{released} {index}");
            }
            let again = TermRuns::restore(base, cut.runs.clone(), cut.last);
            assert!(again.is_ok(), "{cut:?}");
            cut.push(LogIndex(8), Term(5));
            cut.release_through(LogIndex(8));
            assert_eq!((cut.base(), cut.runs.len()), ((LogIndex(8), Term(5)), 0));
        }
    }

    #[test]
    fn nothing_before_the_base_is_ruled_out() {
        let mut runs = sample();
        runs.release_through(LogIndex(4)); // 4@2 is the base, then 5@2, 6@5, 7@5.
        let at_most = |index, term| runs.last_at_most(LogIndex(index), Term(term)).0;
        assert_eq!((at_most(7, 5), at_most(7, 4), at_most(5, 2)), (7, 5, 5));
        assert_eq!(
            (at_most(7, 1), at_most(4, 1)),
            (3, 3),
            "the base is ruled out"
        );
        assert_eq!((at_most(2, 2), at_most(2, 1)), (2, 2));
    }

    #[test]
    fn a_restarted_log_goes_on_after_its_base() {
        let mut runs = sample();
        runs.restart((LogIndex(20), Term(6)));
        assert_eq!(
            (runs.last_index(), runs.last_term()),
            (LogIndex(20), Term(6))
        );
        assert_eq!(runs.term(LogIndex(19)), None);
        runs.push(LogIndex(21), Term(6));
        runs.truncate_after(LogIndex(20));
        assert_eq!(runs.term(LogIndex(20)), Some(Term(6)));
    }
}
