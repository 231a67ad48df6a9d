//! The Maintenance service: this member's status, and moving the leader. Raising alarms and hashes
//! come with later versions.

mod snapshot;

use std::pin::Pin;
use std::sync::Arc;

use quorate_proto::etcdserverpb::alarm_request::AlarmAction;
use quorate_proto::etcdserverpb::{
    AlarmRequest, AlarmResponse, DefragmentRequest, DefragmentResponse, DowngradeRequest,
    DowngradeResponse, HashKvRequest, HashKvResponse, HashRequest, HashResponse, MoveLeaderRequest,
    MoveLeaderResponse, SnapshotRequest, SnapshotResponse, StatusRequest, StatusResponse,
};
use quorate_raft::{NodeId, Role, TransferError, TransferOutcome};
use tokio_stream::Stream;
use tonic::{Request, Response, Status};

use super::{counted, header, not_yet};
use crate::core::Core;
use crate::settings::ETCD_VERSION;
use crate::stubs::maintenance_server::Maintenance;

const SERVICE: &str = "etcdserverpb.Maintenance";

pub(super) struct MaintenanceService {
    core: Arc<Core>,
}

impl MaintenanceService {
    pub(super) fn new(core: Arc<Core>) -> MaintenanceService {
        MaintenanceService { core }
    }

    fn own_status(&self) -> Result<StatusResponse, Status> {
        let leadership = self.core.leadership();
        let readable = self.core.readable_store();
        let (store, _) = readable.map_err(|error| super::status::of_request(&error))?;
        let bytes = i64::try_from(store.memory_bytes()).unwrap_or(i64::MAX);
        let revision = store.revision();
        drop(store);
        let applied = self.core.applied_index();
        let status = self.core.consensus_status();
        let committed = status.map_or(0, |status| status.raft.commit.0);
        let errors = match leadership.leader {
            Some(_) => Vec::new(),
            None => vec!["etcdserver: no leader".to_owned()],
        };
        Ok(StatusResponse {
            header: Some(header(&self.core, revision)),
            version: ETCD_VERSION.to_owned(),
            db_size: bytes,
            leader: leadership.leader.map_or(0, |leader| leader.0),
            raft_index: committed.max(applied),
            raft_term: leadership.term.0,
            raft_applied_index: applied,
            errors,
            db_size_in_use: bytes,
            is_learner: self.core.is_learner(),
        })
    }

    /// etcd gives no header here.
    async fn transfer(&self, request: &MoveLeaderRequest) -> Result<MoveLeaderResponse, Status> {
        let done = MoveLeaderResponse { header: None };
        let not_leader = || Status::failed_precondition("etcdserver: not leader");
        let bad_target = || Status::failed_precondition("etcdserver: bad leader transferee");
        if self.core.leadership().role != Role::Leader {
            return Err(not_leader());
        }
        match self.core.transfer(NodeId(request.target_id)).await {
            Some(Ok(TransferOutcome::Done { .. }) | Err(TransferError::LeadsAlready)) => Ok(done),
            Some(Err(TransferError::NotLeader { .. })) => Err(not_leader()),
            Some(Err(TransferError::NotAVoter { .. })) => Err(bad_target()),
            // Another transfer under way is as good as one that takes too long.
            _ => Err(Status::unavailable(
                "etcdserver: request timed out, leader transfer took too long",
            )),
        }
    }
}

#[tonic::async_trait]
impl Maintenance for MaintenanceService {
    type SnapshotStream = Pin<Box<dyn Stream<Item = Result<SnapshotResponse, Status>> + Send>>;

    async fn status(&self, _: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        counted(&self.core, SERVICE, "Status", self.own_status())
    }

    async fn alarm(
        &self,
        request: Request<AlarmRequest>,
    ) -> Result<Response<AlarmResponse>, Status> {
        // No alarm is ever raised by this version: asked for, or to be disarmed, there is none.
        let result = match request.get_ref().action() {
            AlarmAction::Get | AlarmAction::Deactivate => Ok(AlarmResponse {
                header: Some(header(&self.core, self.core.store().revision())),
                alarms: Vec::new(),
            }),
            AlarmAction::Activate => not_yet("alarms"),
        };
        counted(&self.core, SERVICE, "Alarm", result)
    }

    async fn defragment(
        &self,
        _: Request<DefragmentRequest>,
    ) -> Result<Response<DefragmentResponse>, Status> {
        // The store lies in memory: there is nothing to do, so it is done. etcd sends no header.
        let done = DefragmentResponse { header: None };
        counted(&self.core, SERVICE, "Defragment", Ok(done))
    }

    async fn hash(&self, _: Request<HashRequest>) -> Result<Response<HashResponse>, Status> {
        counted(&self.core, SERVICE, "Hash", not_yet("hashes"))
    }

    async fn hash_kv(&self, _: Request<HashKvRequest>) -> Result<Response<HashKvResponse>, Status> {
        counted(&self.core, SERVICE, "HashKV", not_yet("hashes"))
    }

    async fn snapshot(
        &self,
        _: Request<SnapshotRequest>,
    ) -> Result<Response<Self::SnapshotStream>, Status> {
        let stream = snapshot::stream(&self.core).await;
        let stream = stream.map(|stream| Box::pin(stream) as Self::SnapshotStream);
        counted(&self.core, SERVICE, "Snapshot", stream)
    }

    async fn move_leader(
        &self,
        request: Request<MoveLeaderRequest>,
    ) -> Result<Response<MoveLeaderResponse>, Status> {
        let result = self.transfer(request.get_ref()).await;
        counted(&self.core, SERVICE, "MoveLeader", result)
    }

    async fn downgrade(
        &self,
        _: Request<DowngradeRequest>,
    ) -> Result<Response<DowngradeResponse>, Status> {
        counted(&self.core, SERVICE, "Downgrade", not_yet("downgrades"))
    }
}
