//! The Lock service: who is first in the line of a name holds the lock ([`super::contest`]).

use std::sync::Arc;

use quorate_proto::etcdserverpb::DeleteRangeRequest;
use quorate_proto::v3lockpb::{LockRequest, LockResponse, UnlockRequest, UnlockResponse};
use tonic::{Request, Response, Status};

use super::answered;
use super::contest::{Contender, Contests, Prize, as_etcds};
use crate::bodies::RequestCharge;
use crate::stubs::lock_server::Lock;

const SERVICE: &str = "v3lockpb.Lock";

pub(super) struct LockService {
    contests: Arc<Contests>,
}

impl LockService {
    pub(super) fn new(contests: &Arc<Contests>) -> LockService {
        LockService {
            contests: Arc::clone(contests),
        }
    }

    async fn lock(
        &self,
        request: LockRequest,
        charge: Option<RequestCharge>,
    ) -> Result<LockResponse, Status> {
        let contender = Contender {
            name: request.name,
            lease: request.lease,
            prize: Prize::Lock,
            charge,
        };
        let won = self.contests.contend(contender).await?;
        Ok(LockResponse {
            header: won.header,
            key: won.key,
        })
    }

    /// Deletes the key, whoever's it is and whether or not it is there, as etcd does.
    async fn unlock(&self, request: UnlockRequest) -> Result<UnlockResponse, Status> {
        let delete = DeleteRangeRequest {
            key: request.key,
            ..Default::default()
        };
        let deleted = self.contests.kv.delete_checked(delete).await;
        Ok(UnlockResponse {
            header: deleted.map_err(as_etcds)?.header,
        })
    }
}

#[tonic::async_trait]
impl Lock for LockService {
    async fn lock(&self, request: Request<LockRequest>) -> Result<Response<LockResponse>, Status> {
        let charge = request.extensions().get().cloned();
        let result = match self.contests.check() {
            Ok(()) => self.lock(request.into_inner(), charge).await,
            Err(status) => Err(status),
        };
        answered(SERVICE, "Lock", result)
    }

    async fn unlock(
        &self,
        request: Request<UnlockRequest>,
    ) -> Result<Response<UnlockResponse>, Status> {
        let result = match self.contests.check() {
            Ok(()) => self.unlock(request.into_inner()).await,
            Err(status) => Err(status),
        };
        answered(SERVICE, "Unlock", result)
    }
}
