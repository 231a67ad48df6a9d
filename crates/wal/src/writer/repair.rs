//! Writing back what was damaged.
//!
//! Two ways were open. One appends a batch that overrides the damaged entries: but then the damage
//! stays, every later start has to find its way past it, readers look in two places for one index,
//! and truncations, marks and releases between the two have to be told apart for as long as both
//! last. The other, taken here, **rewrites the segment**: into a new file, read back and verified,
//! synced, renamed over the old one, the directory synced. The rename is atomic, so after a crash
//! there is the old segment, damaged as before and named again at the next start, or the new one,
//! whole; nothing else in the log knows of it, and no format is needed for it.
//!
//! The new file has the epoch and salt of the old one, since the row of epochs must rise. That is
//! safe although bytes of an epoch must not meet those of another life of the same file: the file
//! is a new one that never held anything, and the old one loses its only name in the same instant.
//! (A `.part` that a crash leaves is removed at the next start, never made a spare.)
//!
//! Batches keep their numbers, and those that are intact their bytes; only the place in the file
//! changes, which is in the header. Batches that were lost are made anew: the first takes all
//! entries that fit, the others are empty. Entries of a damaged batch that were void already (the
//! log was cut below them later on) cannot be fetched from anywhere; empty ones take their place,
//! to be cut again at the next start as the old ones were.

use std::collections::BTreeMap;

use bytes::Bytes;
use quorate_disk::{Disk, ErrorKind, File};

use super::{Writer, check_entry_size};
use crate::batch_format::{
    BatchHeader, EntryViews, Link, Placement, encode, encode_copy, extent_of,
};
use crate::limits::{MAX_BATCH_BYTES, RECOVERY_WINDOW_BYTES, SECTOR_BYTES};
use crate::log_state::{Gap, LogState};
use crate::recovery::{Loaded, load};
use crate::segment::Segment;
use crate::segment_header::{HEADER_BLOCK_BYTES, SegmentHeader};
use crate::walk::{Lost, Step, Until, Walk, Walked};
use crate::{Batch, Damage, Entry, WalError};

/// What was fetched from elsewhere, by index.
type Fetched<'a> = BTreeMap<u64, &'a Entry>;

impl<D: Disk> Writer<D> {
    /// Writes entries back that [`Recovered::damaged`](crate::Recovered::damaged) named, durably;
    /// gives what is still damaged. `entries` have to be the very ones that were lost, as a quorum
    /// has them; others are cut and appended instead. All damaged entries of one file are repaired
    /// together: those of a file of which some are missing stay as they are, and entries that are
    /// not damaged are passed over.
    ///
    /// It reads and writes a whole segment for each file that is repaired.
    ///
    /// # Errors
    /// [`WalError::BadBatch`] if the entries complete no file or do not fit what is known of the
    /// lost ones, [`WalError::EntryTooLarge`], [`WalError::Damaged`] if a segment does not read
    /// back, and [`WalError::Disk`] with [`ErrorKind::NoSpace`]: what is damaged stays damaged,
    /// everything else goes on. After any other error only [`WalError::Poisoned`] follows.
    pub fn repair(&mut self, entries: &[Entry]) -> Result<Vec<Damage>, WalError> {
        self.refuse_if_poisoned()?;
        for entry in entries {
            check_entry_size(entry)?;
        }
        let fetched: Fetched<'_> = entries.iter().map(|entry| (entry.index, entry)).collect();
        for (sequence, gaps) in self.complete_segments(&fetched)? {
            self.repair_segment(sequence, &gaps, &fetched)?;
        }
        Ok(self.shared.lock().log.damages())
    }

    /// What is damaged now: what was named at the start, less what has been repaired, cut or
    /// released since.
    pub fn damages(&self) -> Vec<Damage> {
        self.shared.lock().log.damages()
    }

    /// The segments all of whose damaged entries are there and can be what was lost.
    fn complete_segments(
        &self,
        fetched: &Fetched<'_>,
    ) -> Result<BTreeMap<u64, Vec<Gap>>, WalError> {
        let shared = self.shared.lock();
        let mut by_segment: BTreeMap<u64, Vec<Gap>> = BTreeMap::new();
        for gap in &shared.log.gaps {
            by_segment.entry(gap.segment).or_default().push(gap.clone());
        }
        let missing = |gaps: &[Gap]| {
            let mut indexes = gaps.iter().flat_map(|gap| gap.first..=gap.last);
            indexes.find(|index| !fetched.contains_key(index))
        };
        let first = by_segment.values().next().cloned();
        by_segment.retain(|_, gaps| missing(gaps).is_none());
        if let (true, Some(gaps)) = (by_segment.is_empty(), first) {
            let index = missing(&gaps).expect("not complete");
            let file = &gaps[0].place.file;
            return Err(WalError::BadBatch {
                what: format!(
                    "all that is damaged in {file} has to come; entry {index} is missing"
                ),
            });
        }
        for gap in by_segment.values().flatten() {
            check_terms(&shared.log, gap, fetched)?;
        }
        Ok(by_segment)
    }

    fn repair_segment(
        &mut self,
        sequence: u64,
        gaps: &[Gap],
        fetched: &Fetched<'_>,
    ) -> Result<(), WalError> {
        let mut notes = Vec::new();
        let old = load(&self.disk, &self.options, sequence, &mut notes)?;
        // Damage is found at a start, which begins a segment of its own after it.
        let next = load(&self.disk, &self.options, sequence + 1, &mut notes)?;
        let until = Until::of(&next.header);
        let (part, file) = self.spares.begin_part()?;
        let rewritten = Rewrite::new(&old, file, gaps, fetched)
            .run(until)
            .and_then(|done| verify(&part, &done, until).map(|()| done));
        let done = match rewritten {
            Ok(done) => done,
            Err(error) => {
                self.spares.discard(&part);
                let harmless = match &error {
                    WalError::Disk(disk) => disk.kind == ErrorKind::NoSpace,
                    _ => true,
                };
                return if harmless {
                    Err(error)
                } else {
                    self.poison_on_error(Err(error))
                };
            }
        };
        let placed = self.put_in_place(&part, &old.segment.name, &done);
        let file = self.poison_on_error(placed)?;
        let mut shared = self.shared.lock();
        let at = shared
            .segments
            .iter()
            .position(|segment| segment.sequence == sequence)
            .expect("a segment with damage is part of the log");
        shared.segments[at] = Segment {
            file,
            name: old.segment.name,
            ..done.segment
        };
        shared
            .log
            .repaired(sequence, &done.state.points, &done.terms);
        Ok(())
    }

    fn put_in_place(
        &self,
        part: &str,
        name: &str,
        done: &Rewritten<D::File>,
    ) -> Result<D::File, WalError> {
        done.segment.file.sync()?;
        self.disk.rename(part, name)?;
        self.disk.sync_directory()?;
        Ok(self.disk.open(name)?)
    }
}

/// Refuses entries that cannot be those that were lost.
fn check_terms(log: &LogState, gap: &Gap, fetched: &Fetched<'_>) -> Result<(), WalError> {
    let (low, high) = log.term_range(gap);
    let mut least = low;
    for index in gap.first..=gap.last {
        let term = fetched[&index].term;
        if term < least || high.is_some_and(|high| term > high) {
            let high = high.map_or_else(String::new, |high| format!(" and at most {high}"));
            return Err(WalError::BadBatch {
                what: format!(
                    "entry {index} of term {term} is not the one that was lost, which is of term \
                     {least} at least{high}"
                ),
            });
        }
        least = term;
    }
    Ok(())
}

/// A segment that is being written anew.
struct Rewrite<'a, F: File> {
    old: &'a Loaded<F>,
    gaps: &'a [Gap],
    fetched: &'a Fetched<'a>,
    file: F,
    /// Where the next batch goes.
    offset: u64,
    buffer: Vec<u8>,
    /// What the log looks like at this point, and where the batches of this segment lie.
    state: LogState,
    /// The terms of the entries that were fetched, by index.
    terms: Vec<(u64, u64)>,
}

/// A segment that was written anew, not durable yet.
struct Rewritten<F> {
    segment: Segment<F>,
    header: SegmentHeader,
    state: LogState,
    terms: Vec<(u64, u64)>,
}

impl<'a, F: File> Rewrite<'a, F> {
    fn new(
        old: &'a Loaded<F>,
        file: F,
        gaps: &'a [Gap],
        fetched: &'a Fetched<'a>,
    ) -> Rewrite<'a, F> {
        let header = &old.header;
        let mut state = LogState::new(header.last_index, header.last_term);
        state.hard_state = header.hard_state;
        Rewrite {
            old,
            gaps,
            fetched,
            file,
            offset: HEADER_BLOCK_BYTES as u64,
            buffer: Vec::new(),
            state,
            terms: Vec::new(),
        }
    }

    fn run(mut self, until: Until) -> Result<Rewritten<F>, WalError> {
        let (old, header) = (&self.old.segment, &self.old.header);
        let mut walk = Walk::new(old, header, Some(until), RECOVERY_WINDOW_BYTES);
        loop {
            match walk.step()? {
                Step::Batch(batch) if batch.faults.is_empty() => self.copy(&batch, &mut walk)?,
                Step::Batch(batch) => self.mend(&batch, &mut walk)?,
                Step::Lost(lost) => self.make_anew(&lost, walk.turns)?,
                Step::End | Step::Torn(_) => break,
            }
        }
        let length = self.offset.next_multiple_of(HEADER_BLOCK_BYTES as u64);
        let padding = vec![0; crate::window::to_usize(length - self.offset)];
        self.file.write_at(self.offset, &padding)?;
        let header = SegmentHeader {
            segment_bytes: length,
            ..self.old.header.clone()
        };
        self.file.write_at(0, &header.encode())?;
        Ok(Rewritten {
            segment: Segment {
                file: self.file,
                length,
                end: self.offset,
                turns: walk.turns,
                ..self.old.segment.clone()
            },
            header,
            state: self.state,
            terms: self.terms,
        })
    }

    /// An intact batch: the same bytes in another place.
    fn copy(&mut self, batch: &Walked, walk: &mut Walk<F>) -> Result<(), WalError> {
        let header = BatchHeader {
            sector: self.sector(),
            ..batch.header.clone()
        };
        let (offset, length) = (batch.header.offset(), u64::from(header.length));
        let bytes = walk.window.get(offset, length)?;
        encode_copy(&mut self.buffer, &header, bytes, self.old.segment.seed);
        self.put(&header, &batch.terms)
    }

    /// A batch some of whose entries are damaged.
    fn mend(&mut self, batch: &Walked, walk: &mut Walk<F>) -> Result<(), WalError> {
        let old = &batch.header;
        let seed = self.old.segment.seed;
        let bytes = walk.window.get(old.offset(), u64::from(old.length))?;
        let mut entries: Vec<Entry> = Vec::new();
        for view in EntryViews::new(old, seed, bytes) {
            match view {
                Ok(view) => entries.push(Entry {
                    index: view.index,
                    term: view.term,
                    kind: view.kind,
                    data: Bytes::copy_from_slice(view.data),
                }),
                Err(fault) => {
                    for index in fault.first_index..=fault.last_index {
                        let before = entries.last().map_or(old.first_term, |entry| entry.term);
                        let term = if index == old.last_index {
                            old.last_term
                        } else {
                            before
                        };
                        entries.push(self.lost_entry(old.number, index, term));
                    }
                }
            }
        }
        let terms_fit = entries.is_sorted_by_key(|entry| entry.term)
            && entries.first().map(|entry| entry.term) == Some(old.first_term)
            && entries.last().map(|entry| entry.term) == Some(old.last_term);
        if !terms_fit {
            return Err(WalError::BadBatch {
                what: format!(
                    "batch {} holds entries of terms {} to {}; those that came are not its own",
                    old.number, old.first_term, old.last_term
                ),
            });
        }
        let placement = Placement {
            seed,
            number: old.number,
            synced_through: old.synced_through,
            sector: self.sector(),
            hard_state: old.hard_state,
            has_echo: old.has_echo,
            truncate_after: old.truncate_after,
            restarts: old.restarts,
            link: old.link,
        };
        let batch = Batch {
            entries,
            snapshot: old.snapshot,
            ..Batch::default()
        };
        self.write(&batch, &placement)
    }

    /// Batches that are lost with their headers.
    fn make_anew(&mut self, lost: &Lost, turns: u32) -> Result<(), WalError> {
        let mut term = self.state.last_term();
        let mut left: Vec<Entry> = Vec::new();
        for index in lost.first_index..=lost.last_index {
            let entry = self.lost_entry(lost.first_number, index, term);
            term = entry.term;
            left.push(entry);
        }
        for number in lost.first_number..lost.next_number {
            let placement = Placement {
                seed: self.old.segment.seed,
                number,
                synced_through: self.old.header.first_batch - 1,
                sector: self.sector(),
                hard_state: self.state.hard_state,
                has_echo: false,
                truncate_after: None,
                restarts: false,
                link: Some(Link {
                    base_index: self.state.last_index,
                    turns,
                }),
            };
            let mut batch = Batch {
                entries: std::mem::take(&mut left),
                ..Batch::default()
            };
            left = split_off_what_does_not_fit(&mut batch);
            self.write(&batch, &placement)?;
        }
        if let Some(entry) = left.first() {
            let what = format!("entry {} is larger than the one that was lost", entry.index);
            return Err(WalError::BadBatch { what });
        }
        Ok(())
    }

    /// The entry at `index` in damaged batch `number` as it was fetched; an empty one if what lay
    /// there is void (the same index may be lost again in a later batch).
    fn lost_entry(&mut self, number: u64, index: u64, term: u64) -> Entry {
        let is_gap =
            |gap: &Gap| gap.place.batch == number && (gap.first..=gap.last).contains(&index);
        if self.gaps.iter().any(is_gap) {
            let entry = self.fetched[&index].clone();
            self.terms.push((index, entry.term));
            return entry;
        }
        Entry {
            index,
            term,
            kind: 0,
            data: Bytes::new(),
        }
    }

    fn sector(&self) -> u32 {
        u32::try_from(self.offset / SECTOR_BYTES).expect("segments are limited")
    }

    fn write(&mut self, batch: &Batch, placement: &Placement) -> Result<(), WalError> {
        let bytes = extent_of(batch, placement.has_echo);
        if bytes > MAX_BATCH_BYTES {
            let limit = MAX_BATCH_BYTES;
            return Err(WalError::BatchTooLarge { bytes, limit });
        }
        let header = encode(&mut self.buffer, batch, placement);
        let terms: Vec<(u64, u64)> = batch
            .entries
            .iter()
            .map(|entry| (entry.index, entry.term))
            .collect();
        self.put(&header, &terms)
    }

    /// Writes what is in the buffer as the next batch.
    fn put(&mut self, header: &BatchHeader, terms: &[(u64, u64)]) -> Result<(), WalError> {
        self.file.write_at(self.offset, &self.buffer)?;
        let sequence = self.old.segment.sequence;
        self.state
            .apply(header, sequence, terms)
            .map_err(|what| WalError::BadBatch { what })?;
        self.offset += header.extent();
        Ok(())
    }
}

/// Leaves in `batch` what one batch can hold, at least one entry, and gives the rest.
fn split_off_what_does_not_fit(batch: &mut Batch) -> Vec<Entry> {
    if extent_of(batch, false) <= MAX_BATCH_BYTES {
        return Vec::new();
    }
    let all = std::mem::take(&mut batch.entries);
    let mut bytes = 0;
    // Framing is at most 20 bytes an entry; a header and its padding take a kilobyte at most.
    let mut fits = |entry: &Entry| {
        bytes += entry.data.len() as u64 + 20;
        bytes <= MAX_BATCH_BYTES - 1024
    };
    let count = all.iter().position(|entry| !fits(entry));
    batch.entries = all;
    let at = count.unwrap_or(batch.entries.len()).max(1);
    batch.entries.split_off(at)
}

/// Walks through the new file: everything has to be there now.
fn verify<F: File>(part: &str, done: &Rewritten<F>, until: Until) -> Result<(), WalError> {
    let segment = Segment {
        name: part.to_owned(),
        ..done.segment.clone()
    };
    let mut walk = Walk::new(&segment, &done.header, Some(until), RECOVERY_WINDOW_BYTES);
    loop {
        let what = match walk.step()? {
            Step::End => return Ok(()),
            Step::Batch(batch) => match batch.faults.first() {
                None => continue,
                Some(fault) => fault.what.clone(),
            },
            Step::Lost(lost) => lost.what,
            Step::Torn(torn) => torn.what,
        };
        return Err(WalError::Damaged {
            file: part.to_owned(),
            offset: walk.offset,
            batch: None,
            what: format!("the repaired segment does not read back: {what}"),
        });
    }
}
