//! The segments that make up the log, and what writer and readers share about them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quorate_disk::{Disk, File};

use crate::WalError;
use crate::batch_format::Seed;
use crate::limits::SECTOR_BYTES;
use crate::log_state::{LogState, Point};
use crate::names::Name;
use crate::segment_header::SegmentHeader;
use crate::spares::Spares;

/// One segment of the log.
#[derive(Clone)]
pub(crate) struct Segment<F> {
    pub(crate) sequence: u64,
    pub(crate) name: String,
    pub(crate) file: F,
    pub(crate) seed: Seed,
    /// Bytes of the file.
    pub(crate) length: u64,
    /// Where the last batch ends.
    pub(crate) end: u64,
    /// How many of its batches cut or voided the log.
    pub(crate) turns: u32,
}

/// What writer and readers look at together. The lock is never held across I/O.
pub(crate) struct Shared<F> {
    state: Arc<Mutex<SharedState<F>>>,
}

/// The log by index, and the segments by sequence, oldest first; the last one is written to.
pub(crate) struct SharedState<F> {
    pub(crate) log: LogState,
    pub(crate) segments: VecDeque<Segment<F>>,
}

impl<F> Clone for Shared<F> {
    fn clone(&self) -> Shared<F> {
        Shared {
            state: self.state.clone(),
        }
    }
}

impl<F> Shared<F> {
    pub(crate) fn new(log: LogState, segments: VecDeque<Segment<F>>) -> Shared<F> {
        Shared {
            state: Arc::new(Mutex::new(SharedState { log, segments })),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, SharedState<F>> {
        // Whoever panicked holding it was not in the middle of I/O; the process ends anyway.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where to look for an entry.
pub(crate) struct Span<F> {
    pub(crate) segment: Segment<F>,
    /// The batch to begin with.
    pub(crate) start: u64,
    /// Where to stop at the latest.
    pub(crate) end: u64,
    /// The first index that is not (validly) in this span.
    pub(crate) until_index: u64,
}

impl<F: Clone> SharedState<F> {
    /// The part of a segment that holds the entry at `index`, which the log holds.
    pub(crate) fn locate(&self, index: u64) -> Span<F> {
        let (point, next) = self.log.locate(index);
        let segment = self
            .segments
            .iter()
            .find(|segment| segment.sequence == u64::from(point.segment))
            .expect("points into a segment go when the segment goes")
            .clone();
        let offset_of = |point: Point| u64::from(point.sector) * SECTOR_BYTES;
        Span {
            start: offset_of(point),
            end: match next {
                Some(next) if next.segment == point.segment => offset_of(next),
                _ => segment.end,
            },
            until_index: next.map_or(self.log.last_index + 1, |next| next.first_index),
            segment,
        }
    }

    pub(crate) fn has_segment(&self, sequence: u64) -> bool {
        self.segments
            .iter()
            .any(|segment| segment.sequence == sequence)
    }
}

/// Makes the segment that `header` describes and puts it in its place, durably, before anything
/// can be written into it: header, sync, rename, directory sync. A crash in between leaves a spare,
/// or the finished segment.
pub(crate) fn install<D: Disk>(
    disk: &D,
    spares: &Spares<D>,
    header: &SegmentHeader,
) -> Result<Segment<D::File>, WalError> {
    let (spare, file) = spares.take(header.segment_bytes)?;
    file.write_at(0, &header.encode())?;
    file.sync()?;
    let name = Name::Segment(header.sequence).of_group(header.identity.group_id);
    disk.rename(&spare, &name)?;
    disk.sync_directory()?;
    // Opened again, so that errors speak of the name that a person will find.
    let file = disk.open(&name)?;
    Ok(Segment {
        sequence: header.sequence,
        name,
        file,
        seed: Seed::new(header.epoch, header.salt),
        length: header.segment_bytes,
        end: crate::segment_header::HEADER_BLOCK_BYTES as u64,
        turns: 0,
    })
}
