//! Drives the log's writer: everything that is queued becomes one group with one sync. What need
//! not be kept goes a little at a time, after the group was told durable: no write waits for it
//! longer than for a few segments.

use std::time::{Duration, Instant};

use quorate_disk::Disk;
use quorate_replica::LogWriter;
use quorate_wal::SnapshotMark;

use super::{Fatal, LogInput, Queues, SnapshotInput};
use crate::core::{ConsensusInput, Core};
use crate::error::ServerError;
use crate::limits::{COVER_AFTER, PREPARE_EVERY_BYTES};

pub(super) fn run<D: Disk>(core: &Core, queues: &Queues, mut writer: LogWriter<D>, fatal: &Fatal) {
    let mut inputs = Vec::new();
    let mut growth = Growth::new(writer.log_bytes());
    // What is to be let go of, as long as there is more of it.
    let mut release = None;
    loop {
        let quiet = writer.needs_cover().then_some(COVER_AFTER);
        let wait = if release.is_some() {
            Some(Duration::ZERO)
        } else {
            quiet
        };
        queues.log.take(wait, &mut inputs);
        let stop = inputs.iter().any(|input| matches!(input, LogInput::Stop));
        release = release.max(released_by(&inputs));
        let outcome = if inputs.is_empty() {
            if writer.needs_cover() && release.is_none() {
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
        if stop {
            return cover_the_end(&mut writer, fatal);
        }
        if let Some(up_to) = release {
            match writer.release(up_to) {
                Ok(more) => release = more.then_some(up_to),
                Err(error) => return fatal.report(ServerError::Log(error)),
            }
        }
        if growth.is_due(writer.log_bytes()) {
            queues.prepare.wake();
        }
    }
}

/// After a stop that was asked for nothing looks like the torn tail of a crash: if the end of the log is
/// damaged while the node is down, the next start names what was lost.
fn cover_the_end<D: Disk>(writer: &mut LogWriter<D>, fatal: &Fatal) {
    if writer.needs_cover()
        && let Err(error) = writer.cover()
    {
        fatal.report(ServerError::Log(error));
    }
}

fn released_by(inputs: &[LogInput]) -> Option<u64> {
    let released = inputs.iter().filter_map(|input| match input {
        LogInput::Release(up_to) => Some(*up_to),
        LogInput::Write(_) | LogInput::Repair(_) | LogInput::Stop => None,
    });
    released.max()
}

/// When the log's next segments are to be looked after.
struct Growth {
    /// The size of the log from which its growth counts.
    from_bytes: u64,
}

impl Growth {
    fn new(log_bytes: u64) -> Growth {
        Growth {
            from_bytes: log_bytes,
        }
    }

    /// Whether the log, now of this size, has grown by a good piece since the last time. When some
    /// of it was released, growth counts from there.
    fn is_due(&mut self, log_bytes: u64) -> bool {
        self.from_bytes = self.from_bytes.min(log_bytes);
        let due = log_bytes >= self.from_bytes + PREPARE_EVERY_BYTES;
        if due {
            self.from_bytes = log_bytes;
        }
        due
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
            LogInput::Release(_) | LogInput::Stop => {}
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_prepared_again_soon_after_a_release() {
        let mut growth = Growth::new(10 * PREPARE_EVERY_BYTES);
        assert!(!growth.is_due(11 * PREPARE_EVERY_BYTES - 1));
        assert!(growth.is_due(11 * PREPARE_EVERY_BYTES));
        assert!(!growth.is_due(PREPARE_EVERY_BYTES), "released");
        assert!(growth.is_due(2 * PREPARE_EVERY_BYTES));
    }

    #[test]
    fn of_several_releases_the_furthest_counts() {
        let inputs = [LogInput::Release(7), LogInput::Release(9), LogInput::Stop];
        assert_eq!(released_by(&inputs), Some(9));
        assert_eq!(released_by(&inputs[2..]), None);
    }
}
