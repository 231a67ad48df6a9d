//! Takes snapshots: scans the store between applies, and writes the file. One at a time.

use std::time::Instant;

use quorate_disk::{Disk, ErrorKind};
use quorate_replica::{Capture, SnapshotContentError, SnapshotTaker, TakenSnapshot};
use quorate_wal::snapshot::{SNAPSHOTS_KEPT, SnapshotFiles};
use quorate_wal::{SnapshotMark, WalError};

use super::{Fatal, LogInput, Queues, SnapshotInput};
use crate::core::{ApplyInput, ConsensusInput, Core};
use crate::error::ServerError;
use crate::exports::Newest;

pub(super) fn run<D: Disk>(core: &Core, queues: &Queues, files: &SnapshotFiles<D>, fatal: &Fatal) {
    let mut inputs = Vec::new();
    loop {
        queues.snapshot.take(None, &mut inputs);
        for input in inputs.drain(..) {
            let done = match input {
                SnapshotInput::Take(capture, generation) => {
                    take_and_tell(core, files, *capture, generation)
                }
                SnapshotInput::Marked(mark) => tidy(core, files, mark).map(|up_to| {
                    queues.log.push(LogInput::Release(up_to));
                }),
                SnapshotInput::Stop => return,
            };
            if let Err(error) = done {
                return fatal.report(ServerError::Log(error));
            }
        }
    }
}

fn take_and_tell<D: Disk>(
    core: &Core,
    files: &SnapshotFiles<D>,
    capture: Capture,
    generation: u64,
) -> Result<(), WalError> {
    let index = capture.meta.index.0;
    let started = Instant::now();
    let taken = match take(core, files, capture, generation) {
        Err(SnapshotContentError::File(WalError::Disk(error)))
            if error.kind == ErrorKind::NoSpace =>
        {
            tracing::warn!(
                index,
                "no space for a snapshot: the log keeps growing until there is; free some"
            );
            Err("no space for a snapshot on this member: free some, or ask another member")
        }
        Err(SnapshotContentError::File(error)) => return Err(error),
        Err(error) => {
            tracing::error!(
                index,
                %error,
                "a snapshot was written that could not be loaded: it is given up and the log is kept, which grows; \
                 this is a fault of this program or of the machine's memory, please report it"
            );
            Err("the snapshot that this member wrote could not be loaded: ask another member")
        }
        Ok(taken) => {
            taken.ok_or("this member goes on from another's snapshot, or stops: ask again")
        }
    };
    if let Err(reason) = taken {
        core.exports.failed(index, reason);
    }
    let taken = taken.ok();
    let bytes = taken.as_ref().map(|taken| taken.bytes);
    core.applier.push(ApplyInput::SnapshotEnded(bytes));
    if let Some(taken) = taken {
        core.metrics.snapshots.took(taken.bytes, started.elapsed());
        let milliseconds = started.elapsed().as_millis() as u64;
        tracing::info!(index, bytes, milliseconds, "took a snapshot");
        core.exports.set_newest(Newest {
            mark: SnapshotMark {
                index,
                term: taken.meta.term.0,
            },
            revision: taken.revision,
        });
        core.consensus
            .push(ConsensusInput::SnapshotTaken(taken.meta));
    }
    Ok(())
}

/// Older files than the two newest go. Up to the returned index the log is not needed: both are
/// verified. As long as there are not two, only that of it may go which is void.
fn tidy<D: Disk>(
    core: &Core,
    files: &SnapshotFiles<D>,
    mark: SnapshotMark,
) -> Result<u64, WalError> {
    let kept = files.keep_newest(SNAPSHOTS_KEPT, mark)?;
    core.metrics.snapshots.noted(&kept.notes);
    for note in kept.notes {
        tracing::warn!("{note}");
    }
    Ok(kept.release_up_to.unwrap_or(0))
}

/// None when it was given up: the store that it was captured from is gone, or the server stops.
fn take<D: Disk>(
    core: &Core,
    files: &SnapshotFiles<D>,
    capture: Capture,
    generation: u64,
) -> Result<Option<TakenSnapshot>, SnapshotContentError> {
    let mut taker = SnapshotTaker::begin(files, capture)?;
    loop {
        let store = core.store();
        if core.store_generation() != generation || core.is_stopping() {
            drop(store);
            taker.abandon();
            return Ok(None);
        }
        let piece = taker.scan(&store);
        drop(store);
        match piece {
            Some(piece) => match taker.write(&piece) {
                Err(error @ SnapshotContentError::Store(_)) => {
                    taker.abandon();
                    return Err(error);
                }
                written => written?,
            },
            None => return taker.finish().map(Some),
        }
    }
}
