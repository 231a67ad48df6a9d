//! Prepares the log's next segments before they are needed, so that no write waits for one; and
//! keeps the table of what members acknowledged, which nothing waits for.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use quorate_disk::{Disk, DiskError, ErrorKind};
use quorate_raft::Record;
use quorate_replica::RecordsFile;
use quorate_wal::{Preparer, WalError};

use super::{Fatal, Queues};
use crate::error::ServerError;

/// Wakes the thread when the log has grown, and ends it.
#[derive(Default)]
pub(crate) struct Signal {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    due: bool,
    /// The newest table that is not written yet.
    records: Option<Vec<Record>>,
    stopped: bool,
}

impl Signal {
    /// The log has grown: look after its next segments.
    pub(super) fn wake(&self) {
        self.lock().due = true;
        self.changed.notify_all();
    }

    /// This table is to be kept, in the place of an earlier one.
    pub(super) fn keep(&self, records: Vec<Record>) {
        self.lock().records = Some(records);
        self.changed.notify_all();
    }

    pub(super) fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_all();
    }

    /// Sleeps until woken, unless there is more to do; what is to be kept, and whether the thread is
    /// to end.
    fn wait_unless(&self, more: bool) -> (Option<Vec<Record>>, bool) {
        let mut state = self.lock();
        while !more && !state.due && !state.stopped && state.records.is_none() {
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        state.due = false;
        (state.records.take(), state.stopped)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn run<D: Disk>(
    queues: &Queues,
    preparer: &Preparer<D>,
    mut records_file: RecordsFile<D>,
    fatal: &Fatal,
) {
    loop {
        let more = match preparer.prepare() {
            Ok(more) => more,
            // The current segment goes on, and room may be made before it is full.
            Err(WalError::Disk(
                error @ DiskError {
                    kind: ErrorKind::NoSpace,
                    ..
                },
            )) => {
                tracing::warn!(
                    "the log's next segment cannot be prepared: {error}; when the current one is \
                     full, the node has to stop: free some space on that file system"
                );
                false
            }
            Err(error) => return fatal.report(ServerError::Log(error)),
        };
        // The table waits for no more than one segment.
        let (records, stopped) = queues.prepare.wait_unless(more);
        let written = records.map(|records| records_file.write(&records));
        match written {
            None | Some(Ok(())) => {}
            // A later table may find room.
            Some(Err(WalError::Disk(DiskError {
                kind: ErrorKind::NoSpace,
                ..
            }))) => tracing::warn!(
                "there is no room to keep what other members acknowledged: if one of their disks \
                 went back in time now, this node might not tell"
            ),
            Some(Err(error)) => return fatal.report(ServerError::Log(error)),
        }
        if stopped {
            return;
        }
    }
}
