//! Serves this member's snapshot files to its peers.
//!
//! A file is read on a thread that may wait for the disk, a chunk at a time, no faster than
//! [`SNAPSHOT_BYTES_PER_SECOND`]; what was read and not sent is bounded by the channel. Removing the
//! snapshot meanwhile does not take it away from its reader.

use std::sync::Arc;
use std::time::{Duration, Instant};

use quorate_disk::Disk;
use quorate_proto::peer::snapshot_part::Body;
use quorate_proto::peer::{SnapshotChunk, SnapshotDescription, SnapshotPart};
use quorate_raft::NodeId;
use quorate_wal::snapshot::{SnapshotFiles, SnapshotId};
use quorate_wal::{SnapshotMark, WalError};
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use crate::limits::{SNAPSHOT_BYTES_PER_SECOND, SNAPSHOT_CHUNKS_READ_AHEAD, SNAPSHOTS_SERVED};
use crate::metrics::SnapshotMetrics;

pub(crate) type Parts = ReceiverStream<Result<SnapshotPart, Status>>;

/// The snapshots of this member, for its peers.
#[derive(Clone)]
pub(crate) struct SnapshotSource<D: Disk> {
    files: SnapshotFiles<D>,
    served: Arc<Semaphore>,
    metrics: SnapshotMetrics,
}

impl<D: Disk> SnapshotSource<D> {
    pub(crate) fn new(files: SnapshotFiles<D>, metrics: SnapshotMetrics) -> SnapshotSource<D> {
        SnapshotSource {
            files,
            served: Arc::new(Semaphore::new(SNAPSHOTS_SERVED)),
            metrics,
        }
    }

    /// The description of a snapshot, then its chunks from `first_chunk` on if that is given.
    pub(crate) fn serve(
        &self,
        to: NodeId,
        mark: SnapshotMark,
        first_chunk: Option<u64>,
    ) -> Result<Parts, Status> {
        let permit = Arc::clone(&self.served).try_acquire_owned().map_err(|_| {
            Status::resource_exhausted("this member sends as many snapshots as it may: ask again")
        })?;
        let (parts, stream) = mpsc::channel(SNAPSHOT_CHUNKS_READ_AHEAD);
        let (files, metrics) = (self.files.clone(), self.metrics.clone());
        tokio::task::spawn_blocking(move || {
            let sending = metrics.sends(to);
            let started = Instant::now();
            let sent = send(&files, mark, first_chunk, &parts, &metrics);
            // The first question is only for the description.
            if first_chunk.is_some() {
                let whole = matches!(sent, Ok(true)).then(|| started.elapsed());
                metrics.sent(to, whole);
            }
            if let Err(error) = sent {
                metrics.failed(&error);
                let _ = parts.blocking_send(Err(Status::unavailable(error.to_string())));
            }
            drop((sending, permit));
        });
        Ok(ReceiverStream::new(stream))
    }
}

/// Whether all of it went.
fn send<D: Disk>(
    files: &SnapshotFiles<D>,
    mark: SnapshotMark,
    first_chunk: Option<u64>,
    parts: &mpsc::Sender<Result<SnapshotPart, Status>>,
    metrics: &SnapshotMetrics,
) -> Result<bool, WalError> {
    let mut reader = files.read(mark)?;
    let id = reader.id();
    let told = |body| {
        parts
            .blocking_send(Ok(SnapshotPart { body: Some(body) }))
            .is_ok()
    };
    if !told(Body::Description(describe(&id))) {
        return Ok(false);
    }
    let started = Instant::now();
    let mut sent_bytes = 0;
    for number in first_chunk.unwrap_or(u64::MAX)..id.chunk_count() {
        let chunk = reader.chunk(number)?;
        let bytes = chunk.data.len() as u64;
        sent_bytes += bytes;
        let (data, checksum) = (chunk.data, chunk.checksum);
        if !told(Body::Chunk(SnapshotChunk {
            number,
            data,
            checksum,
        })) {
            return Ok(false);
        }
        metrics.sent_chunk(bytes);
        let due = Duration::from_secs_f64(sent_bytes as f64 / SNAPSHOT_BYTES_PER_SECOND as f64);
        std::thread::sleep(due.saturating_sub(started.elapsed()));
    }
    Ok(true)
}

fn describe(id: &SnapshotId) -> SnapshotDescription {
    SnapshotDescription {
        index: id.mark.index,
        term: id.mark.term,
        bytes: id.bytes,
        checksum: id.checksum,
        chunk_bytes: id.chunk_bytes,
    }
}
