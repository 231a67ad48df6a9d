//! Watching keys: what is told goes on where it left off when a connection breaks.

use quorate_proto::etcdserverpb::watch_request::RequestUnion;
use quorate_proto::etcdserverpb::{
    WatchCreateRequest, WatchProgressRequest, WatchRequest, WatchResponse,
};
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;
use tonic::Streaming;

use crate::client::{BACKOFF, BACKOFF_MAX};
use crate::{Client, Connection, Error};

/// Requests that wait to be sent on a stream.
const REQUESTS: usize = 8;

/// One watch, on a stream of its own.
///
/// It is told of every event once and in order, whichever endpoint tells it: after a lost connection, or from an
/// endpoint that has no leader, it goes on at the next one from the revision after the last that it was told of.
#[derive(Debug)]
pub struct Watcher {
    client: Client,
    request: WatchCreateRequest,
    stream: Option<WatchStream>,
    was_created: bool,
    /// Asked for before there was somebody to ask.
    wants_progress: bool,
    is_over: bool,
    is_answered: watch::Sender<bool>,
}

/// A stream of watches on one connection.
#[derive(Debug)]
pub struct WatchStream {
    connection: Connection,
    requests: mpsc::Sender<WatchRequest>,
    responses: Streaming<WatchResponse>,
}

impl WatchStream {
    /// The next answer; none when the server has ended the stream.
    ///
    /// # Errors
    /// [`Error::Lost`], [`Error::Server`].
    pub async fn next(&mut self) -> Result<Option<WatchResponse>, Error> {
        let answer = self.responses.message().await;
        answer.map_err(|status| self.connection.error(&status))
    }

    /// Says something more; on a stream that has ended it is lost.
    pub async fn send(&self, request: RequestUnion) {
        let request_union = Some(request);
        let _ = self.requests.send(WatchRequest { request_union }).await;
    }
}

impl Connection {
    /// Opens a stream of watches with a first one on it. The server ends it when it has no leader.
    ///
    /// # Errors
    /// As for [`range`](Self::range).
    pub async fn watch(&self, request: WatchCreateRequest) -> Result<WatchStream, Error> {
        let (requests, receiver) = mpsc::channel(REQUESTS);
        let request_union = Some(RequestUnion::CreateRequest(request));
        // There is room for the first one.
        let _ = requests.try_send(WatchRequest { request_union });
        let responses = self.watch_stream(receiver).await?;
        Ok(WatchStream {
            connection: self.clone(),
            requests,
            responses,
        })
    }
}

impl Watcher {
    pub(crate) fn new(client: Client, request: WatchCreateRequest) -> Watcher {
        let request = WatchCreateRequest {
            // A part of a revision is nothing to go on from.
            fragment: false,
            ..request
        };
        Watcher {
            client,
            request,
            stream: None,
            was_created: false,
            wants_progress: false,
            is_over: false,
            is_answered: watch::Sender::new(false),
        }
    }

    /// The next answer: first that it was created, then events and, if asked for, progress. After an answer that says
    /// that it is canceled there is none. May be dropped and called again: nothing is lost.
    ///
    /// # Errors
    /// [`Error::Server`] for what no endpoint would answer otherwise. That endpoints cannot be reached is no error:
    /// they are tried in turn until one can.
    pub async fn next(&mut self) -> Result<Option<WatchResponse>, Error> {
        let mut pause = BACKOFF;
        for attempt in 1_usize.. {
            if self.is_over {
                break;
            }
            match self.next_here().await {
                Ok(Some(response)) => {
                    pause = BACKOFF;
                    self.is_answered.send_replace(true);
                    if response.created && std::mem::take(&mut self.wants_progress) {
                        self.request_progress().await;
                    }
                    if self.note(&response) {
                        return Ok(Some(response));
                    }
                    continue;
                }
                Ok(None) => {}
                Err(error) if error.is_worth_another_read() => {}
                Err(error) => {
                    self.is_over = true;
                    return Err(error);
                }
            }
            self.stream = None;
            self.is_answered.send_replace(false);
            if attempt % self.client.endpoints().count() == 0 {
                sleep(pause).await;
                pause = (pause * 2).min(BACKOFF_MAX);
            }
        }
        Ok(None)
    }

    /// Whether a server answers, for one who wants to tell a quiet watch from one that is cut off: true from the first
    /// answer on a stream until that breaks.
    #[must_use]
    pub fn is_answered(&self) -> watch::Receiver<bool> {
        self.is_answered.subscribe()
    }

    /// Asks the server to say how far this watch has been told; the answer is among the others.
    pub async fn request_progress(&mut self) {
        match &self.stream {
            Some(stream) => {
                let request = RequestUnion::ProgressRequest(WatchProgressRequest {});
                stream.send(request).await;
            }
            None => self.wants_progress = true,
        }
    }

    async fn next_here(&mut self) -> Result<Option<WatchResponse>, Error> {
        if self.stream.is_none() {
            let connection = self.client.pick_connection();
            let opened = connection.watch(self.request.clone()).await;
            if opened.is_err() {
                self.client.avoid(&connection);
            }
            self.stream = Some(opened?);
        }
        match &mut self.stream {
            Some(stream) => stream.next().await,
            None => Ok(None),
        }
    }

    /// Notes where to go on from; whether the caller is to see the answer.
    fn note(&mut self, response: &WatchResponse) -> bool {
        let revision = response.header.as_ref().map_or(0, |header| header.revision);
        if response.canceled {
            self.is_over = true;
            return true;
        }
        if response.created {
            if self.request.start_revision == 0 {
                self.request.start_revision = revision + 1;
            }
            return !std::mem::replace(&mut self.was_created, true);
        }
        let told = match response.events.last().and_then(|event| event.kv.as_ref()) {
            Some(kv) => kv.mod_revision,
            None => revision,
        };
        self.request.start_revision = self.request.start_revision.max(told + 1);
        true
    }
}
