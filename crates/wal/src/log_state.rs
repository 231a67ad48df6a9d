//! What the log holds, by index: its bounds, its terms, and where on disk to look for an entry.
//!
//! The writer keeps it as it appends, recovery as it replays, and readers look into it. It is
//! small: 16 bytes for each run of entries of one term, and 16 bytes for each *point* of the
//! index. A point says "entries from this index on begin in the batch at this place" and stands
//! for at least 32 KiB of log (half a megabyte of memory for a gigabyte of log), fewer only at the
//! start of a segment or right after a truncation.
//!
//! Invariants: points rise by index and by place; between one point's place and the next one's
//! the valid entries lie in order, and void ones (cut by a truncation) only after them, because
//! the first entry after a truncation always gets a point of its own.

use std::collections::VecDeque;

use crate::limits::{INDEX_GRAIN_BYTES, SECTOR_BYTES};
use crate::{Batch, HardState, SnapshotMark, WalError};

/// A place to begin reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Point {
    /// The first index of the batch there.
    pub(crate) first_index: u64,
    /// The segment, by its sequence.
    pub(crate) segment: u32,
    /// The sector of the segment.
    pub(crate) sector: u32,
}

/// The log's bounds, terms and index.
#[derive(Clone, Debug)]
pub(crate) struct LogState {
    pub(crate) hard_state: HardState,
    pub(crate) snapshot: Option<SnapshotMark>,
    pub(crate) first_index: u64,
    pub(crate) last_index: u64,
    /// Term of the entry before the first; 0 if it is not known, or if the log begins at 1.
    pub(crate) base_term: u64,
    /// Where each term begins: (index, term).
    pub(crate) term_runs: VecDeque<(u64, u64)>,
    pub(crate) points: VecDeque<Point>,
    /// Counts truncations, so that a read in several steps notices one between two steps.
    pub(crate) truncations: u64,
    point_wanted: bool,
}

impl LogState {
    /// An empty log that goes on after `last_index`.
    pub(crate) fn new(last_index: u64, base_term: u64) -> LogState {
        LogState {
            hard_state: HardState::default(),
            snapshot: None,
            first_index: last_index + 1,
            last_index,
            base_term,
            term_runs: VecDeque::new(),
            points: VecDeque::new(),
            truncations: 0,
            point_wanted: true,
        }
    }

    /// The term of the last entry, or of what came before the first.
    pub(crate) fn last_term(&self) -> u64 {
        self.term_runs.back().map_or(self.base_term, |run| run.1)
    }

    /// The term of the entry at `index`, if the log holds it or it is the one before the first.
    fn term_at(&self, index: u64) -> Option<u64> {
        if index + 1 == self.first_index {
            return Some(self.base_term);
        }
        if index < self.first_index || index > self.last_index {
            return None;
        }
        let after = self.term_runs.partition_point(|run| run.0 <= index);
        let run = after.checked_sub(1).and_then(|at| self.term_runs.get(at));
        Some(run.expect("every entry is in a run of its term").1)
    }

    /// Refuses a batch that does not continue the log.
    pub(crate) fn check(&self, batch: &Batch) -> Result<(), WalError> {
        let bad = |what: String| Err(WalError::BadBatch { what });
        let mut last = self.last_index;
        let mut term = self.last_term();
        if let Some(after) = batch.truncate_after {
            let floor = self.first_index - 1;
            let snapshot = self.snapshot.map_or(0, |mark| mark.index);
            if after < floor.max(snapshot) {
                return bad(format!(
                    "truncation after {after}; the log begins after {floor}, its snapshot is at \
                     {snapshot}"
                ));
            }
            if after < last {
                last = after;
                term = self.term_at(after).unwrap_or_default();
            }
        }
        for entry in &batch.entries {
            if Some(entry.index) != last.checked_add(1) || entry.index == u64::MAX {
                return bad(format!("entry {} after entry {last}", entry.index));
            }
            if entry.term < term {
                return bad(format!(
                    "entry {} of term {} after an entry of term {term}",
                    entry.index, entry.term
                ));
            }
            (last, term) = (entry.index, entry.term);
        }
        if let Some(mark) = batch.snapshot {
            let newest = self.snapshot.map_or(0, |mark| mark.index);
            if mark.index < newest.max(1) || mark.index == u64::MAX {
                return bad(format!(
                    "snapshot mark {} after one at {newest}",
                    mark.index
                ));
            }
            if mark.index + 1 < self.first_index {
                return bad(format!(
                    "snapshot mark {} in a log that begins at {}",
                    mark.index, self.first_index
                ));
            }
        }
        Ok(())
    }

    /// Entries after `after` are void.
    pub(crate) fn truncate(&mut self, after: u64) {
        if after >= self.last_index {
            return;
        }
        self.last_index = after;
        if after + 1 < self.first_index {
            // Replay may begin after the entries that an old truncation cut back to; what was
            // there is released.
            self.first_index = after + 1;
            self.base_term = 0;
        }
        while self.term_runs.back().is_some_and(|run| run.0 > after) {
            self.term_runs.pop_back();
        }
        while self
            .points
            .back()
            .is_some_and(|point| point.first_index > after)
        {
            self.points.pop_back();
        }
        self.point_wanted = true;
        self.truncations += 1;
    }

    /// Entries `first..=last` begin in the batch at this place; they continue the log.
    pub(crate) fn append(&mut self, first: u64, last: u64, segment: u64, offset: u64) {
        assert!(
            first == self.last_index + 1 && last >= first,
            "entries {first} to {last} do not continue a log that ends at {}",
            self.last_index
        );
        let point = Point {
            first_index: first,
            segment: u32::try_from(segment).expect("four billion segments are not reached"),
            sector: u32::try_from(offset / SECTOR_BYTES).expect("segments are limited"),
        };
        let covered = self.points.back().is_some_and(|last| {
            let behind = u64::from(point.sector.saturating_sub(last.sector)) * SECTOR_BYTES;
            last.segment == point.segment && behind < INDEX_GRAIN_BYTES
        });
        if self.point_wanted || !covered {
            self.points.push_back(point);
            self.point_wanted = false;
        }
        self.last_index = last;
    }

    /// The entry at `index`, just appended, is of `term`.
    pub(crate) fn note_term(&mut self, index: u64, term: u64) {
        if self.term_runs.back().is_none_or(|run| run.1 != term) {
            self.term_runs.push_back((index, term));
        }
    }

    /// Whether the mark in `batch` voids the log: it is ahead of it, or the log holds another
    /// entry there. The batch has been checked and not been applied.
    pub(crate) fn restarts(&self, batch: &Batch) -> bool {
        let Some(mark) = batch.snapshot else {
            return false;
        };
        if let Some(entry) = batch.entries.iter().find(|entry| entry.index == mark.index) {
            return entry.term != mark.term;
        }
        let cut = batch.truncate_after.is_some_and(|after| mark.index > after);
        let base_unknown = mark.index + 1 == self.first_index && self.base_term == 0;
        cut || (!base_unknown && self.term_at(mark.index) != Some(mark.term))
    }

    /// A snapshot is durable; with `restart` the log goes on after it.
    pub(crate) fn mark_snapshot(&mut self, mark: SnapshotMark, restart: bool) {
        if restart {
            self.first_index = mark.index + 1;
            self.last_index = mark.index;
            self.base_term = mark.term;
            self.term_runs.clear();
            self.points.clear();
            self.point_wanted = true;
            self.truncations += 1;
        }
        self.snapshot = Some(mark);
    }

    /// The first index that is found after segment `sequence`: what the log would begin with if
    /// that segment and all before it were gone.
    pub(crate) fn first_index_after(&self, sequence: u64) -> u64 {
        let next = self
            .points
            .partition_point(|point| u64::from(point.segment) <= sequence);
        self.points
            .get(next)
            .map_or(self.last_index + 1, |point| point.first_index)
    }

    /// Segment `sequence` and all before it are gone.
    pub(crate) fn forget_through(&mut self, sequence: u64) {
        let first = self.first_index_after(sequence);
        if first > self.first_index {
            self.base_term = self.term_at(first - 1).unwrap_or_default();
            self.first_index = first;
        }
        while self
            .points
            .front()
            .is_some_and(|point| u64::from(point.segment) <= sequence)
        {
            self.points.pop_front();
        }
        let keep = self
            .term_runs
            .partition_point(|run| run.0 <= first)
            .saturating_sub(1);
        self.term_runs.drain(..keep);
        if self.last_index < first {
            self.term_runs.clear();
        }
        if let Some(run) = self.term_runs.front_mut() {
            run.0 = run.0.max(first);
        }
    }

    /// The point to begin at for the entry at `index`, which the log holds; and how far it leads:
    /// the next point, if there is one.
    pub(crate) fn locate(&self, index: u64) -> (Point, Option<Point>) {
        let after = self
            .points
            .partition_point(|point| point.first_index <= index);
        let at = after
            .checked_sub(1)
            .expect("every entry that the log holds is behind a point");
        (self.points[at], self.points.get(after).copied())
    }
}

#[cfg(test)]
mod tests;
