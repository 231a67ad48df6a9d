//! Joining a line, waiting in it, and leaving it.

use bytes::Bytes;
use quorate_kv::WatchMessage;
use quorate_proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use quorate_proto::etcdserverpb::range_request::{SortOrder, SortTarget};
use quorate_proto::etcdserverpb::request_op::Request;
use quorate_proto::etcdserverpb::response_op::Response;
use quorate_proto::etcdserverpb::watch_create_request::FilterType;
use quorate_proto::etcdserverpb::{
    Compare, DeleteRangeRequest, PutRequest, RangeRequest, RangeResponse, RequestOp,
    ResponseHeader, TxnRequest, TxnResponse,
};
use quorate_proto::mvccpb::KeyValue;
use quorate_replica::RequestError;
use tokio::time::{Instant, sleep};
use tonic::{Code, Status};

use super::super::status;
use super::{Contests, KeyWatch, Prize, Won, is_passing, refusal};
use crate::limits::{CATCH_UP_PAUSE, LEAVE_PATIENCE};

/// What etcd's lock says when the key of one who waits has gone.
const LOCK_EXPIRED: &str = "mutex: session is expired";

/// What its election would say, if it looked: it lets such a one lead.
const ELECTION_EXPIRED: &str = "election: session is expired";

/// A contender in its line.
#[derive(Clone, Debug)]
pub(super) struct Joined {
    line: Bytes,
    key: Bytes,
    create_revision: i64,
    /// That of the key as this call has put it.
    mod_revision: i64,
    lease: i64,
    is_lock: bool,
    /// This call has put the key; else its lease had it before.
    is_new: bool,
    is_first: bool,
    header: Option<ResponseHeader>,
}

impl Joined {
    pub(super) fn won_at_once(&self) -> Option<Won> {
        self.is_first.then(|| self.won(self.header))
    }

    fn won(&self, header: Option<ResponseHeader>) -> Won {
        Won {
            header,
            key: self.key.clone(),
            create_revision: self.create_revision,
            lease: self.lease,
        }
    }
}

/// All keys that contend for a name begin with this.
pub(in super::super) fn line_of(name: &[u8]) -> Bytes {
    [name, b"/"].concat().into()
}

/// The range of the keys of a line.
pub(in super::super) fn range_in(line: &Bytes) -> (Bytes, Bytes) {
    let mut end = line.to_vec();
    // It ends in a slash.
    *end.last_mut().expect("a line has a name") += 1;
    (line.clone(), end.into())
}

/// Reads the key of a line that was created first.
pub(in super::super) fn first_created(line: &Bytes) -> RangeRequest {
    one_by_creation(line, SortOrder::Ascend)
}

fn one_by_creation(line: &Bytes, order: SortOrder) -> RangeRequest {
    let (key, range_end) = range_in(line);
    RangeRequest {
        key,
        range_end,
        limit: 1,
        sort_order: order.into(),
        sort_target: SortTarget::Create.into(),
        ..Default::default()
    }
}

/// Puts a key if it is the one that was created then.
pub(in super::super) fn put_if_created_at(revision: i64, put: PutRequest) -> TxnRequest {
    let key = put.key.clone();
    TxnRequest {
        compare: vec![created_at(key, revision)],
        success: vec![op(Request::RequestPut(put))],
        failure: Vec::new(),
    }
}

/// Deletes a key if it is the one that was created then.
pub(in super::super) fn delete_if_created_at(revision: i64, key: Bytes) -> TxnRequest {
    let delete = DeleteRangeRequest {
        key: key.clone(),
        ..Default::default()
    };
    TxnRequest {
        compare: vec![created_at(key, revision)],
        success: vec![op(Request::RequestDeleteRange(delete))],
        failure: Vec::new(),
    }
}

/// The header, or that one is missing, which our own store never does.
pub(in super::super) fn with_header(header: Option<ResponseHeader>) -> ResponseHeader {
    header.expect("every answer of the store has a header")
}

fn created_at(key: Bytes, revision: i64) -> Compare {
    let created = TargetUnion::CreateRevision(revision);
    equal(key, CompareTarget::Create, created)
}

fn modified_at(key: Bytes, revision: i64) -> Compare {
    equal(key, CompareTarget::Mod, TargetUnion::ModRevision(revision))
}

fn equal(key: Bytes, target: CompareTarget, value: TargetUnion) -> Compare {
    Compare {
        result: CompareResult::Equal.into(),
        target: target.into(),
        key,
        target_union: Some(value),
        ..Default::default()
    }
}

fn op(request: Request) -> RequestOp {
    RequestOp {
        request: Some(request),
    }
}

fn get(key: &Bytes) -> RangeRequest {
    RangeRequest {
        key: key.clone(),
        ..Default::default()
    }
}

/// Puts a key that is there without changing it.
fn as_it_is(key: &Bytes) -> PutRequest {
    PutRequest {
        key: key.clone(),
        ignore_value: true,
        ignore_lease: true,
        ..Default::default()
    }
}

/// The pair that a range of a transaction gave.
fn pair_of(answer: &TxnResponse, index: usize) -> Option<&KeyValue> {
    match answer.responses.get(index)?.response.as_ref()? {
        Response::ResponseRange(RangeResponse { kvs, .. }) => kvs.first(),
        _ => None,
    }
}

impl Contests {
    /// Puts the key that stands for the contender in its line, or finds the one that its lease has there and puts that
    /// again. To be tried again is the same as once.
    pub(super) async fn join(
        &self,
        line: &Bytes,
        lease: i64,
        prize: &Prize,
    ) -> Result<Joined, Status> {
        let key = Bytes::from([&line[..], format!("{lease:x}").as_bytes()].concat());
        let put = PutRequest {
            key: key.clone(),
            value: match prize {
                Prize::Lock => Bytes::new(),
                Prize::Leadership(value) => value.clone(),
            },
            lease,
            ..Default::default()
        };
        loop {
            let holder = || op(Request::RequestRange(first_created(line)));
            let answer = self
                .txn(TxnRequest {
                    compare: vec![created_at(key.clone(), 0)],
                    success: vec![op(Request::RequestPut(put.clone())), holder()],
                    failure: vec![op(Request::RequestRange(get(&key))), holder()],
                })
                .await?;
            let found = pair_of(&answer, 0);
            let revision = with_header(answer.header).revision;
            let create_revision = found.map_or(revision, |found| found.create_revision);
            let first = pair_of(&answer, 1).map(|first| first.create_revision);
            let joined = Joined {
                line: line.clone(),
                key: key.clone(),
                create_revision,
                mod_revision: found.map_or(revision, |found| found.mod_revision),
                lease,
                is_lock: matches!(prize, Prize::Lock),
                is_new: found.is_none(),
                is_first: first == Some(create_revision),
                header: answer.header,
            };
            let Some(found) = found else {
                return Ok(joined);
            };
            let says_the_same = joined.is_lock || found.value == put.value;
            let again = match says_the_same {
                true => as_it_is(&key),
                false => put.clone(),
            };
            // None: another call has taken it away meanwhile.
            if let Some(mod_revision) = self.put_again(&joined, again).await? {
                return Ok(Joined {
                    mod_revision,
                    ..joined
                });
            }
        }
    }

    /// Puts the key that was found, if it is still there; gives the revision of that.
    async fn put_again(&self, joined: &Joined, put: PutRequest) -> Result<Option<i64>, Status> {
        match self
            .txn(put_if_created_at(joined.create_revision, put))
            .await
        {
            Ok(answer) => Ok((answer.succeeded).then(|| with_header(answer.header).revision)),
            // It may have been done, and the whole is tried again.
            Err(status) if status.code() == Code::Unavailable => Err(status),
            Err(status) => {
                self.leave(joined).await;
                Err(status)
            }
        }
    }

    /// Waits until there is no older key in the line.
    pub(super) async fn wait_for_turn(&self, joined: &Joined) -> Result<Won, Status> {
        let expired = || {
            Status::unknown(match joined.is_lock {
                true => LOCK_EXPIRED,
                false => ELECTION_EXPIRED,
            })
        };
        let is_there = |read: &RangeResponse| {
            let own = read.kvs.first();
            own.is_some_and(|own| own.create_revision == joined.create_revision)
        };
        let mut watch = None;
        loop {
            if let Some(watch) = &mut watch {
                KeyWatch::clear(watch);
            } else {
                // While there are too many streams one looks again and again: the place in the line is kept.
                watch = KeyWatch::open(&self.core).ok();
            }
            let own = self.read_here(&get(&joined.key)).await?;
            if !is_there(&own) {
                return Err(expired());
            }
            let found = self.read_here(&older(joined)).await?;
            let Some(before) = found.kvs.into_iter().next() else {
                let own = self.read(&get(&joined.key)).await?;
                if !is_there(&own) {
                    return Err(expired());
                }
                return Ok(joined.won(match joined.is_lock {
                    true => own.header,
                    false => joined.header,
                }));
            };
            let Some(watch) = &mut watch else {
                self.pause().await?;
                continue;
            };
            let looked = [(joined.key.clone(), own.header), (before.key, found.header)];
            for (key, header) in looked {
                let from = with_header(header).revision + 1;
                let deletions = Some(FilterType::Noput);
                watch
                    .add(self, (key, Bytes::new()), from, deletions)
                    .await?;
            }
            match until_something_goes(watch).await {
                Err(status) if is_passing(&status) => self.pause().await?,
                ended => ended?,
            }
        }
    }

    /// Takes the contender's key away, unless it has gone or another call of its lease may rely on it. While that
    /// cannot be it is tried again: whoever stands behind waits for it.
    pub(super) async fn leave(&self, joined: &Joined) {
        let begun = Instant::now();
        loop {
            let why = match self.try_to_leave(joined).await {
                Ok(true) => return,
                Ok(false) => None,
                Err(status) if is_passing(&status) => Some(status),
                Err(status) => return stays(joined, Some(&status)),
            };
            if self.core.is_stopping() || begun.elapsed() >= LEAVE_PATIENCE {
                return stays(joined, why.as_ref());
            }
            sleep(CATCH_UP_PAUSE).await;
        }
    }

    /// Whether there is nothing more to do.
    async fn try_to_leave(&self, joined: &Joined) -> Result<bool, Status> {
        let mut compare = vec![modified_at(joined.key.clone(), joined.mod_revision)];
        if !joined.is_new {
            let found = self.read_here(&older(joined)).await?;
            let Some(before) = found.kvs.into_iter().next() else {
                // It is the turn of this key, and a call before this one may have been told so.
                stays(joined, None);
                return Ok(true);
            };
            compare.push(created_at(before.key, before.create_revision));
        }
        let delete = DeleteRangeRequest {
            key: joined.key.clone(),
            ..Default::default()
        };
        let request = TxnRequest {
            compare,
            success: vec![op(Request::RequestDeleteRange(delete))],
            failure: vec![op(Request::RequestRange(get(&joined.key)))],
        };
        let answer = self.txn(request).await?;
        let own = pair_of(&answer, 0);
        let is_as_it_was = own.is_some_and(|own| own.mod_revision == joined.mod_revision);
        Ok(answer.succeeded || !is_as_it_was)
    }

    /// Lets a little time pass, unless this server stops.
    async fn pause(&self) -> Result<(), Status> {
        if self.core.is_stopping() {
            return Err(status::of_request(&RequestError::Stopped));
        }
        sleep(CATCH_UP_PAUSE).await;
        Ok(())
    }
}

/// Reads the key just before a contender's own.
fn older(joined: &Joined) -> RangeRequest {
    RangeRequest {
        max_create_revision: joined.create_revision - 1,
        ..one_by_creation(&joined.line, SortOrder::Descend)
    }
}

fn stays(joined: &Joined, status: Option<&Status>) {
    let key = String::from_utf8_lossy(&joined.key);
    match status {
        Some(status) => {
            tracing::warn!(%key, %status, "the key of a contender who has gone stays until its lease ends");
        }
        None => {
            tracing::debug!(%key, "the key of a contender who has gone stays until its lease ends");
        }
    }
}

/// Until one of the keys has gone, or cannot be watched any more from where it was.
async fn until_something_goes(watch: &KeyWatch) -> Result<(), Status> {
    match watch.next().await?.into_iter().next() {
        Some(WatchMessage::Refused { reason, .. }) => Err(refusal(reason)),
        _ => Ok(()),
    }
}
