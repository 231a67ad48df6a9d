//! Appending batches.
//!
//! The order of things, on which everything rests:
//!
//! * A segment is synced before the next one begins, so only the last one has unsynced batches.
//! * A segment's header and name are durable before its first batch is written.
//! * A failed append or sync ends the writer: what is on disk is unknown from then on, and a second
//!   try would succeed falsely.

use chaos::chaos;
use quorate_disk::{Disk, File};

use crate::batch_format::{Link, Placement, encode, extent_of};
use crate::limits::{MAX_BATCH_BYTES, MAX_ENTRY_BYTES, SECTOR_BYTES};
use crate::log_state::LogState;
use crate::open::header_of_next;
use crate::segment::{Segment, Shared, install};
use crate::segment_header::HEADER_BLOCK_BYTES;
use crate::spares::Spares;
use crate::window::to_usize;
use crate::{Batch, BatchNumber, Entry, Options, Released, WalError};

mod repair;

/// Appends batches and makes them durable. One per log, owned by one thread.
pub struct Writer<D: Disk> {
    disk: D,
    options: Options,
    shared: Shared<D::File>,
    spares: Spares<D>,
    /// The segment written to: a copy of the last one in `shared`.
    active: Segment<D::File>,
    next_number: u64,
    next_epoch: u64,
    /// All batches up to this one are durable.
    synced_through: u64,
    /// The last batch that says something; the others only cover it.
    last_telling: u64,
    /// The greatest `synced_through` that is itself durable in a header.
    covered_through: u64,
    poison: Option<String>,
    buffer: Vec<u8>,
}

impl<D: Disk> Writer<D> {
    pub(crate) fn new(
        disk: D,
        options: Options,
        shared: Shared<D::File>,
        spares: Spares<D>,
        next_number: u64,
        next_epoch: u64,
    ) -> Writer<D> {
        let active = shared
            .lock()
            .segments
            .back()
            .cloned()
            .expect("a log has a segment");
        let durable = next_number - 1;
        Writer {
            disk,
            options,
            shared,
            spares,
            active,
            next_number,
            next_epoch,
            synced_through: durable,
            last_telling: durable,
            covered_through: durable,
            poison: None,
            buffer: Vec::new(),
        }
    }

    /// Writes one batch after the last. It is not durable before [`Writer::sync`]; readers see
    /// its entries at once.
    ///
    /// # Errors
    /// [`WalError::BadBatch`], [`WalError::EntryTooLarge`] and [`WalError::BatchTooLarge`] leave
    /// the log as it was. After any other error only [`WalError::Poisoned`] follows.
    pub fn append(&mut self, batch: &Batch) -> Result<BatchNumber, WalError> {
        self.refuse_if_poisoned()?;
        let shape = {
            let shared = self.shared.lock();
            let log = &shared.log;
            log.check(batch)?;
            Shape::of(batch, log)
        };
        let extent = check_size(batch, shape.has_echo)?;
        let written = self.write(batch, extent, &shape);
        self.poison_on_error(written)
    }

    /// Makes everything appended so far durable, with one `fdatasync`; gives the number of the
    /// last batch that now is. Does nothing if nothing was appended since the last time.
    ///
    /// # Errors
    /// The disk's, once; then only [`WalError::Poisoned`]: the process has to stop.
    pub fn sync(&mut self) -> Result<BatchNumber, WalError> {
        self.refuse_if_poisoned()?;
        let synced = self.sync_active();
        self.poison_on_error(synced)?;
        Ok(BatchNumber(self.synced_through))
    }

    /// Whether some batch is not yet named durable by a later header. Rot of such a batch could
    /// not be told from a torn tail, so after a while of quiet it is worth a [`Writer::cover`].
    pub fn needs_cover(&self) -> bool {
        self.last_telling > self.covered_through
    }

    /// Writes and syncs one empty batch that names everything before it durable.
    ///
    /// # Errors
    /// As [`Writer::append`] and [`Writer::sync`].
    pub fn cover(&mut self) -> Result<(), WalError> {
        // What is not synced yet cannot be named durable.
        self.sync()?;
        self.append(&Batch::default())?;
        self.sync()?;
        Ok(())
    }

    /// Lets go of the segments, oldest first, that hold no valid entry above `up_to_index`: they
    /// are kept for reuse, or removed when enough are kept. Entries that an installed snapshot
    /// voided hold nothing back. What was appended is synced first, so that a mark is durable
    /// before what it stands for goes. Term, vote and snapshot mark are not lost with a segment,
    /// since every segment's header repeats them. The caller sees to it that durable snapshots
    /// cover `up_to_index`: the older of the two that are kept (see
    /// [`snapshot`](crate::snapshot)).
    ///
    /// # Errors
    /// The disk's, once; then only [`WalError::Poisoned`].
    pub fn release(&mut self, up_to_index: u64) -> Result<Released, WalError> {
        self.release_some(up_to_index, u32::MAX)
    }

    /// As [`Writer::release`], but lets go of at most `most` segments, since each costs a sync of
    /// the directory: if that many went, there may be more.
    ///
    /// # Errors
    /// As [`Writer::release`].
    pub fn release_some(&mut self, up_to_index: u64, most: u32) -> Result<Released, WalError> {
        self.sync()?;
        let mut released = Released::default();
        for _ in 0..most {
            let Some(segment) = self.detach_oldest(up_to_index) else {
                break;
            };
            let gone = self.let_go(&segment);
            if self.poison_on_error(gone)? {
                released.recycled += 1;
            } else {
                released.removed += 1;
            }
        }
        released.first_index = self.shared.lock().log.first_index;
        Ok(released)
    }

    /// Bytes of log in all segments: headers and batches, not the space prepared for more.
    pub fn log_bytes(&self) -> u64 {
        self.shared
            .lock()
            .segments
            .iter()
            .map(|segment| segment.end)
            .sum()
    }

    fn refuse_if_poisoned(&self) -> Result<(), WalError> {
        match &self.poison {
            None => Ok(()),
            Some(cause) => Err(WalError::Poisoned {
                cause: cause.clone(),
            }),
        }
    }

    fn poison_on_error<T>(&mut self, result: Result<T, WalError>) -> Result<T, WalError> {
        if let Err(error) = &result {
            self.poison = Some(error.to_string());
        }
        result
    }

    fn write(
        &mut self,
        batch: &Batch,
        extent: u64,
        shape: &Shape,
    ) -> Result<BatchNumber, WalError> {
        let is_full = self.active.end + extent > self.active.length;
        let holds_something = self.active.end > HEADER_BLOCK_BYTES as u64;
        if is_full || (holds_something && chaos!("segment-ended-early", 2)) {
            self.begin_segment(extent)?;
        }
        let offset = self.active.end;
        let current = self.shared.lock().log.hard_state;
        let placement = Placement {
            seed: self.active.seed,
            number: self.next_number,
            synced_through: self.synced_through,
            sector: u32::try_from(offset / SECTOR_BYTES).expect("segments are limited"),
            hard_state: batch.hard_state.unwrap_or(current),
            has_echo: shape.has_echo,
            truncate_after: shape.truncate_after,
            restarts: shape.restarts,
            link: Some(Link {
                base_index: shape.base_index,
                turns: self.active.turns,
            }),
        };
        encode(&mut self.buffer, batch, &placement);
        assert_eq!(
            self.buffer.len() as u64,
            extent,
            "a batch takes the room it was given"
        );
        // Up to the end of a block, so that the page cache need not read what it is to change.
        let padded = (offset + extent).next_multiple_of(self.options.block_bytes);
        let end = padded.min(self.active.length);
        self.buffer.resize(to_usize(end - offset), 0);
        self.active.file.write_at(offset, &self.buffer)?;
        self.buffer.shrink_to(KEPT_BUFFER_BYTES);
        Ok(self.note_written(batch, &placement, extent))
    }

    /// Takes down that the batch is there, for readers and for the next one.
    fn note_written(&mut self, batch: &Batch, placement: &Placement, extent: u64) -> BatchNumber {
        let mut shared = self.shared.lock();
        let log = &mut shared.log;
        log.hard_state = placement.hard_state;
        if let Some(after) = batch.truncate_after {
            log.truncate(after);
        }
        if let (Some(first), Some(last)) = (batch.entries.first(), batch.entries.last()) {
            log.append(
                first.index,
                last.index,
                self.active.sequence,
                self.active.end,
            );
            for entry in &batch.entries {
                log.note_term(entry.index, entry.term);
            }
        }
        if let Some(mark) = batch.snapshot {
            log.mark_snapshot(mark, placement.restarts);
        }
        self.active.end += extent;
        let turns = placement.truncate_after.is_some() || placement.restarts;
        self.active.turns += u32::from(turns);
        let last = shared.segments.back_mut().expect("a log has a segment");
        (last.end, last.turns) = (self.active.end, self.active.turns);
        drop(shared);
        if *batch != Batch::default() {
            self.last_telling = placement.number;
        }
        self.next_number += 1;
        BatchNumber(placement.number)
    }

    fn sync_active(&mut self) -> Result<(), WalError> {
        let last = self.next_number - 1;
        if last == self.synced_through {
            return Ok(());
        }
        let skipped = planted::bug("one-sync-in-sixty-four-skipped") && last.is_multiple_of(64);
        if !skipped {
            self.active.file.sync()?;
        }
        // The header of batch `last`, now durable, names what was durable when it was written.
        self.covered_through = self.synced_through;
        self.synced_through = last;
        Ok(())
    }

    /// Goes on in a new segment with room for at least `extent` bytes.
    fn begin_segment(&mut self, extent: u64) -> Result<(), WalError> {
        self.sync_active()?;
        let header_bytes = HEADER_BLOCK_BYTES as u64;
        let needed = (header_bytes + extent).next_multiple_of(header_bytes);
        let bytes = self.options.segment_bytes.max(needed);
        let sequence = self.active.sequence + 1;
        let header = {
            let shared = self.shared.lock();
            let number = self.next_number;
            header_of_next(
                &self.options,
                &shared.log,
                sequence,
                self.next_epoch,
                number,
                bytes,
                Some(self.active.turns),
            )
        };
        let segment = install(&self.disk, &self.spares, &header)?;
        self.next_epoch += 1;
        self.covered_through = self.synced_through;
        self.shared.lock().segments.push_back(segment.clone());
        self.active = segment;
        Ok(())
    }

    /// Takes the oldest segment out of the log if nothing in it is needed; readers no longer find
    /// it from then on. The last one always stays.
    fn detach_oldest(&self, up_to_index: u64) -> Option<Segment<D::File>> {
        let mut shared = self.shared.lock();
        if shared.segments.len() < 2 {
            return None;
        }
        let sequence = shared.segments.front()?.sequence;
        let may_begin_at = up_to_index.saturating_add(1).max(shared.log.first_index);
        if shared.log.first_index_after(sequence) > may_begin_at {
            return None;
        }
        shared.log.forget_through(sequence);
        shared.segments.pop_front()
    }

    /// Recycles (true) or removes a detached segment. Its name goes durably before the next
    /// one's, so that a crash never leaves a gap in the row.
    fn let_go(&self, segment: &Segment<D::File>) -> Result<bool, WalError> {
        let kept = self.spares.name_for_released(segment.length);
        match &kept {
            Some(name) => self.disk.rename(&segment.name, name)?,
            None => self.disk.remove(&segment.name)?,
        }
        self.disk.sync_directory()?;
        let recycled = kept.is_some();
        if let Some(name) = kept {
            self.spares.add(name);
        }
        Ok(recycled)
    }
}

/// What a batch does to the log as it stands.
struct Shape {
    /// What must not be lost with one sector is written twice: term and vote, and whatever turns
    /// the log's course.
    has_echo: bool,
    /// The truncation, if there is anything to cut.
    truncate_after: Option<u64>,
    /// The last index before the batch's entries.
    base_index: u64,
    /// Whether its mark voids the log.
    restarts: bool,
}

impl Shape {
    fn of(batch: &Batch, log: &LogState) -> Shape {
        let truncate_after = batch.truncate_after.filter(|after| *after < log.last_index);
        let changes_hard_state = batch
            .hard_state
            .is_some_and(|state| state != log.hard_state);
        Shape {
            has_echo: changes_hard_state || truncate_after.is_some() || batch.snapshot.is_some(),
            truncate_after,
            base_index: truncate_after.unwrap_or(log.last_index),
            restarts: log.restarts(batch),
        }
    }
}

/// The encoding buffer is kept from batch to batch up to this size; a rare giant gives it back.
const KEPT_BUFFER_BYTES: usize = 1 << 20;

/// Refuses what is over a limit; gives the bytes that the batch will take.
fn check_size(batch: &Batch, has_echo: bool) -> Result<u64, WalError> {
    for entry in &batch.entries {
        check_entry_size(entry)?;
    }
    let bytes = extent_of(batch, has_echo);
    if bytes > MAX_BATCH_BYTES {
        return Err(WalError::BatchTooLarge {
            bytes,
            limit: MAX_BATCH_BYTES,
        });
    }
    Ok(bytes)
}

fn check_entry_size(entry: &Entry) -> Result<(), WalError> {
    let bytes = entry.data.len();
    if bytes > MAX_ENTRY_BYTES {
        let limit = MAX_ENTRY_BYTES;
        return Err(WalError::EntryTooLarge {
            index: entry.index,
            bytes,
            limit,
        });
    }
    Ok(())
}
