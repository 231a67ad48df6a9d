//! Drives the log's writer: everything that is queued becomes one group with one sync.

use std::time::Instant;

use quorate_disk::Disk;
use quorate_replica::LogWriter;
use quorate_wal::SnapshotMark;

use super::{Fatal, LogInput, Queues, SnapshotInput};
use crate::core::{ConsensusInput, Core};
use crate::error::ServerError;
use crate::limits::{COVER_AFTER, PREPARE_EVERY_BYTES};

pub(super) fn run<D: Disk>(core: &Core, queues: &Queues, mut writer: LogWriter<D>, fatal: &Fatal) {
    let mut inputs = Vec::new();
    let mut prepared_at_bytes = writer.log_bytes();
    loop {
        let quiet = writer.needs_cover().then_some(COVER_AFTER);
        queues.log.take(quiet, &mut inputs);
        let stop = inputs.iter().any(|input| matches!(input, LogInput::Stop));
        let outcome = if inputs.is_empty() {
            if writer.needs_cover() {
                writer.cover()
            } else {
                Ok(())
            }
        } else {
            write(core, queues, &mut writer, &mut inputs)
        };
        if let Err(error) = outcome {
            return fatal.report(ServerError::Log(error));
        }
        if writer.log_bytes() >= prepared_at_bytes + PREPARE_EVERY_BYTES {
            prepared_at_bytes = writer.log_bytes();
            queues.prepare.wake();
        }
        if stop {
            return;
        }
    }
}

fn write<D: Disk>(
    core: &Core,
    queues: &Queues,
    writer: &mut LogWriter<D>,
    inputs: &mut Vec<LogInput>,
) -> Result<(), quorate_wal::WalError> {
    let mut writes = Vec::with_capacity(inputs.len());
    let mut then_send = Vec::new();
    let mut repairs = Vec::new();
    for input in inputs.drain(..) {
        match input {
            LogInput::Write(request) => {
                writes.push(request.write);
                then_send.extend(request.then_send);
            }
            LogInput::Repair(entries) => repairs.extend(entries),
            LogInput::Stop => {}
        }
    }
    let mark = writes.iter().rev().find_map(|write| write.snapshot);
    let started = Instant::now();
    let written = writer.write(writes)?;
    if !repairs.is_empty() {
        repair(core, writer, repairs)?;
    }
    let Some(last) = written else {
        return Ok(());
    };
    core.metrics
        .wal_fsync_seconds
        .observe(started.elapsed().as_secs_f64());
    core.consensus.push(ConsensusInput::Wrote(last));
    if let Some(mark) = mark {
        let (index, term) = (mark.index.0, mark.term.0);
        let mark = SnapshotMark { index, term };
        queues.snapshot.push(SnapshotInput::Marked(mark));
    }
    for (peer, message) in then_send {
        core.peers.send(peer, message);
    }
    Ok(())
}

/// Writes back what was damaged, and says so: someone will want to know that the disk rots.
fn repair<D: Disk>(
    core: &Core,
    writer: &mut LogWriter<D>,
    entries: Vec<quorate_raft::Entry>,
) -> Result<(), quorate_wal::WalError> {
    let repaired = writer.repair(entries)?;
    for damage in &repaired.healed {
        tracing::warn!(
            file = damage.file,
            offset = damage.offset,
            first = damage.first_index,
            last = damage.last_index,
            "damaged entries of the log are repaired from another member; check this disk"
        );
    }
    if let Some(error) = &repaired.failed {
        tracing::error!(%error, "damaged entries of the log cannot be written back yet");
    }
    core.consensus.push(ConsensusInput::Repaired(repaired));
    Ok(())
}
