//! `Maintenance.Snapshot`: the whole store, for a backup.
//!
//! What is streamed is the snapshot file as it lies on the disk, zeros up to a multiple of 512 bytes, and the
//! SHA-256 of all that (`docs/format-snapshot.md`): etcd's frame around our content. It is read on a thread that may
//! wait for the disk, a piece at a time, and each is verified before it leaves. What was read and not sent is
//! bounded by the channel, so that a client that reads slowly holds nothing but its file; and one that does not read
//! at all is given up, with what was read for it.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use quorate_proto::etcdserverpb::{ResponseHeader, SnapshotResponse};
use sha2::{Digest, Sha256};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_stream::Stream;
use tonic::Status;

use super::super::header;
use crate::core::Core;
use crate::exports::Pieces;
use crate::limits::{BACKUP_PIECES_READ_AHEAD, BACKUP_STALL_TIMEOUT};

/// The answers, until the client has gone.
pub(super) struct Snapshot {
    shared: Arc<Shared>,
    _open: OwnedSemaphorePermit,
}

/// What the reader of the file and the stream both hold on to.
struct Shared {
    /// Emptied when the client is given up.
    parts: Mutex<mpsc::Receiver<SnapshotResponse>>,
    /// Why the stream ended early.
    failure: Mutex<Option<Status>>,
}

/// Streams a snapshot of all that this member has applied by now.
pub(super) async fn stream(core: &Arc<Core>) -> Result<Snapshot, Status> {
    let too_many = |_| {
        Status::resource_exhausted("this member streams as many snapshots as it may: ask again")
    };
    let open = Arc::clone(&core.exports.opened).try_acquire_owned();
    let open = open.map_err(too_many)?;
    let streamed = Arc::clone(&core.exports.streamed).try_acquire_owned();
    let streamed = streamed.map_err(too_many)?;
    let readable = core.readable_store();
    drop(readable.map_err(|error| super::super::status::of_request(&error))?);
    let index = core.applied_index();
    if index == 0 {
        return Err(Status::unavailable("etcdserver: no leader"));
    }
    let (newest, pieces) = core.exports.snapshot_from(core, index).await?;
    let header = header(core, newest.revision);
    let stream = begin(pieces, header, open, BACKUP_STALL_TIMEOUT, move || {
        drop(streamed);
    });
    Ok(stream)
}

fn begin(
    pieces: Box<dyn Pieces>,
    header: ResponseHeader,
    open: OwnedSemaphorePermit,
    stall: Duration,
    ended: impl FnOnce() + Send + 'static,
) -> Snapshot {
    let (parts, receiver) = mpsc::channel(BACKUP_PIECES_READ_AHEAD);
    let shared = Arc::new(Shared {
        parts: Mutex::new(receiver),
        failure: Mutex::new(None),
    });
    let reading = Arc::clone(&shared);
    tokio::task::spawn_blocking(move || {
        let sent = send(pieces, &header, stall, &parts);
        if let Err(failure) = sent {
            reading.fail(failure);
        }
        ended();
    });
    Snapshot {
        shared,
        _open: open,
    }
}

/// Reads and sends it all, and the hash after it.
fn send(
    mut pieces: Box<dyn Pieces>,
    header: &ResponseHeader,
    stall: Duration,
    parts: &mpsc::Sender<SnapshotResponse>,
) -> Result<(), Status> {
    let runtime = Handle::current();
    let tell = |remaining_bytes, blob| {
        let part = SnapshotResponse {
            header: Some(*header),
            remaining_bytes,
            blob,
        };
        runtime.block_on(async {
            match tokio::time::timeout(stall, parts.send(part)).await {
                // A client that has gone needs no answer.
                Ok(sent) => Ok(sent.is_ok()),
                Err(_) => Err(Status::deadline_exceeded(format!(
                    "the client has read nothing of the snapshot for {stall:?}"
                ))),
            }
        })
    };
    let mut remaining_bytes = pieces.bytes();
    let mut hash = Sha256::new();
    loop {
        let piece = pieces.next_piece();
        let piece = piece.map_err(|error| Status::data_loss(error.to_string()))?;
        let Some(piece) = piece else { break };
        hash.update(&piece);
        remaining_bytes -= piece.len() as u64;
        if !tell(remaining_bytes, piece)? {
            return Ok(());
        }
    }
    assert_eq!(remaining_bytes, 0, "a snapshot is as long as it was said");
    tell(0, Bytes::copy_from_slice(&hash.finalize()))?;
    Ok(())
}

impl Shared {
    /// Nobody comes for what was read, and for nothing more: whoever reads hears so.
    fn end(&self) {
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        parts.close();
        while parts.try_recv().is_ok() {}
    }

    fn fail(&self, failure: Status) {
        if failure.code() != tonic::Code::DeadlineExceeded {
            tracing::warn!("a backup broke off: {}", failure.message());
        }
        let mut held = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        *held = Some(failure);
        drop(held);
        self.end();
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        self.shared.end();
    }
}

impl Stream for Snapshot {
    type Item = Result<SnapshotResponse, Status>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let parts = self.shared.parts.lock();
        let mut parts = parts.unwrap_or_else(PoisonError::into_inner);
        let part = std::task::ready!(parts.poll_recv(context));
        drop(parts);
        if let Some(part) = part {
            return Poll::Ready(Some(Ok(part)));
        }
        let failure = self.shared.failure.lock();
        let mut failure = failure.unwrap_or_else(PoisonError::into_inner);
        Poll::Ready(failure.take().map(Err))
    }
}

#[cfg(test)]
mod tests;
