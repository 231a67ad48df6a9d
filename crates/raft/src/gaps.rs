//! Entries that the log holds by number and whose content cannot be read back.
//!
//! A disk may rot. The write-ahead log then says which indexes are hit, and what it still knows of
//! their terms: often the very term (a batch's header tells those of its entries, and neighbours
//! of one term tell what lies between), sometimes only a least and a greatest one. That is enough
//! to know *that* something was promised at these indexes, and never enough to hand it out.
//!
//! Here is the bookkeeping; what the node does about it is in `doubt.rs`.
//!
//! A snapshot may cover a gap, or half of one, and then the log begins after that (after its
//! *base*). Such entries are not missed any more; but the disk is repaired a file at a time, and
//! may need them for the sake of others in the same file. So they stay here, and are asked for when
//! nothing else is.
//!
//! Invariants: gaps rise by index, do not overlap, and end within the log.

use std::ops::RangeInclusive;

use crate::types::{Entry, LogIndex, Term};

/// Entries in a row that are on a node's disk and cannot be read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damaged {
    /// The first of them.
    pub first: LogIndex,
    /// The last one.
    pub last: LogIndex,
    /// None of them is of an earlier term than this.
    pub least_term: Term,
    /// None of them is of a later term than this; `None` if only the node's own term says.
    pub greatest_term: Option<Term>,
}

/// A gap, and what was found to fill it.
#[derive(Clone, Debug)]
pub(crate) struct Gap {
    pub(crate) first: LogIndex,
    pub(crate) last: LogIndex,
    pub(crate) least_term: Term,
    pub(crate) greatest_term: Term,
    /// What was found so far, from `first` on without a hole.
    found: Vec<Entry>,
    /// The term of the leader on whose word it was taken; zero if it proves itself.
    word_of: Term,
    /// It was handed out to be written back.
    told: bool,
}

impl Gap {
    /// The term of all its entries, if there is only one that they can have.
    pub(crate) fn term(&self) -> Option<Term> {
        (self.least_term == self.greatest_term).then_some(self.least_term)
    }

    /// The first entry that is still to be found.
    pub(crate) fn next(&self) -> LogIndex {
        LogIndex(self.first.0 + self.found.len() as u64)
    }

    fn is_found(&self) -> bool {
        self.next() > self.last
    }
}

#[derive(Debug, Default)]
pub(crate) struct Gaps {
    gaps: Vec<Gap>,
}

impl Gaps {
    /// Those that were found at a start, in a log that ends at `last`, of a node in `term`; or what
    /// is wrong with them.
    pub(crate) fn restore(
        damaged: &[Damaged],
        last: LogIndex,
        term: Term,
    ) -> Result<Gaps, &'static str> {
        let mut before = LogIndex::ZERO;
        let mut gaps = Vec::with_capacity(damaged.len());
        for one in damaged {
            if one.first <= before || one.last < one.first || one.last > last {
                return Err("damaged entries out of the log's order");
            }
            before = one.last;
            let greatest_term = one.greatest_term.unwrap_or(term).min(term);
            if one.least_term > greatest_term {
                return Err("damaged entries of no possible term");
            }
            gaps.push(Gap {
                first: one.first,
                last: one.last,
                least_term: one.least_term,
                greatest_term,
                found: Vec::new(),
                word_of: Term::ZERO,
                told: false,
            });
        }
        Ok(Gaps { gaps })
    }

    /// How many entries after `base` are missing.
    pub(crate) fn entries_after(&self, base: LogIndex) -> u64 {
        let count = |gap: &Gap| gap.last.0.saturating_sub(gap.first.previous().max(base).0);
        self.gaps.iter().map(count).sum()
    }

    /// The gap that `index` lies in.
    pub(crate) fn at(&self, index: LogIndex) -> Option<&Gap> {
        let after = self.gaps.partition_point(|gap| gap.first <= index);
        let gap = self.gaps.get(after.checked_sub(1)?)?;
        (index <= gap.last).then_some(gap)
    }

    /// The first damaged index at or after `index`.
    pub(crate) fn next_damaged(&self, index: LogIndex) -> Option<LogIndex> {
        let gap = self.gaps.iter().find(|gap| gap.last >= index)?;
        Some(gap.first.max(index))
    }

    /// The first index at or after `index` whose term is not known.
    pub(crate) fn next_unknown(&self, index: LogIndex) -> Option<LogIndex> {
        let unknown = |gap: &&Gap| gap.last >= index && gap.term().is_none();
        let gap = self.gaps.iter().find(unknown)?;
        Some(gap.first.max(index))
    }

    /// The gap to be filled next: the first after `base` that something of is still to be found.
    /// If there is none, one of those before, in turn.
    pub(crate) fn wanted(&self, base: LogIndex, turn: usize) -> Option<&Gap> {
        let open = |gap: &&Gap| !gap.is_found();
        let missed = self.gaps.iter().find(|gap| open(gap) && gap.last > base);
        let covered = self.gaps.iter().filter(open).count();
        let in_turn = || {
            self.gaps
                .iter()
                .filter(open)
                .nth(turn.checked_rem(covered)?)
        };
        missed.or_else(in_turn)
    }

    /// Whether some gap is found and not on the disk yet.
    pub(crate) fn has_told(&self) -> bool {
        self.gaps.iter().any(|gap| gap.told)
    }

    /// Takes what was found for the gap that `entries` begin in. `word_of` is the term of the
    /// leader on whose word alone they are taken, zero if they prove themselves. Entries that do
    /// not continue what is there are passed over. Returns whether anything was taken.
    pub(crate) fn fill(&mut self, entries: &[Entry], word_of: Term) -> bool {
        let Some(entry) = entries.first() else {
            return false;
        };
        let holds = |gap: &&mut Gap| (gap.first..=gap.last).contains(&entry.index);
        let Some(gap) = self.gaps.iter_mut().find(holds) else {
            return false;
        };
        if gap.told {
            return false;
        }
        if gap.word_of != word_of {
            // What two leaders say, or a leader and a proof, need not be of one log.
            gap.found.clear();
            gap.word_of = word_of;
        }
        if entry.index != gap.next() {
            return false;
        }
        let last = gap.last;
        let within = entries.iter().take_while(|entry| entry.index <= last);
        gap.found.extend(within.cloned());
        true
    }

    /// Whether [`Gaps::take_found`] would give something.
    pub(crate) fn has_found(&self) -> bool {
        self.gaps.iter().any(|gap| !gap.told && gap.is_found())
    }

    /// The entries of all gaps that are filled and not handed out yet.
    pub(crate) fn take_found(&mut self) -> Vec<Entry> {
        let mut entries = Vec::new();
        for gap in &mut self.gaps {
            if !gap.told && gap.is_found() {
                gap.told = true;
                entries.extend(gap.found.iter().cloned());
            }
        }
        entries
    }

    /// What was handed out is on the disk, but for what overlaps `still`. Removes those gaps and
    /// gives their entries.
    pub(crate) fn repaired(&mut self, still: &[RangeInclusive<LogIndex>]) -> Vec<Entry> {
        let overlaps = |gap: &Gap| {
            let apart = |range: &RangeInclusive<LogIndex>| {
                *range.end() < gap.first || *range.start() > gap.last
            };
            !still.iter().all(apart)
        };
        let gaps = std::mem::take(&mut self.gaps);
        let (whole, left): (Vec<Gap>, Vec<Gap>) =
            gaps.into_iter().partition(|gap| gap.told && !overlaps(gap));
        self.gaps = left;
        whole.into_iter().flat_map(|gap| gap.found).collect()
    }

    /// What was handed out could not be written back: it is to be found again.
    pub(crate) fn repair_failed(&mut self) {
        for gap in &mut self.gaps {
            if gap.told {
                gap.told = false;
                gap.found.clear();
            }
        }
    }

    /// What was found may have waited for what has left the log.
    fn hand_out_again(&mut self) {
        for gap in &mut self.gaps {
            gap.told = false;
        }
    }

    /// Entries after `index` left the log.
    pub(crate) fn truncate_after(&mut self, index: LogIndex) {
        self.gaps.retain(|gap| gap.first <= index);
        if let Some(gap) = self.gaps.last_mut() {
            gap.last = gap.last.min(index);
            gap.found.retain(|entry| entry.index <= index);
        }
        self.hand_out_again();
    }
}

#[cfg(test)]
mod tests;
