//! The Watch service: a conversation on a stream, between a client and the hub.
//!
//! The client says which keys it wants to be told of; the hub (see [`crate::watches`]) puts what it is to be told into
//! the stream's queue; here it is encoded and sent, as fast as the client takes it. While the queue is full of answers
//! the client's next request waits, so that nobody fills memory by asking. What has been taken from the queue is charged
//! until it is sent; while clients that do not read hold too much, the rest stays in the queues, and a stream that has not
//! taken anything for long is ended ([`crate::overdue`]).
//!
//! One task holds the conversation, and waits for no single thing: a request that cannot be done yet is looked at again
//! while answers go out.
//!
//! etcd's forms (`api/v3rpc/watch.go` of 3.5): a watcher that cannot be is refused in an answer, the stream goes on; a
//! client that ends its side goes on being told; a request that is none is passed over.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use quorate_kv::{StreamId, WATCH_QUEUES_BYTES_MAX, WatchMessage, WatchRefusal};
use quorate_proto::etcdserverpb::watch_request::RequestUnion;
use quorate_proto::etcdserverpb::{
    WatchCancelRequest, WatchCreateRequest, WatchRequest, WatchResponse,
};
use quorate_replica::RequestError;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_stream::Stream;
use tonic::{Request, Response, Status, Streaming};

use super::{header, status};
use crate::bodies::{AnswerCharge, StreamAnswers, Unsent};
use crate::budget::Charge;
use crate::core::Core;
use crate::limits::{
    CATCH_UP_PAUSE, GRPC_OVERHEAD_BYTES, NO_LEADER_TIMEOUTS, OVERDUE_LOOKED_FOR_EVERY,
    SHUTDOWN_GRACE, WATCH_ANSWERS_AHEAD, WATCH_ANSWERS_BYTES, WATCH_UNREAD_FOR, WATCHED_KEYS_BYTES,
    WATCHERS, WATCHES_FED_WITHIN,
};
use crate::overdue::ConnectionEnd;
use crate::stubs::watch_server::Watch;

/// How often somebody who asks for progress looks whether the hub has been told what the store has.
const FED_POLL: Duration = Duration::from_millis(1);

/// Why a stream ends whose client does not read. It may open another one, hence the code: for etcd's clients all but
/// "unavailable" is final.
const UNREAD: &str = "etcdserver: watch answers are not read, and others wait";

pub(super) struct WatchService {
    core: Arc<Core>,
}

impl WatchService {
    pub(super) fn new(core: Arc<Core>) -> WatchService {
        WatchService { core }
    }

    fn open(&self) -> Result<Opened, Status> {
        status::check_votes(&self.core)?;
        // The store may still lack what its clients have seen before this member's start.
        if !self.core.has_caught_up() {
            return Err(status::of_request(&RequestError::NotCaughtUp));
        }
        Opened::open(&self.core)
    }
}

#[tonic::async_trait]
impl Watch for WatchService {
    type WatchStream = Told;

    async fn watch(
        &self,
        request: Request<Streaming<WatchRequest>>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let opened = self.open()?;
        let requires_leader = status::requires_leader(request.metadata());
        let connection = request.extensions().get::<ConnectionEnd>().cloned();
        let (answers, receiver) = mpsc::channel(WATCH_ANSWERS_AHEAD);
        let conversation = Conversation::new(opened, Some(request.into_inner()));
        let mut response = Response::new(Told(receiver));
        let pieces = AnswerCharge::Pieces(Arc::clone(&conversation.unsent));
        response.extensions_mut().insert(pieces);
        tokio::spawn(conversation.hold(answers, requires_leader, connection));
        Ok(response)
    }
}

/// The answers on their way to be encoded. From there on their bytes are charged.
pub(super) struct Told(mpsc::Receiver<Result<(WatchResponse, Ahead), Status>>);

/// What an answer holds until it is encoded.
struct Ahead {
    _unsent: Unsent,
    _places: OwnedSemaphorePermit,
}

impl Stream for Told {
    type Item = Result<WatchResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let answer = ready!(self.0.poll_recv(context));
        Poll::Ready(answer.map(|answer| answer.map(|(response, _)| response)))
    }
}

/// A stream of the hub, closed when it is dropped.
pub(super) struct Opened {
    pub(super) core: Arc<Core>,
    pub(super) id: StreamId,
    pub(super) bell: Arc<Notify>,
}

impl Opened {
    /// Refused when there are too many.
    pub(super) fn open(core: &Arc<Core>) -> Result<Opened, Status> {
        let interval = core.settings.watch_progress_interval;
        let (id, bell) = (core.watches)
            .open(core.now_ms(), interval)
            .ok_or_else(|| status::of_request(&RequestError::TooManyRequests))?;
        let core = Arc::clone(core);
        Ok(Opened { core, id, bell })
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.core.watches.close(self.id);
    }
}

type Answers = mpsc::Sender<Result<(WatchResponse, Ahead), Status>>;

/// What a client has asked for and is not done.
enum Asked {
    Create(WatchCreateRequest),
    Cancel(WatchCancelRequest),
    /// It waits until what the store had is in the queues.
    Progress {
        /// The store's then; none until it is known.
        revision: Option<i64>,
        asked_at: Instant,
    },
}

struct Conversation {
    opened: Opened,
    /// None when the client has said its last.
    requests: Option<Streaming<WatchRequest>>,
    /// The client's last request, until it is done.
    asked: Option<Asked>,
    /// Taken from the hub, and not sent.
    waiting: VecDeque<WatchMessage>,
    /// What they hold.
    waiting_charge: Option<Charge>,
    unsent: Arc<StreamAnswers>,
    /// Room for answers that wait to be encoded: [`WATCH_ANSWERS_AHEAD`] small ones, fewer that are larger.
    ahead: Arc<Semaphore>,
    /// It ended because its client did not read.
    is_unread: bool,
}

impl Conversation {
    fn new(opened: Opened, requests: Option<Streaming<WatchRequest>>) -> Conversation {
        Conversation {
            unsent: StreamAnswers::new(&opened.core.watch_answers, &opened.bell),
            ahead: Arc::new(Semaphore::new(WATCH_ANSWERS_AHEAD)),
            opened,
            requests,
            asked: None,
            waiting: VecDeque::new(),
            waiting_charge: None,
            is_unread: false,
        }
    }

    /// Holds it until its client or the server goes.
    async fn hold(
        mut self,
        answers: Answers,
        requires_leader: bool,
        connection: Option<ConnectionEnd>,
    ) {
        let core = Arc::clone(&self.opened.core);
        let end = tokio::select! {
            end = self.serve(&answers) => end,
            end = without_leader(&core), if requires_leader => end,
            () = answers.closed() => Status::cancelled("etcdserver: watch canceled"),
        };
        let (is_unread, unsent) = (self.is_unread, Arc::clone(&self.unsent));
        drop(self);
        // One who takes nothing does not hear how it ended.
        let _ = timeout(SHUTDOWN_GRACE, answers.send(Err(end))).await;
        if is_unread {
            end_unread(&core, &unsent, connection).await;
        }
    }

    async fn serve(&mut self, answers: &Answers) -> Status {
        let core = Arc::clone(&self.opened.core);
        let bell = Arc::clone(&self.opened.bell);
        loop {
            if core.watches.is_stopping() {
                return status::of_request(&RequestError::Stopped);
            }
            let overdue_at = self.unsent.overdue_at();
            let now = Instant::now();
            if overdue_at.is_some_and(|at| at <= now) && is_crowded(&core) {
                self.is_unread = true;
                return Status::unavailable(UNREAD);
            }
            let look_for_overdue = overdue_at.map(|at| at.max(now + OVERDUE_LOOKED_FOR_EVERY));
            let look_again = self.go_on_asked();
            let Turn {
                may_send,
                may_ask,
                is_held_back,
            } = self.take_waiting();
            let places = Arc::clone(&self.ahead).acquire_many_owned(self.places_of_next());
            let room = async { (places.await, answers.reserve().await) };
            tokio::select! {
                room = room, if may_send => match room {
                    (Ok(places), Ok(permit)) => {
                        if let Some(response) = self.next_response(places) {
                            permit.send(Ok(response));
                        }
                        self.send_more(answers);
                    }
                    _ => return Status::cancelled("etcdserver: watch canceled"),
                },
                request = next_request(&mut self.requests), if may_ask => match request {
                    Ok(Some(request)) => self.asked = asked(request),
                    Ok(None) => self.requests = None,
                    Err(status) => return status,
                },
                () = bell.notified() => {}
                () = core.watch_answers.room(), if is_held_back => {
                    self.take_waiting();
                    core.watch_answers.pass_on_room();
                }
                () = sleep(look_again.unwrap_or_default()), if look_again.is_some() => {}
                () = sleep_until(look_for_overdue.unwrap_or(now)), if look_for_overdue.is_some() => {}
            }
        }
    }

    /// Sends what was taken from the queue as far as it may be made and there is a place for it. Of a hundred watchers on
    /// a stream each is told of a write: they go out together, and the hub is not looked at for each.
    fn send_more(&mut self, answers: &Answers) {
        while let Some(message) = self.waiting.front() {
            let is_small = || message.response_bytes() <= WATCH_ANSWERS_BYTES;
            let own = self.waiting_charge.as_ref();
            if !self.unsent.may_make(own, is_small) {
                return;
            }
            let places = Arc::clone(&self.ahead).try_acquire_many_owned(self.places_of_next());
            let (Ok(places), Ok(permit)) = (places, answers.try_reserve()) else {
                return;
            };
            if let Some(response) = self.next_response(places) {
                permit.send(Ok(response));
            }
        }
    }

    /// How many places the next answer takes: one for each part of [`WATCH_ANSWERS_BYTES`], all for a larger one.
    fn places_of_next(&self) -> u32 {
        const PLACE_BYTES: usize = WATCH_ANSWERS_BYTES / WATCH_ANSWERS_AHEAD;
        let next = self.waiting.front();
        let bytes = next.map_or(0, WatchMessage::response_bytes);
        bytes.div_ceil(PLACE_BYTES).clamp(1, WATCH_ANSWERS_AHEAD) as u32
    }

    /// Takes from the queue if nothing is left of what was taken before, and if it may be held. Tells what may be done
    /// now.
    fn take_waiting(&mut self) -> Turn {
        let core = &self.opened.core;
        let id = self.opened.id;
        let unsent = &self.unsent;
        let mut is_held_back = false;
        let mut may_make = |message: &WatchMessage, own: Option<&Charge>| {
            let may = unsent.may_make(own, || message.response_bytes() <= WATCH_ANSWERS_BYTES);
            is_held_back = !may;
            may
        };
        let takes = self.waiting.is_empty();
        let (taken, has_room, is_any_behind) = core.watches.with(|hub| {
            let next = hub.next_message(id).filter(|_| takes);
            let may_take = next.is_some_and(|message| may_make(message, None));
            let taken = may_take.then(|| {
                // While there is no room, the one message that was looked at.
                let has_room = core.watch_answers.has_room();
                let bytes_max = if has_room { WATCH_ANSWERS_BYTES } else { 0 };
                let (taken, bytes) = hub.take_counted(id, bytes_max);
                // Under the hub's lock, so that the next one sees it.
                (taken, core.watch_answers.charge_always(bytes))
            });
            (taken, hub.has_room(id), hub.behind_count() > 0)
        });
        if let Some((taken, charge)) = taken {
            if is_any_behind {
                // There may be room again for what this stream has yet to read.
                core.watches.wake();
            }
            let fragment_bytes = core.settings.max_request_bytes + GRPC_OVERHEAD_BYTES;
            let fragments = taken
                .into_iter()
                .flat_map(|message| message.into_fragments(fragment_bytes));
            self.waiting.extend(fragments);
            self.waiting_charge = Some(charge);
        }
        let own = self.waiting_charge.as_ref();
        let next = self.waiting.front();
        Turn {
            may_send: next.is_some_and(|message| may_make(message, own)),
            may_ask: has_room && self.requests.is_some() && self.asked.is_none(),
            is_held_back,
        }
    }

    fn next_response(&mut self, places: OwnedSemaphorePermit) -> Option<(WatchResponse, Ahead)> {
        let core = &self.opened.core;
        let message = self.waiting.pop_front()?;
        let unsent = self.unsent.charge(message.response_bytes());
        if self.waiting.is_empty() {
            self.waiting_charge = None;
        }
        let mut response = message.to_response();
        let revision = response.header.as_ref().map_or(0, |header| header.revision);
        response.header = Some(header(core, revision));
        core.metrics.watches.sent(response.events.len());
        let ahead = Ahead {
            _unsent: unsent,
            _places: places,
        };
        Some((response, ahead))
    }

    /// Does what the client has asked for if it can be done now; else tells when to look again.
    fn go_on_asked(&mut self) -> Option<Duration> {
        let core = &self.opened.core;
        let id = self.opened.id;
        let asked = self.asked.take()?;
        if let Asked::Cancel(cancel) = &asked {
            let store_revision = store_revision(core).unwrap_or_default();
            (core.watches).with(|hub| hub.cancel(id, cancel.watch_id, store_revision));
            return None;
        }
        let Some(store_revision) = store_revision(core) else {
            self.asked = Some(asked);
            return Some(CATCH_UP_PAUSE);
        };
        match asked {
            Asked::Cancel(_) => {}
            Asked::Create(create) => {
                core.watches
                    .with(|hub| create_in(hub, id, &create, store_revision));
                core.watches.wake();
            }
            Asked::Progress { revision, asked_at } => {
                let revision = revision.unwrap_or(store_revision);
                // Later than that it is told as of then.
                let is_late = asked_at.elapsed() >= WATCHES_FED_WITHIN;
                if !is_late && core.watches.with(|hub| hub.revision()) < revision {
                    let revision = Some(revision);
                    self.asked = Some(Asked::Progress { revision, asked_at });
                    return Some(FED_POLL);
                }
                core.watches.with(|hub| hub.request_progress(id));
            }
        }
        None
    }
}

/// What a conversation may do next.
struct Turn {
    may_send: bool,
    may_ask: bool,
    /// There is something to tell, and no room for it.
    is_held_back: bool,
}

/// None when it asks for nothing.
fn asked(request: WatchRequest) -> Option<Asked> {
    Some(match request.request_union? {
        RequestUnion::CreateRequest(create) => Asked::Create(create),
        RequestUnion::CancelRequest(cancel) => Asked::Cancel(cancel),
        RequestUnion::ProgressRequest(_) => Asked::Progress {
            revision: None,
            asked_at: Instant::now(),
        },
    })
}

/// Creates a watcher if the node has room for it; the answer is in the stream's queue.
pub(super) fn create_in(
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
        // It was not told of anything while nobody watched. Its thread goes through that in steps; whoever begins
        // before it does so reads from the history what comes first.
        hub.begin_publish(VecDeque::new(), revision);
    }
    hub.create(id, create, revision);
}

/// Whether what streams leave unread is what others wait for.
fn is_crowded(core: &Core) -> bool {
    let queues_are_full =
        |hub: &mut quorate_kv::WatchHub| hub.queued_bytes() >= WATCH_QUEUES_BYTES_MAX;
    !core.watch_answers.has_room() || core.watches.with(queues_are_full)
}

/// Waits until a stream's client has not read for so long that it is to end, for one who makes its answers elsewhere.
pub(super) async fn until_unread(core: &Core, unsent: &StreamAnswers) -> Status {
    loop {
        let now = Instant::now();
        let look_at = match unsent.overdue_at() {
            // What is made from now on is not overdue before.
            None => now + WATCH_UNREAD_FOR,
            Some(at) if at > now => at,
            Some(_) if is_crowded(core) => return Status::unavailable(UNREAD),
            Some(_) => now + OVERDUE_LOOKED_FOR_EVERY,
        };
        sleep_until(look_at).await;
    }
}

/// A stream was ended because its client did not read. If that frees nothing its connection is ended, too.
pub(super) async fn end_unread(
    core: &Core,
    unsent: &StreamAnswers,
    connection: Option<ConnectionEnd>,
) {
    core.metrics.watches.ended_unread();
    sleep(SHUTDOWN_GRACE).await;
    if let Some(connection) = connection.filter(|_| unsent.has_unsent()) {
        connection.now();
    }
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

/// The store's revision; none while another store is being loaded.
pub(super) fn store_revision(core: &Core) -> Option<i64> {
    let (store, _) = core.readable_store().ok()?;
    Some(store.revision())
}

/// Waits until there has been no leader for as long as etcd waits.
pub(super) async fn without_leader(core: &Core) -> Status {
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
