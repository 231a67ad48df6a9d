//! Observing an election: the leader now, what it proclaims, and its successors, each in its turn.
//!
//! As in etcd: an observer is told of the first key of the line, of every later value of it until it goes, and then of
//! the key that is first by then. A leader that comes and goes in between is not told of. When there is none the first
//! key that is put is told of. A change of leaders of the cluster does not end the stream.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use prost::Message as _;
use quorate_kv::WatchMessage;
use quorate_proto::etcdserverpb::watch_create_request::FilterType;
use quorate_proto::mvccpb::KeyValue;
use quorate_proto::mvccpb::event::EventType;
use quorate_proto::v3electionpb::{LeaderRequest, LeaderResponse};
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;
use tokio_stream::Stream;
use tonic::{Response, Status};

use super::super::contest::{
    Contests, KeyWatch, as_etcds, first_created, line_of, range_in, refusal, with_header,
};
use super::super::header;
use super::super::watch::{end_unread, until_unread, without_leader};
use crate::bodies::{AnswerCharge, StreamAnswers, Unsent};
use crate::limits::{SHUTDOWN_GRACE, WATCH_ANSWERS_BYTES};
use crate::overdue::ConnectionEnd;

type Told = Result<(LeaderResponse, Unsent), Status>;

/// What an observer is told, on its way to be encoded.
pub(in super::super) struct Observed {
    told: mpsc::Receiver<Told>,
    unsent: Arc<StreamAnswers>,
}

impl Observed {
    /// With what is to be charged for the answers from there on.
    pub(super) fn into_response(mut response: Response<Observed>) -> Response<Observed> {
        let unsent = Arc::clone(&response.get_ref().unsent);
        let pieces = AnswerCharge::Pieces(unsent);
        response.extensions_mut().insert(pieces);
        response
    }
}

impl Stream for Observed {
    type Item = Result<LeaderResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let told = ready!(self.told.poll_recv(context));
        Poll::Ready(told.map(|told| told.map(|(response, _)| response)))
    }
}

/// Begins to observe; it ends with its client or the server.
pub(super) fn begin(
    contests: &Arc<Contests>,
    request: &LeaderRequest,
    requires_leader: bool,
    connection: Option<ConnectionEnd>,
) -> Result<Observed, Status> {
    let permit = contests.enter()?;
    let (answers, told) = mpsc::channel(1);
    let sent = Arc::new(Notify::new());
    let unsent = StreamAnswers::new(&contests.core.watch_answers, &sent);
    let observer = Observer {
        contests: Arc::clone(contests),
        line: line_of(&request.name),
        answers: answers.clone(),
        unsent: Arc::clone(&unsent),
        sent,
    };
    tokio::spawn(async move {
        let core = &observer.contests.core;
        let mut is_unread = false;
        let end = tokio::select! {
            end = observer.follow() => end.err(),
            end = without_leader(core), if requires_leader => Some(end),
            end = until_unread(core, &observer.unsent) => {
                is_unread = true;
                Some(end)
            }
            () = answers.closed() => None,
        };
        if let Some(end) = end {
            // One who takes nothing does not hear how it ended.
            let _ = timeout(SHUTDOWN_GRACE, answers.send(Err(as_etcds(end)))).await;
        }
        if is_unread {
            end_unread(core, &observer.unsent, connection).await;
        }
        drop(permit);
    });
    Ok(Observed { told, unsent })
}

struct Observer {
    contests: Arc<Contests>,
    line: Bytes,
    answers: mpsc::Sender<Told>,
    unsent: Arc<StreamAnswers>,
    /// Rung when all that was made is sent.
    sent: Arc<Notify>,
}

impl Observer {
    /// Tells of one leader after the other; ends when the client has gone.
    async fn follow(&self) -> Result<(), Status> {
        let mut watch = KeyWatch::open(&self.contests.core)?;
        loop {
            let read = self.contests.read(&first_created(&self.line)).await?;
            let mut revision = with_header(read.header).revision;
            let first = match read.kvs.into_iter().next() {
                Some(first) => first,
                None => {
                    let Some(first) = self.first_put(&mut watch, revision + 1).await? else {
                        continue;
                    };
                    revision = first.mod_revision;
                    first
                }
            };
            let key = first.key.clone();
            if !self.tell(revision, first).await {
                return Ok(());
            }
            let keys = (key, Bytes::new());
            watch.clear();
            watch.add(&self.contests, keys, revision + 1, None).await?;
            if !self.follow_one(&watch).await? {
                return Ok(());
            }
        }
    }

    /// Tells of all that one leader proclaims; whether to look for the next one.
    async fn follow_one(&self, watch: &KeyWatch) -> Result<bool, Status> {
        loop {
            for message in watch.next().await? {
                match message {
                    WatchMessage::Events {
                        revision, events, ..
                    } => {
                        for event in events.iter().map(|event| event.to_proto(false)) {
                            let kv = event.kv.unwrap_or_default();
                            if event.r#type == i32::from(EventType::Delete) {
                                return Ok(true);
                            }
                            if !self.tell(revision, kv).await {
                                return Ok(false);
                            }
                        }
                    }
                    // What came meanwhile is compacted: the newest is still there.
                    WatchMessage::Compacted { .. } => return Ok(true),
                    WatchMessage::Refused { reason, .. } => {
                        return Err(refusal(reason));
                    }
                    WatchMessage::Created { .. }
                    | WatchMessage::Canceled { .. }
                    | WatchMessage::Progress { .. } => {}
                }
            }
        }
    }

    /// Waits for the first key that is put into an empty line; none if one cannot tell any more which that was.
    async fn first_put(
        &self,
        watch: &mut KeyWatch,
        from_revision: i64,
    ) -> Result<Option<KeyValue>, Status> {
        watch.clear();
        let puts = Some(FilterType::Nodelete);
        watch
            .add(&self.contests, range_in(&self.line), from_revision, puts)
            .await?;
        loop {
            for message in watch.next().await? {
                match message {
                    WatchMessage::Events { events, .. } => {
                        let first = events.first().and_then(|event| event.to_proto(false).kv);
                        return Ok(first);
                    }
                    WatchMessage::Compacted { .. } => return Ok(None),
                    WatchMessage::Refused { reason, .. } => {
                        return Err(refusal(reason));
                    }
                    WatchMessage::Created { .. }
                    | WatchMessage::Canceled { .. }
                    | WatchMessage::Progress { .. } => {}
                }
            }
        }
    }

    /// Tells it when there is room; whether there is still somebody to be told.
    async fn tell(&self, revision: i64, kv: KeyValue) -> bool {
        let core = &self.contests.core;
        let response = LeaderResponse {
            header: Some(header(core, revision)),
            kv: Some(kv),
        };
        let bytes = response.encoded_len();
        while !self.unsent.may_make(None, || bytes <= WATCH_ANSWERS_BYTES) {
            tokio::select! {
                () = self.sent.notified() => {}
                () = core.watch_answers.room() => core.watch_answers.pass_on_room(),
            }
        }
        let unsent = self.unsent.charge(bytes);
        self.answers.send(Ok((response, unsent))).await.is_ok()
    }
}

#[cfg(test)]
mod tests;
