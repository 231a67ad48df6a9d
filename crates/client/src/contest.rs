//! Locks and elections, by etcd's recipe over keys, watches and leases.
//!
//! Whoever contends for a name has a key under `name/`, called after its lease and put with it; the key that was created
//! first holds the lock, or leads, and each waits for the one just before its own to go. That is what etcd's own
//! clients do (package `concurrency`) and what the services Lock and Election of a server do, so all of them
//! exclude each other.
//!
//! The create revision of the key grows from holder to holder. A lease can end while its holder believes otherwise (it was
//! stopped, or cut off), so whoever guards something outside the store by a lock passes that number along and refuses
//! smaller ones, or compares it in the transaction that writes ([`Place::is_held`]).

use bytes::Bytes;
use quorate_proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use quorate_proto::etcdserverpb::range_request::{SortOrder, SortTarget};
use quorate_proto::etcdserverpb::request_op::Request;
use quorate_proto::etcdserverpb::response_op::Response;
use quorate_proto::etcdserverpb::watch_create_request::FilterType;
use quorate_proto::etcdserverpb::{
    Compare, DeleteRangeRequest, PutRequest, RangeRequest, RangeResponse, RequestOp, TxnRequest,
    TxnResponse, WatchCreateRequest, WatchResponse,
};
use quorate_proto::mvccpb::KeyValue;
use quorate_proto::mvccpb::event::EventType;
use tokio::time::sleep;
use tonic::Code;

use crate::client::BACKOFF_MAX;
use crate::{Client, Error, Session, Watcher, prefix_end};

/// A place in the line of a name: once it has been waited for, the lock or the leadership.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The key that stands for it.
    pub key: Bytes,
    /// When that was created; greater than that of every earlier holder.
    pub create_revision: i64,
    /// The store's revision when it was found to be this one's turn.
    pub revision: i64,
}

impl Place {
    /// What is true for as long as the place is held: for the transactions of its holder.
    #[must_use]
    pub fn is_held(&self) -> Compare {
        created_at(self.key.clone(), self.create_revision)
    }
}

impl Session {
    /// Waits until it holds the lock of this name. Who gives up drops this and [closes](Session::close) the session.
    ///
    /// # Errors
    /// [`Error::SessionExpired`] when the lease or the key has gone meanwhile; [`Error::Server`] for what the server
    /// refuses. That no endpoint can be reached for a while is no error.
    pub async fn lock(&self, name: &[u8]) -> Result<Place, Error> {
        self.contend(name, None).await
    }

    /// Waits until it leads the election of this name, and proclaims `value`.
    ///
    /// # Errors
    /// As for [`lock`](Self::lock), and [`Error::NotLeader`].
    pub async fn campaign(&self, name: &[u8], value: Bytes) -> Result<Place, Error> {
        self.contend(name, Some(value)).await
    }

    /// Proclaims another value.
    ///
    /// # Errors
    /// [`Error::NotLeader`] for one whose key has gone; else as for [`Client::txn`].
    pub async fn proclaim(&self, place: &Place, value: Bytes) -> Result<(), Error> {
        let put = PutRequest {
            key: place.key.clone(),
            value,
            lease: self.lease(),
            ..Default::default()
        };
        let txn = TxnRequest {
            compare: vec![place.is_held()],
            success: vec![op(Request::RequestPut(put))],
            failure: Vec::new(),
        };
        match self.client().txn(txn).await?.succeeded {
            true => Ok(()),
            false => Err(Error::NotLeader),
        }
    }

    /// Gives the lock or the leadership up, if it is still this one's.
    ///
    /// # Errors
    /// As for [`Client::txn`].
    pub async fn leave(&self, place: &Place) -> Result<(), Error> {
        let delete = DeleteRangeRequest {
            key: place.key.clone(),
            ..Default::default()
        };
        let txn = TxnRequest {
            compare: vec![place.is_held()],
            success: vec![op(Request::RequestDeleteRange(delete))],
            failure: Vec::new(),
        };
        self.client().txn(txn).await.map(|_| ())
    }

    async fn contend(&self, name: &[u8], value: Option<Bytes>) -> Result<Place, Error> {
        tokio::select! {
            place = self.wait_for_turn(name, value) => place,
            () = self.ended() => Err(Error::SessionExpired),
        }
    }

    async fn wait_for_turn(&self, name: &[u8], value: Option<Bytes>) -> Result<Place, Error> {
        let line = line_of(name);
        let (mut place, is_first) = self.join(&line, value).await?;
        if is_first {
            return Ok(place);
        }
        let before = RangeRequest {
            max_create_revision: place.create_revision - 1,
            ..one_by_creation(&line, SortOrder::Descend)
        };
        loop {
            let found = read(self.client(), before.clone()).await?;
            // Afterwards: the turn is told to nobody whose key has gone.
            let own = read(self.client(), get(&place.key)).await?;
            let kv = own.kvs.first();
            if kv.is_none_or(|kv| kv.create_revision != place.create_revision) {
                return Err(Error::SessionExpired);
            }
            let Some(older) = found.kvs.first() else {
                place.revision = revision_of(&own);
                return Ok(place);
            };
            let mut own = self.deletion_of(&place.key, revision_of(&own) + 1);
            let mut older = self.deletion_of(&older.key, revision_of(&found) + 1);
            tokio::select! {
                gone = until_gone(&mut own) => gone?,
                gone = until_gone(&mut older) => gone?,
            }
        }
    }

    /// Puts the key at the end of the line, or finds the one that this session has there; whether it is the first. To
    /// be tried again is harmless: the second try finds what the first one put.
    async fn join(&self, line: &Bytes, value: Option<Bytes>) -> Result<(Place, bool), Error> {
        let key = Bytes::from([&line[..], format!("{:x}", self.lease()).as_bytes()].concat());
        let put = PutRequest {
            key: key.clone(),
            value: value.clone().unwrap_or_default(),
            lease: self.lease(),
            ..Default::default()
        };
        let holder = || {
            op(Request::RequestRange(one_by_creation(
                line,
                SortOrder::Ascend,
            )))
        };
        let txn = TxnRequest {
            compare: vec![created_at(key.clone(), 0)],
            success: vec![op(Request::RequestPut(put)), holder()],
            failure: vec![op(Request::RequestRange(get(&key))), holder()],
        };
        let answer = loop {
            match self.client().txn(txn.clone()).await {
                Err(error) if is_passing(&error) => sleep(BACKOFF_MAX).await,
                result => break result?,
            }
        };
        let revision = answer.header.as_ref().map_or(0, |header| header.revision);
        let own = pair_of(&answer, 0).filter(|_| !answer.succeeded);
        let place = Place {
            key,
            create_revision: own.map_or(revision, |own| own.create_revision),
            revision,
        };
        if let (Some(own), Some(value)) = (own, value)
            && own.value != value
        {
            self.proclaim(&place, value).await?;
        }
        let first = pair_of(&answer, 1).map(|first| first.create_revision);
        let is_first = first == Some(place.create_revision);
        Ok((place, is_first))
    }

    fn deletion_of(&self, key: &Bytes, start_revision: i64) -> Watcher {
        self.client().watch(WatchCreateRequest {
            key: key.clone(),
            start_revision,
            filters: vec![FilterType::Noput.into()],
            ..Default::default()
        })
    }
}

/// What becomes of an election, as one who does not take part sees it.
#[derive(Debug)]
pub struct Observer {
    client: Client,
    line: Bytes,
    leader: Option<Watcher>,
    waiting: std::collections::VecDeque<RangeResponse>,
    /// The key that was told last, and when it was put.
    told: (Bytes, i64),
}

impl Client {
    /// Observes the election of this name.
    #[must_use]
    pub fn observe(&self, name: &[u8]) -> Observer {
        Observer {
            client: self.clone(),
            line: line_of(name),
            leader: None,
            waiting: std::collections::VecDeque::new(),
            told: (Bytes::new(), 0),
        }
    }
}

impl Observer {
    /// The leader with what it proclaims: first as it is now, then whenever that changes. A leader that comes and goes
    /// between two looks is not told of, as in etcd.
    ///
    /// # Errors
    /// [`Error::Server`] for what no endpoint would answer otherwise.
    pub async fn next(&mut self) -> Result<RangeResponse, Error> {
        loop {
            while let Some(told) = self.waiting.pop_front() {
                let kv = told.kvs.first();
                let put = kv.map(|kv| (kv.key.clone(), kv.mod_revision));
                let put = put.unwrap_or_default();
                // Who had to look again sees what it has told already.
                if put != self.told {
                    self.told = put;
                    return Ok(told);
                }
            }
            let Some(leader) = &mut self.leader else {
                let first = self.first().await?;
                self.leader = Some(self.watch_of(&first));
                self.waiting.push_back(first);
                continue;
            };
            let Some(told) = leader.next().await? else {
                self.leader = None;
                continue;
            };
            if told.canceled {
                pause_if_refused(&told).await;
                self.leader = None;
                continue;
            }
            for event in told.events {
                if event.r#type == i32::from(EventType::Delete) {
                    self.leader = None;
                    break;
                }
                self.waiting.push_back(RangeResponse {
                    header: told.header,
                    kvs: event.kv.into_iter().collect(),
                    ..Default::default()
                });
            }
        }
    }

    fn watch_of(&self, first: &RangeResponse) -> Watcher {
        self.client.watch(WatchCreateRequest {
            key: first
                .kvs
                .first()
                .map(|kv| kv.key.clone())
                .unwrap_or_default(),
            start_revision: revision_of(first) + 1,
            ..Default::default()
        })
    }

    /// The first of the line, as soon as there is one.
    async fn first(&self) -> Result<RangeResponse, Error> {
        loop {
            let found = read(&self.client, one_by_creation(&self.line, SortOrder::Ascend)).await?;
            if !found.kvs.is_empty() {
                return Ok(RangeResponse {
                    header: found.header,
                    kvs: found.kvs,
                    ..Default::default()
                });
            }
            let mut puts = self.client.watch(WatchCreateRequest {
                key: self.line.clone(),
                range_end: prefix_end(&self.line),
                start_revision: revision_of(&found) + 1,
                filters: vec![FilterType::Nodelete.into()],
                ..Default::default()
            });
            until_gone(&mut puts).await?;
        }
    }
}

/// Until the watch tells of something, or ends; then it is time to look again.
async fn until_gone(watcher: &mut Watcher) -> Result<(), Error> {
    loop {
        match watcher.next().await? {
            Some(told) if told.events.is_empty() && !told.canceled => {}
            Some(told) => {
                pause_if_refused(&told).await;
                return Ok(());
            }
            None => return Ok(()),
        }
    }
}

/// A server that has no room for a watch has none a moment later. (That its beginning was compacted is no such thing.)
async fn pause_if_refused(told: &WatchResponse) {
    if told.canceled && told.compact_revision == 0 {
        sleep(BACKOFF_MAX).await;
    }
}

/// A linearizable read, tried again until somebody answers.
async fn read(client: &Client, request: RangeRequest) -> Result<RangeResponse, Error> {
    loop {
        match client.range(request.clone()).await {
            Err(error) if is_passing(&error) => sleep(BACKOFF_MAX).await,
            result => return result,
        }
    }
}

/// Whether the same request may be answered a little later.
fn is_passing(error: &Error) -> bool {
    match error {
        Error::Unreachable { .. } | Error::Lost { .. } | Error::TimedOut { .. } => true,
        Error::Server { code, .. } => {
            matches!(code, Code::Unavailable | Code::ResourceExhausted)
        }
        _ => false,
    }
}

fn line_of(name: &[u8]) -> Bytes {
    [name, b"/"].concat().into()
}

fn one_by_creation(line: &Bytes, order: SortOrder) -> RangeRequest {
    RangeRequest {
        key: line.clone(),
        range_end: prefix_end(line),
        limit: 1,
        sort_order: order.into(),
        sort_target: SortTarget::Create.into(),
        ..Default::default()
    }
}

fn get(key: &Bytes) -> RangeRequest {
    RangeRequest {
        key: key.clone(),
        ..Default::default()
    }
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

fn revision_of(answer: &RangeResponse) -> i64 {
    answer.header.as_ref().map_or(0, |header| header.revision)
}

/// The pair that a range of a transaction gave.
fn pair_of(answer: &TxnResponse, index: usize) -> Option<&KeyValue> {
    match answer.responses.get(index)?.response.as_ref()? {
        Response::ResponseRange(RangeResponse { kvs, .. }) => kvs.first(),
        _ => None,
    }
}
