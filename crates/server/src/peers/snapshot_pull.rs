//! Pulls the snapshot that consensus wants, on a connection of its own, until it is durable here and
//! has been read to its end. It goes on with what an earlier attempt left; when the snapshot is to be
//! had elsewhere it gives up at once; after a failure it waits longer each time, and says so at most
//! once a second. A disk that fails is the end of the process (pitfall 20).

use std::sync::Arc;
use std::time::{Duration, Instant};

use quorate_disk::{Disk, ErrorKind};
use quorate_proto::peer::snapshot_part::Body;
use quorate_proto::peer::{SnapshotDescription, SnapshotPart, SnapshotRequest};
use quorate_raft::{InstallWanted, LogIndex, NodeId, SnapshotMeta};
use quorate_replica::limits::MAX_INCOMING_FRAME_BYTES;
use quorate_replica::{PullProgress, SnapshotContentError, SnapshotPuller};
use quorate_wal::SnapshotMark;
use quorate_wal::snapshot::{Chunk, SnapshotFiles, SnapshotId};
use tokio::sync::watch;
use tonic::Streaming;
use tonic::transport::{Channel, Endpoint};

use super::handshake;
use super::refusals::{Refusals, shortened};
use crate::core::{ConsensusInput, Core};
use crate::error::ServerError;
use crate::limits::{
    PEER_DIAL_TIMEOUT, SNAPSHOT_PART_TIMEOUT, SNAPSHOT_RETRY_FIRST, SNAPSHOT_RETRY_LONGEST,
};
use crate::stubs::peer_client::PeerClient;
use crate::threads::Fatal;

/// Why a pull ended without the snapshot.
enum Failure {
    /// Another member has it now. What was received stays on the disk.
    OtherSource,
    /// The connection, or what came on it.
    Peer(String),
    /// What was received, or the disk.
    Here(SnapshotContentError),
}

impl From<String> for Failure {
    fn from(reason: String) -> Failure {
        Failure::Peer(reason)
    }
}

/// Pulls whatever is wanted, one at a time, until the task is dropped. What was received of a
/// snapshot whose pull failed stays on the disk for the next attempt.
pub(crate) async fn pull<D: Disk + Sync>(
    core: Arc<Core>,
    files: SnapshotFiles<D>,
    mut wanted: watch::Receiver<Option<InstallWanted>>,
    fatal: Fatal,
) where
    D::File: Sync,
{
    let failures = Refusals::default();
    let mut retry = Retry::default();
    let mut next = None;
    loop {
        let Some(install) = next else {
            if wanted.changed().await.is_err() {
                return;
            }
            next = *wanted.borrow_and_update();
            continue;
        };
        retry.asks(install.from);
        let pause = retry.pause();
        let pulled = async |wanted: &mut watch::Receiver<_>| {
            let rest = async {
                tokio::time::sleep(pause).await;
                Ok(())
            };
            unless_elsewhere(wanted, install, rest).await?;
            pull_one(&core, &files, install, wanted).await
        };
        let (index, from) = (install.index.0, core.member_name(install.from));
        if pause.is_zero() {
            tracing::info!(
                index,
                from,
                "pulls a snapshot: this member is too far behind the log"
            );
        }
        let receiving = core.metrics.snapshots.receives(install.from);
        let started = Instant::now();
        let outcome = pulled(&mut wanted).await;
        drop(receiving);
        count(&core, install.from, &outcome, started.elapsed());
        // Before consensus hears of the outcome: it tells again what it still wants after that, even
        // if that is the same. If it is not to hear of it, what it told last stands.
        let newest = *wanted.borrow_and_update();
        next = match &outcome {
            Ok(_) => None,
            Err(Failure::OtherSource) => newest,
            Err(_) => newest.filter(|newest| *newest != install),
        };
        match outcome {
            Ok(meta) => {
                if retry.succeeded(meta.index) {
                    tracing::info!(index, from, "the snapshot is here");
                }
                core.consensus.push(ConsensusInput::Installed(meta));
            }
            Err(Failure::OtherSource) => {}
            Err(Failure::Here(error)) if is_final(&error) => {
                return fatal.report(ServerError::Snapshot(error));
            }
            Err(failure) => {
                retry.failed();
                if let Some(times) = failures.note(Instant::now()) {
                    let reason = words_of(failure);
                    tracing::warn!(
                        index,
                        from,
                        times,
                        reason,
                        "could not pull the snapshot; tries again"
                    );
                }
                core.consensus.push(ConsensusInput::InstallFailed(install));
            }
        }
    }
}

/// That it is to be had elsewhere is nobody's failure.
fn count(core: &Core, from: NodeId, outcome: &Result<SnapshotMeta, Failure>, time: Duration) {
    match outcome {
        Ok(_) => core.metrics.snapshots.received(from, Some(time)),
        Err(Failure::OtherSource) => {}
        Err(Failure::Peer(_) | Failure::Here(_)) => core.metrics.snapshots.received(from, None),
    }
}

/// Whether the disk cannot be trusted any more, or this program is too old for the cluster. A disk that is
/// full can be, and a file that is gone was removed because nobody needs it any more.
fn is_final(error: &SnapshotContentError) -> bool {
    let is_too_new = matches!(error, SnapshotContentError::TooNew(_));
    is_too_new
        || error
            .of_disk()
            .is_some_and(|error| !matches!(error.kind, ErrorKind::NoSpace | ErrorKind::NotFound))
}

fn words_of(failure: Failure) -> String {
    match failure {
        Failure::OtherSource => "another member has it".to_owned(),
        Failure::Peer(reason) => reason,
        Failure::Here(error)
            if error
                .of_disk()
                .is_some_and(|error| error.kind == ErrorKind::NoSpace) =>
        {
            format!("{error}; free some space on the file system of the data directory")
        }
        Failure::Here(error) => error.to_string(),
    }
}

/// The pauses between attempts: longer with each that failed, or that brought what was here already.
/// Another member is no slower to be asked for what the one before it could not give.
#[derive(Default)]
struct Retry {
    from: Option<NodeId>,
    failures: u32,
    last_pulled: Option<LogIndex>,
}

impl Retry {
    fn asks(&mut self, from: NodeId) {
        if self.from.replace(from) != Some(from) {
            self.failures = 0;
        }
    }

    fn pause(&self) -> Duration {
        let Some(doublings) = self.failures.checked_sub(1) else {
            return Duration::ZERO;
        };
        let factor = 1u32.checked_shl(doublings).unwrap_or(u32::MAX);
        SNAPSHOT_RETRY_FIRST
            .saturating_mul(factor)
            .min(SNAPSHOT_RETRY_LONGEST)
    }

    fn failed(&mut self) {
        self.failures += 1;
    }

    /// Whether that is news: one that comes again was refused by consensus.
    fn succeeded(&mut self, index: LogIndex) -> bool {
        let is_news = self.last_pulled.replace(index) != Some(index);
        self.failures = if is_news { 0 } else { self.failures + 1 };
        is_news
    }
}

/// Waits for `work`, unless the snapshot is to be had from another member: then the present one
/// may never answer. A newer one of the same member is no reason to give up. It keeps the two newest,
/// and a pull that began anew with each might never end.
async fn unless_elsewhere<T>(
    wanted: &mut watch::Receiver<Option<InstallWanted>>,
    install: InstallWanted,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let elsewhere =
        |newest: &Option<InstallWanted>| newest.is_some_and(|newest| newest.from != install.from);
    tokio::select! {
        biased;
        Ok(_) = wanted.wait_for(elsewhere) => Err(Failure::OtherSource),
        done = work => done,
    }
}

async fn pull_one<D: Disk + Sync>(
    core: &Core,
    files: &SnapshotFiles<D>,
    install: InstallWanted,
    wanted: &mut watch::Receiver<Option<InstallWanted>>,
) -> Result<SnapshotMeta, Failure>
where
    D::File: Sync,
{
    let connected = async { Ok(connect(core, install).await?) };
    let mut client = unless_elsewhere(wanted, install, connected).await?;
    let mut puller = SnapshotPuller::new(files.clone(), install, core.identity.highest_version);
    loop {
        let query = puller.query();
        let request = SnapshotRequest {
            handshake: Some(handshake::of(
                &core.identity,
                core.version_in_force(),
                &[],
                query.to.0,
                String::new(),
            )),
            index: query.mark.index,
            term: query.mark.term,
            first_chunk: query.first_chunk,
        };
        let answered = async { Ok(ask(&mut client, request).await?) };
        let mut parts = unless_elsewhere(wanted, install, answered).await?;
        loop {
            let part = async { Ok(next_part(&mut parts).await?) };
            let Some(body) = unless_elsewhere(wanted, install, part).await? else {
                break;
            };
            if let Body::Chunk(chunk) = &body {
                let bytes = chunk.data.len() as u64;
                core.metrics.snapshots.received_chunk(bytes);
            }
            // To its end, come what may: two pullers must not work on one file.
            let taken = tokio::task::spawn_blocking(move || take_in(puller, body)).await;
            let (next, progress) = taken.map_err(|error| error.to_string())?;
            puller = next;
            match progress.map_err(Failure::Here)? {
                PullProgress::More => {}
                PullProgress::Done(meta) => return Ok(meta),
            }
        }
        if puller.query() == query {
            let reason = "the peer ended its answer without what was asked for";
            return Err(Failure::Peer(reason.to_owned()));
        }
    }
}

/// Each answer begins with the description, which must stay the same: chunks of another snapshot
/// at the same index would pass their checksums one by one, and only the whole would not.
fn take_in<D: Disk>(
    mut puller: SnapshotPuller<D>,
    body: Body,
) -> (
    SnapshotPuller<D>,
    Result<PullProgress, SnapshotContentError>,
) {
    let progress = match body {
        Body::Description(description) => puller.described(id_of(&description)),
        Body::Chunk(chunk) => puller.arrived(&Chunk {
            number: chunk.number,
            data: chunk.data,
            checksum: chunk.checksum,
        }),
    };
    (puller, progress)
}

async fn ask(
    client: &mut PeerClient<Channel>,
    request: SnapshotRequest,
) -> Result<Streaming<SnapshotPart>, String> {
    let answer = tokio::time::timeout(PEER_DIAL_TIMEOUT, client.snapshot(request)).await;
    let parts = answer
        .map_err(|_| "the peer does not answer".to_owned())?
        .map_err(|status| shortened(status.message()).to_owned())?;
    Ok(parts.into_inner())
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

async fn next_part(parts: &mut Streaming<SnapshotPart>) -> Result<Option<Body>, String> {
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

#[cfg(test)]
mod tests;
