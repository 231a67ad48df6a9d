//! Reading a log back after a crash. Nothing is written here but what was read.
//!
//! Every segment is walked through in order and every checksum verified (`walk.rs`). In all segments
//! but the last, anything that does not check out is damage: the next segment's header says that it
//! was durable. In the last one it depends on S, the greatest `synced_through` in any of its headers,
//! those beyond the break included: at or before S, it was acknowledged; after S, it is the tail that
//! a crash tore off, and void.
//!
//! **Damage is never cut.** Its entries stay part of the log as gaps that cannot be read. Some turn
//! out to be void, since the log was cut below them later on, or its mark made it begin anew; these
//! deserve a note. If any are left at the end, the log is refused as it stands, or, if the owner said
//! that it can deal with that, they are named in [`Recovered::damaged`](crate::Recovered::damaged).
//!
//! The batches after S that are whole are kept: they may have been acknowledged without a later
//! batch having said so. They are **written again** and synced before they are believed: if an
//! `fsync` failed for the process that wrote them, the page cache may show them, call them clean,
//! and have them nowhere on the medium ("Can Applications Recover from fsync Failures?", ATC '20).
//!
//! Term and vote come from the newest header that is intact, even if the batch it belongs to is
//! cut. It was meant to be written; to have promised more than one remembers breaks elections, to
//! remember more than one has promised breaks nothing.

use std::collections::VecDeque;

use quorate_disk::{Disk, File};

use crate::batch_format::Seed;
use crate::directory::Directory;
use crate::limits::{MAX_DAMAGED_PLACES, RECOVERY_WINDOW_BYTES};
use crate::log_state::{DamagedPlace, Gap, LogState};
use crate::names::Name;
use crate::segment::Segment;
use crate::segment_header::{
    Decoded, FORMAT_VERSION, HEADER_BLOCK_BYTES, HeaderFault, SegmentHeader,
};
use crate::walk::{Lost, Step, Torn, Until, Walk, Walked};
use crate::window::{Window, to_usize};
use crate::{BatchNumber, Note, Options, WalError};

/// A log that was read back.
pub(crate) struct Replayed<F> {
    pub(crate) log: LogState,
    pub(crate) segments: VecDeque<Segment<F>>,
    /// The number that the next batch gets.
    pub(crate) next_batch: u64,
    /// Whether the last segment holds no batch.
    pub(crate) last_is_empty: bool,
    pub(crate) greatest_epoch: u64,
    pub(crate) notes: Vec<Note>,
}

/// One segment that was opened, and what its header says.
pub(crate) struct Loaded<F> {
    pub(crate) segment: Segment<F>,
    pub(crate) header: SegmentHeader,
}

/// Reads the log back; `None` if there is none.
pub(crate) fn replay<D: Disk>(
    disk: &D,
    options: &Options,
    directory: &Directory,
) -> Result<Option<Replayed<D::File>>, WalError> {
    let mut notes = Vec::new();
    let mut loaded = Vec::new();
    for sequence in &directory.segments {
        loaded.push(load(disk, options, *sequence, &mut notes)?);
    }
    let Some(first) = loaded.first() else {
        return Ok(None);
    };
    let mut log = LogState::new(first.header.last_index, first.header.last_term);
    log.snapshot = first.header.snapshot;
    let mut replay = Replay {
        log,
        next_batch: first.header.first_batch,
        notes,
        places: Vec::new(),
        uncovered: None,
    };
    check_row(&loaded, options)?;
    let mut last_is_empty = true;
    for at in 0..loaded.len() {
        let until = loaded.get(at + 1).map(|next| Until::of(&next.header));
        let begin = replay.next_batch;
        replay.segment(&mut loaded[at], until)?;
        last_is_empty = replay.next_batch == begin;
    }
    replay.judge_damage(options)?;
    if let (Some(start), Some(last)) = (replay.uncovered, loaded.last()) {
        write_again(&last.segment, start)?;
    }
    Ok(Some(Replayed {
        log: replay.log,
        next_batch: replay.next_batch,
        last_is_empty,
        greatest_epoch: loaded
            .iter()
            .map(|one| one.header.epoch)
            .max()
            .unwrap_or_default(),
        notes: replay.notes,
        segments: loaded.into_iter().map(|one| one.segment).collect(),
    }))
}

/// Opens a segment and reads its header.
pub(crate) fn load<D: Disk>(
    disk: &D,
    options: &Options,
    sequence: u64,
    notes: &mut Vec<Note>,
) -> Result<Loaded<D::File>, WalError> {
    let name = Name::Segment(sequence).of_group(options.identity.group_id);
    let file = disk.open(&name)?;
    let length = file.length()?;
    let mut window = Window::new(file.clone(), &name, length, HEADER_BLOCK_BYTES);
    let block = window.get(0, HEADER_BLOCK_BYTES as u64)?;
    let Decoded {
        header,
        damaged_copy,
    } = SegmentHeader::decode(block).map_err(|fault| header_error(&name, &fault))?;
    if header.identity != options.identity {
        let (found, expected) = (header.identity, options.identity);
        return Err(WalError::WrongIdentity {
            file: name,
            found,
            expected,
        });
    }
    if header.sequence != sequence {
        let what = format!("its header says that it is segment {}", header.sequence);
        return Err(WalError::Damaged {
            file: name,
            offset: 0,
            batch: None,
            what,
        });
    }
    if let Some(offset) = damaged_copy {
        notes.push(Note::SecondCopyUsed {
            file: name.clone(),
            offset,
        });
    }
    let seed = Seed::new(header.epoch, header.salt);
    let end = HEADER_BLOCK_BYTES as u64;
    Ok(Loaded {
        segment: Segment {
            sequence,
            name,
            file,
            seed,
            length,
            end,
            turns: 0,
        },
        header,
    })
}

fn header_error(name: &str, fault: &HeaderFault) -> WalError {
    let file = name.to_owned();
    let what = match fault {
        HeaderFault::Version(found) => {
            return WalError::UnknownVersion {
                file,
                found: *found,
                known: FORMAT_VERSION,
            };
        }
        HeaderFault::Damaged => "both copies of the segment's header are damaged",
        HeaderFault::Contradiction => "the two copies of the segment's header differ",
    };
    WalError::Damaged {
        file,
        offset: 0,
        batch: None,
        what: what.to_owned(),
    }
}

/// Refuses a row of segments with a gap in it.
fn check_row<F>(loaded: &[Loaded<F>], options: &Options) -> Result<(), WalError> {
    for pair in loaded.windows(2) {
        let (before, after) = (&pair[0].header, &pair[1].header);
        if before.sequence + 1 != after.sequence {
            let missing = Name::Segment(before.sequence + 1).of_group(options.identity.group_id);
            let what = "the file is missing between its neighbours".to_owned();
            return Err(WalError::Damaged {
                file: missing,
                offset: 0,
                batch: None,
                what,
            });
        }
        if before.epoch >= after.epoch || before.first_batch > after.first_batch {
            let what = format!(
                "epoch {} and first batch {} after a segment of epoch {} and first batch {}",
                after.epoch, after.first_batch, before.epoch, before.first_batch
            );
            let file = pair[1].segment.name.clone();
            return Err(WalError::Damaged {
                file,
                offset: 0,
                batch: None,
                what,
            });
        }
    }
    Ok(())
}

struct Replay {
    log: LogState,
    next_batch: u64,
    notes: Vec<Note>,
    /// Everything that is damaged, whether it matters or not.
    places: Vec<DamagedPlace>,
    /// Where in the last segment the batches begin that no later one calls durable.
    uncovered: Option<u64>,
}

impl Replay {
    /// Replays a segment up to the batch that the next segment begins with; the last one, for
    /// which `until` is `None`, as far as it goes.
    fn segment<F: File>(
        &mut self,
        loaded: &mut Loaded<F>,
        until: Option<Until>,
    ) -> Result<(), WalError> {
        let Loaded { segment, header } = loaded;
        self.enter(segment, header)?;
        let mut walk = Walk::new(segment, header, until, RECOVERY_WINDOW_BYTES);
        // (number, offset) of the batches that are not known to be durable.
        let mut uncovered = VecDeque::new();
        loop {
            let step = walk.step()?;
            match step {
                Step::End => break,
                Step::Torn(torn) => {
                    self.torn(segment, torn);
                    break;
                }
                Step::Lost(lost) => self.lost(segment, lost)?,
                Step::Batch(batch) => {
                    uncovered.push_back((batch.header.number, batch.header.offset()));
                    self.batch(segment, &batch)?;
                }
            }
            self.next_batch = walk.next;
            segment.end = walk.offset;
            segment.turns = walk.turns;
            while uncovered
                .front()
                .is_some_and(|(number, _)| *number <= walk.synced_through)
            {
                uncovered.pop_front();
            }
        }
        if until.is_none() {
            self.uncovered = uncovered.front().map(|(_, offset)| *offset);
        }
        Ok(())
    }

    /// Takes over what a segment's header says.
    fn enter<F>(&mut self, segment: &Segment<F>, header: &SegmentHeader) -> Result<(), WalError> {
        if header.first_batch == 0 || header.first_batch.max(header.last_index) > u64::MAX / 2 {
            let what = "the segment's header makes no sense".to_owned();
            return Err(self.damaged(segment, 0, what));
        }
        if header.last_index != self.log.last_index {
            let what = format!(
                "its header says that the log ended at entry {}, but it ended at {}",
                header.last_index, self.log.last_index
            );
            return Err(self.damaged(segment, 0, what));
        }
        self.log.hard_state = header.hard_state;
        // If the batch with the mark is lost, this is where it is found.
        self.log.snapshot = header.snapshot.or(self.log.snapshot);
        Ok(())
    }

    fn batch<F>(&mut self, segment: &Segment<F>, batch: &Walked) -> Result<(), WalError> {
        let header = &batch.header;
        if batch.from_echo {
            self.notes.push(Note::SecondCopyUsed {
                file: segment.name.clone(),
                offset: header.offset(),
            });
        }
        self.log
            .apply(header, segment.sequence, &batch.terms)
            .map_err(|what| self.damaged(segment, header.offset(), what))?;
        for fault in &batch.faults {
            let place = DamagedPlace {
                file: segment.name.clone(),
                offset: header.offset() + fault.offset,
                batch: header.number,
                what: fault.what.clone(),
            };
            self.note_place(&place)?;
            // A mark in the same batch may have voided them already.
            if fault.last_index > self.log.last_index || fault.first_index < self.log.first_index {
                continue;
            }
            for (first, last, term_limit) in batch.bounded_parts(fault) {
                self.log.note_gap(Gap {
                    first,
                    last,
                    term_limit: Some(term_limit),
                    segment: segment.sequence,
                    place: place.clone(),
                });
            }
        }
        Ok(())
    }

    fn lost<F>(&mut self, segment: &Segment<F>, lost: Lost) -> Result<(), WalError> {
        let place = DamagedPlace {
            file: segment.name.clone(),
            offset: lost.offset,
            batch: lost.first_number,
            what: lost.what,
        };
        self.note_place(&place)?;
        if lost.last_index < lost.first_index {
            self.log.lose_nothing();
            return Ok(());
        }
        self.log.lose(Gap {
            first: lost.first_index,
            last: lost.last_index,
            term_limit: None,
            segment: segment.sequence,
            place,
        });
        Ok(())
    }

    /// Cuts the tail that a crash tore off.
    fn torn<F>(&mut self, segment: &Segment<F>, torn: Torn) {
        self.log.hard_state = torn.hard_state;
        self.notes.push(Note::TornTail {
            file: segment.name.clone(),
            offset: segment.end,
            batch: BatchNumber(torn.batch),
            bytes: torn.bytes,
            what: torn.what,
        });
    }

    fn note_place(&mut self, place: &DamagedPlace) -> Result<(), WalError> {
        if self.places.len() == MAX_DAMAGED_PLACES {
            return Err(place.error());
        }
        self.places.push(place.clone());
        Ok(())
    }

    /// Damage of what is void deserves a note; any other is refused, unless the owner can deal
    /// with it.
    fn judge_damage(&mut self, options: &Options) -> Result<(), WalError> {
        if let Some(gap) = self.log.gaps.first()
            && !options.tolerate_damage
        {
            return Err(gap.place.error());
        }
        for place in &self.places {
            if self.log.gaps.iter().all(|gap| gap.place != *place) {
                self.notes.push(Note::DamageWithoutLoss {
                    file: place.file.clone(),
                    offset: place.offset,
                    what: place.what.clone(),
                });
            }
        }
        Ok(())
    }

    fn damaged<F>(&self, segment: &Segment<F>, offset: u64, what: String) -> WalError {
        WalError::Damaged {
            file: segment.name.clone(),
            offset,
            batch: Some(BatchNumber(self.next_batch)),
            what,
        }
    }
}

/// Writes the bytes from `start` to the end of the last batch as they are, and syncs.
fn write_again<F: File>(segment: &Segment<F>, start: u64) -> Result<(), WalError> {
    let mut window = Window::new(
        segment.file.clone(),
        &segment.name,
        segment.length,
        RECOVERY_WINDOW_BYTES,
    );
    let mut offset = start;
    while offset < segment.end {
        let count = (segment.end - offset).min(RECOVERY_WINDOW_BYTES as u64);
        let bytes = window.get(offset, count)?;
        assert_eq!(
            bytes.len(),
            to_usize(count),
            "a batch that was read lies inside of its file"
        );
        segment.file.write_at(offset, bytes)?;
        offset += count;
    }
    segment.file.sync()?;
    Ok(())
}
