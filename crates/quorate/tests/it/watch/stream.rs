//! A watch stream as it is on the wire: nothing is resumed, nothing is kept back.

use std::collections::BTreeMap;
use std::time::Duration;

use quorate_client::stubs::watch_client::WatchClient;
use quorate_proto::etcdserverpb::watch_request::RequestUnion;
use quorate_proto::etcdserverpb::{
    WatchCancelRequest, WatchCreateRequest, WatchProgressRequest, WatchRequest, WatchResponse,
};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::transport::Endpoint;
use tonic::{Request, Status, Streaming};

use crate::cluster::PATIENCE;

/// One stream of watches at one node.
pub(super) struct Stream {
    requests: mpsc::UnboundedSender<WatchRequest>,
    responses: Streaming<WatchResponse>,
}

impl Stream {
    /// Opens a stream without watches.
    pub(super) async fn open(endpoint: &str) -> Stream {
        let opened = Stream::try_open(endpoint, false).await;
        opened.expect("the stream is opened")
    }

    /// The same, of a client that says whether it wants to be served only while there is a leader.
    pub(super) async fn try_open(endpoint: &str, requires_leader: bool) -> Result<Stream, Status> {
        let channel = Endpoint::from_shared(format!("http://{endpoint}")).expect("an address");
        let channel = channel.connect_lazy();
        let mut client = WatchClient::new(channel).max_decoding_message_size(usize::MAX);
        let (requests, receiver) = mpsc::unbounded_channel();
        let mut request = Request::new(UnboundedReceiverStream::new(receiver));
        if requires_leader {
            let value = "true".parse().expect("metadata");
            request.metadata_mut().insert("hasleader", value);
        }
        let opened = timeout(PATIENCE, client.watch(request)).await;
        let responses = opened.expect("an answer in time")?.into_inner();
        Ok(Stream {
            requests,
            responses,
        })
    }

    fn send(&self, request: RequestUnion) {
        let request_union = Some(request);
        // What is sent to a stream that has ended is lost.
        let _ = self.requests.send(WatchRequest { request_union });
    }

    /// Asks for a watch, and waits until it is there; gives its number and the store's revision.
    pub(super) async fn create(&mut self, request: WatchCreateRequest) -> (i64, i64) {
        self.send(RequestUnion::CreateRequest(request));
        let response = self.next().await;
        assert!(response.created && !response.canceled, "{response:?}");
        let header = response.header.expect("a header");
        (response.watch_id, header.revision)
    }

    /// Asks that a watch be canceled.
    pub(super) fn cancel(&self, watch_id: i64) {
        self.send(RequestUnion::CancelRequest(WatchCancelRequest { watch_id }));
    }

    /// Asks how far the watches have been told.
    pub(super) fn request_progress(&self) {
        self.send(RequestUnion::ProgressRequest(WatchProgressRequest {}));
    }

    /// The next answer, which must come in time.
    pub(super) async fn next(&mut self) -> WatchResponse {
        let response = timeout(PATIENCE, self.responses.message()).await;
        let response = response.expect("an answer in time");
        response
            .expect("no error")
            .expect("the stream does not end")
    }

    /// How the stream ends, after whatever else is said.
    pub(super) async fn end(&mut self) -> Status {
        loop {
            let response = timeout(PATIENCE, self.responses.message()).await;
            match response.expect("an end in time") {
                Ok(Some(_)) => {}
                Ok(None) => return Status::ok(""),
                Err(status) => return status,
            }
        }
    }

    /// Nothing is said in this time.
    pub(super) async fn is_quiet_for(&mut self, time: Duration) -> bool {
        timeout(time, self.responses.message()).await.is_err()
    }

    /// The revisions of the events that are told until the stream says that all its watches have been told everything
    /// up to `revision` or further; by watch.
    pub(super) async fn told_through(&mut self, revision: i64) -> BTreeMap<i64, Vec<i64>> {
        let mut told: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
        self.request_progress();
        loop {
            let response = self.next().await;
            let said = response.header.as_ref().expect("a header").revision;
            if response.watch_id == -1 && response.events.is_empty() {
                if said >= revision {
                    return told;
                }
                self.request_progress();
            }
            told.entry(response.watch_id)
                .or_default()
                .extend(revisions(&response));
        }
    }
}

/// The revisions of an answer's events.
pub(super) fn revisions(response: &WatchResponse) -> impl Iterator<Item = i64> {
    let events = response.events.iter();
    events.map(|event| event.kv.as_ref().expect("a key").mod_revision)
}

/// A watch of all keys that begin with `prefix`, from `start_revision` on.
pub(super) fn of_prefix(prefix: &str, start_revision: i64) -> WatchCreateRequest {
    let mut end = prefix.as_bytes().to_vec();
    *end.last_mut().expect("a prefix") += 1;
    WatchCreateRequest {
        key: prefix.as_bytes().to_vec().into(),
        range_end: end.into(),
        start_revision,
        ..Default::default()
    }
}
