//! Snapshots for backups: which is the newest, and waiting for one that is new enough.
//!
//! Whoever asks for a backup is given all that this member had applied when it asked. If the newest file is of
//! that moment it is taken; else the applier is told that one is wanted ([`Applier::want_snapshot`]), and all who wait
//! share it. A file that is being read stays, whatever is removed meanwhile.
//!
//! [`Applier::want_snapshot`]: quorate_replica::Applier::want_snapshot

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use quorate_disk::{Disk, ErrorKind};
use quorate_wal::snapshot::{SnapshotExport, SnapshotFiles};
use quorate_wal::{SnapshotMark, WalError};
use tokio::sync::{Semaphore, watch};
use tonic::Status;

use crate::core::{ApplyInput, Core};
use crate::limits::{BACKUP_TAKEN_WITHIN, BACKUPS_OPEN, BACKUPS_STREAMED};

/// A snapshot file that is given out piece by piece.
pub(crate) trait Pieces: Send {
    /// Bytes of all pieces.
    fn bytes(&self) -> u64;
    /// The next piece; none after the last.
    fn next_piece(&mut self) -> Result<Option<Bytes>, WalError>;
}

impl<D: Disk> Pieces for SnapshotExport<D> {
    fn bytes(&self) -> u64 {
        SnapshotExport::bytes(self)
    }

    fn next_piece(&mut self) -> Result<Option<Bytes>, WalError> {
        SnapshotExport::next_piece(self)
    }
}

type Open = dyn Fn(SnapshotMark) -> Result<Box<dyn Pieces>, WalError> + Send + Sync;

/// A snapshot that this member has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Newest {
    pub(crate) mark: SnapshotMark,
    /// The store's revision there.
    pub(crate) revision: i64,
}

#[derive(Default)]
struct State {
    newest: Option<Newest>,
    /// How many were given up, and of the last of them its index and the reason.
    failures: u64,
    failed_at: u64,
    reason: String,
}

/// The snapshots of this member, for backups.
pub(crate) struct Exports {
    open: OnceLock<Box<Open>>,
    state: watch::Sender<State>,
    /// Backups that are being read from the disk.
    pub(crate) streamed: Arc<Semaphore>,
    /// Backups whose client has not gone.
    pub(crate) opened: Arc<Semaphore>,
}

impl Exports {
    pub(crate) fn new() -> Exports {
        Exports {
            open: OnceLock::new(),
            state: watch::Sender::default(),
            streamed: Arc::new(Semaphore::new(BACKUPS_STREAMED)),
            opened: Arc::new(Semaphore::new(BACKUPS_OPEN)),
        }
    }

    /// Where the files are.
    pub(crate) fn serve_from<D: Disk>(&self, files: SnapshotFiles<D>)
    where
        SnapshotFiles<D>: Sync,
    {
        let open = move |mark| -> Result<Box<dyn Pieces>, WalError> {
            Ok(Box::new(SnapshotExport::new(files.read(mark)?)))
        };
        // It is called once, at the start; a second call would change nothing.
        let _ = self.open.set(Box::new(open));
    }

    /// This one is there now.
    pub(crate) fn set_newest(&self, newest: Newest) {
        self.state.send_modify(|state| {
            let is_newer = |held: &Newest| held.mark.index <= newest.mark.index;
            if state.newest.as_ref().is_none_or(is_newer) {
                state.newest = Some(newest);
            }
        });
    }

    /// The one of this index was given up.
    pub(crate) fn failed(&self, index: u64, reason: &str) {
        self.state.send_modify(|state| {
            state.failures += 1;
            state.failed_at = index;
            reason.clone_into(&mut state.reason);
        });
    }

    /// Waits for a snapshot of `index` or after it, which has been applied here.
    async fn wait_for(&self, core: &Core, index: u64) -> Result<Newest, Status> {
        let mut changes = self.state.subscribe();
        let failures = changes.borrow_and_update().failures;
        core.applier.push(ApplyInput::SnapshotWanted(index));
        let is_there = |state: &State| state.newest.is_some_and(|held| held.mark.index >= index);
        let has_failed = |state: &State| state.failures > failures && state.failed_at >= index;
        let ended = changes.wait_for(|state| is_there(state) || has_failed(state));
        let state = match tokio::time::timeout(BACKUP_TAKEN_WITHIN, ended).await {
            Ok(Ok(state)) => state,
            Ok(Err(_)) => return Err(Status::unavailable("etcdserver: server stopped")),
            Err(_) => {
                return Err(Status::unavailable(format!(
                    "a snapshot was not taken within {BACKUP_TAKEN_WITHIN:?}: is the disk stuck?"
                )));
            }
        };
        match state.newest {
            Some(newest) if newest.mark.index >= index => Ok(newest),
            _ => Err(Status::unavailable(state.reason.clone())),
        }
    }

    /// A snapshot of `index` or after it, open.
    pub(crate) async fn snapshot_from(
        &self,
        core: &Core,
        index: u64,
    ) -> Result<(Newest, Box<dyn Pieces>), Status> {
        let Some(open) = self.open.get() else {
            return Err(Status::unavailable("this member has no snapshots yet"));
        };
        let mut newest = self.wait_for(core, index).await?;
        loop {
            match open(newest.mark) {
                Ok(pieces) => return Ok((newest, pieces)),
                // It has made room for a newer one since.
                Err(WalError::Disk(error)) if error.kind == ErrorKind::NotFound => {
                    let now = self.state.borrow().newest.filter(|now| *now != newest);
                    newest = now.ok_or_else(|| Status::unavailable(error.to_string()))?;
                }
                Err(error) => return Err(Status::unavailable(error.to_string())),
            }
        }
    }
}
