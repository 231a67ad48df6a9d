//! How a watcher begins, and what refuses it.

use bytes::Bytes;
use quorate_proto::etcdserverpb::WatchCreateRequest;
use quorate_proto::etcdserverpb::watch_create_request::FilterType;

use crate::limits::WATCHERS_PER_STREAM_MAX;
use crate::watch::hub::{StreamId, WatchHub};
use crate::watch::message::{WatchMessage, WatchRefusal};
use crate::watch::stream::{Options, State, Stream, Watcher};

impl WatchHub {
    /// Creates a watcher, or refuses it; the answer is in the stream's queue, before any event. The store
    /// is at `store_revision` now: of what a watcher with start revision 0 is told, nothing lies before
    /// that. An empty key means the first one there can be.
    pub fn create(&mut self, id: StreamId, request: &WatchCreateRequest, store_revision: i64) {
        let Some(stream) = self.stream(id) else {
            return;
        };
        let key = match request.key.is_empty() {
            true => Bytes::from_static(&[0]),
            false => request.key.clone(),
        };
        let revision = store_revision;
        let watch_id = match choose_watch_id(stream, request, &key) {
            Ok(watch_id) => watch_id,
            Err(reason) => return self.push(id.number, WatchMessage::Refused { reason, revision }),
        };
        let group = self.groups.join(&key, &request.range_end);
        let from_revision = match request.start_revision {
            0 => store_revision + 1,
            // As in etcd: the last revision before any; and what is less lies before all history.
            -1 => 0,
            start => start,
        };
        let watcher = Watcher {
            group,
            options: options(request),
            state: State::Behind {
                turn: 0,
                next_revision: from_revision,
                reader: None,
                has_sent: false,
            },
        };
        let is_later = request.start_revision > self.revision;
        let stream = self.streams[id.number as usize].as_mut();
        let stream = stream.expect("it was just seen");
        stream.watchers.insert(watch_id, watcher);
        if is_later {
            stream
                .later_starts
                .insert((request.start_revision, watch_id));
        }
        if request.watch_id == 0 {
            stream.next_watch_id = watch_id + 1;
        }
        self.watcher_count += 1;
        self.behind_count += 1;
        self.push(id.number, WatchMessage::Created { watch_id, revision });
        if from_revision > self.telling_revision() {
            self.make_live(id.number, watch_id, from_revision);
        } else {
            self.enqueue_behind(id.number, watch_id);
        }
    }

    /// Refuses a watcher for a reason that the hub cannot know.
    pub fn refuse(&mut self, id: StreamId, reason: WatchRefusal, store_revision: i64) {
        if self.stream(id).is_some() {
            let revision = store_revision;
            self.push(id.number, WatchMessage::Refused { reason, revision });
        }
    }
}

fn options(request: &WatchCreateRequest) -> Options {
    let has = |filter: FilterType| request.filters.contains(&filter.into());
    Options {
        without_puts: has(FilterType::Noput),
        without_deletes: has(FilterType::Nodelete),
        with_previous: request.prev_kv,
        may_split: request.fragment,
        notifies_progress: request.progress_notify,
        start_revision: request.start_revision,
    }
}

/// The id of a new watcher; refused in etcd's order.
fn choose_watch_id(
    stream: &Stream,
    request: &WatchCreateRequest,
    key: &[u8],
) -> Result<i64, WatchRefusal> {
    let range_end = request.range_end.as_ref();
    if !matches!(range_end, [] | [0]) && key >= range_end {
        return Err(WatchRefusal::EmptyRange);
    }
    if stream.watchers.len() >= WATCHERS_PER_STREAM_MAX {
        return Err(WatchRefusal::TooManyWatchers);
    }
    if request.watch_id == 0 {
        let is_free = |id: &i64| !stream.watchers.contains_key(id);
        let free = (stream.next_watch_id..).find(is_free);
        return Ok(free.expect("a stream has fewer watchers than ids"));
    }
    match stream.watchers.contains_key(&request.watch_id) {
        true => Err(WatchRefusal::DuplicateId),
        false => Ok(request.watch_id),
    }
}
