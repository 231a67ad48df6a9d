//! The Cluster service: who the members are. Changing them comes with a later version.

use std::sync::Arc;

use quorate_proto::etcdserverpb::{
    Member, MemberAddRequest, MemberAddResponse, MemberListRequest, MemberListResponse,
    MemberPromoteRequest, MemberPromoteResponse, MemberRemoveRequest, MemberRemoveResponse,
    MemberUpdateRequest, MemberUpdateResponse,
};
use quorate_raft::NodeId;
use tonic::{Request, Response, Status};

use super::{counted, header_without_revision, not_yet, status};
use crate::core::Core;
use crate::stubs::cluster_server::Cluster;

const SERVICE: &str = "etcdserverpb.Cluster";

pub(super) struct ClusterService {
    core: Arc<Core>,
}

impl ClusterService {
    pub(super) fn new(core: Arc<Core>) -> ClusterService {
        ClusterService { core }
    }

    async fn list(&self, request: &MemberListRequest) -> Result<MemberListResponse, Status> {
        if request.linearizable {
            let barrier = self.core.read_barrier().await;
            barrier.map_err(|error| status::of_request(&error))?;
        }
        let members = self
            .core
            .settings
            .members
            .iter()
            .zip(&self.core.identity.member_ids);
        let members = members.map(|(member, id)| Member {
            id: *id,
            name: member.name.clone(),
            peer_ur_ls: member.peer_urls.clone(),
            client_ur_ls: self.client_urls(*id),
            is_learner: false,
        });
        Ok(MemberListResponse {
            header: Some(header_without_revision(&self.core)),
            members: members.collect(),
        })
    }

    fn client_urls(&self, id: u64) -> Vec<String> {
        match self.core.peers.queue(NodeId(id)) {
            Some(queue) => queue.client_urls(),
            None => self.core.settings.advertise_client_urls.clone(),
        }
    }
}

#[tonic::async_trait]
impl Cluster for ClusterService {
    async fn member_list(
        &self,
        request: Request<MemberListRequest>,
    ) -> Result<Response<MemberListResponse>, Status> {
        let result = self.list(request.get_ref()).await;
        counted(&self.core, SERVICE, "MemberList", result)
    }

    async fn member_add(
        &self,
        _: Request<MemberAddRequest>,
    ) -> Result<Response<MemberAddResponse>, Status> {
        counted(
            &self.core,
            SERVICE,
            "MemberAdd",
            not_yet("changes of membership"),
        )
    }

    async fn member_remove(
        &self,
        _: Request<MemberRemoveRequest>,
    ) -> Result<Response<MemberRemoveResponse>, Status> {
        counted(
            &self.core,
            SERVICE,
            "MemberRemove",
            not_yet("changes of membership"),
        )
    }

    async fn member_update(
        &self,
        _: Request<MemberUpdateRequest>,
    ) -> Result<Response<MemberUpdateResponse>, Status> {
        counted(
            &self.core,
            SERVICE,
            "MemberUpdate",
            not_yet("changes of membership"),
        )
    }

    async fn member_promote(
        &self,
        _: Request<MemberPromoteRequest>,
    ) -> Result<Response<MemberPromoteResponse>, Status> {
        counted(
            &self.core,
            SERVICE,
            "MemberPromote",
            not_yet("changes of membership"),
        )
    }
}
