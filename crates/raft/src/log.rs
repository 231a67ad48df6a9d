//! The log: its newest entries in memory, all of its terms, and what of it is on disk.
//!
//! ```text
//!  index   base+1 ...... first in memory ....... durable ..... written ..... last
//!          └ read back through `fetcher` ┘└────────── `entries`, in memory ──────┘
//!          └──────────────────── `terms`: every index ───────────────────────────┘
//! ```
//!
//! Invariants:
//! - Indexes are contiguous from `first_index` through `last_index`; terms never fall. What is
//!   before the first is covered by a snapshot.
//! - `entries` is a suffix of the log. Whatever is not durable is in it: only durable entries
//!   are evicted, oldest first, when the suffix outgrows its limit.
//! - What is cut off was not committed; the callers that know the commit index assert it.

use std::collections::VecDeque;
use std::ops::RangeInclusive;

use crate::durability::Durability;
use crate::fetcher::Fetcher;
use crate::gaps::{Gap, Gaps};
use crate::limits::ENTRY_OVERHEAD_BYTES;
use crate::ready::Fetch;
use crate::terms::TermRuns;
use crate::types::{Entry, LogIndex, Payload, Term};

#[derive(Debug)]
pub(crate) struct Log {
    entries: VecDeque<Entry>,
    /// What `entries` cost, by [`entry_bytes`].
    memory_bytes: usize,
    max_memory_bytes: usize,
    pub(crate) terms: TermRuns,
    pub(crate) disk: Durability,
    pub(crate) fetcher: Fetcher,
    /// What of it cannot be read back.
    pub(crate) gaps: Gaps,
}

/// What an entry counts for in limits.
pub(crate) fn entry_bytes(payload: &Payload) -> usize {
    payload.len() + ENTRY_OVERHEAD_BYTES
}

impl Log {
    /// A log of which everything is on disk and nothing in memory.
    pub(crate) fn restore(terms: TermRuns, gaps: Gaps, max_memory_bytes: usize) -> Log {
        Log {
            entries: VecDeque::new(),
            memory_bytes: 0,
            max_memory_bytes,
            disk: Durability::new(terms.last_index()),
            terms,
            fetcher: Fetcher::default(),
            gaps,
        }
    }

    /// Index and term of the entry before the first: the last whose term is known.
    pub(crate) fn base(&self) -> (LogIndex, Term) {
        self.terms.base()
    }

    pub(crate) fn first_index(&self) -> LogIndex {
        self.terms.base().0.next()
    }

    /// Whether its beginning was released: where indexes and places differ, planted bugs hide.
    pub(crate) fn begins_late(&self) -> bool {
        self.first_index() > LogIndex(1)
    }

    pub(crate) fn last_index(&self) -> LogIndex {
        self.terms.last_index()
    }

    pub(crate) fn last_term(&self) -> Term {
        self.terms.last_term()
    }

    /// The term at an index that is known to be in the log.
    pub(crate) fn term(&self, index: LogIndex) -> Term {
        match self.terms.term(index) {
            Some(term) => term,
            None => panic!(
                "term of index {index} asked of a log with {}..={}",
                self.first_index(),
                self.last_index()
            ),
        }
    }

    /// The log is on this disk, and can be read back, through here.
    pub(crate) fn durable(&self) -> LogIndex {
        let durable = self.disk.durable();
        match self.first_damaged() {
            Some(_)
                if self.begins_late()
                    && planted::bug("damage-counts-as-durable-after-a-snapshot") =>
            {
                durable
            }
            Some(first) => durable.min(first.previous()),
            None => durable,
        }
    }

    /// The first entry after the base that is damaged.
    pub(crate) fn first_damaged(&self) -> Option<LogIndex> {
        self.gaps.next_damaged(self.first_index())
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    /// Whether a log with this last entry is for certain at least as up to date as ours (Raft
    /// §5.4.1): if the term of our last entry is lost, it counts as the greatest it can be.
    pub(crate) fn is_not_ahead_of(&self, last_index: LogIndex, last_term: Term) -> bool {
        let own_term = match self.gap_at(self.last_index()) {
            Some(gap) => gap.greatest_term,
            None => self.last_term(),
        };
        let late = self.begins_late();
        let longer = last_index > self.last_index();
        if late && longer && planted::bug("vote-by-length-alone-after-a-snapshot") {
            return true;
        }
        if late && planted::bug("vote-for-one-entry-less-after-a-snapshot") {
            return (last_term, last_index.next()) >= (own_term, self.last_index());
        }
        (last_term, last_index) >= (own_term, self.last_index())
    }

    /// Whether entries are missing.
    pub(crate) fn is_in_doubt(&self) -> bool {
        self.first_damaged().is_some()
    }

    /// Whether entries are missing at or before `index`.
    pub(crate) fn is_damaged_through(&self, index: LogIndex) -> bool {
        self.first_damaged().is_some_and(|first| first <= index)
    }

    /// The gap that `index` lies in. The entry before the log is known, even if it is damaged too: a
    /// snapshot says what it was.
    fn gap_at(&self, index: LogIndex) -> Option<&Gap> {
        self.gaps.at(index).filter(|_| index > self.base().0)
    }

    /// The term at an index, if the log reaches there and knows it for certain.
    pub(crate) fn known_term(&self, index: LogIndex) -> Option<Term> {
        match self.gap_at(index) {
            Some(gap) => gap.term(),
            None => self.terms.term(index),
        }
    }

    /// The first entry at or after `index` whose term is known.
    pub(crate) fn next_known(&self, mut index: LogIndex) -> Option<(LogIndex, Term)> {
        index = index.max(self.base().0);
        while index <= self.last_index() {
            match self.gap_at(index) {
                Some(gap) if gap.term().is_none() => index = gap.last.next(),
                Some(gap) => return Some((gap.last, gap.least_term)),
                None => return Some((index, self.terms.term(index)?)),
            }
        }
        None
    }

    /// The last index, at or before this one, whose term is known.
    pub(crate) fn last_known(&self, mut index: LogIndex) -> LogIndex {
        while let Some(gap) = self.gap_at(index).filter(|gap| gap.term().is_none()) {
            index = gap.first.previous().max(self.base().0);
        }
        index
    }

    /// What was found is on the disk, but for `still`: gives those entries.
    pub(crate) fn repaired(&mut self, still: &[RangeInclusive<LogIndex>]) -> Vec<Entry> {
        let entries = self.gaps.repaired(still);
        let after = entries.partition_point(|entry| entry.index <= self.base().0);
        for gap in entries[after..].chunk_by(|one, next| one.index.next() == next.index) {
            self.terms.fill(gap);
        }
        self.evict();
        entries
    }

    /// Index of the first entry in memory; one past the end when there is none.
    fn memory_first(&self) -> LogIndex {
        LogIndex(self.last_index().0 + 1 - self.entries.len() as u64)
    }

    /// Appends one entry.
    pub(crate) fn append(&mut self, entry: Entry) {
        self.terms.push(entry.index, entry.term);
        self.memory_bytes += entry_bytes(&entry.payload);
        self.entries.push_back(entry);
    }

    /// Cuts off everything after `index`.
    pub(crate) fn truncate_after(&mut self, index: LogIndex) {
        while let Some(entry) = self.entries.pop_back_if(|entry| entry.index > index) {
            self.memory_bytes -= entry_bytes(&entry.payload);
        }
        self.terms.truncate_after(index);
        self.disk.truncate_after(index);
        self.fetcher.truncate_after(index);
        self.gaps.truncate_after(index);
    }

    /// Forgets everything before `first`: a snapshot covers it.
    pub(crate) fn release_before(&mut self, first: LogIndex) {
        if first <= self.first_index() {
            return;
        }
        while let Some(entry) = self.entries.pop_front_if(|entry| entry.index < first) {
            self.memory_bytes -= entry_bytes(&entry.payload);
        }
        self.terms.release_through(first.previous());
        self.fetcher.release_before(first);
    }

    /// Forgets everything; the log goes on after `base`, which a snapshot covers. On disk it was
    /// good through `kept`.
    pub(crate) fn restart(&mut self, kept: LogIndex, base: (LogIndex, Term)) {
        self.entries = VecDeque::new();
        self.memory_bytes = 0;
        self.terms.restart(base);
        self.disk.restart(kept, base.0);
        self.fetcher.restart();
        self.gaps = Gaps::default();
    }

    /// Gives up the oldest entries in memory while there are too many bytes of them.
    pub(crate) fn evict(&mut self) {
        let durable = self.disk.durable();
        while self.memory_bytes > self.max_memory_bytes {
            let Some(entry) = self.entries.pop_front_if(|entry| entry.index <= durable) else {
                return;
            };
            self.memory_bytes -= entry_bytes(&entry.payload);
        }
    }

    /// Copies (sharing payloads) the entries that the disk has not been asked to write.
    pub(crate) fn unwritten(&self) -> Vec<Entry> {
        self.in_memory(self.disk.written().next(), self.last_index())
            .cloned()
            .collect()
    }

    /// Copies (sharing payloads) entries from `first` through at most `last`, as many as fit
    /// into `max_bytes`, but at least one. Returns them and their bytes; or `None` when they
    /// have to be fetched first.
    pub(crate) fn slice(
        &self,
        first: LogIndex,
        last: LogIndex,
        max_bytes: usize,
    ) -> Option<(Vec<Entry>, usize)> {
        assert!(
            self.first_index() <= first && first <= last && last <= self.last_index(),
            "slice of {first}..={last} of a log with {}..={}",
            self.first_index(),
            self.last_index()
        );
        if first >= self.memory_first() {
            return Some(take_bytes(self.in_memory(first, last), max_bytes));
        }
        let fetched = self.fetcher.entries_from(first)?;
        Some(take_bytes(
            fetched.iter().take_while(|entry| entry.index <= last),
            max_bytes,
        ))
    }

    /// Whether a slice from `first` on could be had now, or asked for now.
    pub(crate) fn can_serve_or_ask(&self, first: LogIndex) -> bool {
        first >= self.memory_first()
            || self.fetcher.entries_from(first).is_some()
            || self.fetcher.would_ask(first)
    }

    /// Asks for what a slice did not find: no more entries than `max_bytes` can hold, so that the
    /// range says what will come and others know what they need not ask for.
    pub(crate) fn fetch(&mut self, first: LogIndex, last: LogIndex, max_bytes: usize) {
        let most = LogIndex(first.0 + (max_bytes / ENTRY_OVERHEAD_BYTES) as u64);
        let last = last.min(most).min(self.memory_first().previous());
        self.fetcher.want(Fetch {
            first,
            last,
            max_bytes,
        });
    }

    /// Iterates over entries in memory, which `first` must be (or be one past the end).
    fn in_memory(&self, first: LogIndex, last: LogIndex) -> impl Iterator<Item = &Entry> {
        let memory_first = self.memory_first();
        assert!(
            first >= memory_first && last <= self.last_index(),
            "entries {first}..={last} of a log with {memory_first}..={} in memory",
            self.last_index()
        );
        let offset = |index: u64| usize::try_from(index - memory_first.0).unwrap_or(usize::MAX);
        self.entries.range(offset(first.0)..offset(last.0 + 1))
    }
}

/// The first of `entries` that fit into `max_bytes`, and at least one if there is any.
fn take_bytes<'a>(
    entries: impl Iterator<Item = &'a Entry>,
    max_bytes: usize,
) -> (Vec<Entry>, usize) {
    let mut taken = Vec::with_capacity(entries.size_hint().0.min(max_bytes / ENTRY_OVERHEAD_BYTES));
    let mut bytes = 0;
    for entry in entries {
        let cost = entry_bytes(&entry.payload);
        if !taken.is_empty() && bytes + cost > max_bytes {
            break;
        }
        bytes += cost;
        taken.push(entry.clone());
    }
    (taken, bytes)
}

#[cfg(test)]
mod tests;
