//! One server, as a sequence sees it.

use std::time::Duration;

use prost_reflect::{DynamicMessage, Value};
use quorate_proto::etcdserverpb::{
    LeaseGrantRequest, LeaseGrantResponse, LeaseRevokeRequest, PutRequest, WatchCreateRequest,
};
use tokio::time::timeout;
use tonic::transport::{Channel, Endpoint};

use crate::calls::{self, Method};
use crate::differences::{self, Oracle};
use crate::messages;
use crate::operation::{Operation, STREAMS};
use crate::watching::Watching;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Connections to one server.
pub(crate) struct Client {
    channel: Channel,
    /// Whose words it uses.
    oracle: Oracle,
    /// Told of every change.
    witness: Watching,
    streams: [Option<Watching>; STREAMS],
    /// A watch of the past was made that may not have been read up to now.
    may_be_behind: bool,
}

/// What a server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// All that has to be equal, as text.
    pub(crate) text: String,
    /// The store's revision, if it says it.
    pub(crate) revision: Option<i64>,
    /// Whether it is a response and no error.
    pub(crate) is_ok: bool,
}

impl Answer {
    fn of_watch(text: String) -> Answer {
        Answer {
            text,
            revision: None,
            is_ok: true,
        }
    }
}

impl Client {
    /// Connects, and watches everything.
    pub(crate) async fn connect(endpoint: &str, oracle: Oracle) -> Client {
        let channel = Endpoint::from_shared(format!("http://{endpoint}")).expect("an address");
        let channel = channel.tcp_nodelay(true).connect().await;
        let channel = channel.unwrap_or_else(|error| panic!("{endpoint}: {error}"));
        let mut witness = Watching::open(&channel);
        let everything = WatchCreateRequest {
            key: vec![0].into(),
            range_end: vec![0].into(),
            start_revision: 1,
            prev_kv: true,
            ..Default::default()
        };
        let created = witness.create(everything, -1).await;
        assert!(witness.watches.contains_key(&0), "{endpoint}: {created}");
        Client {
            channel,
            oracle,
            witness,
            streams: [const { None }; STREAMS],
            may_be_behind: false,
        }
    }

    /// Does one operation, whose revisions are absolute; `now` is the newest, `compacted` that of the last compaction, or
    /// -1.
    pub(crate) async fn act(&mut self, operation: Operation, now: i64, compacted: i64) -> Answer {
        match operation {
            Operation::Call(method, message) => self.call(method, message).await,
            Operation::KeepAlive(message) => self.call(&calls::KEEP_ALIVE, message).await,
            Operation::GrantBriefly(message) => self.grant_briefly(&message).await,
            Operation::LargePut(bytes) => {
                let put = PutRequest {
                    key: "large".into(),
                    value: vec![b'x'; bytes].into(),
                    ..Default::default()
                };
                let put = messages::dynamic("PutRequest", &put);
                self.call(&calls::PUT, put).await
            }
            Operation::Watch(stream, request) => {
                let request: WatchCreateRequest = messages::typed(&request);
                let start = request.start_revision;
                let text = if start != 0 && start < compacted {
                    // Not on a stream with others: see `differences::NOT_ASKED`.
                    Watching::open(&self.channel)
                        .create_in_vain(request, compacted)
                        .await
                } else {
                    self.may_be_behind |= start != 0 && start <= now;
                    self.stream(stream).create(request, compacted).await
                };
                Answer::of_watch(text)
            }
            Operation::Cancel(stream, id) => Answer::of_watch(self.stream(stream).cancel(id).await),
            Operation::Progress(stream) => {
                Answer::of_watch(self.stream(stream).progress(now).await)
            }
            Operation::Close(stream) => {
                self.streams[stream] = None;
                Answer::of_watch(String::new())
            }
        }
    }

    fn stream(&mut self, number: usize) -> &mut Watching {
        let channel = &self.channel;
        self.streams[number].get_or_insert_with(|| Watching::open(channel))
    }

    async fn call(&self, method: &Method, message: DynamicMessage) -> Answer {
        let asked = calls::call(&self.channel, method, message.clone());
        match timeout(PATIENCE, asked).await {
            Ok(Ok(response)) => Answer {
                revision: messages::header_revision(&response),
                text: messages::text(&differences::comparable(method, &message, response)),
                is_ok: true,
            },
            Ok(Err(status)) => Answer {
                text: self.oracle.todays(&differences::shown_error(&status)),
                revision: None,
                is_ok: false,
            },
            Err(_) => Answer {
                text: format!("no answer in {PATIENCE:?}"),
                revision: None,
                is_ok: false,
            },
        }
    }

    async fn grant_briefly(&self, message: &DynamicMessage) -> Answer {
        let request: LeaseGrantRequest = messages::typed(message);
        let asked = calls::call(&self.channel, &calls::GRANT, message.clone());
        let Ok(mut response) = asked.await else {
            return self.call(&calls::GRANT, message.clone()).await;
        };
        let LeaseGrantResponse { id, .. } = messages::typed(&response);
        if request.id == 0 {
            // The server has chosen one.
            response.set_field_by_name("ID", Value::I64(i64::from(id > 0)));
        }
        let granted = messages::text(&differences::comparable(&calls::GRANT, message, response));
        let revoke = messages::dynamic("LeaseRevokeRequest", &LeaseRevokeRequest { id });
        let mut answer = self.call(&calls::REVOKE, revoke).await;
        answer.text = format!("{granted}; revoked: {}", answer.text);
        answer
    }

    /// Waits until all watches have been told everything up to `revision`.
    pub(crate) async fn settle(&mut self, revision: i64) -> Result<(), String> {
        let witnessed = self.witness.settle_witness(revision).await;
        witnessed.map_err(|why| format!("the witness: {why}"))?;
        let history = &self.witness.watches[&0].events;
        for (number, stream) in self.streams.iter_mut().enumerate() {
            if let Some(stream) = stream {
                let settled = stream.settle(history).await;
                settled.map_err(|why| format!("stream {number}: {why}"))?;
            }
        }
        Ok(())
    }

    /// Waits until the server has read for all watches what they began with, also for those that it has nothing to tell:
    /// etcd ends one that a compaction finds unread. It reads for all that are behind at once, so that it is done when
    /// one more watch, of the newest revision, has been told.
    pub(crate) async fn catch_up(&mut self, now: i64, compacted: i64) -> Result<(), String> {
        if !std::mem::take(&mut self.may_be_behind) || now <= compacted.max(1) {
            return Ok(());
        }
        let newest = WatchCreateRequest {
            key: vec![0].into(),
            range_end: vec![0].into(),
            start_revision: now,
            ..Default::default()
        };
        let mut stream = Watching::open(&self.channel);
        stream.create(newest, compacted).await;
        stream.settle(&self.witness.watches[&0].events).await
    }

    /// What each watch was told since the last time, the witness's first.
    pub(crate) fn news(&mut self) -> Vec<(String, String)> {
        let witness = self.witness.watches.get_mut(&0).expect("it is there");
        let mut news = vec![("the witness".to_owned(), witness.witness_news())];
        for (number, stream) in self.streams.iter_mut().enumerate() {
            let watches = stream.iter_mut().flat_map(|stream| &mut stream.watches);
            for (id, watch) in watches {
                news.push((format!("watch {id} of stream {number}"), watch.news()));
            }
        }
        news
    }
}
