//! The Cluster service: who the members are, and changes of that.

use std::collections::BTreeSet;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use axum::http::Uri;
use prost::Message as _;
use quorate_proto::envelope::CommandKind;
use quorate_proto::etcdserverpb::{
    Member, MemberAddRequest, MemberAddResponse, MemberListRequest, MemberListResponse,
    MemberPromoteRequest, MemberPromoteResponse, MemberRemoveRequest, MemberRemoveResponse,
    MemberUpdateRequest, MemberUpdateResponse,
};
use quorate_proto::peer;
use quorate_proto::peer::member_change::Change;
use quorate_raft::NodeId;
use quorate_replica::{MemberTable, are_attributes_within_limits};
use tonic::{Request, Response, Status};

use super::{answered, header_without_revision, status};
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
        status::check_votes(&self.core)?;
        if request.linearizable {
            let barrier = self.core.read_barrier().await;
            barrier.map_err(|error| status::of_request(&error))?;
        }
        Ok(MemberListResponse {
            header: Some(header_without_revision(&self.core)),
            members: self.members(&self.core.members.applied()),
        })
    }

    async fn add(&self, request: MemberAddRequest) -> Result<MemberAddResponse, Status> {
        check_urls(&request.peer_ur_ls)?;
        // Whatever is drawn is no other's: the leader refuses an id that there is, or was.
        let id = RandomState::new().hash_one(&request.peer_ur_ls).max(1);
        let added = peer::Member {
            id,
            peer_urls: request.peer_ur_ls,
            is_learner: request.is_learner,
            ..peer::Member::default()
        };
        let table = self.change(Change::Add(added)).await?;
        let members = self.members(&table);
        Ok(MemberAddResponse {
            header: Some(header_without_revision(&self.core)),
            member: members.iter().find(|member| member.id == id).cloned(),
            members,
        })
    }

    async fn remove(&self, request: &MemberRemoveRequest) -> Result<MemberRemoveResponse, Status> {
        let table = self.change(Change::Remove(request.id)).await?;
        Ok(MemberRemoveResponse {
            header: Some(header_without_revision(&self.core)),
            members: self.members(&table),
        })
    }

    async fn promote(
        &self,
        request: &MemberPromoteRequest,
    ) -> Result<MemberPromoteResponse, Status> {
        let table = self.change(Change::Promote(request.id)).await?;
        Ok(MemberPromoteResponse {
            header: Some(header_without_revision(&self.core)),
            members: self.members(&table),
        })
    }

    async fn update(&self, request: MemberUpdateRequest) -> Result<MemberUpdateResponse, Status> {
        status::check_votes(&self.core)?;
        check_urls(&request.peer_ur_ls)?;
        let update = peer::MemberUpdate {
            id: request.id,
            peer_urls: request.peer_ur_ls,
            publication: None,
        };
        let body = update.encode_to_vec().into();
        let changed = self.core.change_members(CommandKind::MemberUpdate, body);
        let table = changed.await.map_err(|error| status::of_request(&error))?;
        Ok(MemberUpdateResponse {
            header: Some(header_without_revision(&self.core)),
            members: self.members(&table),
        })
    }

    async fn change(&self, change: Change) -> Result<Arc<MemberTable>, Status> {
        status::check_votes(&self.core)?;
        let change = peer::MemberChange {
            change: Some(change),
        };
        let body = change.encode_to_vec().into();
        let changed = self.core.change_members(CommandKind::MemberChange, body);
        changed.await.map_err(|error| status::of_request(&error))
    }

    fn members(&self, table: &MemberTable) -> Vec<Member> {
        let members = table.iter().map(|(id, member)| Member {
            id,
            name: member.name.clone(),
            peer_ur_ls: member.peer_urls.clone(),
            client_ur_ls: match member.client_urls.is_empty() {
                true => self.client_urls_told(id),
                false => member.client_urls.clone(),
            },
            is_learner: member.is_learner,
        });
        members.collect()
    }

    /// What a member that has not published its client URLs yet said on its link.
    fn client_urls_told(&self, id: u64) -> Vec<String> {
        if id == self.core.identity.member_id {
            return self.core.settings.advertise_client_urls.clone();
        }
        let queue = self.core.peers.queue(NodeId(id));
        queue.map_or_else(Vec::new, |queue| queue.client_urls())
    }
}

/// As etcd's `types.NewURLs`: scheme, host and port, and nothing else.
fn check_urls(urls: &[String]) -> Result<(), Status> {
    let is_sound = |url: &String| {
        url.parse::<Uri>().is_ok_and(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https"))
                && uri.port_u16().is_some()
                && uri.path().trim_matches('/').is_empty()
                && uri.query().is_none()
        })
    };
    let distinct: BTreeSet<&String> = urls.iter().collect();
    let sound = !urls.is_empty()
        && distinct.len() == urls.len()
        && urls.iter().all(is_sound)
        && are_attributes_within_limits("", urls);
    if sound {
        return Ok(());
    }
    let text = "etcdserver: given member URLs are invalid";
    Err(Status::invalid_argument(text))
}

#[tonic::async_trait]
impl Cluster for ClusterService {
    async fn member_list(
        &self,
        request: Request<MemberListRequest>,
    ) -> Result<Response<MemberListResponse>, Status> {
        let result = self.list(request.get_ref()).await;
        answered(SERVICE, "MemberList", result)
    }

    async fn member_add(
        &self,
        request: Request<MemberAddRequest>,
    ) -> Result<Response<MemberAddResponse>, Status> {
        let result = self.add(request.into_inner()).await;
        answered(SERVICE, "MemberAdd", result)
    }

    async fn member_remove(
        &self,
        request: Request<MemberRemoveRequest>,
    ) -> Result<Response<MemberRemoveResponse>, Status> {
        let result = self.remove(request.get_ref()).await;
        answered(SERVICE, "MemberRemove", result)
    }

    async fn member_update(
        &self,
        request: Request<MemberUpdateRequest>,
    ) -> Result<Response<MemberUpdateResponse>, Status> {
        let result = self.update(request.into_inner()).await;
        answered(SERVICE, "MemberUpdate", result)
    }

    async fn member_promote(
        &self,
        request: Request<MemberPromoteRequest>,
    ) -> Result<Response<MemberPromoteResponse>, Status> {
        let result = self.promote(request.get_ref()).await;
        answered(SERVICE, "MemberPromote", result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_urls_that_peers_can_dial_are_taken() {
        let check = |urls: &[&str]| {
            let urls: Vec<String> = urls.iter().map(|url| (*url).to_owned()).collect();
            check_urls(&urls).is_ok()
        };
        assert!(check(&["http://n4:2380", "https://10.0.0.4:2380"]));
        let refused: [&[&str]; 7] = [
            &[],
            &["n4:2380"],
            &["http://n4"],
            &["ftp://n4:2380"],
            &["http://n4:2380/path"],
            &["http://n4:2380?query"],
            &["http://n4:2380", "http://n4:2380"],
        ];
        for urls in refused {
            assert!(!check(urls), "{urls:?}");
        }
    }
}
