//! Reading entries back, while the writer goes on.
//!
//! A reader takes the place of an entry from the shared index and reads without a lock. The bytes
//! that it finds prove themselves: their checksums are seeded with the segment's epoch, so when a
//! segment is released and reused in the meantime, they fail, and the reader looks again and finds
//! the entry gone.

use bytes::Bytes;
use quorate_disk::Disk;

use crate::batch_format::{BatchHeader, EntryViews};
use crate::limits::READ_WINDOW_BYTES;
use crate::scan::{Found, find};
use crate::segment::{Shared, Span};
use crate::window::Window;
use crate::{BatchNumber, Entry, WalError};

/// Reads entries back, from any thread. Clones read the same log.
pub struct Reader<D: Disk> {
    shared: Shared<D::File>,
}

impl<D: Disk> Clone for Reader<D> {
    fn clone(&self) -> Reader<D> {
        Reader {
            shared: self.shared.clone(),
        }
    }
}

/// What has been read so far.
struct Progress {
    entries: Vec<Entry>,
    next: u64,
    last: u64,
    bytes: usize,
    max_bytes: usize,
}

impl Progress {
    fn is_done(&self) -> bool {
        self.next > self.last || (!self.entries.is_empty() && self.bytes >= self.max_bytes)
    }
}

impl<D: Disk> Reader<D> {
    pub(crate) fn new(shared: Shared<D::File>) -> Reader<D> {
        Reader { shared }
    }

    /// Entries from `first` to at most `last` (inclusive), each verified: at least one, and then
    /// only as many as keep the payload within `max_bytes`. Entries that were appended but not
    /// yet synced are seen too. A `last` beyond the log's end means its end.
    ///
    /// # Errors
    /// [`WalError::Compacted`] and [`WalError::BeyondEnd`] if `first` is not in the log (any
    /// more), [`WalError::Damaged`] if it can no longer be read back as it was written.
    pub fn read(&self, first: u64, last: u64, max_bytes: usize) -> Result<Vec<Entry>, WalError> {
        // Each round ends in an answer unless the writer truncated in its midst.
        loop {
            let truncations = self.shared.lock().log.truncations;
            let result = self.read_once(first, last, max_bytes);
            if self.shared.lock().log.truncations == truncations {
                return result;
            }
        }
    }

    fn read_once(&self, first: u64, last: u64, max_bytes: usize) -> Result<Vec<Entry>, WalError> {
        let mut progress = Progress {
            entries: Vec::new(),
            next: first,
            last,
            bytes: 0,
            max_bytes,
        };
        loop {
            let span = {
                let shared = self.shared.lock();
                let log = &shared.log;
                if progress.next < log.first_index {
                    return Err(WalError::Compacted {
                        wanted: progress.next,
                        first_index: log.first_index,
                    });
                }
                if progress.entries.is_empty() && first.max(1) > log.last_index.min(last) {
                    return Err(WalError::BeyondEnd {
                        wanted: first,
                        last_index: log.last_index,
                    });
                }
                progress.last = progress.last.min(log.last_index);
                if progress.is_done() {
                    return Ok(progress.entries);
                }
                if let Some(gap) = log.gap_at(progress.next) {
                    return Err(gap.place.error());
                }
                if let Some(gap) = log.next_gap(progress.next) {
                    progress.last = progress.last.min(gap.first - 1);
                }
                shared.locate(progress.next)
            };
            if let Err(error) = read_span::<D>(&span, &mut progress)
                && self.shared.lock().has_segment(span.segment.sequence)
            {
                return Err(error);
            }
        }
    }
}

/// Takes what is wanted out of one span, or whatever of it there is before an error.
fn read_span<D: Disk>(span: &Span<D::File>, progress: &mut Progress) -> Result<(), WalError> {
    let segment = &span.segment;
    let file = segment.file.clone();
    let mut window = Window::new(file, &segment.name, span.end, READ_WINDOW_BYTES);
    let mut offset = span.start;
    while progress.next < span.until_index && !progress.is_done() {
        let header = match find(&mut window, segment.seed, offset)? {
            Found::Header(header) | Found::Echo(header) => header,
            Found::Nothing(what) => return Err(damaged(span, offset, None, what)),
        };
        let wanted = header.first_index..=header.last_index;
        if header.entry_count > 0 && header.first_index > progress.next {
            let what = format!("entry {} should be in it or before it", progress.next);
            return Err(damaged(span, offset, Some(header.number), what));
        }
        if header.entry_count > 0 && wanted.contains(&progress.next) {
            read_batch::<D>(span, &header, &mut window, progress)?;
        }
        offset += header.extent();
    }
    Ok(())
}

fn read_batch<D: Disk>(
    span: &Span<D::File>,
    header: &BatchHeader,
    window: &mut Window<D::File>,
    progress: &mut Progress,
) -> Result<(), WalError> {
    let offset = header.offset();
    let bytes = window.get(offset, u64::from(header.length))?;
    for view in EntryViews::new(header, span.segment.seed, bytes) {
        let view = match view {
            Ok(view) => view,
            Err(fault) if fault.last_index < progress.next => continue,
            // Void ones too may be damaged.
            Err(fault) if progress.is_done() || fault.first_index >= span.until_index => break,
            Err(fault) => {
                let (at, number) = (offset + fault.offset, Some(header.number));
                return Err(damaged(span, at, number, fault.what));
            }
        };
        if view.index < progress.next {
            continue;
        }
        let over = progress.bytes.saturating_add(view.data.len()) > progress.max_bytes;
        if over && !progress.entries.is_empty() {
            progress.last = view.index - 1;
        }
        if progress.is_done() || view.index >= span.until_index {
            break;
        }
        progress.bytes += view.data.len();
        progress.next += 1;
        progress.entries.push(Entry {
            index: view.index,
            term: view.term,
            kind: view.kind,
            // A copy of its own: a slice would keep the whole window alive.
            data: Bytes::copy_from_slice(view.data),
        });
    }
    Ok(())
}

fn damaged<F>(span: &Span<F>, offset: u64, batch: Option<u64>, what: String) -> WalError {
    WalError::Damaged {
        file: span.segment.name.clone(),
        offset,
        batch: batch.map(BatchNumber),
        what,
    }
}
