//! The Election service: who is first in the line of a name leads ([`super::contest`]), and its key holds what
//! it proclaims.

mod observe;

use std::sync::Arc;

use bytes::Bytes;
use quorate_proto::etcdserverpb::PutRequest;
use quorate_proto::v3electionpb::{
    CampaignRequest, CampaignResponse, LeaderKey, LeaderRequest, LeaderResponse, ProclaimRequest,
    ProclaimResponse, ResignRequest, ResignResponse,
};
use tonic::{Request, Response, Status};

use super::contest::{
    Contender, Contests, Prize, as_etcds, delete_if_created_at, first_created, line_of,
    put_if_created_at,
};
use super::{answered, status};
use crate::bodies::RequestCharge;
use crate::stubs::election_server::Election;
use observe::Observed;

const SERVICE: &str = "v3electionpb.Election";

pub(super) struct ElectionService {
    contests: Arc<Contests>,
}

impl ElectionService {
    pub(super) fn new(contests: Arc<Contests>) -> ElectionService {
        ElectionService { contests }
    }

    async fn campaign(
        &self,
        request: CampaignRequest,
        charge: Option<RequestCharge>,
    ) -> Result<CampaignResponse, Status> {
        // A part of the request would keep all of it while this waits.
        let own_name = Bytes::copy_from_slice(&request.name);
        let contender = Contender {
            name: request.name,
            lease: request.lease,
            prize: Prize::Leadership(request.value),
            charge,
        };
        let won = self.contests.contend(contender).await?;
        let leader = LeaderKey {
            name: own_name,
            key: won.key,
            rev: won.create_revision,
            lease: won.lease,
        };
        Ok(CampaignResponse {
            header: won.header,
            leader: Some(leader),
        })
    }

    async fn proclaim(&self, request: ProclaimRequest) -> Result<ProclaimResponse, Status> {
        let leader = request.leader.ok_or_else(missing_leader)?;
        let put = PutRequest {
            key: leader.key,
            value: request.value,
            lease: self.contests.lease_or_new(leader.lease).await?,
            ..Default::default()
        };
        let answer = self
            .contests
            .txn(put_if_created_at(leader.rev, put))
            .await?;
        match answer.succeeded {
            true => Ok(ProclaimResponse {
                header: answer.header,
            }),
            false => Err(Status::unknown("election: not leader")),
        }
    }

    async fn leader(&self, request: LeaderRequest) -> Result<LeaderResponse, Status> {
        let first = first_created(&line_of(&request.name));
        let answer = self.contests.kv.read_range(first).await?.into_message();
        match answer.kvs.into_iter().next() {
            Some(kv) => Ok(LeaderResponse {
                header: answer.header,
                kv: Some(kv),
            }),
            None => Err(Status::unknown("election: no leader")),
        }
    }

    /// One who does not lead resigns without an error, as in etcd.
    async fn resign(&self, request: ResignRequest) -> Result<ResignResponse, Status> {
        let leader = request.leader.ok_or_else(missing_leader)?;
        let delete = delete_if_created_at(leader.rev, leader.key);
        let answer = self.contests.txn(delete).await?;
        Ok(ResignResponse {
            header: answer.header,
        })
    }
}

fn missing_leader() -> Status {
    Status::unknown("\"leader\" field must be provided")
}

#[tonic::async_trait]
impl Election for ElectionService {
    type ObserveStream = Observed;

    async fn campaign(
        &self,
        request: Request<CampaignRequest>,
    ) -> Result<Response<CampaignResponse>, Status> {
        let charge = request.extensions().get().cloned();
        let result = match self.contests.check() {
            Ok(()) => self.campaign(request.into_inner(), charge).await,
            Err(status) => Err(status),
        };
        answered(SERVICE, "Campaign", result)
    }

    async fn proclaim(
        &self,
        request: Request<ProclaimRequest>,
    ) -> Result<Response<ProclaimResponse>, Status> {
        let result = match self.contests.check() {
            Ok(()) => self.proclaim(request.into_inner()).await.map_err(as_etcds),
            Err(status) => Err(status),
        };
        answered(SERVICE, "Proclaim", result)
    }

    async fn leader(
        &self,
        request: Request<LeaderRequest>,
    ) -> Result<Response<LeaderResponse>, Status> {
        let result = match self.contests.check() {
            Ok(()) => self.leader(request.into_inner()).await.map_err(as_etcds),
            Err(status) => Err(status),
        };
        answered(SERVICE, "Leader", result)
    }

    async fn observe(
        &self,
        request: Request<LeaderRequest>,
    ) -> Result<Response<Self::ObserveStream>, Status> {
        let requires_leader = status::requires_leader(request.metadata());
        let result = match self.contests.check() {
            Ok(()) => {
                let connection = request.extensions().get().cloned();
                observe::begin(
                    &self.contests,
                    request.get_ref(),
                    requires_leader,
                    connection,
                )
            }
            Err(status) => Err(status),
        };
        let response = answered(SERVICE, "Observe", result)?;
        Ok(Observed::into_response(response))
    }

    async fn resign(
        &self,
        request: Request<ResignRequest>,
    ) -> Result<Response<ResignResponse>, Status> {
        let result = match self.contests.check() {
            Ok(()) => self.resign(request.into_inner()).await.map_err(as_etcds),
            Err(status) => Err(status),
        };
        answered(SERVICE, "Resign", result)
    }
}
