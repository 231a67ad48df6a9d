//! Pulls the snapshot that consensus wants, on a connection of its own, until it is durable here.

use std::sync::Arc;

use quorate_disk::Disk;
use quorate_proto::peer::snapshot_part::Body;
use quorate_proto::peer::{SnapshotDescription, SnapshotRequest};
use quorate_raft::{InstallWanted, SnapshotMeta};
use quorate_replica::limits::MAX_INCOMING_FRAME_BYTES;
use quorate_replica::{PullProgress, SnapshotContentError, SnapshotPuller};
use quorate_wal::SnapshotMark;
use quorate_wal::snapshot::{Chunk, SnapshotFiles, SnapshotId};
use tokio::sync::watch;
use tonic::Streaming;
use tonic::transport::{Channel, Endpoint};

use super::handshake;
use super::refusals::shortened;
use crate::core::{ConsensusInput, Core};
use crate::limits::{PEER_DIAL_TIMEOUT, SNAPSHOT_PART_TIMEOUT, SNAPSHOT_RETRY};
use crate::stubs::peer_client::PeerClient;

/// Pulls whatever is wanted, one at a time, until the task is dropped. What was received of a
/// snapshot whose pull failed stays on the disk for the next attempt.
pub(crate) async fn pull<D: Disk + Sync>(
    core: Arc<Core>,
    files: SnapshotFiles<D>,
    mut wanted: watch::Receiver<Option<InstallWanted>>,
) where
    D::File: Sync,
{
    while wanted.changed().await.is_ok() {
        let Some(install) = *wanted.borrow_and_update() else {
            continue;
        };
        let (index, from) = (install.index.0, core.member_name(install.from));
        tracing::info!(
            index,
            from,
            "pulls a snapshot: this member is too far behind the log"
        );
        match pull_one(&core, &files, install).await {
            Ok(meta) => {
                tracing::info!(index, from, "the snapshot is here");
                core.consensus.push(ConsensusInput::Installed(meta));
            }
            Err(reason) => {
                tracing::warn!(
                    index,
                    from,
                    reason,
                    "could not pull the snapshot; tries again"
                );
                tokio::time::sleep(SNAPSHOT_RETRY).await;
                core.consensus.push(ConsensusInput::InstallFailed);
            }
        }
    }
}

async fn pull_one<D: Disk + Sync>(
    core: &Core,
    files: &SnapshotFiles<D>,
    wanted: InstallWanted,
) -> Result<SnapshotMeta, String>
where
    D::File: Sync,
{
    let mut client = connect(core, wanted).await?;
    let mut puller = SnapshotPuller::new(files.clone(), wanted);
    loop {
        let query = puller.query();
        let request = SnapshotRequest {
            handshake: Some(handshake::of(
                &core.identity,
                &[],
                query.to.0,
                String::new(),
            )),
            index: query.mark.index,
            term: query.mark.term,
            first_chunk: query.first_chunk,
        };
        let answer = tokio::time::timeout(PEER_DIAL_TIMEOUT, client.snapshot(request)).await;
        let mut parts = answer
            .map_err(|_| "the peer does not answer".to_owned())?
            .map_err(|status| shortened(status.message()).to_owned())?
            .into_inner();
        while let Some(body) = next_part(&mut parts).await? {
            // A chunk of another snapshot does not get past its checksum, so what the second
            // description says matters no more.
            let step = move |mut puller: SnapshotPuller<D>| {
                let progress = match body {
                    Body::Description(_) if query.first_chunk.is_some() => Ok(PullProgress::More),
                    Body::Description(description) => puller.described(id_of(&description)),
                    Body::Chunk(chunk) => puller.arrived(&Chunk {
                        number: chunk.number,
                        data: chunk.data,
                        checksum: chunk.checksum,
                    }),
                };
                (puller, progress)
            };
            let done = tokio::task::spawn_blocking(move || step(puller)).await;
            let (next, progress) = done.map_err(|error| error.to_string())?;
            puller = next;
            match progress.map_err(|error: SnapshotContentError| error.to_string())? {
                PullProgress::More => {}
                PullProgress::Done(meta) => return Ok(meta),
            }
        }
        if puller.query() == query {
            return Err("the peer ended its answer without what was asked for".to_owned());
        }
    }
}

async fn connect(core: &Core, wanted: InstallWanted) -> Result<PeerClient<Channel>, String> {
    let mut last = "no address of it is known".to_owned();
    for url in core.peer_urls(wanted.from) {
        let endpoint = match Endpoint::from_shared(url) {
            Ok(endpoint) => endpoint
                .connect_timeout(PEER_DIAL_TIMEOUT)
                .tcp_nodelay(true),
            Err(error) => {
                last = error.to_string();
                continue;
            }
        };
        match endpoint.connect().await {
            Ok(channel) => {
                return Ok(
                    PeerClient::new(channel).max_decoding_message_size(MAX_INCOMING_FRAME_BYTES)
                );
            }
            Err(error) => last = super::dial::describe(&error),
        }
    }
    Err(last)
}

async fn next_part(
    parts: &mut Streaming<quorate_proto::peer::SnapshotPart>,
) -> Result<Option<Body>, String> {
    match tokio::time::timeout(SNAPSHOT_PART_TIMEOUT, parts.message()).await {
        Err(_) => Err("the peer went silent".to_owned()),
        Ok(Err(status)) => Err(shortened(status.message()).to_owned()),
        Ok(Ok(None)) => Ok(None),
        Ok(Ok(Some(part))) => match part.body {
            Some(body) => Ok(Some(body)),
            None => Err("the peer sent a part of an unknown kind".to_owned()),
        },
    }
}

fn id_of(description: &SnapshotDescription) -> SnapshotId {
    SnapshotId {
        mark: SnapshotMark {
            index: description.index,
            term: description.term,
        },
        bytes: description.bytes,
        checksum: description.checksum,
        chunk_bytes: description.chunk_bytes,
    }
}
