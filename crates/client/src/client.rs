//! Many endpoints as one: whom to ask next, when to ask again, and when not to.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use quorate_proto::etcdserverpb::alarm_request::AlarmAction;
use quorate_proto::etcdserverpb::{
    AlarmMember, AlarmRequest, AlarmResponse, CompactionRequest, CompactionResponse,
    DefragmentResponse, DeleteRangeRequest, DeleteRangeResponse, HashKvResponse, LeaseGrantRequest,
    LeaseGrantResponse, LeaseKeepAliveResponse, LeaseLeasesResponse, LeaseRevokeRequest,
    LeaseRevokeResponse, LeaseTimeToLiveRequest, LeaseTimeToLiveResponse, MemberAddRequest,
    MemberAddResponse, MemberListRequest, MemberListResponse, MemberPromoteRequest,
    MemberPromoteResponse, MemberRemoveRequest, MemberRemoveResponse, MemberUpdateRequest,
    MemberUpdateResponse, MoveLeaderRequest, MoveLeaderResponse, PutRequest, PutResponse,
    RangeRequest, RangeResponse, StatusResponse, TxnRequest, TxnResponse, WatchCreateRequest,
    request_op,
};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tonic::Code;

use crate::{Connection, Endpoint, Error, Options, Watcher};

/// Wait after every endpoint has failed once, doubled with each further round up to the second value. The first is
/// etcd's (`clientv3`, `backoffWaitBetween`).
pub(crate) const BACKOFF: Duration = Duration::from_millis(25);
pub(crate) const BACKOFF_MAX: Duration = Duration::from_millis(400);

/// An endpoint that could not be reached is passed over for so long while there are others.
const AVOID_FOR_MS: u64 = 1_000;

/// Endpoints that can be asked for a renewal before the lease has ended, or the command timeout is over, though none of
/// them answers.
const RENEWAL_TRIES: u32 = 3;

/// What a call does to the store decides when it may be tried again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Read,
    Write,
}

/// A client of one cluster. Clones are cheap and share connections.
#[derive(Clone, Debug)]
pub struct Client {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    connections: Vec<Slot>,
    next: AtomicUsize,
    command_timeout: Duration,
    started: Instant,
}

#[derive(Debug)]
struct Slot {
    connection: Connection,
    /// Milliseconds after `started` until which this endpoint is passed over.
    avoid_until_ms: AtomicU64,
}

impl Client {
    /// Makes a client; nothing is dialled before the first call. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`Error::NoEndpoints`], [`Error::BadEndpoint`].
    pub fn new(options: &Options) -> Result<Self, Error> {
        if options.endpoints.is_empty() {
            return Err(Error::NoEndpoints);
        }
        let slot = |text: &String| -> Result<Slot, Error> {
            let connection = Connection::lazy(&text.parse()?, options);
            Ok(Slot {
                connection,
                avoid_until_ms: AtomicU64::new(0),
            })
        };
        let shared = Shared {
            connections: options
                .endpoints
                .iter()
                .map(slot)
                .collect::<Result<_, _>>()?,
            next: AtomicUsize::new(0),
            command_timeout: options.command_timeout,
            started: Instant::now(),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// The endpoints, in the order given.
    pub fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        self.shared
            .connections
            .iter()
            .map(|slot| slot.connection.endpoint())
    }

    /// The connections, one per endpoint, for questions that only a certain member can answer.
    pub fn connections(&self) -> impl Iterator<Item = &Connection> {
        self.shared.connections.iter().map(|slot| &slot.connection)
    }

    /// Reads keys.
    ///
    /// # Errors
    /// [`Error::Server`] for what the cluster refuses, [`Error::TimedOut`] when no endpoint answers in time.
    pub async fn range(&self, request: RangeRequest) -> Result<RangeResponse, Error> {
        self.call(Kind::Read, |to| {
            let request = request.clone();
            async move { to.range(request).await }
        })
        .await
    }

    /// Writes a key.
    ///
    /// # Errors
    /// As for [`range`](Self::range), and [`Error::Lost`]; see [`Error::may_have_been_applied`].
    pub async fn put(&self, request: PutRequest) -> Result<PutResponse, Error> {
        self.call(Kind::Write, |to| {
            let request = request.clone();
            async move { to.put(request).await }
        })
        .await
    }

    /// Deletes a key or a range of keys.
    ///
    /// # Errors
    /// As for [`put`](Self::put).
    pub async fn delete_range(
        &self,
        request: DeleteRangeRequest,
    ) -> Result<DeleteRangeResponse, Error> {
        self.call(Kind::Write, |to| {
            let request = request.clone();
            async move { to.delete_range(request).await }
        })
        .await
    }

    /// Runs a transaction. One that can only read is retried as a read.
    ///
    /// # Errors
    /// As for [`put`](Self::put).
    pub async fn txn(&self, request: TxnRequest) -> Result<TxnResponse, Error> {
        let kind = if can_write(&request) {
            Kind::Write
        } else {
            Kind::Read
        };
        self.call(kind, |to| {
            let request = request.clone();
            async move { to.txn(request).await }
        })
        .await
    }

    /// Forgets the versions that nobody can see at or after a revision.
    ///
    /// # Errors
    /// As for [`put`](Self::put).
    pub async fn compact(&self, request: CompactionRequest) -> Result<CompactionResponse, Error> {
        self.call(Kind::Write, |to| async move { to.compact(request).await })
            .await
    }

    /// Grants a lease; id 0 lets whoever answers draw one.
    ///
    /// # Errors
    /// As for [`put`](Self::put).
    pub async fn lease_grant(
        &self,
        request: LeaseGrantRequest,
    ) -> Result<LeaseGrantResponse, Error> {
        self.call(
            Kind::Write,
            |to| async move { to.lease_grant(request).await },
        )
        .await
    }

    /// Ends a lease, and its keys.
    ///
    /// # Errors
    /// As for [`put`](Self::put).
    pub async fn lease_revoke(&self, id: i64) -> Result<LeaseRevokeResponse, Error> {
        let request = LeaseRevokeRequest { id };
        self.call(
            Kind::Write,
            |to| async move { to.lease_revoke(request).await },
        )
        .await
    }

    /// How long a lease lives: `ttl` is -1 if there is none of this id. With `keys`, also which keys hang on it.
    ///
    /// # Errors
    /// As for [`range`](Self::range).
    pub async fn lease_time_to_live(
        &self,
        id: i64,
        keys: bool,
    ) -> Result<LeaseTimeToLiveResponse, Error> {
        let request = LeaseTimeToLiveRequest { id, keys };
        let ask = |to: Connection| async move { to.lease_time_to_live(request).await };
        self.call(Kind::Read, ask).await
    }

    /// Which leases there are.
    ///
    /// # Errors
    /// As for [`range`](Self::range).
    pub async fn leases(&self) -> Result<LeaseLeasesResponse, Error> {
        self.call(Kind::Read, |to| async move { to.leases().await })
            .await
    }

    /// Gives a lease all its time again, once; `ttl` is 0 if there is none of this id. It may be tried again
    /// elsewhere as a read is, since renewing twice does no harm, and is: an endpoint that does not answer in a part of
    /// the command timeout is passed over.
    ///
    /// # Errors
    /// As for [`range`](Self::range).
    pub async fn lease_renew(&self, id: i64) -> Result<LeaseKeepAliveResponse, Error> {
        self.renew(id, Duration::MAX).await
    }

    /// The same, for a lease that has so long to live: one endpoint that hangs must not take all of it.
    pub(crate) async fn renew(
        &self,
        id: i64,
        time_to_live: Duration,
    ) -> Result<LeaseKeepAliveResponse, Error> {
        let limit = time_to_live.min(self.shared.command_timeout) / RENEWAL_TRIES;
        let once = |to: Connection| async move {
            let mut stream = to.keep_alive();
            match timeout(limit, stream.renew(id)).await {
                Ok(result) => result,
                Err(_) => Err(Error::Lost {
                    endpoint: to.endpoint().to_string(),
                    reason: format!("no answer within {limit:?}"),
                }),
            }
        };
        self.call(Kind::Read, once).await
    }

    /// Renews a lease whenever a third of its time is over, as etcd's client does, and tells `heard` of each answer,
    /// until there is no such lease any more; then that answer was the last. Each renewal may go to another endpoint.
    ///
    /// # Errors
    /// As for [`range`](Self::range), when no endpoint renews it in time.
    pub async fn keep_alive(
        &self,
        id: i64,
        mut heard: impl FnMut(&LeaseKeepAliveResponse),
    ) -> Result<(), Error> {
        let mut time_to_live = Duration::MAX;
        loop {
            let asked = Instant::now();
            let answer = self.renew(id, time_to_live).await?;
            heard(&answer);
            let Some(seconds) = u32::try_from(answer.ttl).ok().filter(|ttl| *ttl > 0) else {
                return Ok(());
            };
            time_to_live = Duration::from_secs(seconds.into());
            sleep_until(asked + time_to_live / 3).await;
        }
    }

    /// The cluster's members; `linearizable` asks for the list as of now rather than as of the member that answers.
    ///
    /// # Errors
    /// As for [`range`](Self::range).
    pub async fn member_list(&self, linearizable: bool) -> Result<MemberListResponse, Error> {
        let request = MemberListRequest { linearizable };
        self.call(
            Kind::Read,
            |to| async move { to.member_list(request).await },
        )
        .await
    }

    /// Adds a member; whoever answers draws its id.
    ///
    /// # Errors
    /// As for [`put`](Self::put).
    pub async fn member_add(&self, request: MemberAddRequest) -> Result<MemberAddResponse, Error> {
        self.call(Kind::Write, |to| {
            let request = request.clone();
            async move { to.member_add(request).await }
        })
        .await
    }

    /// Removes a member.
    ///
    /// # Errors
    /// As for [`put`](Self::put).
    pub async fn member_remove(
        &self,
        request: MemberRemoveRequest,
    ) -> Result<MemberRemoveResponse, Error> {
        self.call(
            Kind::Write,
            |to| async move { to.member_remove(request).await },
        )
        .await
    }

    /// Gives a member other peer URLs.
    ///
    /// # Errors
    /// As for [`put`](Self::put).
    pub async fn member_update(
        &self,
        request: MemberUpdateRequest,
    ) -> Result<MemberUpdateResponse, Error> {
        self.call(Kind::Write, |to| {
            let request = request.clone();
            async move { to.member_update(request).await }
        })
        .await
    }

    /// Makes a learner that has caught up a voter.
    ///
    /// # Errors
    /// As for [`put`](Self::put).
    pub async fn member_promote(
        &self,
        request: MemberPromoteRequest,
    ) -> Result<MemberPromoteResponse, Error> {
        self.call(
            Kind::Write,
            |to| async move { to.member_promote(request).await },
        )
        .await
    }

    /// Has the member at `connection` (one of [`connections`](Self::connections)), which must lead, hand leadership to
    /// another. Not retried.
    ///
    /// # Errors
    /// As for [`put`](Self::put).
    pub async fn move_leader(
        &self,
        connection: &Connection,
        request: MoveLeaderRequest,
    ) -> Result<MoveLeaderResponse, Error> {
        self.within_timeout(connection.move_leader(request)).await
    }

    /// What the member at `connection` (one of [`connections`](Self::connections)) says of itself. Not retried.
    ///
    /// # Errors
    /// As for [`range`](Self::range), and [`Error::Unreachable`].
    pub async fn status(&self, connection: &Connection) -> Result<StatusResponse, Error> {
        self.within_timeout(connection.status()).await
    }

    /// The alarms that are on.
    ///
    /// # Errors
    /// As for [`range`](Self::range).
    pub async fn alarms(&self) -> Result<AlarmResponse, Error> {
        let list = AlarmRequest::default();
        self.call(Kind::Read, |to| async move { to.alarm(list).await })
            .await
    }

    /// Ends an alarm; the answer holds it, and nothing if it was not on. It may be tried again elsewhere as a read
    /// is, since ending twice does no harm.
    ///
    /// # Errors
    /// As for [`range`](Self::range).
    pub async fn alarm_disarm(&self, alarm: &AlarmMember) -> Result<AlarmResponse, Error> {
        let request = AlarmRequest {
            action: AlarmAction::Deactivate.into(),
            member_id: alarm.member_id,
            alarm: alarm.alarm,
        };
        self.call(Kind::Read, |to| async move { to.alarm(request).await })
            .await
    }

    /// The alarms that are on, as the member at `connection` says. Not retried.
    ///
    /// # Errors
    /// As for [`status`](Self::status).
    pub async fn alarms_at(&self, connection: &Connection) -> Result<AlarmResponse, Error> {
        let list = AlarmRequest::default();
        self.within_timeout(connection.alarm(list)).await
    }

    /// The hash of all keys and versions that the member at `connection` holds up to a revision; 0 is the newest.
    /// Not retried.
    ///
    /// # Errors
    /// As for [`status`](Self::status).
    pub async fn hash_kv(
        &self,
        connection: &Connection,
        revision: i64,
    ) -> Result<HashKvResponse, Error> {
        self.within_timeout(connection.hash_kv(revision)).await
    }

    /// Has the member at `connection` give back what it does not use of its file, if it has one. Not retried.
    ///
    /// # Errors
    /// As for [`status`](Self::status).
    pub async fn defragment(&self, connection: &Connection) -> Result<DefragmentResponse, Error> {
        self.within_timeout(connection.defragment()).await
    }

    /// Whether the member at `connection` can serve: it answers a linearizable read, for which it needs a leader and
    /// a quorum. Being refused permission is a healthy answer too.
    ///
    /// # Errors
    /// Why it is not healthy.
    pub async fn health(&self, connection: &Connection) -> Result<(), Error> {
        let request = RangeRequest {
            key: bytes::Bytes::from_static(b"health"),
            ..Default::default()
        };
        match self.within_timeout(connection.range(request)).await {
            Ok(_) => Ok(()),
            Err(error) if error.code() == Some(Code::PermissionDenied) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Watches keys. Nothing is sent before its [`Watcher::next`].
    #[must_use]
    pub fn watch(&self, request: WatchCreateRequest) -> Watcher {
        Watcher::new(self.clone(), request)
    }

    /// The connection whose turn it is.
    pub(crate) fn pick_connection(&self) -> Connection {
        self.shared.pick().connection.clone()
    }

    /// Passes a connection over for a while.
    pub(crate) fn avoid(&self, connection: &Connection) {
        let until_ms = self.shared.now_ms() + AVOID_FOR_MS;
        for slot in &self.shared.connections {
            if slot.connection.endpoint() == connection.endpoint() {
                slot.avoid_until_ms.store(until_ms, Ordering::Relaxed);
            }
        }
    }

    async fn within_timeout<T>(
        &self,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let after = self.shared.command_timeout;
        timeout(after, call).await.unwrap_or(Err(Error::TimedOut {
            after,
            sent: true,
            last: None,
        }))
    }

    /// Sends a call to one endpoint after the other until one answers, `kind` forbids another try, or time is up.
    async fn call<T, F>(&self, kind: Kind, send: impl Fn(Connection) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let shared = &*self.shared;
        let after = shared.command_timeout;
        let deadline = Instant::now() + after;
        let mut last = None;
        let mut pause = BACKOFF;
        for attempt in 1_usize.. {
            let slot = shared.pick();
            match timeout_at(deadline, send(slot.connection.clone())).await {
                Ok(Ok(response)) => return Ok(response),
                Ok(Err(error)) => {
                    let retry = match kind {
                        Kind::Read => error.is_worth_another_read(),
                        Kind::Write => error.is_worth_another_write(),
                    };
                    if !retry {
                        return Err(error);
                    }
                    slot.avoid_until_ms
                        .store(shared.now_ms() + AVOID_FOR_MS, Ordering::Relaxed);
                    last = Some(Box::new(error));
                }
                Err(_) => {
                    return Err(Error::TimedOut {
                        after,
                        sent: true,
                        last,
                    });
                }
            }
            if attempt % shared.connections.len() == 0 {
                let wake = Instant::now() + pause;
                if wake >= deadline {
                    break;
                }
                sleep_until(wake).await;
                pause = (pause * 2).min(BACKOFF_MAX);
            }
        }
        Err(Error::TimedOut {
            after,
            sent: false,
            last,
        })
    }
}

impl Shared {
    /// The next endpoint in turn, passing over those that failed a moment ago unless all did.
    fn pick(&self) -> &Slot {
        let count = self.connections.len();
        let start = self.next.fetch_add(1, Ordering::Relaxed);
        let now_ms = self.now_ms();
        let mut in_turn = (0..count).map(|i| &self.connections[start.wrapping_add(i) % count]);
        in_turn
            .find(|slot| slot.avoid_until_ms.load(Ordering::Relaxed) <= now_ms)
            .unwrap_or(&self.connections[start % count])
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

fn can_write(txn: &TxnRequest) -> bool {
    txn.success
        .iter()
        .chain(&txn.failure)
        .any(|op| match &op.request {
            None | Some(request_op::Request::RequestRange(_)) => false,
            Some(request_op::Request::RequestTxn(inner)) => can_write(inner),
            Some(
                request_op::Request::RequestPut(_) | request_op::Request::RequestDeleteRange(_),
            ) => true,
        })
}
