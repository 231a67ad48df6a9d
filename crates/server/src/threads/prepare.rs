//! Prepares the log's next segments before they are needed, so that no write waits for one.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use quorate_disk::{Disk, DiskError, ErrorKind};
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
    stopped: bool,
}

impl Signal {
    /// The log has grown: look after its next segments.
    pub(super) fn wake(&self) {
        self.lock().due = true;
        self.changed.notify_all();
    }

    pub(super) fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_all();
    }

    /// Sleeps until woken; true when the thread is to end.
    fn wait(&self) -> bool {
        let mut state = self.lock();
        while !state.due && !state.stopped {
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        state.due = false;
        state.stopped
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn run<D: Disk>(queues: &Queues, preparer: &Preparer<D>, fatal: &Fatal) {
    loop {
        match preparer.prepare() {
            Ok(true) => continue,
            Ok(false) => {}
            // The current segment goes on, and room may be made before it is full.
            Err(WalError::Disk(
                error @ DiskError {
                    kind: ErrorKind::NoSpace,
                    ..
                },
            )) => tracing::warn!(
                "the log's next segment cannot be prepared: {error}; when the current one is full, \
                 the node has to stop: free some space on that file system"
            ),
            Err(error) => return fatal.report(ServerError::Log(error)),
        }
        if queues.prepare.wait() {
            return;
        }
    }
}
