//! The Lease service: grants and revocations through the log, times and renewals from the leader.
//!
//! A grant gets its id and its time here, before it is proposed. How much time a lease has is for the
//! leader to say, whichever member is asked ([`quorate_replica::Consensus::ask_leases`]); which keys
//! hang on it is read from the store, as a linearizable read is.

mod while_led;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use prost::Message;
use quorate_kv::{KEYS_PER_STEP, Reply};
use quorate_proto::envelope::CommandKind;
use quorate_proto::etcdserverpb::{
    LeaseGrantRequest, LeaseGrantResponse, LeaseKeepAliveRequest, LeaseKeepAliveResponse,
    LeaseLeasesRequest, LeaseLeasesResponse, LeaseRevokeRequest, LeaseRevokeResponse, LeaseStatus,
    LeaseTimeToLiveRequest, LeaseTimeToLiveResponse, ResponseHeader,
};
use quorate_replica::{LEASES_FROM_VERSION, RequestError};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt as _};
use tonic::{Request, Response, Status, Streaming};

use super::watch::without_leader;
use super::{answered, header, status};
use crate::core::Core;
use crate::limits::{LEASE_VERSION_PATIENCE, LEASES_PER_STEP, MAX_LEASES, RENEWALS_PER_STREAM};
use crate::quota;
use crate::stubs::lease_server::Lease;
use while_led::WhileLed;

const SERVICE: &str = "etcdserverpb.Lease";

/// Ids tried for one grant whose client wants any: that one of 2^63 is taken hardly happens once.
const ID_ATTEMPTS: usize = 4;

pub(super) struct LeaseService {
    core: Arc<Core>,
}

impl LeaseService {
    pub(super) fn new(core: Arc<Core>) -> LeaseService {
        LeaseService { core }
    }

    pub(super) async fn grant(
        &self,
        mut request: LeaseGrantRequest,
    ) -> Result<LeaseGrantResponse, Status> {
        quorate_kv::check_lease_grant(&request).map_err(|error| status::of_kv(&error))?;
        check_room(self.readable(quorate_kv::Store::lease_count)?)?;
        cluster_must_know_leases(&self.core).await;
        let checked = quota::check(&self.core, quorate_kv::LEASE_COST_BYTES).await;
        checked.map_err(|error| status::of_request(&error))?;
        request.ttl = request.ttl.max(min_ttl_seconds(
            self.core.settings.heartbeat_interval,
            self.core.settings.election_timeout,
        ));
        let is_any = request.id == 0;
        for _ in 0..ID_ATTEMPTS {
            if is_any {
                request.id = random_id();
            }
            match self.write(CommandKind::LeaseGrant, &request).await {
                Ok(Reply::LeaseGrant(mut response)) => {
                    self.complete(&mut response.header);
                    return Ok(response);
                }
                Ok(other) => return Err(wrong_reply(&other)),
                Err(RequestError::Refused(quorate_kv::KvError::LeaseExists)) if is_any => {}
                Err(error) => return Err(status::of_request(&error)),
            }
        }
        Err(status::of_kv(&quorate_kv::KvError::LeaseExists))
    }

    async fn revoke(&self, request: LeaseRevokeRequest) -> Result<LeaseRevokeResponse, Status> {
        cluster_must_know_leases(&self.core).await;
        match self.write(CommandKind::LeaseRevoke, &request).await {
            Ok(Reply::LeaseRevoke(mut response)) => {
                self.complete(&mut response.header);
                Ok(response)
            }
            Ok(other) => Err(wrong_reply(&other)),
            Err(error) => Err(status::of_request(&error)),
        }
    }

    /// A lease that is not there has -1 seconds left, as in etcd.
    async fn time_to_live(
        &self,
        request: LeaseTimeToLiveRequest,
    ) -> Result<LeaseTimeToLiveResponse, Status> {
        self.barrier().await?;
        let id = request.id;
        let mut response = LeaseTimeToLiveResponse {
            header: None,
            id,
            ttl: -1,
            granted_ttl: 0,
            keys: Vec::new(),
        };
        let is_there = self.readable(|store| store.lease(id).is_some())?;
        if is_there {
            let time = self.core.ask_lease(id, false).await;
            if let Some(time) = time.map_err(|error| status::of_request(&error))? {
                response.ttl = time.remaining_seconds;
                response.granted_ttl = time.granted_seconds;
                if request.keys {
                    response.keys = self.keys_of(id)?;
                }
            }
        }
        response.header = Some(header(
            &self.core,
            self.readable(quorate_kv::Store::revision)?,
        ));
        Ok(response)
    }

    /// The keys of a lease, read in portions so that nobody is held up.
    fn keys_of(&self, id: i64) -> Result<Vec<Bytes>, Status> {
        let mut keys: Vec<Bytes> = Vec::new();
        loop {
            let mut from = keys.last().map_or_else(Vec::new, |last| last.to_vec());
            if !keys.is_empty() {
                from.push(0);
            }
            let count = keys.len();
            self.readable(|store| {
                let next = store.lease_keys(id, &from).take(KEYS_PER_STEP);
                keys.extend(next.map(Bytes::copy_from_slice));
            })?;
            if keys.len() - count < KEYS_PER_STEP {
                return Ok(keys);
            }
        }
    }

    async fn list(&self) -> Result<LeaseLeasesResponse, Status> {
        self.barrier().await?;
        let mut leases: Vec<LeaseStatus> = Vec::new();
        let mut next = Some(i64::MIN);
        while let Some(from) = next {
            let count = leases.len();
            self.readable(|store| {
                let portion = store.leases(from).take(LEASES_PER_STEP);
                leases.extend(portion.map(|lease| LeaseStatus { id: lease.id }));
            })?;
            let is_full = leases.len() - count == LEASES_PER_STEP;
            let last = leases.last().filter(|_| is_full);
            next = last.and_then(|last| last.id.checked_add(1));
        }
        let revision = self.readable(quorate_kv::Store::revision)?;
        Ok(LeaseLeasesResponse {
            header: Some(header(&self.core, revision)),
            leases,
        })
    }

    async fn barrier(&self) -> Result<(), Status> {
        let leave = self.core.read_barrier().await;
        leave.map_err(|error| status::of_request(&error))
    }

    fn readable<T>(&self, read: impl FnOnce(&quorate_kv::Store) -> T) -> Result<T, Status> {
        let readable = self.core.readable_store();
        let (store, _) = readable.map_err(|error| status::of_request(&error))?;
        Ok(read(&store))
    }

    async fn write(
        &self,
        kind: CommandKind,
        message: &impl Message,
    ) -> Result<Reply, RequestError> {
        let body = Bytes::from(message.encode_to_vec());
        self.core.write(kind, body).await
    }

    /// Puts this node's part into the header that the store gave.
    fn complete(&self, of: &mut Option<ResponseHeader>) {
        let revision = of.as_ref().map_or(0, |header| header.revision);
        *of = Some(header(&self.core, revision));
    }
}

/// A cluster that has just started agrees on its version in a moment: at once if all its members are there,
/// else when a majority has waited for the others.
pub(super) async fn cluster_must_know_leases(core: &Core) {
    if core.cluster_knows(LEASES_FROM_VERSION) {
        return;
    }
    let mut versions = core.cluster_version.subscribe();
    let agreed = versions.wait_for(|version| *version >= LEASES_FROM_VERSION);
    // If it is not agreed in time consensus refuses the command.
    let _ = tokio::time::timeout(LEASE_VERSION_PATIENCE, agreed).await;
}

/// Refuses one more lease than there may be.
fn check_room(leases: usize) -> Result<(), Status> {
    match leases < MAX_LEASES {
        true => Ok(()),
        false => Err(status::of_request(&RequestError::TooManyRequests)),
    }
}

/// The least time that a lease may be granted: clients have to renew it in time though a leader falls,
/// so at least one and a half election timeouts, in etcd's whole ticks and whole seconds.
fn min_ttl_seconds(heartbeat_interval: Duration, election_timeout: Duration) -> i64 {
    let ticks = election_timeout.as_millis() / heartbeat_interval.as_millis().max(1);
    let least_ms = (3 * ticks / 2) * heartbeat_interval.as_millis();
    i64::try_from(least_ms.div_ceil(1_000))
        .unwrap_or(i64::MAX)
        .max(1)
}

/// A positive one. Each hasher has other keys, and the first ones are the operating system's.
fn random_id() -> i64 {
    loop {
        let id = RandomState::new().build_hasher().finish() >> 1;
        if id != 0 {
            return id.cast_signed();
        }
    }
}

/// The applier answers a command with its own kind of reply; anything else is our own fault.
fn wrong_reply(reply: &Reply) -> Status {
    panic!("the applier answered with the reply of another command: {reply:?}");
}

type KeepAliveResult = Result<LeaseKeepAliveResponse, Status>;

/// Renews what a stream asks for. The renewals under way go on side by side, and the answers come in
/// the order of the requests.
async fn keep_alive(
    core: Arc<Core>,
    mut requests: Streaming<LeaseKeepAliveRequest>,
    answers: mpsc::Sender<oneshot::Receiver<KeepAliveResult>>,
) {
    loop {
        let request = tokio::select! {
            request = requests.next() => request,
            () = answers.closed() => None,
        };
        let Some(request) = request else {
            return;
        };
        let (done, answer) = oneshot::channel();
        if answers.send(answer).await.is_err() {
            return; // The client has gone.
        }
        match request {
            Ok(request) => {
                let core = Arc::clone(&core);
                tokio::spawn(async move {
                    // An error means that the client has gone.
                    let _ = done.send(renew(&core, request.id).await);
                });
            }
            Err(status) => {
                let _ = done.send(Err(status));
                return;
            }
        }
    }
}

async fn renew(core: &Core, id: i64) -> KeepAliveResult {
    cluster_must_know_leases(core).await;
    let readable = core.readable_store();
    let revision = readable.map(|(store, _)| store.revision());
    let revision = revision.map_err(|error| status::of_request(&error))?;
    // Before the renewal: a client must not take the revision for one at which the lease held.
    let header = header(core, revision);
    let time = core.ask_lease(id, true).await;
    let time = time.map_err(|error| status::of_request(&error))?;
    Ok(LeaseKeepAliveResponse {
        header: Some(header),
        id,
        ttl: time.map_or(0, |time| time.granted_seconds),
    })
}

#[tonic::async_trait]
impl Lease for LeaseService {
    type LeaseKeepAliveStream = Pin<Box<dyn Stream<Item = KeepAliveResult> + Send>>;

    async fn lease_grant(
        &self,
        request: Request<LeaseGrantRequest>,
    ) -> Result<Response<LeaseGrantResponse>, Status> {
        let result = match status::check_votes(&self.core) {
            Ok(()) => self.grant(request.into_inner()).await,
            Err(status) => Err(status),
        };
        answered(SERVICE, "LeaseGrant", result)
    }

    async fn lease_revoke(
        &self,
        request: Request<LeaseRevokeRequest>,
    ) -> Result<Response<LeaseRevokeResponse>, Status> {
        let result = match status::check_votes(&self.core) {
            Ok(()) => self.revoke(request.into_inner()).await,
            Err(status) => Err(status),
        };
        answered(SERVICE, "LeaseRevoke", result)
    }

    async fn lease_keep_alive(
        &self,
        request: Request<Streaming<LeaseKeepAliveRequest>>,
    ) -> Result<Response<Self::LeaseKeepAliveStream>, Status> {
        let requires_leader = status::requires_leader(request.metadata());
        let result = status::check_votes(&self.core).map(|()| {
            let (answers, waiting) = mpsc::channel(RENEWALS_PER_STREAM);
            let core = Arc::clone(&self.core);
            tokio::spawn(keep_alive(core, request.into_inner(), answers));
            let in_order = ReceiverStream::new(waiting).then(|answer| async {
                let stopped = || Err(status::of_request(&RequestError::Stopped));
                answer.await.unwrap_or_else(|_| stopped())
            });
            let in_order: Self::LeaseKeepAliveStream = Box::pin(in_order);
            if !requires_leader {
                return in_order;
            }
            let core = Arc::clone(&self.core);
            let leaderless = async move { without_leader(&core).await };
            Box::pin(WhileLed::new(in_order, leaderless)) as Self::LeaseKeepAliveStream
        });
        answered(SERVICE, "LeaseKeepAlive", result)
    }

    async fn lease_time_to_live(
        &self,
        request: Request<LeaseTimeToLiveRequest>,
    ) -> Result<Response<LeaseTimeToLiveResponse>, Status> {
        let result = match status::check_votes(&self.core) {
            Ok(()) => self.time_to_live(request.into_inner()).await,
            Err(status) => Err(status),
        };
        answered(SERVICE, "LeaseTimeToLive", result)
    }

    async fn lease_leases(
        &self,
        _: Request<LeaseLeasesRequest>,
    ) -> Result<Response<LeaseLeasesResponse>, Status> {
        let result = match status::check_votes(&self.core) {
            Ok(()) => self.list().await,
            Err(status) => Err(status),
        };
        answered(SERVICE, "LeaseLeases", result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_time_is_etcds() {
        let least = |heartbeat, election| {
            min_ttl_seconds(
                Duration::from_millis(heartbeat),
                Duration::from_millis(election),
            )
        };
        assert_eq!(least(100, 1_000), 2, "etcd's defaults: 15 ticks of 100 ms");
        assert_eq!(least(10, 100), 1);
        assert_eq!(least(100, 5_000), 8);
        assert_eq!(least(300, 1_000), 2, "3 ticks, so 4 of 300 ms");
    }

    #[test]
    fn one_lease_too_many_is_refused_with_etcds_text() {
        assert!(check_room(MAX_LEASES - 1).is_ok());
        let refused = check_room(MAX_LEASES).expect_err("it is one too many");
        assert_eq!(refused.code(), tonic::Code::ResourceExhausted);
        assert_eq!(refused.message(), "etcdserver: too many requests");
    }

    #[test]
    fn ids_are_positive_and_differ() {
        let ids: Vec<i64> = (0..1_000).map(|_| random_id()).collect();
        assert!(ids.iter().all(|id| *id > 0));
        let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
        assert_eq!(distinct.len(), ids.len());
    }
}
