//! The Watch service: a conversation on a stream, between a client and the hub.
//!
//! The client says which keys it wants to be told of; the hub (see [`crate::watches`]) puts what it is to be told into
//! the stream's queue; here it is encoded and sent, as fast as the client takes it. While the queue is full of answers
//! the client's next request waits, so that nobody fills memory by asking.
//!
//! etcd's forms (`api/v3rpc/watch.go` of 3.5): a watcher that cannot be is refused in an answer, the stream goes on; a
//! client that ends its side goes on being told; a request that is none is passed over.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use quorate_kv::{StreamId, WatchMessage, WatchRefusal};
use quorate_proto::etcdserverpb::watch_request::RequestUnion;
use quorate_proto::etcdserverpb::{WatchCreateRequest, WatchRequest, WatchResponse};
use quorate_replica::RequestError;
use tokio::sync::{Notify, mpsc};
use tokio::time::{sleep, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::{header, status};
use crate::core::Core;
use crate::limits::{
    CATCH_UP_PAUSE, GRPC_OVERHEAD_BYTES, NO_LEADER_TIMEOUTS, SHUTDOWN_GRACE, WATCH_ANSWERS_BYTES,
    WATCHED_KEYS_BYTES, WATCHERS, WATCHES_FED_WITHIN,
};
use crate::metrics::HandledLabels;
use crate::stubs::watch_server::Watch;

/// How often somebody who asks for progress looks whether the hub has been told what the store has.
const FED_POLL: Duration = Duration::from_millis(1);

pub(super) struct WatchService {
    core: Arc<Core>,
}

impl WatchService {
    pub(super) fn new(core: Arc<Core>) -> WatchService {
        WatchService { core }
    }

    fn open(&self, request: &Request<Streaming<WatchRequest>>) -> Result<Opened, Status> {
        status::check_votes(&self.core)?;
        status::check_leader(&self.core, request.metadata())?;
        // The store may still lack what its clients have seen before this member's start.
        if !self.core.has_caught_up() {
            return Err(status::of_request(&RequestError::NotCaughtUp));
        }
        let interval = self.core.settings.watch_progress_interval;
        let (id, bell) = (self.core.watches)
            .open(self.core.now_ms(), interval)
            .ok_or_else(|| status::of_request(&RequestError::TooManyRequests))?;
        let core = Arc::clone(&self.core);
        Ok(Opened { core, id, bell })
    }
}

#[tonic::async_trait]
impl Watch for WatchService {
    type WatchStream = ReceiverStream<Result<WatchResponse, Status>>;

    async fn watch(
        &self,
        request: Request<Streaming<WatchRequest>>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let opened = self.open(&request).inspect_err(|status| {
            count(&self.core, status);
        })?;
        let requires_leader = status::requires_leader(request.metadata());
        let (answers, receiver) = mpsc::channel(1);
        let conversation = Conversation {
            opened,
            requests: Some(request.into_inner()),
            waiting: VecDeque::new(),
        };
        tokio::spawn(conversation.hold(answers, requires_leader));
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}

fn count(core: &Core, status: &Status) {
    let labels = HandledLabels {
        grpc_service: "etcdserverpb.Watch",
        grpc_method: "Watch",
        grpc_code: status::code_name(status.code()),
    };
    core.metrics.handled.get_or_create(&labels).inc();
}

/// A stream of the hub, closed when it is dropped.
struct Opened {
    core: Arc<Core>,
    id: StreamId,
    bell: Arc<Notify>,
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.core.watches.close(self.id);
    }
}

type Answers = mpsc::Sender<Result<WatchResponse, Status>>;

struct Conversation {
    opened: Opened,
    /// None when the client has said its last.
    requests: Option<Streaming<WatchRequest>>,
    /// Taken from the hub, and not sent.
    waiting: VecDeque<WatchMessage>,
}

impl Conversation {
    /// Holds it until its client or the server goes.
    async fn hold(mut self, answers: Answers, requires_leader: bool) {
        let core = Arc::clone(&self.opened.core);
        let end = tokio::select! {
            end = self.serve(&answers) => end,
            end = without_leader(&core), if requires_leader => end,
            () = answers.closed() => Status::cancelled("etcdserver: watch canceled"),
        };
        drop(self);
        count(&core, &end);
        // One who takes nothing does not hear how it ended.
        let _ = timeout(SHUTDOWN_GRACE, answers.send(Err(end))).await;
    }

    async fn serve(&mut self, answers: &Answers) -> Status {
        loop {
            if self.opened.core.watches.is_stopping() {
                return status::of_request(&RequestError::Stopped);
            }
            let may_ask = self.take_waiting();
            let has_waiting = !self.waiting.is_empty();
            tokio::select! {
                permit = answers.reserve(), if has_waiting => match permit {
                    Ok(permit) => if let Some(response) = self.next_response() {
                        permit.send(Ok(response));
                    },
                    Err(_) => return Status::cancelled("etcdserver: watch canceled"),
                },
                request = next_request(&mut self.requests), if may_ask => match request {
                    Ok(Some(request)) => self.handle(request).await,
                    Ok(None) => self.requests = None,
                    Err(status) => return status,
                },
                () = self.opened.bell.notified(), if !has_waiting => {}
            }
        }
    }

    /// Takes from the queue if nothing is left of what was taken before. Tells whether the client may ask for more.
    fn take_waiting(&mut self) -> bool {
        let core = &self.opened.core;
        let id = self.opened.id;
        let takes = self.waiting.is_empty();
        let (taken, has_room, is_any_behind) = core.watches.with(|hub| {
            let taken = match takes {
                true => hub.take(id, WATCH_ANSWERS_BYTES),
                false => Vec::new(),
            };
            (taken, hub.has_room(id), hub.behind_count() > 0)
        });
        if !taken.is_empty() && is_any_behind {
            // There may be room again for what this stream has yet to read.
            core.watches.wake();
        }
        let fragment_bytes = core.settings.max_request_bytes + GRPC_OVERHEAD_BYTES;
        let fragments = taken
            .into_iter()
            .flat_map(|message| message.into_fragments(fragment_bytes));
        self.waiting.extend(fragments);
        has_room && self.requests.is_some()
    }

    fn next_response(&mut self) -> Option<WatchResponse> {
        let core = &self.opened.core;
        let mut response = self.waiting.pop_front()?.to_response();
        let revision = response.header.as_ref().map_or(0, |header| header.revision);
        response.header = Some(header(core, revision));
        core.metrics.watches.sent(response.events.len());
        Some(response)
    }

    async fn handle(&mut self, request: WatchRequest) {
        let core = &self.opened.core;
        let id = self.opened.id;
        match request.request_union {
            Some(RequestUnion::CreateRequest(create)) => {
                let revision = store_revision(core).await;
                core.watches
                    .with(|hub| create_in(hub, id, &create, revision));
                core.watches.wake();
            }
            Some(RequestUnion::CancelRequest(cancel)) => {
                core.watches.with(|hub| hub.cancel(id, cancel.watch_id));
            }
            Some(RequestUnion::ProgressRequest(_)) => {
                let revision = store_revision(core).await;
                let fed = async {
                    while core.watches.with(|hub| hub.revision()) < revision {
                        sleep(FED_POLL).await;
                    }
                };
                // Later than that it is told as of then.
                let _ = timeout(WATCHES_FED_WITHIN, fed).await;
                core.watches.with(|hub| hub.request_progress(id));
            }
            None => {}
        }
    }
}

fn create_in(
    hub: &mut quorate_kv::WatchHub,
    id: StreamId,
    create: &WatchCreateRequest,
    revision: i64,
) {
    let span_bytes = hub.span_bytes() + create.key.len() + create.range_end.len();
    if hub.watcher_count() >= WATCHERS || span_bytes > WATCHED_KEYS_BYTES {
        return hub.refuse(id, WatchRefusal::TooManyWatchers, revision);
    }
    if hub.watcher_count() == 0 {
        // It was not told of anything while nobody watched, and that concerns nobody.
        hub.publish(VecDeque::new(), revision);
    }
    hub.create(id, create, revision);
}

/// The next request; never, when there are no more.
async fn next_request(
    requests: &mut Option<Streaming<WatchRequest>>,
) -> Result<Option<WatchRequest>, Status> {
    match requests {
        Some(requests) => requests.message().await,
        None => std::future::pending().await,
    }
}

/// The store's revision; while another store is being loaded, that one's.
async fn store_revision(core: &Core) -> i64 {
    loop {
        if let Ok((store, _)) = core.readable_store() {
            return store.revision();
        }
        sleep(CATCH_UP_PAUSE).await;
    }
}

/// Waits until there has been no leader for as long as etcd waits.
async fn without_leader(core: &Core) -> Status {
    let mut leadership = core.watch_leadership();
    let limit = core.settings.election_timeout * NO_LEADER_TIMEOUTS;
    loop {
        let lost = leadership.wait_for(|state| state.leader.is_none());
        if lost.await.is_err() {
            // The server is gone.
            return status::of_request(&RequestError::Stopped);
        }
        let found = leadership.wait_for(|state| state.leader.is_some());
        if timeout(limit, found).await.is_err() {
            return status::no_leader();
        }
    }
}

#[cfg(test)]
mod tests;
