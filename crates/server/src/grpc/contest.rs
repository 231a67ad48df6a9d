//! Contests for a name: the line that locks and elections are made of.
//!
//! etcd's recipe (its client's package `concurrency`), on this node's own store, so that whoever contends here
//! and whoever contends by a client library's recipe stand in one line:
//!
//! - A contender of the name `n` with the lease `l` has the key `n/l`, the lease in hexadecimal, put with the lease.
//! - The line is all keys under `n/`, in the order of their create revisions. The first one holds the lock, or leads.
//! - Each waits for the key just before its own to go, by a watch; then looks again, since that one may have left the
//!   line from its middle.
//!
//! # What must hold
//!
//! - Nobody is told that it is its turn while an older key of the line stands. Keys join the line at its end only,
//!   so that a look at this node's own store suffices, provided that it has the contender's own key.
//! - Nobody is told so whose key has gone: the last look at it is linearizable.
//! - A contender who goes away leaves the line. So the one who waits is a task of its own ([`Contests::contend`]):
//!   a call that ends in the middle of a write would leave a key for which nobody waits.
//! - Nobody takes away what another call of the same lease relies on. A caller who tries again, here or at another
//!   member, finds the key of its first call, which may not know yet that its caller has gone. So whoever finds the key
//!   puts it again, as it is: its place stays, and by its modification only the last to have come can take it away. Nor
//!   does that one, unless an older key stands before it: else the first call may have been told that it was its turn.
//!   Then, and when a caller goes before anybody knows whether its key was put, the key stays until its lease ends.
//! - A change of leaders does not end the waiting. The end of this server does, and leaves the key in the line,
//!   since its owner may go on at another member.
//!
//! What a call is refused for has the code Unknown, as of etcd's; what ails the node or the cluster has the code
//! that clients take for a reason to try elsewhere.

mod key_watch;
mod line;

use std::sync::Arc;

use bytes::Bytes;
use quorate_proto::etcdserverpb::{
    LeaseGrantRequest, RangeRequest, RangeResponse, ResponseHeader, TxnRequest, TxnResponse,
};
use quorate_replica::RequestError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{Instant, sleep};
use tonic::{Code, Status};

use super::kv::KvService;
use super::lease::LeaseService;
use super::reading::{self, Answer};
use super::status;
use super::watch::store_revision;
use crate::bodies::RequestCharge;
use crate::core::Core;
use crate::limits::{CATCH_UP_PAUSE, CONTENDERS, LINE_JOIN_PATIENCE};

pub(super) use key_watch::{KeyWatch, refusal};
use line::Joined;
pub(super) use line::{
    delete_if_created_at, first_created, line_of, put_if_created_at, range_in, with_header,
};

/// What a lease is granted that a call wants and does not name, in seconds (etcd: `defaultSessionTTL`).
const SESSION_SECONDS: i64 = 60;

/// The name of one who waits is part of its line and of its key, and its call may keep it, too.
const NAMES_HELD: usize = 3;

/// What is contended for; they differ in words, and in what a contender's key holds.
#[derive(Debug)]
pub(super) enum Prize {
    Lock,
    /// With what the leader proclaims.
    Leadership(Bytes),
}

/// Who contends.
pub(super) struct Contender {
    pub(super) name: Bytes,
    /// 0 is a new one.
    pub(super) lease: i64,
    pub(super) prize: Prize,
    /// Of the call, which holds no more than a few times the name once its key is in the line.
    pub(super) charge: Option<RequestCharge>,
}

/// Where a caller hears; closed when it has gone.
type Caller = oneshot::Sender<Result<Won, Status>>;

/// Whose turn it is.
#[derive(Clone, Debug)]
pub(super) struct Won {
    /// Of the answer that told so.
    pub(super) header: Option<ResponseHeader>,
    pub(super) key: Bytes,
    pub(super) create_revision: i64,
    pub(super) lease: i64,
}

/// All contests on this node.
pub(super) struct Contests {
    pub(super) core: Arc<Core>,
    pub(super) kv: KvService,
    leases: LeaseService,
    room: Arc<Semaphore>,
}

impl Contests {
    pub(super) fn new(core: &Arc<Core>) -> Arc<Contests> {
        Arc::new(Contests {
            core: Arc::clone(core),
            kv: KvService::new(Arc::clone(core)),
            leases: LeaseService::new(Arc::clone(core)),
            room: Arc::new(Semaphore::new(CONTENDERS)),
        })
    }

    /// What every call must pass first.
    pub(super) fn check(&self) -> Result<(), Status> {
        status::check_votes(&self.core)
    }

    /// A place for one call that may take long.
    pub(super) fn enter(&self) -> Result<OwnedSemaphorePermit, Status> {
        let entered = Arc::clone(&self.room).try_acquire_owned();
        entered.map_err(|_| status::of_request(&RequestError::TooManyRequests))
    }

    /// Joins the line of a name and waits for the turn. When the caller goes away it leaves the line.
    pub(super) async fn contend(self: &Arc<Contests>, contender: Contender) -> Result<Won, Status> {
        let permit = self.enter()?;
        let (caller, heard) = oneshot::channel();
        let contests = Arc::clone(self);
        tokio::spawn(async move {
            contests.serve(contender, caller).await;
            drop(permit);
        });
        let stopped = || Err(status::of_request(&RequestError::Stopped));
        heard.await.unwrap_or_else(|_| stopped())
    }

    async fn serve(&self, contender: Contender, mut caller: Caller) {
        let joined = match self.join_line(contender, &mut caller).await {
            Ok(joined) => joined,
            Err(status) => {
                // Who has gone does not hear it.
                let _ = caller.send(Err(as_etcds(status)));
                return;
            }
        };
        let turn = match joined.won_at_once() {
            Some(won) => Ok(won),
            None => tokio::select! {
                turn = self.wait_for_turn(&joined) => turn,
                () = caller.closed() => return self.leave(&joined).await,
            },
        };
        match turn {
            Ok(won) => {
                if caller.send(Ok(won)).is_err() {
                    self.leave(&joined).await;
                }
            }
            Err(status) => {
                // Before it is told: a caller who tries again is not to find what is about to go. Whose server stops
                // may wait on elsewhere.
                if !self.core.is_stopping() {
                    self.leave(&joined).await;
                }
                let _ = caller.send(Err(as_etcds(status)));
            }
        }
    }

    /// Joins the line. If nobody can say whether the key was put it is put again, which is the same as once; as long as
    /// the caller is there, since after that another call of the lease may rely on what is found.
    async fn join_line(&self, contender: Contender, caller: &mut Caller) -> Result<Joined, Status> {
        let Contender {
            name,
            lease,
            prize,
            charge,
        } = contender;
        let line = line_of(&name);
        drop(name);
        let begun = Instant::now();
        let lease = self.lease_or_new(lease).await?;
        let joined = loop {
            let status = match self.join(&line, lease, &prize).await {
                Ok(joined) => break joined,
                Err(status) => status,
            };
            let gives_up = self.core.is_stopping() || begun.elapsed() >= LINE_JOIN_PATIENCE;
            if status.code() != Code::Unavailable || gives_up {
                return Err(status);
            }
            tokio::select! {
                () = sleep(CATCH_UP_PAUSE) => {}
                () = caller.closed() => return Err(status),
            }
        };
        if let Some(charge) = charge {
            charge.keep(NAMES_HELD * line.len());
        }
        Ok(joined)
    }

    /// The lease, or a new one if none is named.
    pub(super) async fn lease_or_new(&self, lease: i64) -> Result<i64, Status> {
        if lease != 0 {
            return Ok(lease);
        }
        let request = LeaseGrantRequest {
            ttl: SESSION_SECONDS,
            id: 0,
        };
        Ok(self.leases.grant(request).await?.id)
    }

    pub(super) async fn txn(&self, request: TxnRequest) -> Result<TxnResponse, Status> {
        let answer = self.kv.txn_checked(request).await?;
        Ok(answer.into_message())
    }

    /// A linearizable read; one that cannot be now is tried again until it can, or this server stops.
    pub(super) async fn read(&self, request: &RangeRequest) -> Result<RangeResponse, Status> {
        loop {
            match self.kv.read_range(request.clone()).await {
                Err(status) if self.may_come_right(&status) => sleep(CATCH_UP_PAUSE).await,
                result => return result.map(Answer::into_message),
            }
        }
    }

    /// A read of this node's own store, likewise.
    pub(super) async fn read_here(&self, request: &RangeRequest) -> Result<RangeResponse, Status> {
        loop {
            match reading::range(&self.core, request).await {
                Err(status) if self.may_come_right(&status) => sleep(CATCH_UP_PAUSE).await,
                result => return result,
            }
        }
    }

    fn may_come_right(&self, status: &Status) -> bool {
        is_passing(status) && !self.core.is_stopping()
    }

    /// The revision of this node's store, as soon as it has one.
    pub(super) async fn revision_here(&self) -> Result<i64, Status> {
        loop {
            match store_revision(&self.core) {
                Some(revision) => return Ok(revision),
                None if self.core.is_stopping() => {
                    return Err(status::of_request(&RequestError::Stopped));
                }
                None => sleep(CATCH_UP_PAUSE).await,
            }
        }
    }
}

/// Whether the same request may be served a little later.
pub(super) fn is_passing(status: &Status) -> bool {
    matches!(status.code(), Code::Unavailable | Code::ResourceExhausted)
}

/// A refusal has the code Unknown in etcd, whose services are clients of its store; its words stay.
pub(super) fn as_etcds(status: Status) -> Status {
    if is_passing(&status) {
        return status;
    }
    Status::unknown(status.message())
}

#[cfg(test)]
mod tests;
