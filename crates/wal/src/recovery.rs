//! Reading a log back after a crash. Nothing is written here but what was read.
//!
//! Every segment is read in order and every checksum verified. In all segments but the last,
//! anything that does not check out is damage: the next segment's header says that it was durable.
//! In the last one it depends on S, the greatest `synced_through` in any of its headers, those
//! beyond the break included: at or before S, it was acknowledged, and the log is refused as it
//! stands; after S, it is the tail that a crash tore off, and void.
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

use crate::batch_format::{BatchHeader, EntryViews, Seed};
use crate::directory::Directory;
use crate::limits::{RECOVERY_WINDOW_BYTES, SECTOR_BYTES};
use crate::log_state::LogState;
use crate::names::Name;
use crate::scan::{Beyond, Found, find, scan};
use crate::segment::Segment;
use crate::segment_header::{
    Decoded, FORMAT_VERSION, HEADER_BLOCK_BYTES, HeaderFault, SegmentHeader,
};
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
struct Loaded<F> {
    segment: Segment<F>,
    header: SegmentHeader,
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
    };
    check_row(&loaded, options)?;
    let mut last_is_empty = true;
    for at in 0..loaded.len() {
        let until = loaded.get(at + 1).map(|next| next.header.first_batch);
        let begin = replay.next_batch;
        replay.segment(&mut loaded[at], until)?;
        last_is_empty = replay.next_batch == begin;
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
fn load<D: Disk>(
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
}

/// A batch that could not be used.
struct Broken {
    /// Where the damage begins.
    offset: u64,
    what: String,
    /// The batch's own header, if that is intact.
    header: Option<BatchHeader>,
    beyond: Beyond,
}

/// What the last segment is known to have made durable, and what it holds after that.
struct Coverage {
    synced_through: u64,
    /// (number, offset) of the batches after that.
    uncovered: VecDeque<(u64, u64)>,
}

impl Coverage {
    fn raise(&mut self, synced_through: u64) {
        self.synced_through = self.synced_through.max(synced_through);
        while self
            .uncovered
            .front()
            .is_some_and(|batch| batch.0 <= self.synced_through)
        {
            self.uncovered.pop_front();
        }
    }
}

impl Replay {
    /// Replays a segment up to the batch that the next segment begins with; the last one, for
    /// which `until` is `None`, as far as it goes.
    fn segment<F: File>(
        &mut self,
        loaded: &mut Loaded<F>,
        until: Option<u64>,
    ) -> Result<(), WalError> {
        let Loaded { segment, header } = loaded;
        self.enter(segment, header)?;
        let mut window = Window::new(
            segment.file.clone(),
            &segment.name,
            segment.length,
            RECOVERY_WINDOW_BYTES,
        );
        let mut coverage = Coverage {
            synced_through: header.first_batch - 1,
            uncovered: VecDeque::new(),
        };
        while until != Some(self.next_batch) {
            match self.batch(segment, &mut window)? {
                Ok(batch) => {
                    coverage.uncovered.push_back((batch.number, batch.offset()));
                    coverage.raise(batch.synced_through);
                    segment.end = batch.offset() + batch.extent();
                }
                Err(broken) if until.is_some() => {
                    return Err(self.damaged(segment, broken.offset, broken.what));
                }
                Err(broken) => {
                    self.tail(segment, &mut coverage, broken)?;
                    break;
                }
            }
        }
        if until.is_none()
            && let Some((_, start)) = coverage.uncovered.front()
        {
            write_again(segment, &mut window, *start)?;
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
        Ok(())
    }

    /// Reads, verifies and applies the next batch.
    fn batch<F: File>(
        &mut self,
        segment: &Segment<F>,
        window: &mut Window<F>,
    ) -> Result<Result<BatchHeader, Broken>, WalError> {
        let offset = segment.end;
        let header = match find(window, segment.seed, offset, Some(self.next_batch))? {
            Found::Header(header) => header,
            Found::Echo(header) => {
                self.notes.push(Note::SecondCopyUsed {
                    file: segment.name.clone(),
                    offset,
                });
                header
            }
            Found::Nothing { what, beyond } => {
                return Ok(Err(Broken {
                    offset,
                    what,
                    header: None,
                    beyond,
                }));
            }
        };
        let mut terms = Vec::new();
        let bytes = window.get(offset, u64::from(header.length))?;
        let mut fault = None;
        for view in EntryViews::new(&header, segment.seed, bytes) {
            match view {
                Ok(view)
                    if terms
                        .last()
                        .is_none_or(|run: &(u64, u64)| run.1 != view.term) =>
                {
                    terms.push((view.index, view.term));
                }
                Ok(_) => {}
                Err(bad) => fault = Some(bad),
            }
        }
        if let Some(fault) = fault {
            let beyond = scan(window, segment.seed, offset, offset + header.extent())?;
            let offset = offset + fault.offset;
            return Ok(Err(Broken {
                offset,
                what: fault.what,
                header: Some(header),
                beyond,
            }));
        }
        self.apply(segment, &header, &terms)?;
        Ok(Ok(header))
    }

    fn apply<F>(
        &mut self,
        segment: &Segment<F>,
        header: &BatchHeader,
        terms: &[(u64, u64)],
    ) -> Result<(), WalError> {
        if let Some(after) = header.truncate_after {
            self.log.truncate(after);
        }
        if header.entry_count > 0 {
            if header.first_index != self.log.last_index + 1 {
                let what = format!(
                    "entry {} follows entry {}",
                    header.first_index, self.log.last_index
                );
                return Err(self.damaged(segment, header.offset(), what));
            }
            let (first, last) = (header.first_index, header.last_index);
            self.log
                .append(first, last, segment.sequence, header.offset());
            for (index, term) in terms {
                self.log.note_term(*index, *term);
            }
        }
        if let Some(mark) = header.snapshot {
            self.log.mark_snapshot(mark, header.restarts);
        }
        self.log.hard_state = header.hard_state;
        self.next_batch += 1;
        Ok(())
    }

    /// Decides about the end of the last segment: acknowledged, torn, or simply the end.
    fn tail<F>(
        &mut self,
        segment: &Segment<F>,
        coverage: &mut Coverage,
        broken: Broken,
    ) -> Result<(), WalError> {
        let Broken {
            offset,
            what,
            header,
            beyond,
        } = broken;
        coverage.raise(beyond.synced_through);
        if let Some(header) = &header {
            coverage.raise(header.synced_through);
        }
        if self.next_batch <= coverage.synced_through {
            return Err(self.damaged(segment, offset, what));
        }
        let torn = header
            .as_ref()
            .map(|header| (header.number, header.hard_state));
        let newest = beyond
            .newest
            .filter(|newest| newest.0 >= self.next_batch)
            .or(torn);
        let Some((_, hard_state)) = newest else {
            return Ok(());
        };
        self.log.hard_state = hard_state;
        let own_end = header.map_or(segment.end + SECTOR_BYTES, |header| {
            header.offset() + header.extent()
        });
        self.notes.push(Note::TornTail {
            file: segment.name.clone(),
            offset: segment.end,
            batch: BatchNumber(self.next_batch),
            bytes: beyond.end.max(own_end) - segment.end,
            what,
        });
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
fn write_again<F: File>(
    segment: &Segment<F>,
    window: &mut Window<F>,
    start: u64,
) -> Result<(), WalError> {
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
