//! Opening a log: what is there is read back, and a new segment is begun.
//!
//! **A process writes only into segments that it began itself.** Every start begins a segment with
//! an epoch of its own, after the last batch that was kept. Its header says with which batch it
//! begins, and that is the end of whatever the segment before it may still hold: batches of a torn
//! tail have valid checksums and numbers that would go on, and can never come to life again,
//! because nothing is ever appended where they lie and no later start looks at them. This is why
//! cutting needs no zeroing, and why a half-written batch is never mixed with another attempt at
//! the same place.
//!
//! The segment left behind gives its unused space back. If it holds no batch at all, the new one
//! takes its place and its name, so that a process that starts over and over leaves no trail.

use std::collections::VecDeque;

use quorate_disk::{Disk, File};

use crate::directory::take_stock;
use crate::log_state::LogState;
use crate::recovery::{Replayed, replay};
use crate::segment::{Segment, Shared, install};
use crate::segment_header::{HEADER_BLOCK_BYTES, SegmentHeader};
use crate::spares::Spares;
use crate::{Options, Preparer, Reader, Recovered, WalError, Writer};

/// A log, open: its parts go to different threads.
pub struct Opened<D: Disk> {
    /// For the thread that writes.
    pub writer: Writer<D>,
    /// For whoever reads entries back.
    pub reader: Reader<D>,
    /// For the thread that prepares segments.
    pub preparer: Preparer<D>,
    /// What was found.
    pub recovered: Recovered,
}

/// Opens the log in this directory, or makes a new one if there is none.
///
/// On success everything in `recovered` is durable. The caller sees to it that nobody else has
/// the directory open.
///
/// # Errors
/// [`WalError::Damaged`] if data that was acknowledged cannot be read back (with
/// [`Options::tolerate_damage`] only if what surrounds it does not say which entries it was),
/// [`WalError::WrongIdentity`] and [`WalError::UnknownVersion`] if it is not for us to read; then
/// the log's files are as they were. [`WalError::Disk`] if the disk fails or is full.
pub fn open<D: Disk>(disk: D, options: Options) -> Result<Opened<D>, WalError> {
    options.check()?;
    let mut directory = take_stock(&disk, &options)?;
    let replayed = replay(&disk, &options, &directory)?;
    let is_new = replayed.is_none();
    let mut replayed = replayed.unwrap_or_else(empty);
    let spares = Spares::new(
        disk.clone(),
        &options,
        std::mem::take(&mut directory.spares),
        directory.next_number,
    );
    let next_epoch = replayed.greatest_epoch.max(directory.spare_epoch) + 1;
    begin_segment(&disk, &options, &spares, &mut replayed, next_epoch)?;
    let mut notes = directory.notes;
    notes.append(&mut replayed.notes);
    let Replayed {
        log,
        segments,
        next_batch,
        ..
    } = replayed;
    let recovered = Recovered {
        hard_state: log.hard_state,
        snapshot: log.snapshot,
        first_index: log.first_index,
        last_index: log.last_index,
        base_term: log.base_term,
        term_runs: log.term_runs.iter().copied().collect(),
        damaged: log.damages(),
        bytes: segments.iter().map(|segment| segment.end).sum(),
        is_new,
        notes,
    };
    let shared = Shared::new(log, segments);
    Ok(Opened {
        reader: Reader::new(shared.clone()),
        preparer: Preparer::new(spares.clone()),
        writer: Writer::new(disk, options, shared, spares, next_batch, next_epoch + 1),
        recovered,
    })
}

/// A log before its first segment.
fn empty<F>() -> Replayed<F> {
    Replayed {
        log: LogState::new(0, 0),
        segments: VecDeque::new(),
        next_batch: 1,
        last_is_empty: false,
        greatest_epoch: 0,
        notes: Vec::new(),
    }
}

/// What the header of the next segment says.
pub(crate) fn header_of_next(
    options: &Options,
    log: &LogState,
    sequence: u64,
    epoch: u64,
    first_batch: u64,
    segment_bytes: u64,
    turns_before: Option<u32>,
) -> SegmentHeader {
    SegmentHeader {
        identity: options.identity,
        sequence,
        epoch,
        salt: options.salt,
        first_batch,
        segment_bytes,
        hard_state: log.hard_state,
        snapshot: log.snapshot,
        last_index: log.last_index,
        last_term: log.known_term(log.last_index).unwrap_or_default(),
        turns_before,
    }
}

/// Puts a segment of our own at the end of the row.
fn begin_segment<D: Disk>(
    disk: &D,
    options: &Options,
    spares: &Spares<D>,
    replayed: &mut Replayed<D::File>,
    epoch: u64,
) -> Result<(), WalError> {
    let last = replayed.segments.back();
    let sequence = match last {
        None => 1,
        Some(last) if replayed.last_is_empty => last.sequence,
        Some(last) => last.sequence + 1,
    };
    let bytes = options.segment_bytes;
    let next = replayed.next_batch;
    let kept = replayed.segments.len() - usize::from(replayed.last_is_empty);
    let turns = kept.checked_sub(1).map(|at| replayed.segments[at].turns);
    let header = header_of_next(options, &replayed.log, sequence, epoch, next, bytes, turns);
    let segment = install(disk, spares, &header)?;
    if replayed.last_is_empty {
        replayed.segments.pop_back();
    } else if let Some(last) = replayed.segments.back_mut() {
        give_back_space(last)?;
    }
    replayed.segments.push_back(segment);
    Ok(())
}

/// Cuts off what a segment will never use. Its successor is durable by now, so nobody will ever
/// look beyond its last batch again.
fn give_back_space<F: File>(segment: &mut Segment<F>) -> Result<(), WalError> {
    let needed = segment.end.next_multiple_of(HEADER_BLOCK_BYTES as u64);
    if needed < segment.length {
        segment.file.truncate(needed)?;
        segment.file.sync()?;
        segment.length = needed;
    }
    Ok(())
}
