//! At a start: which snapshot, and the log from where.
//!
//! The log's mark names the newest snapshot that it was told of. It need not be the one to begin
//! with. A crash after the file and before its mark leaves a newer one, which the log reaches as
//! well; a damaged or lost file leaves an older one, which is as good as long as the log since
//! then is kept. So the rule asks what *goes together*: the newest snapshot that verifies in full
//! and whose last entry the log holds, or follows on. A log that begins at 1 needs none.

use quorate_disk::Disk;

use super::{SnapshotFiles, SnapshotId, note_of};
use crate::{Note, Recovered, SnapshotMark, WalError};

/// What a start begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// The snapshot to load, verified in full; none to begin with nothing.
    pub snapshot: Option<SnapshotId>,
    /// The first entry to apply after it.
    pub replay_from: u64,
    /// Snapshots that could not be used, and why.
    pub notes: Vec<Note>,
}

/// Picks the newest sound snapshot that the log continues from.
///
/// # Errors
/// [`WalError::NoStart`] if nothing that is there goes together with the log: says what is needed
/// and what is there. As [`SnapshotFiles::list`] otherwise.
pub fn pair<D: Disk>(
    recovered: &Recovered,
    snapshots: &SnapshotFiles<D>,
) -> Result<Start, WalError> {
    let mut notes = Vec::new();
    let marks = snapshots.marks()?;
    if let Some(mark) = recovered.snapshot
        && !marks.contains(&mark)
    {
        notes.push(Note::SnapshotMissing { mark });
    }
    for mark in marks {
        if let Some(what) = mismatch(recovered, mark) {
            notes.push(Note::SnapshotUnused { mark, what });
            continue;
        }
        match snapshots.verify(mark) {
            Ok(id) => {
                return Ok(Start {
                    snapshot: Some(id),
                    replay_from: mark.index + 1,
                    notes,
                });
            }
            Err(error) => notes.push(note_of(error)?),
        }
    }
    if recovered.first_index == 1 {
        return Ok(Start {
            snapshot: None,
            replay_from: 1,
            notes,
        });
    }
    Err(WalError::NoStart {
        first_index: recovered.first_index,
        last_index: recovered.last_index,
        mark: recovered.snapshot,
        notes,
    })
}

/// Why the log does not go on from the snapshot at `mark`, if it does not.
fn mismatch(recovered: &Recovered, mark: SnapshotMark) -> Option<String> {
    let (first, last) = (recovered.first_index, recovered.last_index);
    if mark.index + 1 < first {
        return Some(format!("the log begins only at entry {first}"));
    }
    if mark.index > last {
        // A file that was received and whose mark never became durable: the log has not been told
        // to go on from there. The leader offers it again, and it is here already.
        return Some(format!("the log ends at entry {last}"));
    }
    match recovered.term_at(mark.index) {
        Some(term) if term != mark.term => Some(format!(
            "the log holds an entry of term {term} at index {}",
            mark.index
        )),
        _ => None,
    }
}
