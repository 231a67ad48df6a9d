//! The Maintenance service: this member's status, alarms, hashes, backups, and moving the leader.

mod snapshot;

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use prost::Message as _;
use quorate_kv::Reply;
use quorate_proto::envelope::CommandKind;
use quorate_proto::etcdserverpb::alarm_request::AlarmAction;
use quorate_proto::etcdserverpb::{
    AlarmMember, AlarmRequest, AlarmResponse, AlarmType, DefragmentRequest, DefragmentResponse,
    DowngradeRequest, DowngradeResponse, HashKvRequest, HashKvResponse, HashRequest, HashResponse,
    MoveLeaderRequest, MoveLeaderResponse, SnapshotRequest, SnapshotResponse, StatusRequest,
    StatusResponse,
};
use quorate_raft::{NodeId, Role, TransferError, TransferOutcome};
use tokio_stream::Stream;
use tonic::{Request, Response, Status};

use super::lease::cluster_must_know_leases;
use super::{answered, header, status};
use crate::core::Core;
use crate::hashing::{kv_hash, whole_hash};
use crate::settings::{ETCD_VERSION, QUORATE_VERSION};
use crate::stubs::maintenance_server::Maintenance;

const SERVICE: &str = "etcdserverpb.Maintenance";

/// What is wrong with a member that has no state to tell of.
const LOADS_A_SNAPSHOT: &str = "this member is loading a snapshot of another's";

pub(super) struct MaintenanceService {
    core: Arc<Core>,
}

impl MaintenanceService {
    pub(super) fn new(core: Arc<Core>) -> MaintenanceService {
        MaintenanceService { core }
    }

    /// Of this member alone, and at any time: also while it loads another's snapshot, and has no state to speak of.
    fn own_status(&self) -> StatusResponse {
        let leadership = self.core.leadership();
        let (bytes, revision, alarms) = match self.core.readable_store() {
            Ok((store, _)) => {
                let bytes = i64::try_from(store.memory_bytes()).unwrap_or(i64::MAX);
                (bytes, store.revision(), store.alarms(None))
            }
            Err(_) => (0, 0, Vec::new()),
        };
        let applied = self.core.applied_index();
        let status = self.core.consensus_status();
        let committed = status.map_or(0, |status| status.raft.commit.0);
        let no_leader = leadership.leader.is_none();
        let no_leader = no_leader.then(|| "etcdserver: no leader".to_owned());
        let loads = (revision == 0).then(|| LOADS_A_SNAPSHOT.to_owned());
        StatusResponse {
            header: Some(header(&self.core, revision)),
            version: ETCD_VERSION.to_owned(),
            db_size: bytes,
            leader: leadership.leader.map_or(0, |leader| leader.0),
            raft_index: committed.max(applied),
            raft_term: leadership.term.0,
            raft_applied_index: applied,
            errors: no_leader
                .into_iter()
                .chain(loads)
                .chain(alarms.iter().map(in_go))
                .collect(),
            db_size_in_use: bytes,
            is_learner: self.core.is_learner(),
        }
    }

    /// What a list shows is at least as new as the request: etcd sends it through the log, here it is a
    /// linearizable read.
    async fn change_alarms(&self, request: AlarmRequest) -> Result<AlarmResponse, Status> {
        if request.action == i32::from(AlarmAction::Get) {
            return self.list_alarms(request.alarm).await;
        }
        cluster_must_know_leases(&self.core).await;
        let body = Bytes::from(request.encode_to_vec());
        let changed = self.core.write(CommandKind::Alarm, body).await;
        match changed.map_err(|error| status::of_request(&error))? {
            Reply::Alarm(response) => {
                let revision = response.header.map_or(0, |header| header.revision);
                Ok(AlarmResponse {
                    header: Some(header(&self.core, revision)),
                    alarms: response.alarms,
                })
            }
            other => panic!("the applier answered with the reply of another command: {other:?}"),
        }
    }

    async fn list_alarms(&self, kind: i32) -> Result<AlarmResponse, Status> {
        let leave = self.core.read_barrier().await;
        leave.map_err(|error| status::of_request(&error))?;
        let readable = self.core.readable_store();
        let (store, _) = readable.map_err(|error| status::of_request(&error))?;
        let alarms = match AlarmType::try_from(kind) {
            Ok(AlarmType::None) => store.alarms(None),
            Ok(kind) => store.alarms(Some(kind)),
            Err(_) => Vec::new(),
        };
        Ok(AlarmResponse {
            header: Some(header(&self.core, store.revision())),
            alarms,
        })
    }

    async fn hash_of_all(&self) -> Result<HashResponse, Status> {
        let hash = whole_hash(&self.core).await;
        let hash = hash.map_err(|error| status::of_request(&error))?;
        Ok(HashResponse {
            header: Some(header(&self.core, hash.current_revision)),
            hash: hash.hash,
        })
    }

    async fn hash_of_keys(&self, revision: i64) -> Result<HashKvResponse, Status> {
        let hash = kv_hash(&self.core, revision).await;
        let hash = hash.map_err(|error| status::of_request(&error))?;
        Ok(HashKvResponse {
            header: Some(header(&self.core, hash.current_revision)),
            hash: hash.hash,
            compact_revision: hash.compact_revision,
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
        answered(SERVICE, "Status", Ok(self.own_status()))
    }

    async fn alarm(
        &self,
        request: Request<AlarmRequest>,
    ) -> Result<Response<AlarmResponse>, Status> {
        let result = match status::check_votes(&self.core) {
            Ok(()) => self.change_alarms(request.into_inner()).await,
            Err(status) => Err(status),
        };
        answered(SERVICE, "Alarm", result)
    }

    async fn defragment(
        &self,
        _: Request<DefragmentRequest>,
    ) -> Result<Response<DefragmentResponse>, Status> {
        // The store lies in memory: there is nothing to do, so it is done. etcd sends no header.
        let done = DefragmentResponse { header: None };
        let result = status::check_votes(&self.core).map(|()| done);
        answered(SERVICE, "Defragment", result)
    }

    async fn hash(&self, _: Request<HashRequest>) -> Result<Response<HashResponse>, Status> {
        let result = match status::check_votes(&self.core) {
            Ok(()) => self.hash_of_all().await,
            Err(status) => Err(status),
        };
        answered(SERVICE, "Hash", result)
    }

    async fn hash_kv(
        &self,
        request: Request<HashKvRequest>,
    ) -> Result<Response<HashKvResponse>, Status> {
        let result = match status::check_votes(&self.core) {
            Ok(()) => self.hash_of_keys(request.get_ref().revision).await,
            Err(status) => Err(status),
        };
        answered(SERVICE, "HashKV", result)
    }

    async fn snapshot(
        &self,
        _: Request<SnapshotRequest>,
    ) -> Result<Response<Self::SnapshotStream>, Status> {
        let stream = snapshot::stream(&self.core).await;
        let stream = stream.map(|stream| Box::pin(stream) as Self::SnapshotStream);
        answered(SERVICE, "Snapshot", stream)
    }

    async fn move_leader(
        &self,
        request: Request<MoveLeaderRequest>,
    ) -> Result<Response<MoveLeaderResponse>, Status> {
        let result = self.transfer(request.get_ref()).await;
        answered(SERVICE, "MoveLeader", result)
    }

    async fn downgrade(
        &self,
        _: Request<DowngradeRequest>,
    ) -> Result<Response<DowngradeResponse>, Status> {
        let text = format!(
            "quorate {QUORATE_VERSION} does not serve downgrades: the protocol version that the members agree on \
             never falls; an older version may be started as long as one member still is of that version"
        );
        answered(SERVICE, "Downgrade", Err(Status::unimplemented(text)))
    }
}

/// An alarm as Go prints it, which is how etcd tells it in a status: fields that are zero are left out, and
/// each is followed by a space.
fn in_go(alarm: &AlarmMember) -> String {
    let mut text = String::new();
    if alarm.member_id != 0 {
        text += &format!("memberID:{} ", alarm.member_id);
    }
    if alarm.alarm() != AlarmType::None {
        text += &format!("alarm:{} ", alarm.alarm().as_str_name());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alarms_are_told_as_go_prints_them() {
        let alarm = |member_id, kind: AlarmType| AlarmMember {
            member_id,
            alarm: kind.into(),
        };
        assert_eq!(
            in_go(&alarm(7, AlarmType::Nospace)),
            "memberID:7 alarm:NOSPACE "
        );
        assert_eq!(in_go(&alarm(0, AlarmType::Corrupt)), "alarm:CORRUPT ");
    }
}
