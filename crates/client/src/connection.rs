//! One HTTP/2 connection to one member: each call is sent once and its failure told as it is.

use std::error;
use std::future::Future;
use std::time::Duration;

use quorate_proto::etcdserverpb::{
    AlarmRequest, AlarmResponse, CompactionRequest, CompactionResponse, DefragmentRequest,
    DefragmentResponse, DeleteRangeRequest, DeleteRangeResponse, HashKvRequest, HashKvResponse,
    LeaseGrantRequest, LeaseGrantResponse, LeaseKeepAliveRequest, LeaseKeepAliveResponse,
    LeaseLeasesRequest, LeaseLeasesResponse, LeaseRevokeRequest, LeaseRevokeResponse,
    LeaseTimeToLiveRequest, LeaseTimeToLiveResponse, MemberAddRequest, MemberAddResponse,
    MemberListRequest, MemberListResponse, MemberPromoteRequest, MemberPromoteResponse,
    MemberRemoveRequest, MemberRemoveResponse, MemberUpdateRequest, MemberUpdateResponse,
    MoveLeaderRequest, MoveLeaderResponse, PutRequest, PutResponse, RangeRequest, RangeResponse,
    SnapshotRequest, SnapshotResponse, StatusRequest, StatusResponse, TxnRequest, TxnResponse,
    WatchRequest, WatchResponse,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use tonic::{Code, ConnectError, Request, Response, Status, Streaming};

use crate::stubs::cluster_client::ClusterClient;
use crate::stubs::kv_client::KvClient;
use crate::stubs::lease_client::LeaseClient;
use crate::stubs::maintenance_client::MaintenanceClient;
use crate::stubs::watch_client::WatchClient;
use crate::{Endpoint, Error, Options};

/// A range may be as large as the server likes, as for etcd's own client; gRPC's lengths are 32 bits.
const RESPONSE_BYTES_MAX: usize = i32::MAX as usize;

/// HTTP/2 flow-control windows: large enough that a value of the largest size (1.5 MiB) does not wait for a window
/// update, small enough that a slow reader bounds what the kernel and we hold.
const STREAM_WINDOW_BYTES: u32 = 2 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 8 << 20;

/// Servers answer more frequent pings by hanging up (etcd: `grpc-keepalive-min-time`, 5 s).
const KEEP_ALIVE_INTERVAL_MIN: Duration = Duration::from_secs(10);

/// One endpoint, reached over one connection that is reopened when lost. Clones share it.
///
/// There is no timeout beyond the one for connecting, and no second try: that is for the caller.
#[derive(Clone, Debug)]
pub struct Connection {
    endpoint: Endpoint,
    channel: Channel,
}

/// A snapshot on its way.
#[derive(Debug)]
pub struct SnapshotStream {
    connection: Connection,
    parts: Streaming<SnapshotResponse>,
}

impl SnapshotStream {
    /// The next piece; none after the last.
    ///
    /// # Errors
    /// [`Error::Lost`], [`Error::Server`]: what came is not all.
    pub async fn next(&mut self) -> Result<Option<SnapshotResponse>, Error> {
        let part = self.parts.message().await;
        part.map_err(|status| self.connection.error(&status))
    }
}

impl Connection {
    /// Prepares a connection; it is made with the first call. Must be called within a tokio runtime.
    #[must_use]
    pub fn lazy(endpoint: &Endpoint, options: &Options) -> Self {
        let channel = transport(endpoint, options).connect_lazy();
        Self {
            endpoint: endpoint.clone(),
            channel,
        }
    }

    /// Connects now.
    ///
    /// # Errors
    /// [`Error::Unreachable`].
    pub async fn open(endpoint: &Endpoint, options: &Options) -> Result<Self, Error> {
        match transport(endpoint, options).connect().await {
            Ok(channel) => Ok(Self {
                endpoint: endpoint.clone(),
                channel,
            }),
            Err(error) => Err(Error::Unreachable {
                endpoint: endpoint.to_string(),
                reason: innermost(&error),
            }),
        }
    }

    /// The member this leads to.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The channel below, for calls that want to read answers in a way of their own.
    #[must_use]
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// Reads keys.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::Lost`], [`Error::Server`]; so with every call here.
    pub async fn range(&self, request: RangeRequest) -> Result<RangeResponse, Error> {
        self.answer(self.kv().range(request)).await
    }

    /// Writes a key.
    ///
    /// # Errors
    /// As for [`range`](Self::range).
    pub async fn put(&self, request: PutRequest) -> Result<PutResponse, Error> {
        self.answer(self.kv().put(request)).await
    }

    /// Deletes keys.
    ///
    /// # Errors
    /// As for [`range`](Self::range).
    pub async fn delete_range(
        &self,
        request: DeleteRangeRequest,
    ) -> Result<DeleteRangeResponse, Error> {
        self.answer(self.kv().delete_range(request)).await
    }

    /// Runs a transaction.
    ///
    /// # Errors
    /// As for [`range`](Self::range).
    pub async fn txn(&self, request: TxnRequest) -> Result<TxnResponse, Error> {
        self.answer(self.kv().txn(request)).await
    }

    /// Compacts the history.
    ///
    /// # Errors
    /// As for [`range`](Self::range).
    pub async fn compact(&self, request: CompactionRequest) -> Result<CompactionResponse, Error> {
        self.answer(self.kv().compact(request)).await
    }

    /// What this member says of itself.
    ///
    /// # Errors
    /// As for [`range`](Self::range).
    pub async fn status(&self) -> Result<StatusResponse, Error> {
        let mut stub = MaintenanceClient::new(self.channel.clone());
        self.answer(stub.status(StatusRequest {})).await
    }

    /// The cluster's members.
    ///
    /// # Errors
    /// As for [`range`](Self::range).
    pub async fn member_list(
        &self,
        request: MemberListRequest,
    ) -> Result<MemberListResponse, Error> {
        self.answer(self.cluster().member_list(request)).await
    }

    /// Adds a member.
    ///
    /// # Errors
    /// As for [`range`](Self::range).
    pub async fn member_add(&self, request: MemberAddRequest) -> Result<MemberAddResponse, Error> {
        self.answer(self.cluster().member_add(request)).await
    }

    /// Removes a member.
    ///
    /// # Errors
    /// As for [`range`](Self::range).
    pub async fn member_remove(
        &self,
        request: MemberRemoveRequest,
    ) -> Result<MemberRemoveResponse, Error> {
        self.answer(self.cluster().member_remove(request)).await
    }

    /// Gives a member other peer URLs.
    ///
    /// # Errors
    /// As for [`range`](Self::range).
    pub async fn member_update(
        &self,
        request: MemberUpdateRequest,
    ) -> Result<MemberUpdateResponse, Error> {
        self.answer(self.cluster().member_update(request)).await
    }

    /// Makes a learner a voter.
    ///
    /// # Errors
    /// As for [`range`](Self::range).
    pub async fn member_promote(
        &self,
        request: MemberPromoteRequest,
    ) -> Result<MemberPromoteResponse, Error> {
        self.answer(self.cluster().member_promote(request)).await
    }

    /// Has this member, which must lead, hand leadership to another.
    ///
    /// # Errors
    /// As for [`range`](Self::range).
    pub async fn move_leader(
        &self,
        request: MoveLeaderRequest,
    ) -> Result<MoveLeaderResponse, Error> {
        let mut stub = MaintenanceClient::new(self.channel.clone());
        self.answer(stub.move_leader(request)).await
    }

    /// Lists, raises or ends alarms.
    ///
    /// # Errors
    /// As for [`range`](Self::range).
    pub async fn alarm(&self, request: AlarmRequest) -> Result<AlarmResponse, Error> {
        let mut stub = MaintenanceClient::new(self.channel.clone());
        self.answer(stub.alarm(request)).await
    }

    /// The hash of all keys and versions that this member holds up to a revision; 0 is the newest.
    ///
    /// # Errors
    /// As for [`range`](Self::range).
    pub async fn hash_kv(&self, revision: i64) -> Result<HashKvResponse, Error> {
        let mut stub = MaintenanceClient::new(self.channel.clone());
        self.answer(stub.hash_kv(HashKvRequest { revision })).await
    }

    /// Has this member give back what it does not use of its file, if it has one.
    ///
    /// # Errors
    /// As for [`range`](Self::range).
    pub async fn defragment(&self) -> Result<DefragmentResponse, Error> {
        let mut stub = MaintenanceClient::new(self.channel.clone());
        self.answer(stub.defragment(DefragmentRequest {})).await
    }

    /// Asks for the whole store as this member has it now, in pieces. It may take long until the first comes.
    ///
    /// # Errors
    /// As for [`range`](Self::range).
    pub async fn snapshot(&self) -> Result<SnapshotStream, Error> {
        let mut stub = MaintenanceClient::new(self.channel.clone())
            .max_decoding_message_size(RESPONSE_BYTES_MAX);
        let parts = self.answer(stub.snapshot(SnapshotRequest {})).await?;
        Ok(SnapshotStream {
            connection: self.clone(),
            parts,
        })
    }

    /// Opens a stream of watches.
    pub(crate) async fn watch_stream(
        &self,
        requests: mpsc::Receiver<WatchRequest>,
    ) -> Result<Streaming<WatchResponse>, Error> {
        let mut stub =
            WatchClient::new(self.channel.clone()).max_decoding_message_size(RESPONSE_BYTES_MAX);
        let mut request = Request::new(ReceiverStream::new(requests));
        // etcd: `clientv3.WithRequireLeader`.
        let leader = MetadataValue::from_static("true");
        request.metadata_mut().insert("hasleader", leader);
        self.answer(stub.watch(request)).await
    }

    /// Grants a lease.
    ///
    /// # Errors
    /// As for [`range`](Self::range).
    pub async fn lease_grant(
        &self,
        request: LeaseGrantRequest,
    ) -> Result<LeaseGrantResponse, Error> {
        self.answer(self.lease().lease_grant(request)).await
    }

    /// Ends a lease, and its keys.
    ///
    /// # Errors
    /// As for [`range`](Self::range).
    pub async fn lease_revoke(
        &self,
        request: LeaseRevokeRequest,
    ) -> Result<LeaseRevokeResponse, Error> {
        self.answer(self.lease().lease_revoke(request)).await
    }

    /// How long a lease lives.
    ///
    /// # Errors
    /// As for [`range`](Self::range).
    pub async fn lease_time_to_live(
        &self,
        request: LeaseTimeToLiveRequest,
    ) -> Result<LeaseTimeToLiveResponse, Error> {
        self.answer(self.lease().lease_time_to_live(request)).await
    }

    /// Which leases there are.
    ///
    /// # Errors
    /// As for [`range`](Self::range).
    pub async fn leases(&self) -> Result<LeaseLeasesResponse, Error> {
        self.answer(self.lease().lease_leases(LeaseLeasesRequest {}))
            .await
    }

    /// A stream of renewals at this member; it is opened with the first of them.
    #[must_use]
    pub fn keep_alive(&self) -> KeepAlive {
        let (ask, questions) = mpsc::channel(KEEP_ALIVES_ON_THE_WAY);
        KeepAlive {
            connection: self.clone(),
            ask,
            answers: Answers::NotAsked(questions),
        }
    }

    fn lease(&self) -> LeaseClient<Channel> {
        LeaseClient::new(self.channel.clone()).max_decoding_message_size(RESPONSE_BYTES_MAX)
    }

    fn cluster(&self) -> ClusterClient<Channel> {
        ClusterClient::new(self.channel.clone())
    }

    fn kv(&self) -> KvClient<Channel> {
        KvClient::new(self.channel.clone()).max_decoding_message_size(RESPONSE_BYTES_MAX)
    }

    async fn answer<T>(
        &self,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, Error> {
        match call.await {
            Ok(response) => Ok(response.into_inner()),
            Err(status) => Err(self.error(&status)),
        }
    }

    /// Tells a server's answer from a failure of the transport, and in the latter whether anything was sent.
    pub(crate) fn error(&self, status: &Status) -> Error {
        let endpoint = self.endpoint.to_string();
        let Some(source) = error::Error::source(status) else {
            let message = match (status.message(), status.code()) {
                ("", Code::Unimplemented) => format!(
                    "{endpoint}: no etcd v3 server answers there; a member's peer port does not, clients have another"
                ),
                ("", code) => format!("{endpoint}: {code:?} ({code}), and no more was said"),
                (said, _) => said.to_owned(),
            };
            return Error::Server {
                code: status.code(),
                message,
            };
        };
        let reason = innermost(source);
        if chain(source).any(<dyn error::Error>::is::<ConnectError>) {
            Error::Unreachable { endpoint, reason }
        } else {
            Error::Lost { endpoint, reason }
        }
    }
}

/// Renewals that wait in a stream for the connection to take them.
const KEEP_ALIVES_ON_THE_WAY: usize = 16;

/// A stream of renewals: each question has one answer, in the same order.
#[derive(Debug)]
pub struct KeepAlive {
    connection: Connection,
    ask: mpsc::Sender<LeaseKeepAliveRequest>,
    answers: Answers,
}

/// A server may say that it takes the stream only with its first answer, so nobody must wait for that before the
/// first question is on its way.
#[derive(Debug)]
enum Answers {
    NotAsked(mpsc::Receiver<LeaseKeepAliveRequest>),
    Open(Box<Streaming<LeaseKeepAliveResponse>>),
    Over,
}

impl KeepAlive {
    /// Gives a lease all its time again. An answer whose `ttl` is 0 or less says that there is no such lease.
    /// There is no timeout: a caller who gives up drops the stream, since its answer may still come.
    ///
    /// # Errors
    /// As for [`Connection::range`]; after one, the stream is of no more use.
    pub async fn renew(&mut self, id: i64) -> Result<LeaseKeepAliveResponse, Error> {
        // If it cannot be sent, what ended the stream is in the answers.
        let _ = self.ask.send(LeaseKeepAliveRequest { id }).await;
        let mut answers = match std::mem::replace(&mut self.answers, Answers::Over) {
            Answers::Open(answers) => answers,
            Answers::NotAsked(questions) => {
                let mut stub = self.connection.lease();
                let call = stub.lease_keep_alive(ReceiverStream::new(questions));
                Box::new(self.connection.answer(call).await?)
            }
            Answers::Over => return Err(self.ended()),
        };
        match answers.message().await {
            Ok(Some(answer)) => {
                self.answers = Answers::Open(answers);
                Ok(answer)
            }
            Ok(None) => Err(self.ended()),
            Err(status) => Err(self.connection.error(&status)),
        }
    }

    fn ended(&self) -> Error {
        Error::Lost {
            endpoint: self.connection.endpoint.to_string(),
            reason: "the stream of renewals has ended".to_owned(),
        }
    }
}

fn transport(endpoint: &Endpoint, options: &Options) -> tonic::transport::Endpoint {
    Channel::builder(endpoint.uri().clone())
        .connect_timeout(options.dial_timeout)
        .tcp_nodelay(true)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .http2_keep_alive_interval(options.keep_alive_interval.max(KEEP_ALIVE_INTERVAL_MIN))
        .keep_alive_timeout(options.keep_alive_timeout)
}

fn chain<'a>(
    error: &'a (dyn error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn error::Error + 'static)> {
    std::iter::successors(Some(error), |error| error.source())
}

/// The first cause, which says most: "Connection refused" rather than "transport error".
fn innermost(error: &(dyn error::Error + 'static)) -> String {
    chain(error)
        .last()
        .map(ToString::to_string)
        .unwrap_or_default()
}
