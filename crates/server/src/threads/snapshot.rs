//! Takes snapshots: scans the store between applies, and writes the file. One at a time.

use quorate_disk::{Disk, ErrorKind};
use quorate_replica::{Capture, SnapshotTaker, TakenSnapshot};
use quorate_wal::WalError;
use quorate_wal::snapshot::SnapshotFiles;

use super::{Fatal, Queues, SnapshotInput};
use crate::core::{ApplyInput, ConsensusInput, Core};
use crate::error::ServerError;

pub(super) fn run<D: Disk>(
    core: &Core,
    queues: &Queues,
    files: &SnapshotFiles<D>,
    fatal: &Fatal,
) {
    let mut inputs = Vec::new();
    loop {
        queues.snapshot.take(None, &mut inputs);
        for input in inputs.drain(..) {
            let SnapshotInput::Take(capture, generation) = input else {
                return;
            };
            let index = capture.meta.index.0;
            match take(core, files, capture, generation) {
                Ok(Some(taken)) => {
                    tracing::info!(index, bytes = taken.bytes, "took a snapshot");
                    core.applier.push(ApplyInput::SnapshotEnded(Some(taken.bytes)));
                    core.consensus.push(ConsensusInput::SnapshotTaken(taken.meta));
                }
                Ok(None) => core.applier.push(ApplyInput::SnapshotEnded(None)),
                Err(WalError::Disk(error)) if error.kind == ErrorKind::NoSpace => {
                    tracing::warn!(
                        index,
                        "no space for a snapshot: the log keeps growing until there is; free some"
                    );
                    core.applier.push(ApplyInput::SnapshotEnded(None));
                }
                Err(error) => return fatal.report(ServerError::Log(error)),
            }
        }
    }
}

/// None when it was given up: the store that it was captured from is gone, or the server stops.
fn take<D: Disk>(
    core: &Core,
    files: &SnapshotFiles<D>,
    capture: Capture,
    generation: u64,
) -> Result<Option<TakenSnapshot>, WalError> {
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
            Some(piece) => taker.write(&piece)?,
            None => return taker.finish().map(Some),
        }
    }
}
