//! Streams and watchers: coming and going.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use quorate_proto::etcdserverpb::WatchCreateRequest;
use quorate_proto::etcdserverpb::watch_create_request::FilterType;

use crate::limits::WATCHERS_PER_STREAM_MAX;
use crate::watch::catch_up::SharedReads;
use crate::watch::group::{Groups, LiveWatcher};
use crate::watch::message::{WatchMessage, WatchRefusal};
use crate::watch::progress::Notifying;
use crate::watch::publish::Backlog;
use crate::watch::stream::{Options, Queue, Reader, State, Stream, Watcher, queue_bytes_max};

/// Names a stream of a hub. One that has been closed names none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    pub(super) number: u32,
    serial: u64,
}

impl StreamId {
    pub(super) fn new(number: u32, serial: u64) -> StreamId {
        StreamId { number, serial }
    }
}

/// All watchers of one member. See the module's documentation for how it is driven.
#[derive(Debug)]
pub struct WatchHub {
    /// Everything up to this revision is in the queues of live watchers, or was.
    pub(super) revision: i64,
    pub(super) streams: Vec<Option<Stream>>,
    free_streams: Vec<u32>,
    opened: u64,
    pub(super) groups: Groups,
    /// Streams with watchers that are behind and room for what they read.
    pub(super) ready: VecDeque<u32>,
    pub(super) reads: SharedReads,
    pub(super) backlog: Backlog,
    pub(super) woken: Vec<StreamId>,
    /// When the watchers of which stream are to be told of their progress.
    pub(super) progress_due: BTreeSet<(u64, u32)>,
    /// The stream whose watchers are just being told of it.
    pub(super) notifying: Option<Notifying>,
    /// The streams whose clients asked for progress and wait for it, by the revision that they wait for.
    pub(super) progress_wanted: BTreeSet<(i64, u32)>,
    /// How many stores have been replaced.
    pub(super) store_number: u64,
    pub(super) queued_bytes: usize,
    watcher_count: usize,
    pub(super) behind_count: usize,
}

impl WatchHub {
    /// A hub without watchers, of a store that is at `revision`.
    pub fn new(revision: i64) -> WatchHub {
        WatchHub {
            revision,
            streams: Vec::new(),
            free_streams: Vec::new(),
            opened: 0,
            groups: Groups::default(),
            ready: VecDeque::new(),
            reads: SharedReads::default(),
            backlog: Backlog::default(),
            woken: Vec::new(),
            progress_due: BTreeSet::new(),
            notifying: None,
            progress_wanted: BTreeSet::new(),
            store_number: 0,
            queued_bytes: 0,
            watcher_count: 0,
            behind_count: 0,
        }
    }

    /// The revision up to which everything has been published.
    pub fn revision(&self) -> i64 {
        self.revision
    }

    /// Whether the store should collect events ([`Store::want_events`](crate::Store::want_events)).
    pub fn wants_events(&self) -> bool {
        self.watcher_count > 0
    }

    /// How many watchers there are.
    pub fn watcher_count(&self) -> usize {
        self.watcher_count
    }

    /// How many bytes the keys and range ends of all watchers hold; what several watch alike is held once.
    pub fn span_bytes(&self) -> usize {
        self.groups.span_bytes()
    }

    /// How many of them are behind.
    pub fn behind_count(&self) -> usize {
        self.behind_count
    }

    /// How many bytes wait in the queues of all streams, as far as each keeps them alive alone, and what is
    /// held of a revision that is being read.
    pub fn queued_bytes(&self) -> usize {
        self.queued_bytes
    }

    /// Opens a stream. Those of its watchers that ask for it are told of their progress every
    /// `progress_interval_ms` from `now_ms` on; etcd's interval is ten minutes and up to a tenth more,
    /// different from stream to stream so that they do not all fall together.
    pub fn open_stream(&mut self, now_ms: u64, progress_interval_ms: u64) -> StreamId {
        self.opened += 1;
        let progress_interval_ms = progress_interval_ms.max(1);
        let progress_at_ms = now_ms.saturating_add(progress_interval_ms);
        let stream = Stream {
            serial: self.opened,
            watchers: BTreeMap::new(),
            next_watch_id: 0,
            queue: Queue::default(),
            behind: BTreeMap::new(),
            next_turn: 0,
            is_ready: false,
            is_woken: false,
            told_revision: 0,
            later_starts: BTreeSet::new(),
            progress_wanted_at: None,
            progress_interval_ms,
            progress_at_ms,
        };
        let number = match self.free_streams.pop() {
            Some(number) => {
                self.streams[number as usize] = Some(stream);
                number
            }
            None => {
                self.streams.push(Some(stream));
                u32::try_from(self.streams.len() - 1).expect("streams are fewer than that")
            }
        };
        self.progress_due.insert((progress_at_ms, number));
        StreamId {
            number,
            serial: self.opened,
        }
    }

    /// Closes a stream, with all its watchers and what it has not been told. Closed again it stays closed.
    pub fn close_stream(&mut self, id: StreamId) {
        while self.close_step(id, usize::MAX) {}
    }

    /// The same in steps of up to `watchers_max` watchers each. Returns whether it has more.
    pub fn close_step(&mut self, id: StreamId, watchers_max: usize) -> bool {
        let Some(stream) = self.stream(id) else {
            return false;
        };
        let watch_ids = stream.watchers.keys().copied();
        let some: Vec<i64> = watch_ids.take(watchers_max.max(1)).collect();
        let has_more = some.len() < stream.watchers.len();
        for watch_id in some {
            self.remove_watcher(id.number, watch_id);
        }
        if has_more {
            return true;
        }
        let stream = self.streams[id.number as usize].take();
        let stream = stream.expect("it was just seen");
        self.queued_bytes -= stream.queue.bytes;
        self.progress_due
            .remove(&(stream.progress_at_ms, id.number));
        if let Some(at) = stream.progress_wanted_at {
            self.progress_wanted.remove(&(at, id.number));
        }
        if stream.is_ready {
            self.ready.retain(|number| *number != id.number);
        }
        self.free_streams.push(id.number);
        false
    }

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

    /// Cancels a watcher: what is in the queue is still told, then that it is gone. As in etcd there is no
    /// answer when there is none of this id, and the answer names the revision that the store is at now, as
    /// far as the caller knows it; never one before what the stream has been told of.
    pub fn cancel(&mut self, id: StreamId, watch_id: i64, store_revision: i64) {
        let is_there = |stream: &&Stream| stream.watchers.contains_key(&watch_id);
        if let Some(stream) = self.stream(id).filter(is_there) {
            let known = store_revision.max(self.telling_revision());
            let revision = known.max(stream.told_revision);
            self.remove_watcher(id.number, watch_id);
            self.push(id.number, WatchMessage::Canceled { watch_id, revision });
        }
    }

    /// Whether the stream's queue has room for the answer to another request. While it has none, its
    /// client's requests must wait, or it could fill the queue by asking.
    pub fn has_room(&self, id: StreamId) -> bool {
        let room = queue_bytes_max(self.queued_bytes);
        self.stream(id)
            .is_some_and(|stream| stream.queue.bytes < room)
    }

    /// Takes what a stream is to be told: messages of up to `bytes_max` bytes, at least one if any waits.
    pub fn take(&mut self, id: StreamId, bytes_max: usize) -> Vec<WatchMessage> {
        self.take_counted(id, bytes_max).0
    }

    /// The same, and how many bytes of memory the messages keep alive.
    pub fn take_counted(&mut self, id: StreamId, bytes_max: usize) -> (Vec<WatchMessage>, usize) {
        let Some(stream) = self.stream_mut(id) else {
            return (Vec::new(), 0);
        };
        let (taken, bytes) = stream.queue.take(bytes_max);
        stream.is_woken = !stream.queue.is_empty();
        let goes_on = stream.is_woken;
        self.queued_bytes -= bytes;
        if goes_on && !taken.is_empty() {
            self.woken.push(id);
        }
        self.check_ready(id.number);
        (taken, bytes)
    }

    /// The message that a stream takes next, if any waits.
    pub fn next_message(&self, id: StreamId) -> Option<&WatchMessage> {
        self.stream(id)?.queue.first()
    }

    /// The streams that have something to take since they were last named here, or still have after a
    /// [`WatchHub::take`].
    pub fn take_woken(&mut self) -> Vec<StreamId> {
        std::mem::take(&mut self.woken)
    }

    /// The stream of this id, unless it has been closed.
    pub(super) fn stream(&self, id: StreamId) -> Option<&Stream> {
        let stream = self.streams.get(id.number as usize)?.as_ref()?;
        (stream.serial == id.serial).then_some(stream)
    }

    fn stream_mut(&mut self, id: StreamId) -> Option<&mut Stream> {
        let stream = self.streams.get_mut(id.number as usize)?.as_mut()?;
        (stream.serial == id.serial).then_some(stream)
    }

    pub(super) fn stream_at(&mut self, number: u32) -> &mut Stream {
        let stream = self.streams[number as usize].as_mut();
        stream.expect("a stream that is named here is open")
    }

    /// Puts a message without events into a stream's queue.
    pub(super) fn push(&mut self, number: u32, message: WatchMessage) {
        self.push_counted(number, message, 0);
    }

    pub(super) fn push_counted(&mut self, number: u32, message: WatchMessage, bytes: usize) {
        let stream = self.streams[number as usize].as_mut();
        let stream = stream.expect("a stream that is told something is open");
        let id = StreamId {
            number,
            serial: stream.serial,
        };
        stream.told_revision = stream.told_revision.max(message.header_revision());
        self.queued_bytes += stream.queue.push(message, bytes);
        if !std::mem::replace(&mut stream.is_woken, true) {
            self.woken.push(id);
        }
    }

    /// Makes a watcher live that is behind, and is told of all revisions from `from_revision` on, which
    /// lies after the hub's.
    pub(super) fn make_live(&mut self, number: u32, watch_id: i64, from_revision: i64) {
        assert!(
            from_revision > self.revision,
            "a watcher from {from_revision} is not live at {}",
            self.revision
        );
        let stream = self.streams[number as usize].as_mut();
        let stream = stream.expect("a watcher's stream is open");
        let watcher = stream.watchers.get_mut(&watch_id);
        let watcher = watcher.expect("a watcher that becomes live is there");
        let State::Behind { has_sent, .. } = watcher.state else {
            unreachable!("watcher {watch_id} is live already")
        };
        let live = &mut self.groups.get_mut(watcher.group).live;
        let place = u32::try_from(live.len()).expect("watchers are fewer than that");
        watcher.state = State::Live { place };
        live.push(LiveWatcher {
            stream: number,
            watch_id,
            from_revision,
            options: watcher.options,
            has_sent,
        });
        self.behind_count -= 1;
    }

    /// Lets a watcher that is behind wait for its turn, after those of its stream that wait already.
    pub(super) fn enqueue_behind(&mut self, number: u32, watch_id: i64) {
        let stream = self.stream_at(number);
        stream.next_turn += 1;
        let next_turn = stream.next_turn;
        let watcher = stream.watchers.get_mut(&watch_id);
        let watcher = watcher.expect("a watcher that is to wait is there");
        let State::Behind { turn, .. } = &mut watcher.state else {
            unreachable!("watcher {watch_id} is to wait and is live")
        };
        *turn = next_turn;
        stream.behind.insert(next_turn, watch_id);
        self.check_ready(number);
    }

    /// Notes a stream that may read history: with half of its queue free, so that each turn is worth it.
    pub(super) fn check_ready(&mut self, number: u32) {
        let room = queue_bytes_max(self.queued_bytes) / 2;
        let stream = self.stream_at(number);
        if !stream.is_ready && !stream.behind.is_empty() && stream.queue.bytes < room {
            stream.is_ready = true;
            self.ready.push_back(number);
        }
    }

    pub(super) fn remove_watcher(&mut self, number: u32, watch_id: i64) {
        let stream = self.streams[number as usize].as_mut();
        let stream = stream.expect("a watcher's stream is open");
        let watcher = stream.watchers.get(&watch_id);
        let watcher = watcher.expect("a watcher that is removed is there");
        let group = watcher.group;
        let start = (watcher.options.start_revision, watch_id);
        match &watcher.state {
            State::Live { place } => {
                let place = *place;
                leave_live(&mut self.streams, &mut self.groups, group, place);
            }
            State::Behind { turn, reader, .. } => {
                let turn = *turn;
                let held_bytes = |reader: &Reader| reader.cursor.held_bytes();
                self.queued_bytes -= reader.as_ref().map_or(0, held_bytes);
                stream.behind.remove(&turn);
                self.behind_count -= 1;
            }
        }
        let stream = self.stream_at(number);
        stream.watchers.remove(&watch_id);
        stream.later_starts.remove(&start);
        self.groups.leave(group);
        self.watcher_count -= 1;
    }
}

/// Takes the watcher at `place` out of those of its group that are live; the last one takes its place. If it
/// had its turn in what is being published then the last one of those who had takes it, so that these stay
/// the first ones.
pub(super) fn leave_live(
    streams: &mut [Option<Stream>],
    groups: &mut Groups,
    group: u32,
    place: u32,
) -> LiveWatcher {
    let group = groups.get_mut(group);
    let mut place = place;
    if place < group.told {
        group.told -= 1;
        group.live.swap(place as usize, group.told as usize);
        set_place(streams, &group.live, place);
        place = group.told;
    }
    let left = group.live.swap_remove(place as usize);
    if (place as usize) < group.live.len() {
        set_place(streams, &group.live, place);
    }
    left
}

/// Tells the watcher that is now at a place where it is.
fn set_place(streams: &mut [Option<Stream>], live: &[LiveWatcher], place: u32) {
    let moved = &live[place as usize];
    let stream = streams[moved.stream as usize].as_mut();
    let stream = stream.expect("a live watcher's stream is open");
    let watcher = stream.watchers.get_mut(&moved.watch_id);
    let watcher = watcher.expect("a live watcher is there");
    watcher.state = State::Live { place };
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
