//! Joining a line, waiting in it, and leaving it.

use bytes::Bytes;
use quorate_kv::{WatchMessage, WatchRefusal};
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
use tonic::Status;

use super::super::status;
use super::{Contests, KeyWatch, Prize, Won, is_passing};
use crate::limits::{CATCH_UP_PAUSE, LEAVE_PATIENCE};

/// What etcd's lock says when the key of one who waits has gone.
const LOCK_EXPIRED: &str = "mutex: session is expired";

/// What its election would say, if it looked: it lets such a one lead.
const ELECTION_EXPIRED: &str = "election: session is expired";

/// What an election says to those who lead no longer.
const NOT_LEADER: &str = "election: not leader";

/// A contender in its line.
#[derive(Clone, Debug)]
pub(super) struct Joined {
    line: Bytes,
    key: Bytes,
    create_revision: i64,
    lease: i64,
    /// This call has put the key; else its lease had it before.
    pub(super) is_new: bool,
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
    Compare {
        result: CompareResult::Equal.into(),
        target: CompareTarget::Create.into(),
        key,
        target_union: Some(TargetUnion::CreateRevision(revision)),
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

/// The pair that a range of a transaction gave.
fn pair_of(answer: &TxnResponse, index: usize) -> Option<&KeyValue> {
    match answer.responses.get(index)?.response.as_ref()? {
        Response::ResponseRange(RangeResponse { kvs, .. }) => kvs.first(),
        _ => None,
    }
}

impl Contests {
    /// Puts the key that stands for the contender in its line, or finds the one that its lease has there.
    pub(super) async fn join(
        &self,
        line: Bytes,
        lease: i64,
        prize: &Prize,
    ) -> Result<Joined, Status> {
        let lease = self.lease_or_new(lease).await?;
        let key = Bytes::from([&line[..], format!("{lease:x}").as_bytes()].concat());
        let value = match prize {
            Prize::Lock => Bytes::new(),
            Prize::Leadership(value) => value.clone(),
        };
        let put = PutRequest {
            key: key.clone(),
            value: value.clone(),
            lease,
            ..Default::default()
        };
        let holder = || op(Request::RequestRange(first_created(&line)));
        let answer = self
            .txn(TxnRequest {
                compare: vec![created_at(key.clone(), 0)],
                success: vec![op(Request::RequestPut(put.clone())), holder()],
                failure: vec![op(Request::RequestRange(get(&key))), holder()],
            })
            .await?;
        let own = pair_of(&answer, 0).filter(|_| !answer.succeeded);
        let create_revision = match own {
            Some(own) => own.create_revision,
            None => with_header(answer.header).revision,
        };
        let first = pair_of(&answer, 1).map(|first| first.create_revision);
        let joined = Joined {
            line,
            key,
            create_revision,
            lease,
            is_new: answer.succeeded,
            is_first: first == Some(create_revision),
            header: answer.header,
        };
        let has_other_value = own.is_some_and(|own| own.value != value);
        if has_other_value && matches!(prize, Prize::Leadership(_)) {
            let proclaimed = self.txn(put_if_created_at(create_revision, put)).await;
            let refused = match proclaimed {
                Ok(answer) if answer.succeeded => return Ok(joined),
                Ok(_) => Status::unknown(NOT_LEADER),
                Err(status) => status,
            };
            self.leave(&joined).await;
            return Err(refused);
        }
        Ok(joined)
    }

    /// Waits until there is no older key in the line.
    pub(super) async fn wait_for_turn(
        &self,
        joined: &Joined,
        prize: &Prize,
    ) -> Result<Won, Status> {
        let expired = || {
            Status::unknown(match prize {
                Prize::Lock => LOCK_EXPIRED,
                Prize::Leadership(_) => ELECTION_EXPIRED,
            })
        };
        let is_there = |read: &RangeResponse| {
            let own = read.kvs.first();
            own.is_some_and(|own| own.create_revision == joined.create_revision)
        };
        loop {
            let watch = KeyWatch::open(&self.core)?;
            let own = self.read_here(&get(&joined.key)).await?;
            if !is_there(&own) {
                return Err(expired());
            }
            let before = RangeRequest {
                max_create_revision: joined.create_revision - 1,
                ..one_by_creation(&joined.line, SortOrder::Descend)
            };
            let found = self.read_here(&before).await?;
            let Some(before) = found.kvs.into_iter().next() else {
                let own = self.read(&get(&joined.key)).await?;
                if !is_there(&own) {
                    return Err(expired());
                }
                return Ok(match prize {
                    Prize::Lock => joined.won(own.header),
                    Prize::Leadership(_) => joined.won(joined.header),
                });
            };
            let looked = [(joined.key.clone(), own.header), (before.key, found.header)];
            for (key, header) in looked {
                let from = with_header(header).revision + 1;
                let deletions = Some(FilterType::Noput);
                watch
                    .add(self, (key, Bytes::new()), from, deletions)
                    .await?;
            }
            until_something_goes(&watch).await?;
        }
    }

    /// Takes the contender's key away, unless it has gone. While that cannot be it is tried again: whoever stands
    /// behind waits for it.
    pub(super) async fn leave(&self, joined: &Joined) {
        let begun = Instant::now();
        let delete = delete_if_created_at(joined.create_revision, joined.key.clone());
        while let Err(status) = self.txn(delete.clone()).await {
            let gives_up = self.core.is_stopping() || begun.elapsed() >= LEAVE_PATIENCE;
            if gives_up || !is_passing(&status) {
                let key = String::from_utf8_lossy(&joined.key);
                tracing::warn!(%key, %status, "the key of a contender who has gone stays until its lease ends");
                return;
            }
            sleep(CATCH_UP_PAUSE).await;
        }
    }
}

/// Until one of the keys has gone, or cannot be watched any more from where it was.
async fn until_something_goes(watch: &KeyWatch) -> Result<(), Status> {
    loop {
        for message in watch.next().await? {
            match message {
                WatchMessage::Events { .. } | WatchMessage::Compacted { .. } => return Ok(()),
                WatchMessage::Refused { reason, .. } => {
                    return Err(match reason {
                        WatchRefusal::TooManyWatchers => {
                            status::of_request(&RequestError::TooManyRequests)
                        }
                        other => Status::unknown(other.to_string()),
                    });
                }
                WatchMessage::Created { .. }
                | WatchMessage::Canceled { .. }
                | WatchMessage::Progress { .. } => {}
            }
        }
    }
}
