//! At a start: which snapshot, and the log from where.
//!
//! The log's mark names the newest snapshot that it was told of. It need not be the one to begin
//! with. A crash after the file and before its mark leaves a newer one, which the log reaches as
//! well; a damaged or lost file leaves an older one, which is as good as long as the log since
//! then is kept. So the rule asks what *goes together*: the newest snapshot that verifies in full
//! and whose last entry the log holds, or follows on. A log that begins at 1 needs none.
//!
//! Checksums prove that a file is what somebody wrote, not that its reader understands it. So the
//! reader takes part: [`pair_loading`] hands it one candidate after the other until it takes one.

use quorate_disk::Disk;

use super::{SnapshotFiles, SnapshotId, unused};
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
/// As [`pair_loading`].
pub fn pair<D: Disk>(
    recovered: &Recovered,
    snapshots: &SnapshotFiles<D>,
) -> Result<Start, WalError> {
    pair_loading(recovered, snapshots, |_| Ok(Ok(()))).map(|(start, _)| start)
}

/// Picks the newest sound snapshot that the log continues from and whose content `load` takes;
/// gives what it made of it. `load` says why it refuses a content, in words for a person; its own
/// outer error ends the search.
///
/// # Errors
/// [`WalError::NoStart`] if nothing that is there goes together with the log: says what is needed
/// and what is there, and why it will not do. [`WalError::WrongIdentity`] if a file is not of this
/// member; the disk's, and those of `load`.
pub fn pair_loading<D: Disk, T>(
    recovered: &Recovered,
    snapshots: &SnapshotFiles<D>,
    mut load: impl FnMut(SnapshotMark) -> Result<Result<T, String>, WalError>,
) -> Result<(Start, Option<T>), WalError> {
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
        let id = match snapshots.verify(mark) {
            Ok(id) => id,
            Err(error) => {
                notes.push(unused(mark, error)?);
                continue;
            }
        };
        match load(mark)? {
            Ok(loaded) => {
                let start = Start {
                    snapshot: Some(id),
                    replay_from: mark.index + 1,
                    notes,
                };
                return Ok((start, Some(loaded)));
            }
            Err(what) => notes.push(Note::SnapshotUnused { mark, what }),
        }
    }
    if recovered.first_index == 1 {
        let start = Start {
            snapshot: None,
            replay_from: 1,
            notes,
        };
        return Ok((start, None));
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
    // The index is from a file's name, which may say anything.
    if mark.index.saturating_add(1) < first {
        return Some(format!("the log begins only at entry {first}"));
    }
    if mark.index > last {
        // A file that was received and whose mark never became durable: the log has not been told
        // to go on from there. The leader offers it again, and it is here already.
        return Some(format!("the log ends at entry {last}"));
    }
    let covers = |damage: &&crate::Damage| {
        damage.first_index <= mark.index && mark.index <= damage.last_index
    };
    if let Some(damage) = recovered.damaged.iter().find(covers) {
        let (least, greatest) = (damage.least_term, damage.greatest_term.unwrap_or(u64::MAX));
        if !(least..=greatest).contains(&mark.term) {
            return Some(format!(
                "the log held, at index {}, an entry of a term from {least} to {greatest}",
                mark.index
            ));
        }
    }
    match recovered.term_at(mark.index) {
        Some(term) if term != mark.term => Some(format!(
            "the log holds an entry of term {term} at index {}",
            mark.index
        )),
        _ => None,
    }
}
