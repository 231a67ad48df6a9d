//! The KV service: Range, Put, DeleteRange, Txn, Compact.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use prost::Message;
use quorate_kv::{Limits, Reply};
use quorate_proto::envelope::CommandKind;
use quorate_proto::etcdserverpb::{
    CompactionRequest, CompactionResponse, DeleteRangeRequest, DeleteRangeResponse, PutRequest,
    PutResponse, RangeRequest, RangeResponse, ResponseHeader, TxnRequest, TxnResponse,
};
use quorate_replica::RequestError;
use tonic::{Request, Response, Status};

use super::reading::Answer;
use super::{answered, header, reading, status};
use crate::core::Core;
use crate::quota;
use crate::stubs::kv_server::Kv;

const SERVICE: &str = "etcdserverpb.KV";

/// How often a physical compaction looks whether all has been freed.
const FREED_POLL: Duration = Duration::from_millis(2);

pub(super) struct KvService {
    core: Arc<Core>,
    limits: Limits,
}

impl KvService {
    pub(super) fn new(core: Arc<Core>) -> KvService {
        let limits = Limits {
            request_bytes_max: core.settings.max_request_bytes,
            txn_operations_max: core.settings.max_txn_ops,
        };
        KvService { core, limits }
    }

    pub(super) async fn read_range(
        &self,
        request: RangeRequest,
    ) -> Result<Answer<RangeResponse>, Status> {
        quorate_kv::check_range(&request).map_err(|error| status::of_kv(&error))?;
        if request.serializable {
            self.must_have_caught_up()?;
        } else {
            self.barrier().await?;
        }
        let mut response = reading::range(&self.core, &request).await?;
        self.complete(&mut response.header);
        Answer::of_read(&self.core, response)
    }

    async fn read_txn(&self, request: TxnRequest) -> Result<Answer<TxnResponse>, Status> {
        if quorate_kv::is_serializable(&request) {
            self.must_have_caught_up()?;
        } else {
            self.barrier().await?;
        }
        let mut response = reading::txn(&self.core, &request).await?;
        self.complete(&mut response.header);
        Answer::of_read(&self.core, response)
    }

    /// A serializable read may be old, but never older than what this member has shown before.
    fn must_have_caught_up(&self) -> Result<(), Status> {
        if self.core.has_caught_up() {
            return Ok(());
        }
        Err(status::of_request(&RequestError::NotCaughtUp))
    }

    async fn barrier(&self) -> Result<(), Status> {
        status::check_votes(&self.core)?;
        self.core
            .read_barrier()
            .await
            .map_err(|error| status::of_request(&error))
    }

    async fn write(&self, kind: CommandKind, message: &impl Message) -> Result<Reply, Status> {
        status::check_votes(&self.core)?;
        let body = Bytes::from(message.encode_to_vec());
        self.core
            .write(kind, body)
            .await
            .map_err(|error| status::of_request(&error))
    }

    /// Refuses what may take more than this member has room for.
    async fn check_quota(&self, cost_bytes: usize) -> Result<(), Status> {
        status::check_votes(&self.core)?;
        let checked = quota::check(&self.core, cost_bytes).await;
        checked.map_err(|error| status::of_request(&error))
    }

    /// Puts this node's part into the header that the store gave.
    fn complete(&self, of: &mut Option<ResponseHeader>) {
        let revision = of.as_ref().map_or(0, |header| header.revision);
        *of = Some(header(&self.core, revision));
    }

    async fn put_checked(&self, request: PutRequest) -> Result<PutResponse, Status> {
        quorate_kv::check_put(&request, &self.limits).map_err(|error| status::of_kv(&error))?;
        self.check_quota(quorate_kv::put_cost_bytes(&request))
            .await?;
        match self.write(CommandKind::Put, &request).await? {
            Reply::Put(mut response) => {
                self.complete(&mut response.header);
                Ok(response)
            }
            other => Err(wrong_reply(&other)),
        }
    }

    pub(super) async fn delete_checked(
        &self,
        request: DeleteRangeRequest,
    ) -> Result<DeleteRangeResponse, Status> {
        quorate_kv::check_delete(&request, &self.limits).map_err(|error| status::of_kv(&error))?;
        match self.write(CommandKind::DeleteRange, &request).await? {
            Reply::DeleteRange(mut response) => {
                self.complete(&mut response.header);
                Ok(response)
            }
            other => Err(wrong_reply(&other)),
        }
    }

    pub(super) async fn txn_checked(
        &self,
        request: TxnRequest,
    ) -> Result<Answer<TxnResponse>, Status> {
        quorate_kv::check_txn(&request, &self.limits).map_err(|error| status::of_kv(&error))?;
        if quorate_kv::is_read_only(&request) {
            // Serializable reads alone are no business of a learner's when they come as a transaction.
            status::check_votes(&self.core)?;
            return self.read_txn(request).await;
        }
        self.check_quota(quorate_kv::txn_cost_bytes(&request))
            .await?;
        match self.write(CommandKind::Txn, &request).await? {
            Reply::Txn(mut response) => {
                self.complete(&mut response.header);
                Ok(Answer::of_write(&self.core, response))
            }
            other => Err(wrong_reply(&other)),
        }
    }

    async fn compact_checked(
        &self,
        request: CompactionRequest,
    ) -> Result<CompactionResponse, Status> {
        quorate_kv::check_compaction(&request, &self.limits)
            .map_err(|error| status::of_kv(&error))?;
        match self.write(CommandKind::Compact, &request).await? {
            Reply::Compact(mut response) => {
                while request.physical && self.core.store().has_more_to_free() {
                    self.core.applier.wake();
                    tokio::time::sleep(FREED_POLL).await;
                }
                self.complete(&mut response.header);
                Ok(response)
            }
            other => Err(wrong_reply(&other)),
        }
    }
}

/// The applier answers a command with its own kind of reply; anything else is our own fault.
fn wrong_reply(reply: &Reply) -> Status {
    panic!("the applier answered with the reply of another command: {reply:?}");
}

#[tonic::async_trait]
impl Kv for KvService {
    async fn range(
        &self,
        request: Request<RangeRequest>,
    ) -> Result<Response<RangeResponse>, Status> {
        let result = self.read_range(request.into_inner()).await;
        answered(SERVICE, "Range", result).map(Answer::into_response)
    }

    async fn put(&self, request: Request<PutRequest>) -> Result<Response<PutResponse>, Status> {
        let result = self.put_checked(request.into_inner()).await;
        answered(SERVICE, "Put", result)
    }

    async fn delete_range(
        &self,
        request: Request<DeleteRangeRequest>,
    ) -> Result<Response<DeleteRangeResponse>, Status> {
        let result = self.delete_checked(request.into_inner()).await;
        answered(SERVICE, "DeleteRange", result)
    }

    async fn txn(&self, request: Request<TxnRequest>) -> Result<Response<TxnResponse>, Status> {
        let result = self.txn_checked(request.into_inner()).await;
        answered(SERVICE, "Txn", result).map(Answer::into_response)
    }

    async fn compact(
        &self,
        request: Request<CompactionRequest>,
    ) -> Result<Response<CompactionResponse>, Status> {
        let result = self.compact_checked(request.into_inner()).await;
        answered(SERVICE, "Compact", result)
    }
}
