//! Hears what the other members say on the links that they dialled.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use quorate_disk::Disk;
use quorate_proto::peer::{
    Frame, Handshake, HashRequest, HashResponse, MembersRequest, MembersResponse, SnapshotRequest,
};
use quorate_raft::NodeId;
use quorate_replica::wire;
use quorate_wal::SnapshotMark;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::refusals::Refusals;
use super::snapshot_source::{Parts, SnapshotSource};
use super::{handshake, hashes};
use crate::bodies::Handshaken;
use crate::core::{ConsensusInput, Core};
use crate::limits::{PEER_DIAL_TIMEOUT, PEER_PAUSE};
use crate::listen::stopped;
use crate::members::Standing;
use crate::stubs::peer_server::Peer;

/// The service on the peer port.
pub(crate) struct PeerService<D: Disk> {
    core: Arc<Core>,
    snapshots: SnapshotSource<D>,
    /// The link of each member; a newer one ends the older.
    links: Arc<Mutex<BTreeMap<NodeId, oneshot::Sender<()>>>>,
    refusals: Refusals,
    stop: watch::Receiver<bool>,
}

impl<D: Disk> PeerService<D> {
    pub(crate) fn new(
        core: Arc<Core>,
        snapshots: SnapshotSource<D>,
        stop: watch::Receiver<bool>,
    ) -> PeerService<D> {
        PeerService {
            core,
            snapshots,
            links: Arc::default(),
            refusals: Refusals::default(),
            stop,
        }
    }
}

#[tonic::async_trait]
impl<D: Disk + Sync> Peer for PeerService<D>
where
    D::File: Sync,
{
    type LinkStream = ReceiverStream<Result<Frame, Status>>;
    type SnapshotStream = Parts;

    async fn link(
        &self,
        request: Request<Streaming<Frame>>,
    ) -> Result<Response<Self::LinkStream>, Status> {
        let handshaken = request.extensions().get::<Handshaken>().cloned();
        let mut frames = request.into_inner();
        let first = tokio::time::timeout(PEER_DIAL_TIMEOUT, frames.message())
            .await
            .map_err(|_| self.refused("no handshake in time"))??
            .ok_or_else(|| self.refused("no handshake"))?;
        let theirs =
            wire::decode_handshake(&first).map_err(|error| self.refused(&error.to_string()))?;
        let (answers, stream) = mpsc::channel(1);
        let urls = &self.core.settings.advertise_client_urls;
        let (identity, version) = (&self.core.identity, self.core.version_in_force());
        let answer = |refusal| handshake::ours(identity, version, urls, theirs.member_id, refusal);
        match handshake::check(identity, version, &self.core.members, &theirs) {
            Ok(peer) => {
                // Before the answer: what follows it may be large.
                if let Some(handshaken) = handshaken {
                    handshaken.accept();
                }
                let _ = answers.try_send(Ok(answer(String::new())));
                let (replaced, replacement) = oneshot::channel();
                let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
                links.insert(peer, replaced);
                drop(links);
                let hearing = hear(Arc::clone(&self.core), peer, frames, answers, replacement);
                let mut stop = self.stop.clone();
                tokio::spawn(async move {
                    tokio::select! {
                        () = hearing => {}
                        () = stopped(&mut stop) => {}
                    }
                });
            }
            Err(reason) => {
                self.ask_about(&theirs);
                self.refused(&reason);
                let _ = answers.try_send(Ok(answer(reason)));
            }
        }
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn snapshot(
        &self,
        request: Request<SnapshotRequest>,
    ) -> Result<Response<Self::SnapshotStream>, Status> {
        let request = request.into_inner();
        let theirs = request
            .handshake
            .ok_or_else(|| self.refused("no handshake"))?;
        let version = self.core.version_in_force();
        handshake::check(&self.core.identity, version, &self.core.members, &theirs)
            .map_err(|reason| self.refused(&reason))?;
        let mark = SnapshotMark {
            index: request.index,
            term: request.term,
        };
        let to = NodeId(theirs.member_id);
        let parts = self.snapshots.serve(to, mark, request.first_chunk)?;
        Ok(Response::new(parts))
    }

    async fn hash(&self, request: Request<HashRequest>) -> Result<Response<HashResponse>, Status> {
        let request = request.into_inner();
        let theirs = request
            .handshake
            .ok_or_else(|| self.refused("no handshake"))?;
        let version = self.core.version_in_force();
        handshake::check(&self.core.identity, version, &self.core.members, &theirs)
            .map_err(|reason| self.refused(&reason))?;
        let answer = hashes::answer(&self.core, request.revision).await?;
        Ok(Response::new(answer))
    }

    async fn members(
        &self,
        request: Request<MembersRequest>,
    ) -> Result<Response<MembersResponse>, Status> {
        let linearizable = request.into_inner().linearizable;
        // A voter that decides alone until the one who asks has come can ask nobody.
        if linearizable && !self.core.members.decides_alone() {
            let read = self.core.read_barrier().await;
            read.map_err(|error| Status::unavailable(error.to_string()))?;
        }
        Ok(Response::new(MembersResponse {
            cluster_id: self.core.identity.cluster_id,
            founders: Some(self.core.members.founders().to_wire()),
            members: Some(self.core.members.certain().to_wire()),
            applied_index: self.core.applied_index(),
            linearizable,
            cluster_version: self.core.version_in_force(),
        }))
    }
}

impl<D: Disk> PeerService<D> {
    /// Somebody was refused. If it says that it is one of this cluster, others may know it.
    fn ask_about(&self, theirs: &Handshake) {
        let identity = &self.core.identity;
        let is_meant =
            theirs.cluster_id == identity.cluster_id && theirs.receiver_id == identity.member_id;
        let standing = self.core.members.standing(NodeId(theirs.member_id));
        if is_meant && standing == Standing::Stranger {
            self.core.strangers.notify_one();
        }
    }

    fn refused(&self, reason: &str) -> Status {
        self.core.metrics.peer_handshakes_refused.inc();
        if let Some(refused) = self.refusals.note(Instant::now()) {
            tracing::warn!(reason, refused, "refused a link on the peer port");
        }
        Status::permission_denied(reason)
    }
}

/// Hands on what `peer` says until the link ends, a newer one takes its place, or it says
/// something that cannot be. Holding `answers` keeps the peer's side of the link open.
async fn hear(
    core: Arc<Core>,
    peer: NodeId,
    mut frames: Streaming<Frame>,
    answers: mpsc::Sender<Result<Frame, Status>>,
    mut replacement: oneshot::Receiver<()>,
) {
    let mut changes = core.members.watch();
    let heard_bytes = core.metrics.peers.heard_from(peer);
    loop {
        let frame = tokio::select! {
            frame = frames.message() => Some(frame),
            _ = changes.changed() => None,
            _ = &mut replacement => return,
            () = answers.closed() => return,
        };
        if core.members.standing(peer) == Standing::Removed {
            // It dials again, and hears why it is not heard; even if it has nothing to say.
            return;
        }
        let Some(frame) = frame else { continue };
        let Ok(Some(frame)) = frame else { return };
        heard_bytes.inc_by(frame.payload.len() as u64);
        let Ok((None, messages)) = wire::decode_frame(&frame) else {
            core.metrics.peer_frames_refused.inc();
            core.metrics.peers.broke_protocol(peer);
            tracing::warn!(
                peer = core.member_name(peer),
                "a peer sent an illegal frame"
            );
            return;
        };
        let mut input = ConsensusInput::Received {
            from: peer,
            messages,
        };
        let mut delayed = false;
        // What a peer forwarded is not said again, so it waits rather than being dropped.
        while let Err(refused) = core.consensus.offer(input, frame.payload.len()) {
            input = refused;
            if !std::mem::replace(&mut delayed, true) {
                core.metrics.peer_frames_delayed.inc();
            }
            tokio::select! {
                () = tokio::time::sleep(PEER_PAUSE) => {}
                _ = &mut replacement => return,
                () = answers.closed() => return,
            }
        }
    }
}
