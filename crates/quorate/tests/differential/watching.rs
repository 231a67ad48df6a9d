//! One stream of watches at one server: what each watch was told, and what it should have been.

use std::collections::BTreeMap;
use std::time::Duration;

use quorate_client::stubs::watch_client::WatchClient;
use quorate_proto::etcdserverpb::watch_create_request::FilterType;
use quorate_proto::etcdserverpb::watch_request::RequestUnion;
use quorate_proto::etcdserverpb::{
    WatchCancelRequest, WatchCreateRequest, WatchProgressRequest, WatchRequest, WatchResponse,
};
use quorate_proto::mvccpb::{Event, event::EventType};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::Status;
use tonic::transport::Channel;

use crate::differences;
use crate::messages;

/// How long a server may take to tell what has happened. etcd looks for watches that are behind every tenth of a second.
const PATIENCE: Duration = Duration::from_secs(5);

/// A stream and its watches.
pub(crate) struct Watching {
    requests: mpsc::UnboundedSender<WatchRequest>,
    responses: mpsc::UnboundedReceiver<Result<WatchResponse, Status>>,
    reader: JoinHandle<()>,
    pub(crate) watches: BTreeMap<i64, Watch>,
    /// What breaks a rule of its own, whatever the other server does.
    pub(crate) fault: Option<String>,
}

/// One watch.
pub(crate) struct Watch {
    request: WatchCreateRequest,
    /// The first revision of which it is to be told.
    from: i64,
    /// It began before the compacted revision, so that it has to end.
    has_to_end: bool,
    /// How it ended.
    end: Option<WatchResponse>,
    /// All it was told.
    pub(crate) events: Vec<Event>,
    /// How many events there were for it among the first `counted` of the history.
    expected: usize,
    counted: usize,
    /// How many events, and whether the end, have been compared with the other server's.
    compared: (usize, bool),
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Watching {
    /// Opens a stream without watches.
    pub(crate) fn open(channel: &Channel) -> Watching {
        let mut stub =
            WatchClient::new(channel.clone()).max_decoding_message_size(i32::MAX as usize);
        let (requests, questions) = mpsc::unbounded_channel();
        let (answers, responses) = mpsc::unbounded_channel();
        // A server may say only with its first answer that it takes the stream.
        let reader = tokio::spawn(async move {
            let opened = stub.watch(UnboundedReceiverStream::new(questions)).await;
            let mut stream = match opened {
                Ok(stream) => stream.into_inner(),
                Err(status) => return drop(answers.send(Err(status))),
            };
            while let Some(answer) = stream.message().await.transpose() {
                if answers.send(answer).is_err() {
                    return;
                }
            }
        });
        Watching {
            requests,
            responses,
            reader,
            watches: BTreeMap::new(),
            fault: None,
        }
    }

    fn send(&self, request: RequestUnion) {
        let request_union = Some(request);
        // If the stream has ended, that is what comes next.
        let _ = self.requests.send(WatchRequest { request_union });
    }

    /// Asks for a watch; gives the answer.
    pub(crate) async fn create(&mut self, request: WatchCreateRequest, compacted: i64) -> String {
        self.send(RequestUnion::CreateRequest(request.clone()));
        let answer = match self.next_control("that the watch is created").await {
            Ok(answer) => answer,
            Err(why) => return why,
        };
        if answer.created && !answer.canceled {
            let revision = answer.header.as_ref().map_or(0, |header| header.revision);
            let start = request.start_revision;
            let watch = Watch {
                from: if start == 0 { revision + 1 } else { start },
                has_to_end: start != 0 && start < compacted,
                request,
                end: None,
                events: Vec::new(),
                expected: 0,
                counted: 0,
                compared: (0, false),
            };
            self.watches.insert(answer.watch_id, watch);
        }
        shown(&answer)
    }

    /// Asks for a watch from before the compacted revision on, which has to end at once; gives the answer and the end.
    pub(crate) async fn create_in_vain(
        &mut self,
        request: WatchCreateRequest,
        compacted: i64,
    ) -> String {
        let created = self.create(request, compacted).await;
        if let Err(why) = self.settle(&[]).await {
            return format!("{created}; {why}");
        }
        let news = self.watches.values_mut().map(Watch::news);
        format!("{created}; {}", news.collect::<String>())
    }

    /// Asks for a watch of no keys, which is refused: the answer shows that nothing else was said before.
    async fn fence(&mut self) -> String {
        let request = WatchCreateRequest {
            key: "b".into(),
            range_end: "a".into(),
            ..Default::default()
        };
        self.create(request, -1).await
    }

    /// Cancels a watch; gives the answer. To an unknown one there is none.
    pub(crate) async fn cancel(&mut self, watch_id: i64) -> String {
        self.send(RequestUnion::CancelRequest(WatchCancelRequest { watch_id }));
        let watch = self.watches.get(&watch_id);
        if watch.is_none_or(|watch| watch.end.is_some()) {
            return self.fence().await;
        }
        while self.watches[&watch_id].end.is_none() {
            match self.next("that the watch is canceled").await {
                Ok(None) => {}
                Ok(Some(other)) => return format!("instead of an end: {}", shown(&other)),
                Err(why) => return why,
            }
        }
        let watch = self.watches.remove(&watch_id);
        let end = watch.and_then(|watch| watch.end);
        end.as_ref().map(shown).unwrap_or_default()
    }

    /// Asks how far the stream has told, if it has watches and none of them is for later than `now` (see
    /// `differences::NOT_ASKED`); gives the answer.
    pub(crate) async fn progress(&mut self, now: i64) -> String {
        let waits = |watch: &Watch| watch.request.start_revision > now;
        if self.watches.is_empty() || self.watches.values().any(waits) {
            return self.fence().await;
        }
        self.send(RequestUnion::ProgressRequest(WatchProgressRequest {}));
        match self.next_control("its progress").await {
            Ok(answer) => shown(&answer),
            Err(why) => why,
        }
    }

    /// Waits until every watch has been told all that it should have been, given all that has happened.
    pub(crate) async fn settle(&mut self, history: &[Event]) -> Result<(), String> {
        for watch in self.watches.values_mut() {
            watch.count(history);
        }
        while self.watches.values().any(Watch::is_behind) {
            if let Some(other) = self.next("all events").await? {
                return Err(format!("unasked: {}", shown(&other)));
            }
        }
        // More than all would show here or at the next time.
        while let Ok(answer) = self.responses.try_recv() {
            if let Some(other) = self.take(answer)? {
                return Err(format!("unasked: {}", shown(&other)));
            }
        }
        match self.fault.take() {
            Some(fault) => Err(fault),
            None => Ok(()),
        }
    }

    /// For the witness: waits until all revisions to `revision` have been told.
    pub(crate) async fn settle_witness(&mut self, revision: i64) -> Result<(), String> {
        let told = |watching: &Watching| {
            let last = watching.watches[&0].events.last();
            last.and_then(|event| event.kv.as_ref())
                .map_or(1, |kv| kv.mod_revision)
        };
        while told(self) < revision {
            if let Some(other) = self.next("all events").await? {
                return Err(format!("unasked: {}", shown(&other)));
            }
        }
        Ok(())
    }

    /// The next answer that is about no watch that is there.
    async fn next_control(&mut self, what: &str) -> Result<WatchResponse, String> {
        loop {
            if let Some(answer) = self.next(what).await? {
                return Ok(answer);
            }
        }
    }

    async fn next(&mut self, what: &str) -> Result<Option<WatchResponse>, String> {
        let deadline = Instant::now() + PATIENCE;
        let answer = match timeout_at(deadline, self.responses.recv()).await {
            Ok(Some(answer)) => answer,
            Ok(None) => return Err("the stream has ended".to_owned()),
            Err(_) => return Err(self.says_nothing(what)),
        };
        self.take(answer)
    }

    fn says_nothing(&self, what: &str) -> String {
        let behind = self.watches.iter().filter(|(_, watch)| watch.is_behind());
        let behind: Vec<String> = behind
            .map(|(id, watch)| {
                let (told, expected) = (watch.events.len(), watch.expected);
                format!("watch {id} was told {told} events of {expected}")
            })
            .collect();
        format!("the stream does not say {what}; {}", behind.join(", "))
    }

    /// Notes an answer; gives it back if it is about no watch that is there.
    fn take(
        &mut self,
        answer: Result<WatchResponse, Status>,
    ) -> Result<Option<WatchResponse>, String> {
        let answer = answer.map_err(|status| differences::shown_error(&status))?;
        let watch = self.watches.get_mut(&answer.watch_id);
        let Some(watch) = watch.filter(|_| !answer.created) else {
            return Ok(Some(answer));
        };
        let fault = watch.take(answer);
        self.fault = self.fault.take().or(fault);
        Ok(None)
    }
}

impl Watch {
    /// Notes an answer; gives what is wrong with it whatever another server does.
    fn take(&mut self, answer: WatchResponse) -> Option<String> {
        let revision_of = |event: Option<&Event>| {
            let kv = event.and_then(|event| event.kv.as_ref());
            kv.map_or(0, |kv| kv.mod_revision)
        };
        let (before, first) = (
            revision_of(self.events.last()),
            revision_of(answer.events.first()),
        );
        let header = answer.header.as_ref().map_or(0, |header| header.revision);
        let last = revision_of(answer.events.last());
        let mut fault = None;
        if !answer.events.is_empty() {
            if !self.request.fragment && first <= before {
                fault = Some(format!(
                    "revision {first} is told in two answers or late: {answer:?}"
                ));
            }
            if header < last {
                fault = Some(format!("the header is older than the events: {answer:?}"));
            }
            if self.end.is_some() {
                fault = Some(format!("told after its end: {answer:?}"));
            }
        }
        self.events.extend(answer.events.iter().cloned());
        if answer.canceled {
            self.end = Some(answer);
        }
        fault
    }

    /// Counts what it should be told of what has happened since the last count.
    fn count(&mut self, history: &[Event]) {
        let new = &history[self.counted..];
        self.expected += new.iter().filter(|event| self.is_for_it(event)).count();
        self.counted = history.len();
    }

    fn is_for_it(&self, event: &Event) -> bool {
        let Some(kv) = &event.kv else { return false };
        let key = if self.request.key.is_empty() {
            &b"\0"[..]
        } else {
            &self.request.key
        };
        let is_in_range = match &self.request.range_end[..] {
            b"" => kv.key == key,
            b"\0" => &kv.key[..] >= key,
            end => &kv.key[..] >= key && &kv.key[..] < end,
        };
        let unwanted = match event.r#type() {
            EventType::Put => FilterType::Noput,
            EventType::Delete => FilterType::Nodelete,
        };
        let is_wanted = !self.request.filters.contains(&(unwanted as i32));
        !self.has_to_end && kv.mod_revision >= self.from && is_in_range && is_wanted
    }

    fn is_behind(&self) -> bool {
        match self.has_to_end {
            true => self.end.is_none(),
            false => self.end.is_none() && self.events.len() < self.expected,
        }
    }

    /// The same for the witness, for whom everything is.
    pub(crate) fn witness_news(&mut self) -> String {
        self.expected = self.events.len();
        self.news()
    }

    /// What it was told since the last time this was asked; and a word if that is not what it should be.
    pub(crate) fn news(&mut self) -> String {
        let (compared, end_was_compared) = self.compared;
        let mut out = String::new();
        for event in &self.events[compared..] {
            out += &format!("{}\n", shown_event(event));
        }
        if let Some(end) = self.end.as_ref().filter(|_| !end_was_compared) {
            out += &format!("ended: {}\n", shown_end(end));
        }
        if self.events.len() != self.expected {
            let (told, expected) = (self.events.len(), self.expected);
            out += &format!("told {told} events, there were {expected} for it\n");
        }
        self.compared = (self.events.len(), self.end.is_some());
        out
    }
}

fn shown(answer: &WatchResponse) -> String {
    let mut message = messages::dynamic("WatchResponse", answer);
    differences::without_ids(&mut message);
    messages::text(&message)
}

/// Which revision stood when a watch of compacted history was noticed is not said by etcd, and is of no use.
fn shown_end(answer: &WatchResponse) -> String {
    let mut answer = answer.clone();
    answer.header = None;
    shown(&answer)
}

fn shown_event(event: &Event) -> String {
    shown(&WatchResponse {
        events: vec![event.clone()],
        ..Default::default()
    })
}
