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
//! the first entry after a truncation always gets a point of its own. So does the first one after
//! a batch that is lost, so that no reader has to find its way past one.
//!
//! *Gaps* are entries that the log holds and that cannot be read back: they lie in damaged places.
//! They rise by index and do not overlap. Terms never fall, so what surrounds a gap says what its
//! terms can be, and often which they are.

use std::collections::VecDeque;

use crate::batch_format::BatchHeader;
use crate::limits::{INDEX_GRAIN_BYTES, SECTOR_BYTES};
use crate::{Batch, BatchNumber, Damage, HardState, SnapshotMark, WalError};

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

/// Entries that the log holds and that cannot be read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Gap {
    pub(crate) first: u64,
    pub(crate) last: u64,
    /// The term of the last one at most; `None` if only the entry after it can tell.
    pub(crate) term_limit: Option<u64>,
    /// The segment, by its sequence.
    pub(crate) segment: u64,
    pub(crate) place: DamagedPlace,
}

/// Where the damage lies and what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DamagedPlace {
    pub(crate) file: String,
    pub(crate) offset: u64,
    pub(crate) batch: u64,
    pub(crate) what: String,
}

impl DamagedPlace {
    pub(crate) fn error(&self) -> WalError {
        WalError::Damaged {
            file: self.file.clone(),
            offset: self.offset,
            batch: Some(BatchNumber(self.batch)),
            what: self.what.clone(),
        }
    }
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
    pub(crate) gaps: Vec<Gap>,
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
            gaps: Vec::new(),
            truncations: 0,
            point_wanted: true,
        }
    }

    /// The term of the last entry, or of what came before the first; at least that if it is
    /// damaged.
    pub(crate) fn last_term(&self) -> u64 {
        self.term_runs.back().map_or(self.base_term, |run| run.1)
    }

    /// The term of the entry at `index`, if the log holds it or it is the one before the first; at
    /// least that if it is damaged; 0 if nothing is known.
    pub(crate) fn term_at(&self, index: u64) -> Option<u64> {
        if index + 1 == self.first_index {
            return Some(self.base_term);
        }
        if index < self.first_index || index > self.last_index {
            return None;
        }
        let after = self.term_runs.partition_point(|run| run.0 <= index);
        let run = after.checked_sub(1).and_then(|at| self.term_runs.get(at));
        Some(run.map_or(self.base_term, |run| run.1))
    }

    /// The term of the entry at `index`, if it is known for certain.
    pub(crate) fn known_term(&self, index: u64) -> Option<u64> {
        let term = match self.gap_at(index) {
            Some(gap) => self.gap_term(gap),
            None => self.term_at(index),
        };
        term.filter(|term| *term > 0)
    }

    /// The gap that `index` lies in.
    pub(crate) fn gap_at(&self, index: u64) -> Option<&Gap> {
        let after = self.gaps.partition_point(|gap| gap.first <= index);
        let gap = self.gaps.get(after.checked_sub(1)?)?;
        (index <= gap.last).then_some(gap)
    }

    /// The first gap after `index`.
    pub(crate) fn next_gap(&self, index: u64) -> Option<&Gap> {
        let after = self.gaps.partition_point(|gap| gap.first <= index);
        self.gaps.get(after)
    }

    /// The term of all entries of a gap, if there is only one that they can have.
    pub(crate) fn gap_term(&self, gap: &Gap) -> Option<u64> {
        let (low, high) = self.term_range(gap);
        (high == Some(low) && low > 0).then_some(low)
    }

    /// The gaps, as the owner is told of them.
    pub(crate) fn damages(&self) -> Vec<Damage> {
        let damage = |gap: &Gap| Damage {
            first_index: gap.first,
            last_index: gap.last,
            term: self.gap_term(gap),
            least_term: self.term_range(gap).0,
            greatest_term: self.term_range(gap).1,
            file: gap.place.file.clone(),
            offset: gap.place.offset,
            batch: BatchNumber(gap.place.batch),
            what: gap.place.what.clone(),
        };
        self.gaps.iter().map(damage).collect()
    }

    /// The least and the greatest term that an entry of this gap can have; the first is that of
    /// the entry before it, or more. What bounds the gaps right after it bounds it too, and so does
    /// the first entry after them that can be read.
    pub(crate) fn term_range(&self, gap: &Gap) -> (u64, Option<u64>) {
        let low = self.term_at(gap.first).unwrap_or_default();
        let mut next = gap.last + 1;
        let mut limits: Vec<u64> = gap.term_limit.into_iter().collect();
        while let Some(right_after) = self.gap_at(next) {
            limits.extend(right_after.term_limit);
            next = right_after.last + 1;
        }
        if next <= self.last_index {
            limits.extend(self.term_at(next));
        }
        (low, limits.into_iter().min())
    }

    /// Refuses a batch that does not continue the log.
    pub(crate) fn check(&self, batch: &Batch) -> Result<(), WalError> {
        let bad = |what: String| Err(WalError::BadBatch { what });
        let mut last = self.last_index;
        let mut term = self.last_term();
        if let Some(after) = batch.truncate_after {
            let floor = self.first_index - 1;
            let marked = self.snapshot.map_or(0, |mark| mark.index);
            // Who began with an older snapshot than the newest knows less to be committed than the
            // mark does, and cuts that deep when a snapshot beyond both takes the log's place.
            let is_replaced = batch.snapshot.is_some_and(|mark| mark.index > marked);
            let snapshot = if is_replaced { 0 } else { marked };
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
        // One before the newest is as good: a start that could not use the newest file goes on from
        // the older one, and its next snapshot need not reach as far as the lost one did. Only it
        // cannot void what was kept since.
        if let Some(mark) = batch.snapshot {
            let newest = self.snapshot.map_or(0, |mark| mark.index);
            let voids = mark.index < newest && self.restarts(batch);
            if mark.index == 0 || mark.index == u64::MAX || voids {
                return bad(format!(
                    "snapshot mark {} of term {} after one at {newest}, in a log whose term there is {:?}",
                    mark.index,
                    mark.term,
                    self.term_at(mark.index)
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
        self.gaps.retain(|gap| gap.first <= after);
        if let Some(gap) = self.gaps.last_mut() {
            gap.last = gap.last.min(after);
        }
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

    /// Applies a batch that was read, or written, in segment `sequence`; `terms` as for
    /// [`LogState::note_term`]. Says what is wrong if it does not continue the log.
    pub(crate) fn apply(
        &mut self,
        header: &BatchHeader,
        sequence: u64,
        terms: &[(u64, u64)],
    ) -> Result<(), String> {
        if let Some(after) = header.truncate_after {
            self.truncate(after);
        }
        if header.entry_count > 0 {
            if header.first_index != self.last_index + 1 {
                let (first, last) = (header.first_index, self.last_index);
                return Err(format!("entry {first} follows entry {last}"));
            }
            let (first, last) = (header.first_index, header.last_index);
            self.append(first, last, sequence, header.offset());
            for (index, term) in terms {
                self.note_term(*index, *term);
            }
        }
        if let Some(mark) = header.snapshot {
            self.mark_snapshot(mark, header.restarts);
        }
        self.hard_state = header.hard_state;
        Ok(())
    }

    /// Entries up to `gap.last` follow and are lost with their batches, headers and all.
    pub(crate) fn lose(&mut self, gap: Gap) {
        assert_eq!(gap.first, self.last_index + 1, "{gap:?} continues the log");
        self.last_index = gap.last;
        self.gaps.push(gap);
        self.point_wanted = true;
    }

    /// A batch is lost that held no entries: no reader finds its way past it.
    pub(crate) fn lose_nothing(&mut self) {
        self.point_wanted = true;
    }

    /// These entries, just appended, are damaged.
    pub(crate) fn note_gap(&mut self, gap: Gap) {
        assert!(
            gap.last <= self.last_index
                && self.gaps.last().is_none_or(|last| last.last < gap.first),
            "{gap:?} among {:?}",
            self.gaps
        );
        self.gaps.push(gap);
    }

    /// Segment `sequence` was rewritten: its points are these, and its gaps hold entries of these
    /// terms (by index, rising, all entries of its gaps).
    pub(crate) fn repaired(
        &mut self,
        sequence: u64,
        points: &VecDeque<Point>,
        terms: &[(u64, u64)],
    ) {
        let of_segment = |point: &Point| u64::from(point.segment) == sequence;
        let at = self
            .points
            .partition_point(|point| u64::from(point.segment) < sequence);
        self.points.retain(|point| !of_segment(point));
        let next = self.points.get(at).map(|point| point.first_index);
        let limit = next.unwrap_or(self.last_index + 1);
        let valid = points.iter().filter(|point| point.first_index < limit);
        for (step, point) in valid.enumerate() {
            self.points.insert(at + step, *point);
        }
        let gaps = std::mem::take(&mut self.gaps);
        let (whole, left): (Vec<Gap>, Vec<Gap>) =
            gaps.into_iter().partition(|gap| gap.segment == sequence);
        self.gaps = left;
        for gap in &whole {
            self.fill_terms(gap, terms);
        }
        self.truncations += 1;
    }

    /// The terms of a gap's entries are known now.
    fn fill_terms(&mut self, gap: &Gap, terms: &[(u64, u64)]) {
        let after = (gap.last < self.last_index)
            .then(|| self.term_at(gap.last + 1))
            .flatten();
        let begin = self.term_runs.partition_point(|run| run.0 < gap.first);
        let tail = self.term_runs.split_off(begin);
        let inside = terms
            .iter()
            .filter(|(index, _)| (gap.first..=gap.last).contains(index));
        for (index, term) in inside {
            self.note_term(*index, *term);
        }
        if let Some(term) = after {
            self.note_term(gap.last + 1, term);
        }
        let rest = tail.into_iter().filter(|run| run.0 > gap.last + 1);
        self.term_runs.extend(rest);
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
        // In doubt the log is kept: what of it does not belong there, the leader will cut.
        let in_doubt = self.term_at(mark.index).is_some() && self.known_term(mark.index).is_none();
        cut || (!in_doubt && self.term_at(mark.index) != Some(mark.term))
    }

    /// A snapshot is durable; with `restart` the log goes on after it.
    pub(crate) fn mark_snapshot(&mut self, mark: SnapshotMark, restart: bool) {
        if restart {
            self.first_index = mark.index + 1;
            self.last_index = mark.index;
            self.base_term = mark.term;
            self.term_runs.clear();
            self.points.clear();
            self.gaps.clear();
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
        let point = self.points.get(next).map(|point| point.first_index);
        let gap = self.gaps.iter().find(|gap| gap.segment > sequence);
        point
            .into_iter()
            .chain(gap.map(|gap| gap.first))
            .min()
            .unwrap_or(self.last_index + 1)
    }

    /// Segment `sequence` and all before it are gone.
    pub(crate) fn forget_through(&mut self, sequence: u64) {
        let first = self.first_index_after(sequence);
        if first > self.first_index {
            self.base_term = self.known_term(first - 1).unwrap_or_default();
            self.first_index = first;
        }
        self.gaps.retain(|gap| gap.segment > sequence);
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
